use std::path::PathBuf;

use thiserror::Error;

use super::objective::ObjectiveError;
use super::options::Stage;
use crate::data::DataError;
use crate::model::ModelError;

/// Why training cannot start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The dataset.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The threads that share a batch.
    #[error("cannot start training threads: {0}; free some memory or raise the limit of processes")]
    Threads(rayon::ThreadPoolBuildError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
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
        /// What differs: dataset (its hash), preset, seed or another option that weights depend on.
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
    /// An option that cannot be.
    #[error("{message}")]
    Option {
        /// Which, its value, and what would be right.
        message: String,
    },
    /// The dynamics was to be trained alone, on a tokenizer that is not finished.
    #[error("{path} holds no finished tokenizer, whose codes the dynamics learns; train it first with --stage tokenizer, \
        or both with --stage all", path = path.display())]
    NoTokenizer {
        /// Folder of the model.
        path: PathBuf,
    },
    /// The loss, or its gradient, is no number any more, and no later one will be.
    #[error("the {what} of {stage} is {value} at step {step}: its weights have diverged; --resume goes on from the last \
        checkpoint, a longer warm-up or a larger batch may keep it steady", stage = stage.name())]
    Diverged {
        /// The network.
        stage: Stage,
        /// Its step.
        step: u64,
        /// `loss`, or `gradient_norm`.
        what: &'static str,
        /// Its value.
        value: f32,
    },
}
