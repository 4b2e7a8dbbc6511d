use std::path::{Path, PathBuf};

use worldstep_env::registry::TASKS;
use worldstep_env::{AutoresetMode, EnvError, VectorEnv, make_truth};
use worldstep_model::device::ComputeDevice;
use worldstep_model::model::{Model, ModelError};
use worldstep_model::neural_env::{NeuralOptions, NeuralVectorEnv};
use worldstep_synth::RenderedVectorEnv;

use super::EngineFactory;
use super::starts::TruthStarts;
use crate::wire::{CatalogueEntry, Engine, ErrorCode, MakeRequest, Observation, Refusal};

/// Side of pixel observations.
pub const FRAME_SIDE: u32 = 64;
/// Where the repository keeps its weights.
const SHIPPED: &str = "models/nano";

/// Both engines on this machine: truth as state or pixels, dream from the weights in a folder.
pub struct Engines {
    models: Option<PathBuf>,
    device: ComputeDevice,
}

impl Engines {
    /// Engines whose dreams come from `models`: one model's folder, or a folder with one for each task.
    ///
    /// # Errors
    /// [`ModelError::Read`] if no model is there.
    pub fn new(models: Option<PathBuf>, device: ComputeDevice) -> Result<Self, ModelError> {
        if let Some(folder) = &models {
            model_folder(folder, None)?;
        }
        Ok(Self { models, device })
    }

    fn dream(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        let Some(models) = &self.models else {
            let message = "this server has no model: start it with --model DIR, or ask for engine \"truth\"";
            return Err(Refusal::new(ErrorCode::Unsupported, message));
        };
        let options =
            NeuralOptions { autoreset_mode: request.autoreset_mode, ..NeuralOptions::new(num_envs) };
        Ok(Box::new(open_dream(models, &request.id, self.device, options)?))
    }
}

impl EngineFactory for Engines {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        let dreams = |id| self.models.as_deref().is_some_and(|folder| model_folder(folder, Some(id)).is_ok());
        let entry = |task: &worldstep_env::TaskEntry| {
            let mut modes = vec![(Engine::Truth, Observation::State), (Engine::Truth, Observation::Rgb)];
            modes.extend(dreams(task.id).then_some((Engine::Dream, Observation::Rgb)));
            CatalogueEntry { id: task.id.to_owned(), summary: task.summary.to_owned(), modes }
        };
        TASKS.iter().map(entry).collect()
    }

    fn shares(&self, request: &MakeRequest) -> bool {
        // Each call of the model or the renderer has a price of its own; physics has none.
        request.engine == Engine::Dream || request.obs == Observation::Rgb
    }

    fn make(&mut self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        // An unknown task is told as such, whatever engine it was asked of.
        worldstep_env::registry::find(&request.id)?;
        match (request.engine, request.obs) {
            (Engine::Truth, Observation::State) => {
                Ok(Box::new(make_truth(&request.id, num_envs, request.autoreset_mode)?))
            }
            (Engine::Truth, Observation::Rgb) => {
                Ok(Box::new(truth_pixels(&request.id, num_envs, request.autoreset_mode)?))
            }
            (Engine::Dream, Observation::Rgb) => self.dream(request, num_envs),
            (Engine::Dream, Observation::State) => Err(Refusal::new(
                ErrorCode::Unsupported,
                "the dream has no state observation: ask for obs \"rgb\", or for engine \"truth\"",
            )),
        }
    }
}

/// Truth seen instead of told: 64×64 rgb observations.
///
/// # Errors
/// [`EnvError::UnknownTask`], or [`EnvError::Engine`] where there is no graphics driver.
pub fn truth_pixels(
    id: &str,
    num_envs: usize,
    mode: AutoresetMode,
) -> Result<impl VectorEnv + use<>, EnvError> {
    let truth = make_truth(id, num_envs, mode)?;
    RenderedVectorEnv::new(truth, FRAME_SIDE, FRAME_SIDE)
        .map_err(|error| EnvError::Engine { message: error.to_string() })
}

/// The dream of task `id` on this machine's processor, from the weights in `models` (see [`model_folder`]).
///
/// # Errors
/// [`EnvError::Engine`] if the weights cannot be loaded or there is no graphics driver to draw first frames with.
pub fn dream(
    models: &Path,
    id: &str,
    num_envs: usize,
    mode: AutoresetMode,
) -> Result<NeuralVectorEnv, EnvError> {
    let options = NeuralOptions { autoreset_mode: mode, ..NeuralOptions::new(num_envs) };
    open_dream(models, id, ComputeDevice::Cpu, options)
}

fn open_dream(
    models: &Path,
    id: &str,
    device: ComputeDevice,
    options: NeuralOptions,
) -> Result<NeuralVectorEnv, EnvError> {
    let load = || Model::load(&model_folder(models, Some(id))?, &device.burn());
    let model = load().map_err(|error| EnvError::Engine { message: error.to_string() })?;
    NeuralVectorEnv::new(model, Box::new(TruthStarts::new(id)?), options)
}

/// The weights that come with the repository: `$WORLDSTEP_MODEL`, else `models/nano` in the working directory, else in
/// the clone whose virtual environment holds this program.
pub fn shipped_models() -> Option<PathBuf> {
    let named = std::env::var_os("WORLDSTEP_MODEL").map(PathBuf::from);
    let here = || Some(PathBuf::from(SHIPPED)).filter(|folder| folder.is_dir());
    // <clone>/.venv/bin/worldstep
    let beside = || {
        let program = std::env::current_exe().ok()?;
        Some(program.ancestors().nth(3)?.join(SHIPPED)).filter(|folder| folder.is_dir())
    };
    named.or_else(here).or_else(beside)
}

/// The folder with `model.json`: `folder` itself, or its subfolder named after the task. Without a task, the first
/// subfolder that holds a model.
///
/// # Errors
/// [`ModelError::Read`] names the file that was looked for.
pub fn model_folder(folder: &Path, id: Option<&str>) -> Result<PathBuf, ModelError> {
    let holds_model = |folder: &Path| folder.join("model.json").is_file();
    if holds_model(folder) {
        return Ok(folder.to_owned());
    }
    let of_task = TASKS.iter().filter(|task| id.is_none_or(|id| id == task.id));
    let mut found = of_task.map(|task| folder.join(task.id)).filter(|folder| holds_model(folder));
    found.next().ok_or_else(|| ModelError::Read {
        path: id.map_or_else(|| folder.to_owned(), |id| folder.join(id)).join("model.json"),
        source: std::io::ErrorKind::NotFound.into(),
    })
}
