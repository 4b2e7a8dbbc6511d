use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use serde_json::{Value, json};
use worldstep_env::{EnvError, Rng, VectorEnv as _};
use worldstep_model::config::Preset;
use worldstep_model::cuda::ProductNumbers;
use worldstep_model::device::ComputeDevice;
use worldstep_model::neural_env::{DreamObservation, NeuralOptions, NeuralVectorEnv};

use super::Row;
use crate::engines;

const TASK: &str = "CatchBehindScreen-v0";
/// Numbers of environments, and what they show.
const ENVS: [usize; 4] = [1, 16, 64, 256];
const OBSERVATIONS: [DreamObservation; 3] =
    [DreamObservation::State, DreamObservation::Codes, DreamObservation::Rgb];
/// Steps before the clock starts: buffers grow and caches fill.
const WARM_UP_STEPS: usize = 3;

/// One case of the bench: who measures a peer names what it measures in the same way.
#[derive(Clone, Copy, Debug)]
pub(super) struct DreamCase {
    pub envs: usize,
    pub observation: DreamObservation,
    pub preset: Preset,
    pub device: ComputeDevice,
    /// What blocks multiply there, if it is a GPU.
    pub products: ProductNumbers,
}

/// What of the dream is measured, and for how long.
#[derive(Clone, Debug)]
pub struct DreamBench {
    /// Models to measure; the shipped weights if none are named.
    pub models: Option<PathBuf>,
    /// Of each row.
    pub time: Duration,
    /// Where it steps.
    pub device: ComputeDevice,
    /// What blocks multiply there, if it is a GPU.
    pub products: ProductNumbers,
    /// Numbers of environments.
    pub envs: Vec<usize>,
}

impl DreamBench {
    /// The shipped weights on the processor, 1 to 256 environments.
    pub fn new(time: Duration) -> Self {
        let (device, products) = (ComputeDevice::Cpu, ProductNumbers::default());
        Self { models: None, time, device, products, envs: ENVS.to_vec() }
    }
}

impl DreamCase {
    /// Everything that was varied.
    fn json(&self) -> Value {
        json!({
            "task": TASK, "engine": "dream", "obs": self.observation.name(), "envs": self.envs,
            "preset": self.preset, "device": self.device.name(), "products": self.products.name(),
            "transport": "inprocess",
        })
    }

    /// Its rows, from the time that each step took; `peer` as in [`Row`].
    pub fn rows(&self, steps: &mut [Duration], bytes_per_env: Option<u64>, peer: Option<&str>) -> Vec<Row> {
        let row = |metric, value, unit| Row {
            case: self.json(),
            metric,
            value,
            unit,
            peer: peer.map(str::to_owned),
        };
        steps.sort_unstable();
        let all: Duration = steps.iter().sum();
        let rate = (self.envs * steps.len()) as f64 / all.as_secs_f64();
        let mut rows = vec![
            row("env_steps_per_s", rate, "env-steps/s"),
            row("step_ms_p50", quantile_ms(steps, 0.5), "ms"),
            row("step_ms_p99", quantile_ms(steps, 0.99), "ms"),
        ];
        rows.extend(bytes_per_env.map(|bytes| row("bytes_per_env", bytes as f64, "bytes")));
        rows
    }
}

/// The dream as states, codes and frames, in this process.
///
/// # Errors
/// [`EnvError::Engine`] if the weights cannot be loaded, [`EnvError::Argument`] if so many environments do not fit.
pub fn dream(asked: &DreamBench) -> Result<Vec<Row>, EnvError> {
    let models = models_or_shipped(asked.models.as_deref())?;
    let mut rows = Vec::new();
    for observation in OBSERVATIONS {
        for envs in asked.envs.iter().copied() {
            let products = asked.products;
            let options = NeuralOptions { observation, products, ..NeuralOptions::new(envs) };
            let mut env = engines::dream_with(&models, TASK, asked.device, options)?;
            let preset = env.model().card.config.preset;
            let case = DreamCase { envs, observation, preset, device: asked.device, products };
            let bytes = env.memory().env.total();
            rows.extend(case.rows(&mut time_steps(&mut env, asked.time)?, Some(bytes), None));
        }
    }
    Ok(rows)
}

/// How long each step takes under random actions, restarts included, for `time` in all.
fn time_steps(env: &mut NeuralVectorEnv, time: Duration) -> Result<Vec<Duration>, EnvError> {
    let space = env.spec().action_space.clone();
    let mut rng = Rng::seed_from_u64(0);
    let mask = vec![true; env.num_envs()];
    let mut actions = space.buffer(0);
    (0..env.num_envs()).for_each(|_| space.sample(&mut rng, &mut actions));
    env.reset_all(Some(0))?;
    for _ in 0..WARM_UP_STEPS {
        env.step(&actions, &mask)?;
    }
    let (begun, mut steps) = (Instant::now(), Vec::new());
    while steps.is_empty() || begun.elapsed() < time {
        let start = Instant::now();
        env.step(&actions, &mask)?;
        steps.push(start.elapsed());
    }
    Ok(steps)
}

/// The smallest of `sorted` that at least `quantile` of them do not exceed, in milliseconds.
fn quantile_ms(sorted: &[Duration], quantile: f64) -> f64 {
    let rank = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// The models to measure: those named, else the shipped ones.
pub(super) fn models_or_shipped(models: Option<&Path>) -> Result<PathBuf, EnvError> {
    let missing = || EnvError::Engine {
        message: "no weights found in models/nano; name a model's folder with --model".to_owned(),
    };
    models.map(Path::to_owned).or_else(engines::shipped_models).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_tell_rate_quantiles_and_memory() {
        let (observation, device) = (DreamObservation::Codes, ComputeDevice::Cpu);
        let products = ProductNumbers::default();
        let case = DreamCase { envs: 16, observation, preset: Preset::Nano, device, products };
        let mut steps: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let rows = case.rows(&mut steps, Some(700), Some("somebody 1.0"));
        let told: Vec<_> = rows.iter().map(|row| (row.metric, row.value)).collect();
        let rate = 16.0 * 100.0 / 5.05;
        assert!((told[0].1 - rate).abs() < 1e-6, "{told:?}");
        assert_eq!(told[1..], [("step_ms_p50", 50.0), ("step_ms_p99", 99.0), ("bytes_per_env", 700.0)]);
        assert!(rows.iter().all(|row| row.peer.as_deref() == Some("somebody 1.0")));
        assert_eq!(rows[0].case["obs"], "codes");
    }
}
