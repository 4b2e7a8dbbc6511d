use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use worldstep_env::EnvError;
use worldstep_model::config::FSQ_LEVELS;
use worldstep_model::device::ComputeDevice;
use worldstep_model::engine::{DREAMT_LEVEL, FrameStep, Sampling, StepEngine, StepOutput, engine};
use worldstep_model::model::Model;
use worldstep_model::packing::FRAME_CODE_BYTES;

use super::dream::{DreamBench, models_or_shipped};
use super::pytorch::{PyTorch, threads};
use super::{Row, engine_error, median};
use crate::engines::model_folder;

const TASK: &str = "CatchBehindScreen-v0";
/// What environments show.
const OBSERVATIONS: [&str; 2] = ["codes", "rgb"];
/// Turns that the engine and its peer take.
const ROUNDS: usize = 3;
/// Steps that both must agree on before they are timed.
const AGREED_STEPS: usize = 8;
/// How far apart rewards and probabilities may be: sums in another order, through all layers; on a GPU operands of products
/// have the 8 bits of bf16.
const TOLERANCE: f64 = 1e-3;
const TOLERANCE_GPU: f64 = 0.05;
/// Share of codes that may differ: two levels can be equally likely to the last digit, or nearly.
const TIES_MAX: f64 = 1e-2;
const TIES_MAX_GPU: f64 = 0.05;

/// The step engine and the same network in PyTorch in turns, with the same weights: the rates of both, and the median of
/// their ratios. `python` is one that has PyTorch; `show` gets each row as it is measured.
///
/// # Errors
/// [`EnvError::Engine`] if the weights cannot be loaded, PyTorch does not run, or the two do not say the same.
pub fn dream_peers(
    python: &Path,
    asked: &DreamBench,
    show: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>, EnvError> {
    let models = models_or_shipped(asked.models.as_deref())?;
    let folder = model_folder(&models, Some(TASK)).map_err(engine_error)?;
    let model = Model::load(&folder, &asked.device.burn()).map_err(engine_error)?;
    // Whether both are the same network is asked of what they have in common.
    let stepped = model.clone().with_products(asked.products);
    let mut peer = PyTorch::start(asked.device, python, &folder, threads())?;
    let (mut rows, turn) = (Vec::new(), asked.time / ROUNDS as u32);
    for mode in peer.modes() {
        agree(&model, &mut peer, (&mode, asked.device))?;
        for obs in OBSERVATIONS {
            for envs in asked.envs.iter().copied() {
                for row in turns(&stepped, &mut peer, (&mode, obs, envs, asked.device), turn)? {
                    show(&row);
                    rows.push(row);
                }
            }
        }
    }
    Ok(rows)
}

fn turns(
    model: &Model,
    peer: &mut PyTorch,
    (mode, obs, envs, device): (&str, &str, usize, ComputeDevice),
    turn: Duration,
) -> Result<[Row; 3], EnvError> {
    let mut lanes = Lanes::new(model, envs, obs == "rgb")?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let asked = json!({ "work": "step", "envs": envs, "obs": obs });
        let [rate, _] = peer.per_s(asked, mode, turn.as_secs_f64())?;
        theirs.push(rate);
        ours.push(lanes.steps_per_s(turn));
        ratios.push(ours[ours.len() - 1] / theirs[theirs.len() - 1]);
    }
    let row = |metric, value, unit, peer| {
        let case = json!({
            "task": TASK, "engine": "dream", "obs": obs, "envs": envs,
            "preset": model.card.config.preset, "device": device.name(), "products": model.products.name(),
            "part": "step engine", "threads": threads(),
            "turns": ROUNDS,
        });
        Row { case, metric, value, unit, peer }
    };
    Ok([
        row("env_steps_per_s", median(ours), "env-steps/s", None),
        row("env_steps_per_s", median(theirs), "env-steps/s", Some(peer.name(mode))),
        row("env_steps_per_s_ratio", median(ratios), "times", Some(peer.name(mode))),
    ])
}

