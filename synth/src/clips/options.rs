use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use worldstep_env::policy::PolicyMix;

/// What is to be recorded, and where.
#[derive(Clone, Debug)]
pub struct SynthOptions {
    /// Task id, its kebab-case name, or `all`: one dataset a task, in subfolders.
    pub scenario: String,
    /// Clips in all.
    pub clips: usize,
    /// The dataset's folder.
    pub out: PathBuf,
    /// Episode `e` has seed `seed + e`.
    pub seed: u64,
    /// Side of the square frames in pixels.
    pub frame_size: u32,
    /// How often each behaviour is chosen.
    pub mix: PolicyMix,
    /// Go on with what is in `out`.
    pub resume: bool,
    /// Episodes recorded at once. What is recorded does not depend on it.
    pub lanes: usize,
    /// Set by someone else to end early, with a valid dataset.
    pub stop: Arc<AtomicBool>,
}

impl SynthOptions {
    /// Options with defaults: seed 0, frames of 64 pixels, 16 lanes.
    pub fn new(scenario: impl Into<String>, clips: usize, out: impl Into<PathBuf>) -> Self {
        Self {
            scenario: scenario.into(),
            clips,
            out: out.into(),
            seed: 0,
            frame_size: 64,
            mix: PolicyMix::default(),
            resume: false,
            lanes: 16,
            stop: Arc::default(),
        }
    }

    /// Whether someone asked to end early.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// How far recording is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthProgress {
    /// Task that is being recorded.
    pub scenario: &'static str,
    /// Clips recorded, those found by `resume` included.
    pub clips_done: usize,
    /// Clips wanted.
    pub clips_total: usize,
    /// Frames recorded in this run.
    pub frames: usize,
}

/// What is in the folder at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthSummary {
    /// One entry a task.
    pub datasets: Vec<DatasetSummary>,
    /// Ended early because it was asked to.
    pub interrupted: bool,
}

/// One dataset that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSummary {
    /// Task id.
    pub scenario: String,
    /// Its folder.
    pub path: PathBuf,
    /// Clips in it.
    pub clips: usize,
    /// Frames in it.
    pub frames: usize,
    /// BLAKE3 over the clips' content hashes, hexadecimal.
    pub hash: String,
}

impl SynthSummary {
    /// Clips in all datasets.
    pub fn clips(&self) -> usize {
        self.datasets.iter().map(|dataset| dataset.clips).sum()
    }

    /// Frames in all datasets.
    pub fn frames(&self) -> usize {
        self.datasets.iter().map(|dataset| dataset.frames).sum()
    }
}
