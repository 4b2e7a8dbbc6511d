use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use worldstep_env::{AutoresetMode, EnvError};

use super::{Row, env_steps_per_s, steps_row};
use crate::engines;

const TASK: &str = "CatchBehindScreen-v0";

/// The dream on the processor, 1 to 256 environments, in this process; without `models`, the shipped weights.
///
/// # Errors
/// [`EnvError::Engine`] if the weights cannot be loaded.
pub fn dream(models: Option<&Path>, time: Duration) -> Result<Vec<Row>, EnvError> {
    let models = models_or_shipped(models)?;
    let mut rows = Vec::new();
    for envs in [1, 16, 64, 256] {
        let mut env = engines::dream(&models, TASK, envs, AutoresetMode::NextStep)?;
        let preset = env.model().card.config.preset;
        let value = env_steps_per_s(&mut env, time)?;
        let case = json!({
            "task": TASK, "engine": "dream", "obs": "rgb", "envs": envs, "preset": preset, "device": "cpu",
            "transport": "inprocess",
        });
        rows.push(steps_row(case, value));
    }
    Ok(rows)
}

/// The models to measure: those named, else the shipped ones.
pub(super) fn models_or_shipped(models: Option<&Path>) -> Result<PathBuf, EnvError> {
    let missing = || EnvError::Engine {
        message: "no weights found in models/nano; name a model's folder with --model".to_owned(),
    };
    models.map(Path::to_owned).or_else(engines::shipped_models).ok_or_else(missing)
}
