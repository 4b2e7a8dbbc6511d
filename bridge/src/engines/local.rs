use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use worldstep_env::registry;
use worldstep_env::{AutoresetMode, EnvError, TruthSource as _, TruthVectorEnv, VectorEnv, make_truth};
use worldstep_model::cuda::ProductNumbers;
use worldstep_model::device::ComputeDevice;
use worldstep_model::engine::ring_bytes;
use worldstep_model::model::{Model, ModelCard, load_card};
use worldstep_model::neural_env::{DreamObservation, NeuralOptions, NeuralVectorEnv, PrefetchedStarts};
use worldstep_model::on_card::CardError;
use worldstep_synth::RenderedVectorEnv;

use super::beside::TruthBeside;
use super::models::{NoModel, model_folder};
use super::starts::TruthStarts;
use super::{EngineFactory, Placed};
use crate::memory::EngineBytes;
use crate::on_card::{StandIn, Uploaded};
use crate::wire::{CatalogueEntry, Engine, ErrorCode, MakeRequest, Observation, Refusal};

/// Side of pixel observations of a task that no model here dreams; that of its model's frames where one does.
pub const FRAME_SIDE: u32 = 64;

const KIB: u64 = 1 << 10;
/// What engines take, measured as resident memory of a process with a few and with many environments
/// (`tests/memory.rs` holds them to it): one world and its rows, and what frames, depth and dreams add to it.
const WORLD_BYTES: u64 = 40 * KIB;
/// What a world takes beside that: for each byte of its saved state, and for each thing in it.
const STATE_BYTES: u64 = 4;
const THING_BYTES: u64 = 7 * KIB;
const FRAME_BYTES: u64 = 120 * KIB;
const DEPTH_BYTES: u64 = 208 * KIB;
/// Beside the ring of a dream's environment: its starts, codes and readouts.
const DREAM_BYTES: u64 = 96 * KIB;
/// Device and pipelines of the graphics driver.
const DRIVER_BYTES: u64 = 160 << 20;

/// Both engines on this machine: truth as state or pixels, dream from the weights in a folder.
pub struct Engines {
    models: Option<PathBuf>,
    device: ComputeDevice,
    devices: usize,
    products: ProductNumbers,
    memory_bytes_max: Option<u64>,
    audited_lanes: usize,
    has_stand_in: bool,
}

impl Engines {
    /// Engines whose dreams come from `models`: one model's folder, or a folder with one for each task.
    ///
    /// # Errors
    /// [`NoModel::Missing`] if no model is there.
    pub fn new(models: Option<PathBuf>, device: ComputeDevice) -> Result<Self, NoModel> {
        if let Some(folder) = &models {
            model_folder(folder, None)?;
        }
        let products = ProductNumbers::default();
        let (memory_bytes_max, audited_lanes, has_stand_in) = (None, 0, false);
        Ok(Self { models, device, devices: 1, products, memory_bytes_max, audited_lanes, has_stand_in })
    }

    /// Lets one dream take so many bytes at most, instead of a share of what is free when it is made.
    pub fn with_memory_max(self, bytes: Option<u64>) -> Self {
        Self { memory_bytes_max: bytes, ..self }
    }

    /// Divides the environments of each dream over so many GPUs from its own on, one at least to each.
    pub fn with_devices(self, devices: usize) -> Self {
        Self { devices, ..self }
    }

    /// Makes the products of dreams' blocks of `products` on GPUs.
    pub fn with_products(self, products: ProductNumbers) -> Self {
        Self { products, ..self }
    }

    /// Steps truth beside so many environments of each dream, as far as it has them; their infos tell how far they are
    /// apart.
    pub fn with_audit(self, lanes: usize) -> Self {
        Self { audited_lanes: lanes, ..self }
    }

    /// Lets observations stay on the [stand-in](StandIn) for a card, those of truth too: for tests.
    pub fn with_stand_in_card(self) -> Self {
        Self { has_stand_in: true, ..self }
    }

    /// The card of the model that dreams task `id`, if there is one that can be read.
    fn card(&self, id: &str) -> Option<ModelCard> {
        load_card(&model_folder(self.models.as_deref()?, Some(id)).ok()?).ok()
    }

    /// Pixels along a side of what truth and dream show of task `id`.
    fn side(&self, id: &str) -> u32 {
        self.card(id).map_or(FRAME_SIDE, |card| card.config.frame.side() as u32)
    }

