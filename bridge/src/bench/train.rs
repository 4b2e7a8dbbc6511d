use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use worldstep_env::EnvError;
use worldstep_model::config::{ModelConfig, Preset};
use worldstep_model::device::ComputeDevice;
use worldstep_model::precision::Precision;
use worldstep_model::train::{Budget, Optimizer, Progress, Stage, TrainOptions, train as train_model};
use worldstep_synth::{SynthOptions, write_dataset};

use super::pytorch::{PyTorch, threads};
use super::train_profile::{StepOptions, batch_shares, profile_rows};
use super::{Row, engine_error, median};

const TASK: &str = "CatchBehindScreen-v0";
/// Clips that are recorded if no dataset is named.
const CLIPS: usize = 12;
/// Frames in one step of the tokenizer, as `worldstep train` takes them; windows in one of the dynamics are in its options.
const TOKENIZER_FRAMES: usize = 32;
/// Steps of each session that are not counted: memory grows and caches fill.
const WARM_UP_STEPS: usize = 3;
/// Turns that Worldstep and its peer take.
const ROUNDS: usize = 3;

/// What is measured of training.
#[derive(Clone, Debug)]
pub struct TrainBench {
    /// Time of a row.
    pub time: Duration,
    /// Sizes.
    pub preset: Preset,
    /// Dataset to learn from; a small one is recorded if none is named.
    pub data: Option<PathBuf>,
    /// A Python that has PyTorch, if the same network is to be trained there in turns.
    pub peers: Option<PathBuf>,
    /// Where steps are computed, in which numbers, of how many windows.
    pub step: StepOptions,
    /// Whether to tell where the time of one step goes, instead of how fast steps are.
    pub is_profile: bool,
}

/// Training as `worldstep train` does it: frames/s of the median step of tokenizer and dynamics with each
/// optimizer, and of PyTorch's steps with AdamW on one batch of the same size; and the share of a step that goes into its
/// batch, put together by the host and on the device in turns. Or a profile of one step, if that is asked for.
///
/// # Errors
/// [`EnvError::Engine`] if nothing can be recorded or trained, or PyTorch does not run.
pub fn train(bench: &TrainBench) -> Result<Vec<Row>, EnvError> {
    if bench.peers.is_some()
        && bench.step.device != ComputeDevice::Cpu
        && bench.step.precision != Precision::Bf16
    {
        return Err(engine_error("PyTorch trains in bf16 on a GPU: add --precision bf16"));
    }
    let scratch = Scratch::new()?;
    let data = match &bench.data {
        Some(data) => data.clone(),
        None => record(&scratch.0)?,
    };
    if bench.is_profile {
        return profile_rows(&data, (bench.preset, bench.time), &bench.step);
    }
    let mut ours: [[Vec<f64>; 2]; 2] = Default::default();
    let mut peers = Peers::default();
    let turn = bench.time / ROUNDS as u32;
    for round in 0..ROUNDS {
        for (ours, optimizer) in ours.iter_mut().zip(OPTIMIZERS) {
            let out = scratch.0.join(format!("model-{round}-{}", optimizer.name()));
            let rates = session(&data, &out, (bench, optimizer), turn)?;
            for (ours, rate) in ours.iter_mut().zip(rates) {
                ours.push(rate);
            }
            if let Some(python) = bench.peers.as_ref().filter(|_| optimizer == PEERS_OPTIMIZER) {
                peers.turn((python, &out), &bench.step, turn, rates)?;
            }
        }
    }
    let mut rows = Vec::new();
    for (optimizer, ours) in OPTIMIZERS.into_iter().zip(ours) {
        for (stage, ours) in STAGES.into_iter().zip(ours) {
            let case = (bench, stage, optimizer);
            rows.push(row(case, "frames_per_s", (median(ours), "frames/s"), None));
        }
    }
    rows.extend(peers.rows(bench));
    rows.extend(batch_shares(&data, (bench.preset, turn), &bench.step)?);
    Ok(rows)
}

const STAGES: [Stage; 2] = [Stage::Tokenizer, Stage::Dynamics];
const OPTIMIZERS: [Optimizer; 2] = [Optimizer::AdamW, Optimizer::Muon];
/// What PyTorch's steps are made with.
const PEERS_OPTIMIZER: Optimizer = Optimizer::AdamW;

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Tokenizer => "tokenizer",
        Stage::Dynamics => "dynamics",
    }
}

