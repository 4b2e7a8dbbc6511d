use std::path::PathBuf;

use thiserror::Error;

use super::CLIPS_MIN;
use crate::model::ModelError;

/// Why a model cannot be evaluated.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The truth could not be run again.
    #[error("cannot run the truth of the clips again: {message}")]
    Truth {
        /// What the engine says.
        message: String,
    },
    /// Too few clips: a clip needs another one, whose actions it is dreamt with for comparison.
    #[error("{path} holds {found} validation clips of more than {context_frames} frames, at least {CLIPS_MIN} are \
        needed (every tenth clip is one): make 20 or more with `worldstep synth --clips`", path = path.display())]
    TooFewClips {
        /// The dataset.
        path: PathBuf,
        /// Validation clips that are longer than the context.
        found: usize,
        /// True frames seen before dreaming.
        context_frames: usize,
    },
    /// Clips of a task that the model never learned.
    #[error("{path} holds clips of {found:?}, the model dreams {dreams}; name clips of one of these with --data",
        path = path.display())]
    OtherTask {
        /// The dataset.
        path: PathBuf,
        /// Its task.
        found: String,
        /// The model's tasks.
        dreams: String,
    },
}