    fn dream(&self, request: &MakeRequest, num_envs: usize) -> Result<NeuralVectorEnv, Refusal> {
        let Some(models) = &self.models else {
            let message = "this server has no model: start it with --model DIR (in Python, model=DIR), \
                           or ask for engine \"truth\"";
            return Err(Refusal::new(ErrorCode::Unsupported, message));
        };
        if let Err(other @ NoModel::OtherTask { .. }) = model_folder(models, Some(&request.id)) {
            return Err(Refusal::new(ErrorCode::Unsupported, other.to_string()));
        }
        let options = NeuralOptions {
            autoreset_mode: request.autoreset_mode.of_engine(),
            observation: match request.obs {
                Observation::Rgb => DreamObservation::Rgb,
                Observation::Codes => DreamObservation::Codes,
                Observation::State => DreamObservation::State,
                Observation::Latent => DreamObservation::Latent,
                Observation::Depth => {
                    let message = "a dream is made of colours: ask for obs \"rgb\", or for engine \"truth\"";
                    return Err(Refusal::new(ErrorCode::Unsupported, message));
                }
            },
            temperature: request.temperature.unwrap_or(0.0),
            memory_bytes_max: self.memory_bytes_max,
            devices: self.devices.min(num_envs).max(1),
            products: self.products,
            ..NeuralOptions::new(num_envs)
        };
        let dream = dream_with(models, &request.id, self.device, options)?;
        Ok(match self.audited_lanes.min(num_envs) {
            0 => dream,
            lanes => audited(dream, lanes)?,
        })
    }
}

impl EngineFactory for Engines {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        let dreams = |id| self.models.as_deref().is_some_and(|folder| model_folder(folder, Some(id)).is_ok());
        let entry = |task: &worldstep_env::TaskEntry| {
            let shown = [Observation::State, Observation::Rgb, Observation::Depth];
            let mut modes = shown.map(|obs| (Engine::Truth, obs)).to_vec();
            if dreams(task.id) {
                let shown = [Observation::Rgb, Observation::Codes, Observation::Latent, Observation::State];
                modes.extend(shown.map(|obs| (Engine::Dream, obs)));
            }
            CatalogueEntry { id: task.id.to_owned(), summary: task.summary.to_owned(), modes }
        };
        registry::all().map(entry).collect()
    }

    fn gains_by_waiting(&self, request: &MakeRequest) -> bool {
        // Each call of the model or the renderer has a price of its own; physics has none.
        request.engine == Engine::Dream || request.obs != Observation::State
    }

    fn bytes(&self, request: &MakeRequest) -> EngineBytes {
        let larger = || u64::from(self.side(&request.id) / FRAME_SIDE).pow(2);
        let seen = |bytes: u64| EngineBytes { base: DRIVER_BYTES, env: bytes };
        match (request.engine, request.obs) {
            (Engine::Truth, Observation::State) => EngineBytes { base: 0, env: world_bytes(&request.id) },
            (Engine::Truth, Observation::Depth) => seen(world_bytes(&request.id) + DEPTH_BYTES * larger()),
            (Engine::Truth, _) => seen(world_bytes(&request.id) + FRAME_BYTES * larger()),
            // A model that cannot be read is told by whoever makes the dream.
            (Engine::Dream, _) => {
                let ring = self.card(&request.id).map_or(0, |card| ring_bytes(&card.config));
                seen(ring + DREAM_BYTES * larger())
            }
        }
    }

    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        check_request(request)?;
        let mode = request.autoreset_mode.of_engine();
        let truth = || -> Result<TruthVectorEnv, EnvError> {
            let mut truth = make_truth(&request.id, num_envs, mode)?;
            truth.randomise(request.randomisation.clone())?;
            Ok(truth)
        };
        match (request.engine, request.obs) {
            (Engine::Truth, Observation::State) => Ok(Box::new(truth()?)),
            (Engine::Truth, Observation::Rgb) => Ok(Box::new(seen(truth()?, self.side(&request.id))?)),
            (Engine::Truth, Observation::Depth) => {
                Ok(Box::new(seen_as_depth(truth()?, self.side(&request.id))?))
            }
            (Engine::Truth, Observation::Codes | Observation::Latent) => Err(Refusal::new(
                ErrorCode::Unsupported,
                "truth has no codes or features: ask for obs \"state\", \"rgb\" or \"depth\", or for engine \"dream\"",
            )),
            (Engine::Dream, _) => Ok(Box::new(self.dream(request, num_envs)?)),
        }
    }

    fn check_card(&self, request: &MakeRequest) -> Result<(), String> {
        if self.has_stand_in && request.card.as_deref() == Some(StandIn::NAME) {
            return Ok(());
        }
        if request.engine == Engine::Truth {
            let why = "the server steps truth on the processor: a dream's frames can stay on a card";
            return Err(format!("{why} (engine=\"dream\", obs=\"rgb\")"));
        }
        if self.device == ComputeDevice::Cpu {
            let why = "the server dreams on the processor: start one with --device cuda:0";
            return Err(format!("{why}, from a build with CUDA (`make cuda`)"));
        }
        if self.devices > 1 {
            let why = "the server divides its dreams over several GPUs";
            return Err(format!("{why}: start one for each (--devices 1)"));
        }
        Ok(())
    }

    fn make_on_card(&self, request: &MakeRequest, num_envs: usize) -> Result<Placed, Refusal> {
        let card = request.card.as_deref().unwrap_or_default();
        let is_stand_in = self.has_stand_in && card == StandIn::NAME;
        if request.engine == Engine::Truth {
            let env = self.make(request, num_envs)?;
            if !is_stand_in {
                return Ok(Placed::Host { env, why: self.check_card(request).err().unwrap_or_default() });
            }
            let failed = |error: CardError| Refusal::new(ErrorCode::Engine, error.to_string());
            return Ok(Placed::Card(Box::new(Uploaded::new(env, StandIn).map_err(failed)?)));
        }
        check_request(request)?;
        let mut dream = self.dream(request, num_envs)?;
        let kept = match is_stand_in {
            true => dream.keep_on_card(Box::new(StandIn)),
            false => dream.keep_on_its_card(card),
        };
        Ok(match kept {
            Ok(()) => Placed::Card(Box::new(dream)),
            Err(why) => Placed::Host { env: Box::new(dream), why },
        })
    }
}