fn row(
    (bench, stage, optimizer): (&TrainBench, Stage, Optimizer),
    metric: &'static str,
    (value, unit): (f64, &'static str),
    peer: Option<String>,
) -> Row {
    let step = &bench.step;
    let case = json!({
        "task": TASK, "stage": name(stage), "preset": bench.preset, "optimizer": optimizer, "device": step.device.name(),
        "precision": step.precision.name(), "batch": step.batch, "threads": threads(), "turns": ROUNDS,
    });
    Row { case, metric, value, unit, peer }
}

/// Trains a fresh model for `turn` in each stage; frames/s of the median step of each.
fn session(
    data: &Path,
    out: &Path,
    (bench, optimizer): (&TrainBench, Optimizer),
    turn: Duration,
) -> Result<[f64; 2], EnvError> {
    let minutes = 2.0 * turn.as_secs_f64() / 60.0;
    let budget = Budget::Minutes { minutes, tokenizer_share: 0.5 };
    let StepOptions { device, precision, batch } = bench.step;
    let preset = bench.preset;
    let options =
        TrainOptions { preset, optimizer, budget, device, precision, batch, ..TrainOptions::new(data, out) };
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut last: Option<(Stage, Instant)> = None;
    train_model(&options, &mut |progress: &Progress| {
        let now = Instant::now();
        // What lies between two steps now and then, a checkpoint for instance, does not move the median.
        if let Some((_, before)) = last.filter(|(stage, _)| *stage == progress.stage) {
            times[usize::from(progress.stage == Stage::Dynamics)].push((now - before).as_secs_f64());
        }
        last = Some((progress.stage, now));
    })
    .map_err(engine_error)?;
    let mut rates = [0.0; 2];
    for ((rate, times), frames) in rates.iter_mut().zip(&mut times).zip(step_frames(&options)) {
        if times.len() <= WARM_UP_STEPS {
            let steps = times.len() + 1;
            let message =
                format!("{steps} steps in {:.1} s are too few; raise --seconds", turn.as_secs_f64());
            return Err(engine_error(message));
        }
        *rate = frames as f64 / median(times.split_off(WARM_UP_STEPS));
    }
    Ok(rates)
}

/// Frames in one step of each stage.
fn step_frames(options: &TrainOptions) -> [usize; 2] {
    [TOKENIZER_FRAMES, options.batch * ModelConfig::new(options.preset, 1, 1).context_frames]
}

/// What PyTorch got done, by the way it runs the network.
#[derive(Default)]
struct Peers {
    process: Option<PyTorch>,
    measured: Vec<Measured>,
}

struct Measured {
    mode: String,
    stage: Stage,
    theirs: Vec<f64>,
    /// Worldstep's rate over theirs, turn by turn.
    ratios: Vec<f64>,
}

impl Peers {
    /// Every mode and stage once, beside what Worldstep did in this round.
    fn turn(
        &mut self,
        (python, model): (&Path, &Path),
        step: &StepOptions,
        turn: Duration,
        ours: [f64; 2],
    ) -> Result<(), EnvError> {
        let process = match &mut self.process {
            Some(process) => process,
            None => self.process.insert(PyTorch::start(step.device, python, model, threads())?),
        };
        for mode in process.modes() {
            for (stage, ours) in STAGES.into_iter().zip(ours) {
                let batch = if stage == Stage::Tokenizer { TOKENIZER_FRAMES } else { step.batch };
                let asked = json!({ "work": name(stage), "batch": batch });
                let [_, rate] = process.per_s(asked, &mode, turn.as_secs_f64())?;
                let known = self.measured.iter_mut().find(|known| known.mode == mode && known.stage == stage);
                let ratio = ours / rate;
                match known {
                    Some(known) => {
                        known.theirs.push(rate);
                        known.ratios.push(ratio);
                    }
                    None => self.measured.push(Measured {
                        mode: mode.clone(),
                        stage,
                        theirs: vec![rate],
                        ratios: vec![ratio],
                    }),
                }
            }
        }
        Ok(())
    }

    fn rows(self, bench: &TrainBench) -> Vec<Row> {
        let Some(process) = self.process else { return Vec::new() };
        let rows = |measured: Measured| {
            let peer = Some(process.name(&measured.mode));
            let rate = (median(measured.theirs), "frames/s");
            let ratio = (median(measured.ratios), "times");
            [
                row((bench, measured.stage, PEERS_OPTIMIZER), "frames_per_s", rate, peer.clone()),
                row((bench, measured.stage, PEERS_OPTIMIZER), "frames_per_s_ratio", ratio, peer),
            ]
        };
        self.measured.into_iter().flat_map(rows).collect()
    }
}

/// A few clips in `folder`.
fn record(folder: &Path) -> Result<PathBuf, EnvError> {
    let data = folder.join("data");
    write_dataset(&SynthOptions::new(TASK, CLIPS, &data), &mut |_| ()).map_err(engine_error)?;
    Ok(data)
}

/// A folder that is removed when it goes.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, EnvError> {
        let folder = std::env::temp_dir().join(format!("worldstep-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(engine_error)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