/// Dreams that follow their own frames under one action each.
struct Lanes {
    engine: Box<dyn StepEngine>,
    codes: Vec<u8>,
    actions: Vec<f32>,
    said: StepOutput,
    /// Empty if nothing is to be decoded.
    frames: Vec<u8>,
}

impl Lanes {
    fn new(model: &Model, lanes: usize, decode: bool) -> Result<Self, EnvError> {
        let values = model.card.config.action_values;
        // Anything will do, but not the same everywhere.
        let code = |i: usize| ((i * 7 + i / FRAME_CODE_BYTES) % FSQ_LEVELS[i % FSQ_LEVELS.len()]) as u8;
        let action = |i: usize| if i % values == i / values % values { 1.0 } else { 0.0 };
        Ok(Self {
            engine: engine(model, lanes).map_err(engine_error)?,
            codes: (0..lanes * FRAME_CODE_BYTES).map(code).collect(),
            actions: (0..lanes * values).map(action).collect(),
            said: StepOutput::new(model, lanes),
            frames: if decode { vec![0; lanes * model.card.config.frame.bytes()] } else { Vec::new() },
        })
    }

    fn step(&mut self) {
        let lanes = self.engine.lanes();
        let frame = FrameStep {
            codes: &self.codes,
            actions: &self.actions,
            levels: &vec![DREAMT_LEVEL; lanes],
            mask: &vec![true; lanes],
            sampling: Sampling { draws: &vec![0; lanes], temperature: 0.0 },
        };
        self.engine.step(&frame, &mut self.said);
        if !self.frames.is_empty() {
            self.engine.decode(&self.said.codes, &mut self.frames);
        }
        self.codes.copy_from_slice(&self.said.codes);
    }

    fn steps_per_s(&mut self, time: Duration) -> f64 {
        self.step();
        let (begun, mut steps) = (Instant::now(), 0);
        while begun.elapsed() < time {
            self.step();
            steps += self.engine.lanes();
        }
        steps as f64 / begun.elapsed().as_secs_f64()
    }
}

/// Whether both say the same of some steps, each given the codes that the engine came to.
fn agree(model: &Model, peer: &mut PyTorch, (mode, device): (&str, ComputeDevice)) -> Result<(), EnvError> {
    let (tolerance, ties_max) = match device {
        ComputeDevice::Cpu => (TOLERANCE, TIES_MAX),
        ComputeDevice::Cuda(_) => (TOLERANCE_GPU, TIES_MAX_GPU),
    };
    let mut lane = Lanes::new(model, 1, false)?;
    let (mut given, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..AGREED_STEPS {
        given.push(lane.codes.clone());
        lane.step();
        ours.push(lane.said.clone());
    }
    let question = json!({
        "work": "said", "mode": mode, "codes": given, "actions": lane.actions, "level": DREAMT_LEVEL,
    });
    let theirs = peer.ask(&question)?;
    let differ = |what: &str| engine_error(format!("{} says other {what} than the engine", peer.name(mode)));
    let mut other_codes = 0;
    for (step, said) in ours.iter().enumerate() {
        for (what, ours) in [("rewards", said.rewards[0]), ("terminated", said.terminated[0])] {
            let off = (theirs[what][step].as_f64().unwrap_or(f64::NAN) - f64::from(ours)).abs();
            if off.is_nan() || off > tolerance {
                return Err(differ(what));
            }
        }
        let code = |i: usize| theirs["codes"][step][i].as_u64();
        other_codes += (0..FRAME_CODE_BYTES).filter(|i| code(*i) != Some(said.codes[*i].into())).count();
    }
    if other_codes as f64 > ties_max * (AGREED_STEPS * FRAME_CODE_BYTES) as f64 {
        return Err(differ("codes"));
    }
    Ok(())
}
