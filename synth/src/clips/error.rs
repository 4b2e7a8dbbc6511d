use std::path::PathBuf;

use thiserror::Error;
use worldstep_env::EnvError;

use crate::render::RenderError;

/// What can go wrong while clips are recorded and written.
#[derive(Debug, Error)]
pub enum SynthError {
    /// A task that is not there, or one that failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Nothing to draw with, or drawing failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The output folder holds something already.
    #[error("{path:?} is not empty; give --resume to go on with the dataset there, or another folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// `--resume` on a dataset that was recorded in another way.
    #[error("{path:?} cannot be resumed: {message}; give the options it was started with, or another folder")]
    Mismatch {
        /// The dataset.
        path: PathBuf,
        /// What differs.
        message: String,
    },
    /// Writing failed; the disk may be full.
    #[error(
        "cannot write {path:?}: {message}; make room there and run again with --resume, finished files are kept"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// Reading a dataset back failed.
    #[error("cannot read {path:?}: {message}; the dataset is damaged, record it again into another folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// An option without sense.
    #[error("{message}")]
    Options {
        /// Which option, and what would have been accepted.
        message: String,
    },
}

impl SynthError {
    /// A [`SynthError::Write`] from any error.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(String) -> Self {
        let path = path.into();
        move |message| Self::Write { path, message }
    }
}
