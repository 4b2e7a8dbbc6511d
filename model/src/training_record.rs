use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::precision::Precision;
use crate::train::{ObjectiveOptions, Optimizer, PhysicsOptions, Schedule, Stage};

/// How the weights came to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Optimizer steps of the tokenizer.
    pub tokenizer_steps: u64,
    /// Optimizer steps of the dynamics.
    pub dynamics_steps: u64,
    /// Seconds spent on the tokenizer.
    pub tokenizer_seconds: f64,
    /// Seconds spent on the dynamics.
    pub dynamics_seconds: f64,
    /// Clips learned from.
    pub clips: usize,
    /// Frames learned from.
    pub frames: usize,
    /// Hash over the content hashes of the datasets.
    pub dataset_hash: String,
    /// Seed of the first dataset.
    pub dataset_seed: u64,
    /// Weights that tasks and datasets were drawn by, where they were not all alike: `task=weight` with spaces between.
    #[serde(default)]
    pub mix: String,
    /// Seed of weights and batches.
    pub seed: u64,
    /// What the dynamics learned beside plain prediction; none where it was not recorded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveOptions>,
    /// Weights of the losses that know physics; none of them for what was trained before there were any.
    #[serde(default = "PhysicsOptions::off")]
    pub physics: PhysicsOptions,
    /// Hash of the weights that it was fine-tuned from; empty if it began with random ones.
    #[serde(default)]
    pub from: String,
    /// What fine-tuning cost and brought.
    #[serde(default)]
    pub forgetting: Vec<TaskLosses>,
    /// Learning rate relative to the usual one; none where it was not recorded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Learning rate over each stage; none where it was not recorded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How gradients became steps.
    #[serde(default = "Optimizer::of_old")]
    pub optimizer: Optimizer,
    /// Numbers that large products were computed in.
    #[serde(default)]
    pub precision: Precision,
    /// Windows of frames in one dynamics step; 0 if it is not known.
    #[serde(default)]
    pub batch: usize,
    /// Most of the moving average of the weights that stayed at each step; 0 if they are the weights themselves.
    #[serde(default)]
    pub ema_decay: f64,
    /// Losses on the split `val`, in order; the model holds the weights of the best one of each stage.
    #[serde(default)]
    pub validation: Vec<Validation>,
}

impl TrainingRecord {
    /// The best validation of `stage`, the first of equals.
    pub fn best(&self, stage: Stage) -> Option<&Validation> {
        let of_stage = self.validation.iter().filter(|validation| validation.stage == stage);
        of_stage.reduce(|best, next| if next.loss < best.loss { next } else { best })
    }

    /// Notes that `stage` has had so many steps and seconds.
    pub fn spend(&mut self, stage: Stage, steps: u64, seconds: f64) {
        match stage {
            Stage::Tokenizer => (self.tokenizer_steps, self.tokenizer_seconds) = (steps, seconds),
            Stage::Dynamics => (self.dynamics_steps, self.dynamics_seconds) = (steps, seconds),
        }
    }

    /// Steps and seconds of `stage`.
    pub fn spent(&self, stage: Stage) -> (u64, f64) {
        match stage {
            Stage::Tokenizer => (self.tokenizer_steps, self.tokenizer_seconds),
            Stage::Dynamics => (self.dynamics_steps, self.dynamics_seconds),
        }
    }
}

/// The loss of one stage on clips that it does not learn from, at one time of its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The network.
    pub stage: Stage,
    /// Its steps so far.
    pub step: u64,
    /// Seconds of its training so far.
    pub seconds: f64,
    /// Mean over the same windows or frames each time.
    pub loss: f32,
}

/// Losses on validation clips of one task in one dataset, before and after fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskLosses {
    /// Task id.
    pub task: String,
    /// The dataset's folder.
    pub dataset: PathBuf,
    /// Whether the model that was begun from had learned the task.
    pub known: bool,
    /// With the weights that were begun from.
    pub before: Losses,
    /// With the final ones; not there before the training is done.
    pub after: Option<Losses>,
}

/// Mean training losses on clips that are not learned from. That of the dynamics is on the codes of the tokenizer of the
/// same time: where the tokenizer has learned too, the two are of different codes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Of the tokenizer.
    pub tokenizer: f64,
    /// Of the dynamics.
    pub dynamics: f64,
}