/// Whether the engine that is asked for has what it is asked for.
fn check_request(request: &MakeRequest) -> Result<(), Refusal> {
    // An unknown task is told as such, whatever engine it was asked of.
    worldstep_env::registry::find(&request.id)?;
    if request.engine == Engine::Truth && request.temperature.is_some() {
        let message = "truth has no temperature: leave it out, or ask for engine \"dream\"";
        return Err(Refusal::new(ErrorCode::Unsupported, message));
    }
    if request.engine == Engine::Dream && request.randomisation.is_some() {
        let message = "a dream has no physics to randomise: leave it out, or ask for engine \"truth\"";
        return Err(Refusal::new(ErrorCode::Unsupported, message));
    }
    Ok(())
}

/// What a world of this task takes, from its first episode.
fn world_bytes(id: &str) -> u64 {
    static KNOWN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = known.get(id) {
        return *bytes;
    }
    // A task that is not there is told by whoever makes the engine.
    let Ok(mut world) = make_truth(id, 1, AutoresetMode::NextStep) else { return WORLD_BYTES };
    let state =
        world.reset_all(Some(0)).and_then(|()| world.save_lane(0)).map_or(0, |state| state.len() as u64);
    let bytes = WORLD_BYTES + STATE_BYTES * state + THING_BYTES * world.scene(0).instances.len() as u64;
    known.insert(id.to_owned(), bytes);
    bytes
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
    seen(make_truth(id, num_envs, mode)?, FRAME_SIDE)
}

fn seen(truth: TruthVectorEnv, side: u32) -> Result<RenderedVectorEnv<TruthVectorEnv>, EnvError> {
    RenderedVectorEnv::new(truth, side, side).map_err(|error| EnvError::Engine { message: error.to_string() })
}

/// Truth seen as metric depth: 64×64×1 `float32` observations, metres.
///
/// # Errors
/// As [`truth_pixels`].
pub fn truth_depth(
    id: &str,
    num_envs: usize,
    mode: AutoresetMode,
) -> Result<impl VectorEnv + use<>, EnvError> {
    seen_as_depth(make_truth(id, num_envs, mode)?, FRAME_SIDE)
}

fn seen_as_depth(truth: TruthVectorEnv, side: u32) -> Result<RenderedVectorEnv<TruthVectorEnv>, EnvError> {
    RenderedVectorEnv::depth(truth, side, side)
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
    dream_with(models, id, ComputeDevice::Cpu, options)
}

/// As [`dream`], with everything that can be chosen; its starts are drawn ahead by a thread of its own.
///
/// # Errors
/// As [`dream`]; [`EnvError::Limit`] if so many environments do not fit into memory.
pub fn dream_with(
    models: &Path,
    id: &str,
    device: ComputeDevice,
    options: NeuralOptions,
) -> Result<NeuralVectorEnv, EnvError> {
    let load = || Ok::<_, NoModel>(Model::load(&model_folder(models, Some(id))?, &device.burn())?);
    let model = load().map_err(|error| EnvError::Engine { message: error.to_string() })?;
    let starts = TruthStarts::new(id, model.card.config.frame.side() as u32)?;
    NeuralVectorEnv::new(model, Box::new(PrefetchedStarts::new(starts)?), options)
}

