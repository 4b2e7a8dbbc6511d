use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use worldstep_env::EnvError;
use worldstep_model::device::ComputeDevice;

use super::engine_error;
use super::peer_process::PeerProcess;

/// Where the repository keeps the network in PyTorch, from its root.
const PACKAGE: &str = "model/reference/bench.py";

/// `model/reference` in a Python of its own, with the weights of one model.
pub struct PyTorch {
    process: PeerProcess,
    /// For instance `pytorch 2.15.0`.
    name: String,
    modes: Vec<String>,
}

impl PyTorch {
    /// Loads the model in `folder` on a device; it may use as many threads as Worldstep does. On a GPU products are computed in
    /// bf16.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it does not start.
    pub fn start(
        device: ComputeDevice,
        python: &Path,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EnvError> {
        let missing = |reason: &str| {
            let python = python.display();
            engine_error(format!(
                "PyTorch does not run with {python} ({reason}); `make reference` installs it"
            ))
        };
        let packages = packages().ok_or_else(|| missing("model/reference is not here"))?;
        let mut command = Command::new(python);
        command.args(["-m", "reference.bench"]).env("PYTHONPATH", packages);
        let mut process = PeerProcess::start(&mut command).map_err(|error| missing(&error.to_string()))?;
        let hello = json!({ "model": folder, "threads": threads, "device": device.name() });
        let answer = process.ask(&hello).map_err(|error| missing(&error.to_string()))?;
        let version = answer["version"].as_str().unwrap_or("of unknown version");
        let modes = answer["modes"].as_array().into_iter().flatten();
        let modes = modes.filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self { process, name: format!("pytorch {version}"), modes })
    }

    /// How it can run the network: `eager`, and `compile` where there is a C++ compiler.
    pub fn modes(&self) -> Vec<String> {
        self.modes.clone()
    }

    /// Version and mode, for instance `pytorch 2.15.0 eager`.
    pub fn name(&self, mode: &str) -> String {
        format!("{} {mode}", self.name)
    }

    /// What it gets done in a second of `case`, in `seconds` of measuring: on average, and at the pace of the median call.
    /// The first time it warms up before.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it ended.
    pub fn per_s(&mut self, mut case: Value, mode: &str, seconds: f64) -> Result<[f64; 2], EnvError> {
        case["mode"] = mode.into();
        case["seconds"] = seconds.into();
        let answer = self.process.ask(&case)?;
        let value =
            |name: &str| answer[name].as_f64().ok_or_else(|| engine_error(format!("its answer is {answer}")));
        Ok([value("per_s")?, value("median_per_s")?])
    }

    /// What it says to a question that is not about speed.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it ended.
    pub fn ask(&mut self, question: &Value) -> Result<Value, EnvError> {
        self.process.ask(question)
    }
}

/// The folder that the package is imported from: below the working directory, else in the clone whose virtual environment
/// holds this program.
fn packages() -> Option<PathBuf> {
    // <clone>/.venv/bin/worldstep
    let program = std::env::current_exe().ok()?;
    let clones = [Some(Path::new(".")), program.ancestors().nth(3)];
    let script =
        clones.into_iter().flatten().map(|clone| clone.join(PACKAGE)).find(|script| script.is_file())?;
    Some(script.ancestors().nth(2)?.to_owned())
}

/// Threads that Worldstep computes with: `RAYON_NUM_THREADS`, else the processor's cores.
pub fn threads() -> usize {
    let named = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    named
        .filter(|threads| *threads > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
