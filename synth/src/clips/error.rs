use std::path::{Path, PathBuf};

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
    /// What is still to be recorded does not fit the disk.
    #[error(
        "{clips} more clips need about {needed_mb} MB and {free_mb} MB are free on the disk of {path:?}; make room there \
         and run again with --resume, finished files are kept"
    )]
    DiskFull {
        /// The dataset.
        path: PathBuf,
        /// Clips to come.
        clips: usize,
        /// Estimate from clips that were recorded, 2²⁰ bytes.
        needed_mb: u64,
        /// What the system allows, 2²⁰ bytes.
        free_mb: u64,
    },
    /// No attempt at a unit was accepted.
    #[error(
        "{scenario}: none of {attempts} attempts at unit {unit} was accepted, most often ({count} times) because of \
         {reason:?}; widen the family's ranges or give other thresholds with --curation"
    )]
    Rejected {
        /// Task or family.
        scenario: String,
        /// Position of the unit in the job.
        unit: usize,
        /// Attempts made.
        attempts: u32,
        /// Code of the most frequent reason.
        reason: String,
        /// How often it was the reason.
        count: u64,
    },
    /// A scenario gave a clip that does not fit its own description.
    #[error("{scenario}, seed {seed}: {message}")]
    Scenario {
        /// Task or family.
        scenario: String,
        /// Seed of the clip.
        seed: u64,
        /// What does not fit.
        message: String,
    },
    /// Shards that cannot be merged.
    #[error("{path:?} cannot be merged: {message}")]
    Merge {
        /// The shard, or the output folder.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// There is nothing to read.
    #[error("there is no dataset at {path:?}: {message}")]
    NoDataset {
        /// The folder that was named.
        path: PathBuf,
        /// What is there instead.
        message: String,
    },
    /// A merge or an export that stopped half-way.
    #[error("cannot write {path:?}: {message}; make room there and start again with an empty folder")]
    Unfinished {
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
    /// A family's or a randomisation's file with something wrong in it.
    #[error("{path:?}: {message}")]
    Config {
        /// The file; a name alone for one that comes with this program.
        path: PathBuf,
        /// Which key, and what would be right.
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
    /// Whether it lies in what was asked for, so that the same request fails in the same way on any machine.
    pub fn is_of_request(&self) -> bool {
        match self {
            Self::Env(error) => !matches!(error, EnvError::Engine { .. }),
            Self::Render(RenderError::Pictures { .. })
            | Self::NotEmpty { .. }
            | Self::Mismatch { .. }
            | Self::Rejected { .. }
            | Self::Scenario { .. }
            | Self::Merge { .. }
            | Self::NoDataset { .. }
            | Self::Config { .. }
            | Self::Options { .. } => true,
            Self::Render(_)
            | Self::Write { .. }
            | Self::DiskFull { .. }
            | Self::Unfinished { .. }
            | Self::Read { .. } => false,
        }
    }

    /// A [`SynthError::Config`] of the TOML file `path` with the contents `text`, on one line.
    pub fn config(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', "; ");
        let line =
            |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count();
        let message = match error.span() {
            Some(span) => format!("line {}: {message}", line(span.start)),
            None => message,
        };
        Self::Config { path: path.to_owned(), message }
    }

    /// A [`SynthError::Write`] from any error.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(String) -> Self {
        let path = path.into();
        move |message| Self::Write { path, message }
    }
}