/// `dream` with truth stepped beside `lanes` of its environments.
///
/// # Errors
/// [`EnvError::Argument`] if the dream has fewer, [`EnvError::Engine`] where there is no graphics driver.
pub fn audited(dream: NeuralVectorEnv, lanes: usize) -> Result<NeuralVectorEnv, EnvError> {
    let task = dream.task();
    let side = dream.model().card.config.frame.side() as u32;
    let truth = TruthBeside::new(&task.id, (lanes, side), &task.objects)?;
    dream.audited(Box::new(truth))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use worldstep_env::Space;
    use worldstep_model::action::ActionCoding;
    use worldstep_model::config::{FrameSize, Preset};
    use worldstep_model::model::TaskCard;

    use super::*;
    use crate::wire::Autoreset;

    fn dream_of(id: &str) -> MakeRequest {
        let autoreset_mode = Autoreset::NextStep;
        MakeRequest {
            id: id.to_owned(),
            engine: Engine::Dream,
            obs: Observation::Rgb,
            num_envs: 1,
            autoreset_mode,
            temperature: None,
            randomisation: None,
            shared_memory_host: None,
            card: None,
        }
    }

    fn dreams_listed(engines: &Engines) -> Vec<String> {
        let dreams = |entry: &CatalogueEntry| entry.modes.iter().any(|(engine, _)| *engine == Engine::Dream);
        engines.catalogue().into_iter().filter(dreams).map(|entry| entry.id).collect()
    }

    #[test]
    fn without_a_model_there_is_truth_and_a_dream_says_what_to_do() {
        let engines = Engines::new(None, ComputeDevice::Cpu).unwrap();
        assert!(dreams_listed(&engines).is_empty());
        let refusal = engines.make(&dream_of("CartPole-v0"), 1).err().unwrap();
        assert_eq!(refusal.code, ErrorCode::Unsupported);
        assert!(refusal.message.contains("--model"), "{refusal}");
        let truth = MakeRequest { engine: Engine::Truth, obs: Observation::State, ..dream_of("CartPole-v0") };
        assert!(engines.make(&truth, 1).is_ok());
    }

    #[test]
    fn truth_and_dream_are_seen_in_frames_of_the_models_size() {
        let models = tempfile::tempdir().unwrap();
        let space_of = |engines: &Engines, id: &str, engine| {
            let env = engines.make(&MakeRequest { engine, ..dream_of(id) }, 2).unwrap();
            env.spec().observation_space.clone()
        };
        let task = TaskCard {
            id: "CartPole-v0".to_owned(),
            actions: ActionCoding::new(&Space::Discrete { n: 2, start: 0 }),
            objects: Vec::new(),
            object_mean: Vec::new(),
            object_scale: Vec::new(),
            termination_threshold: None,
        };
        let mut card = ModelCard::new(Preset::Nano, vec![task]);
        card.config.frame = FrameSize::Px128;
        Model::random(card, &ComputeDevice::Cpu.burn()).save(models.path()).unwrap();
        let engines = Engines::new(Some(models.path().to_owned()), ComputeDevice::Cpu).unwrap();
        let large = Space::image(128, 128, 3);
        assert_eq!(space_of(&engines, "CartPole-v0", Engine::Truth), large);
        assert_eq!(space_of(&engines, "CartPole-v0", Engine::Dream), large);
        assert_eq!(space_of(&engines, "PushCube-v0", Engine::Truth), Space::image(64, 64, 3));
    }

    #[test]
    fn the_dream_of_another_task_is_refused_with_what_to_do() {
        let models = tempfile::tempdir().unwrap();
        std::fs::write(models.path().join("model.json"), r#"{"task": "CatchBehindScreen-v0"}"#).unwrap();
        let engines = Engines::new(Some(models.path().to_owned()), ComputeDevice::Cpu).unwrap();
        assert_eq!(dreams_listed(&engines), ["CatchBehindScreen-v0"]);
        let refusal = engines.make(&dream_of("PushCube-v0"), 1).err().unwrap();
        assert_eq!(refusal.code, ErrorCode::Unsupported);
        assert!(refusal.message.contains("dreams CatchBehindScreen-v0; for PushCube-v0"), "{refusal}");
    }
}
