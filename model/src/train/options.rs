use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::feed::Feed;
use super::objective::ObjectiveOptions;
use super::optimizer::Optimizer;
use super::physics::PhysicsOptions;
use super::schedule::Schedule;
use crate::config::Preset;
use crate::data::MixWeight;
use crate::device::ComputeDevice;
use crate::model::TrainingRecord;
use crate::precision::Precision;

/// The most windows in one dynamics step.
const BATCH_MAX: usize = 4096;

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Minutes in all, `tokenizer_share` of them for the tokenizer.
    Minutes {
        /// Minutes of both stages together (of the one stage, if only one is trained), those before a resumption included.
        minutes: f64,
        /// Share of the tokenizer, for instance 0.3; without meaning where only one stage is trained.
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
    /// Where batches are put together; it changes nothing but the time that takes. Default [`Feed::Auto`].
    pub feed: Feed,
    /// Numbers that large products are computed in. Default [`Precision::F32`].
    pub precision: Precision,
    /// Which networks to train. Default both.
    pub stages: Stages,
    /// How long.
    pub budget: Budget,
    /// Go on with the model in `out`, which must have been begun with this dataset, preset and seed; where there is none,
    /// begin.
    pub resume: bool,
    /// Seed of weights and batches.
    pub seed: u64,
    /// Windows of frames in one dynamics step, 1 to 4096. Default 8.
    pub batch: usize,
    /// What the dynamics learns beside plain prediction.
    pub objective: ObjectiveOptions,
    /// Losses that know physics.
    pub physics: PhysicsOptions,
    /// How gradients become steps. Default [`Optimizer::Muon`].
    pub optimizer: Optimizer,
    /// Learning rate over each stage.
    pub schedule: Schedule,
    /// How much of the moving average of the weights stays at each step, 0 (the weights themselves) to below 1; less in
    /// the first steps. Default 0.999.
    pub ema_decay: f64,
    /// How often each stage is validated in its course, at least once; less often where that would take long. Default 10.
    pub validations: u64,
    /// Whole batches in one validation, at least 1. Default 4.
    pub validation_batches: u64,
    /// Steps between two rows of the curves, at least 1. Default 10.
    pub log_every: u64,
    /// Seconds between two checkpoints. Default 60.
    pub checkpoint_s: f64,
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
            feed: Feed::default(),
            precision: Precision::F32,
            stages: Stages::All,
            budget: Budget::Minutes { minutes: 2.0, tokenizer_share: 0.3 },
            resume: false,
            seed: 0,
            batch: 8,
            objective: ObjectiveOptions::default(),
            physics: PhysicsOptions::default(),
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            ema_decay: 0.999,
            validations: 10,
            validation_batches: 4,
            log_every: 10,
            checkpoint_s: 60.0,
            stop: Arc::default(),
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let wrong = |message: String| Err(TrainError::Option { message });
        if let Budget::Minutes { minutes, tokenizer_share } = self.budget {
            if !(minutes.is_finite() && minutes > 0.0) {
                return wrong(format!("minutes is {minutes}, expected a number above 0"));
            }
            if !(0.0..=1.0).contains(&tokenizer_share) {
                return wrong(format!("tokenizer share is {tokenizer_share}, expected a share from 0 to 1"));
            }
        }
        if !(1..=BATCH_MAX).contains(&self.batch) {
            return wrong(format!("batch is {}, expected 1 to {BATCH_MAX} windows", self.batch));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return wrong(format!("ema decay is {}, expected 0 to below 1", self.ema_decay));
        }
        let counts = [
            ("validations", self.validations),
            ("validation batches", self.validation_batches),
            ("log every", self.log_every),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return wrong(format!("{name} is 0, expected 1 or more"));
        }
        self.schedule.check().map_err(|message| TrainError::Option { message })?;
        self.precision.check(self.device).map_err(|message| TrainError::Option { message })
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

impl Stage {
    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenizer => "tokenizer",
            Self::Dynamics => "dynamics",
        }
    }
}

/// Which stages to train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stages {
    /// The tokenizer, then the dynamics on its codes.
    #[default]
    All,
    /// One of them; the dynamics needs a finished tokenizer.
    Only(Stage),
}

impl Stages {
    /// Reads `all`, `tokenizer` or `dynamics`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::All),
            "tokenizer" => Some(Self::Only(Stage::Tokenizer)),
            "dynamics" => Some(Self::Only(Stage::Dynamics)),
            _ => None,
        }
    }

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only(stage) => stage.name(),
        }
    }

    pub(super) fn include(self, stage: Stage) -> bool {
        self == Self::All || self == Self::Only(stage)
    }
}

/// Where training stands, after each step.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which network is learning.
    pub stage: Stage,
    /// Steps of this stage so far.
    pub step: u64,
    /// Loss of this step; on a GPU, of the latest one that was read.
    pub loss: f32,
    /// Latest validation loss of this stage.
    pub validation: Option<f32>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Frames trained on in a second, validation and checkpoints not counted.
    pub frames_per_s: f64,
    /// Share of this stage that is done.
    pub stage_fraction: f64,
    /// Share of the whole training that is done.
    pub fraction: f64,
    /// Seconds trained so far, both stages, earlier sessions included.
    pub seconds: f64,
    /// Seconds until this stage is done, as it seems.
    pub stage_left_s: f64,
    /// Something that the user should know, told once.
    pub notice: Option<String>,
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
    /// What the user should know, for instance that there was nothing to validate on.
    pub notices: Vec<String>,
}
