use std::path::PathBuf;

use thiserror::Error;

use super::CLIPS_MIN;
use crate::data::DataError;
use crate::model::ModelError;

/// Why a model cannot be evaluated.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The clips.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Options that cannot be.
    #[error("context_frames is 0, expected at least 1: a dream begins with a true frame")]
    NoContext,
    /// The clips' moving things are not those that the model's readout tells of.
    #[error("{path} has the moving things {found:?}, the model was taught {taught:?}; expected the same ones in the same \
        order", path = path.display())]
    OtherObjects {
        /// The dataset.
        path: PathBuf,
        /// Its moving things.
        found: Vec<String>,
        /// Those of the model's task.
        taught: Vec<String>,
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
