//! Measurements behind `worldstep bench` and the crates' benches: rows of `{case, metric, value, unit, peer}`.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use serde::Serialize;
use serde_json::{Value, json};
use worldstep_env::{EnvError, Rng, VectorEnv};

mod bridge;
mod bridge_peer;
mod carrier;
mod dream;
mod dream_peer;
mod env;
mod env_peer;
mod kernels;
mod numerics;
mod peer_process;
mod pytorch;
mod render;
mod render_peer;
mod render_stage;
mod swarm;
mod train;

pub use bridge::{BridgeBench, PARTS as BRIDGE_PARTS, bridge};
pub use dream::{DreamBench, dream};
pub use dream_peer::dream_peers;
pub use env::env;
pub use env_peer::env_peers;
pub use kernels::{KernelsBench, kernels};
pub use numerics::{Numerics, numerics};
pub use render::{RenderBench, render};
pub use train::{TrainBench, train};

/// One measured figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Everything that was varied.
    pub case: Value,
    /// What was measured, for instance `env_steps_per_s`.
    pub metric: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// `None` for Worldstep itself, else the peer measured in the same run.
    pub peer: Option<String>,
}

/// A whole report: the machine and the rows.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Cores and processor.
    pub machine: Value,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Report {
    /// `rows` with a description of this machine.
    pub fn new(rows: Vec<Row>) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = json!({
            "cpu": model.trim_start_matches([' ', '\t', ':']),
            "cores": cores,
            "os": std::env::consts::OS,
        });
        Self { machine, rows }
    }
}

impl Report {
    /// The rows as lines of text.
    pub fn table(&self) -> String {
        let mut out = self.heading();
        self.rows.iter().for_each(|row| out += &row.line());
        out
    }

    /// The machine, as a line of text.
    pub fn heading(&self) -> String {
        format!("{} cores, {}\n", self.machine["cores"], self.machine["cpu"])
    }
}

impl Row {
    /// The row as a line of text.
    pub fn line(&self) -> String {
        let case = self.case.as_object().into_iter().flatten();
        let case: Vec<_> =
            case.map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
        let peer = self.peer.as_ref().map_or(String::new(), |peer| format!(" · {peer}"));
        let digits = match self.unit {
            "ms" => 3,
            "times" => 2,
            _ => 1,
        };
        let (value, unit, metric) = (self.value, self.unit, self.metric);
        format!("{value:>14.digits$} {unit:12} {metric:16} {}{peer}\n", case.join(" · "))
    }
}

/// Env-steps/s of `envs` under uniformly random actions, after three steps of warm-up.
///
/// # Errors
/// Whatever the environment's `reset` or `step` says.
pub fn env_steps_per_s(envs: &mut dyn VectorEnv, time: Duration) -> Result<f64, EnvError> {
    let num_envs = envs.num_envs();
    let space = envs.spec().action_space.clone();
    let mut rng = Rng::seed_from_u64(0);
    let mut actions = space.buffer(0);
    (0..num_envs).for_each(|_| space.sample(&mut rng, &mut actions));
    envs.reset_all(Some(0))?;
    for _ in 0..3 {
        envs.step_all(&actions)?;
    }
    let (start, mut steps) = (Instant::now(), 0);
    while start.elapsed() < time {
        envs.step_all(&actions)?;
        steps += num_envs;
    }
    Ok(steps as f64 / start.elapsed().as_secs_f64())
}

/// A row of env-steps/s.
fn steps_row(case: Value, value: f64) -> Row {
    Row { case, metric: "env_steps_per_s", value, unit: "env-steps/s", peer: None }
}

/// The middle of some values, of which there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn engine_error(error: impl std::fmt::Display) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}
