use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::objective::{ObjectiveError, ObjectiveOptions};
use super::physics::PhysicsOptions;
use crate::config::Preset;
use crate::data::{DataError, MixWeight};
use crate::device::ComputeDevice;
use crate::model::{ModelError, TrainingRecord};

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Minutes in all, `tokenizer_share` of them for the tokenizer.
    Minutes {
        /// Minutes of both stages together, those before a resumption included.
        minutes: f64,
        /// Share of the tokenizer, for instance 0.3.
        tokenizer_share: f64,
    },
    /// A number of steps of each stage, whatever time they take.
    Steps {
        /// Steps of the tokenizer.
        tokenizer: u64,
        /// Steps of the dynamics.
        dynamics: u64,
    },
}

/// What to train, on what, and where to.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Datasets, or folders of datasets.
    pub data: Vec<PathBuf>,
    /// The only task to learn; all that there are clips of if none is named.
    pub task: Option<String>,
    /// How often tasks and datasets are drawn; each task as often as any other where nothing is said.
    pub mix: Vec<MixWeight>,
    /// How to read datasets that Worldstep did not write, see [`LerobotConfig`](crate::data::lerobot::LerobotConfig).
    pub lerobot: Option<PathBuf>,
    /// Folder of a model to begin with; its sizes are kept, whatever `preset` says. Random weights otherwise.
    pub from: Option<PathBuf>,
    /// Learning rate relative to the one that random weights are trained with.
    pub rate: f64,
    /// Folder of the model; without `resume` it must not hold one yet.
    pub out: PathBuf,
    /// Sizes.
    pub preset: Preset,
    /// Where to compute.
    pub device: ComputeDevice,
    /// How long.
    pub budget: Budget,
    /// Go on with the model in `out`, which must have been begun with this dataset, preset and seed; where there is none,
    /// begin.
    pub resume: bool,
    /// Seed of weights and batches.
    pub seed: u64,
    /// Windows of frames in one dynamics step.
    pub batch: usize,
    /// What the dynamics learns beside plain prediction.
    pub objective: ObjectiveOptions,
    /// Losses that know physics.
    pub physics: PhysicsOptions,
    /// Set it to end training after the present step, with a checkpoint.
    pub stop: Arc<AtomicBool>,
}

impl TrainOptions {
    /// Defaults: `nano`, CPU, two minutes, 30% of them for the tokenizer.
    pub fn new(data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            data: vec![data.into()],
            task: None,
            mix: Vec::new(),
            lerobot: None,
            from: None,
            rate: 1.0,
            out: out.into(),
            preset: Preset::Nano,
            device: ComputeDevice::Cpu,
            budget: Budget::Minutes { minutes: 2.0, tokenizer_share: 0.3 },
            resume: false,
            seed: 0,
            batch: 8,
            objective: ObjectiveOptions::default(),
            physics: PhysicsOptions::default(),
            stop: Arc::default(),
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Which network is learning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Frames ↔ codes.
    #[default]
    Tokenizer,
    /// Codes → next codes.
    Dynamics,
}

/// Where training stands, after each step.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which network is learning.
    pub stage: Stage,
    /// Steps of this stage so far.
    pub step: u64,
    /// Loss of this step.
    pub loss: f32,
    /// Share of this stage that is done.
    pub stage_fraction: f64,
    /// Share of the whole training that is done.
    pub fraction: f64,
    /// Seconds trained so far, both stages, earlier sessions included.
    pub seconds: f64,
}

/// What training led to.
#[derive(Clone, Debug)]
pub struct TrainSummary {
    /// Steps, seconds, data.
    pub record: TrainingRecord,
    /// Number of weights.
    pub parameters: usize,
    /// Whether it was stopped before its budget was spent.
    pub stopped: bool,
}

/// Why training cannot start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The dataset.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The threads that share a batch.
    #[error("cannot start training threads: {0}; free some memory or raise the limit of processes")]
    Threads(rayon::ThreadPoolBuildError),
    /// Nothing to learn from.
    #[error("{path} holds no clips of the split train; make a larger dataset with `worldstep synth`",
        path = path.display())]
    NoClips {
        /// The dataset.
        path: PathBuf,
    },
    /// A model is there, and it was not asked to go on with it.
    #[error("{path} already holds a model: --resume goes on with it, or choose another --out", path = path.display())]
    Occupied {
        /// Folder of the model.
        path: PathBuf,
    },
    /// The checkpoint was begun otherwise than it is to go on.
    #[error("{path} was begun with {what} {found}, not {asked}; resume with the same {what} or choose another --out",
        path = path.display())]
    OtherRun {
        /// Folder of the checkpoint.
        path: PathBuf,
        /// What differs: dataset (its hash), mix, preset, seed, objective or physics losses.
        what: &'static str,
        /// What it was begun with.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// The checkpoint belongs to another dataset's task.
    #[error("{path} holds a model of {found}, the dataset is of {expected}; choose another --out",
        path = path.display())]
    OtherTask {
        /// Folder of the checkpoint.
        path: PathBuf,
        /// Its tasks.
        found: String,
        /// A task of the dataset that is not among them.
        expected: String,
    },
}
