use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::stages::Stage;
use crate::curate::Curation;
use crate::lerobot::ImageChannel;
use crate::scenario::{ScenarioOptions, UnitKind};

/// What is to be recorded, and where.
#[derive(Clone, Debug)]
pub struct SynthOptions {
    /// Family name, task id or name, path of a family's file, several of them with commas between, or `all`. More than
    /// one makes one dataset each, in subfolders.
    pub scenario: String,
    /// Accepted clips in all.
    pub clips: usize,
    /// The dataset's folder.
    pub out: PathBuf,
    /// Unit `u` has seed `seed + u` at the first attempt.
    pub seed: u64,
    /// Side of the square frames in pixels.
    pub frame_size: u32,
    /// How clips hang together.
    pub unit: UnitKind,
    /// How scenarios are drawn: randomisation, behaviours, length.
    pub scenarios: ScenarioOptions,
    /// Which clips are accepted.
    pub curation: Curation,
    /// Images that are stored.
    pub channels: Vec<ImageChannel>,
    /// Folder of pictures that textures are chosen from.
    pub textures: Option<PathBuf>,
    /// Record only this shard `i` of `n`.
    pub shard: Option<(usize, usize)>,
    /// Go on with what is in `out`.
    pub resume: bool,
    /// Threads that simulate and encode. What is recorded does not depend on it.
    pub workers: usize,
    /// Set by someone else to end early, with a valid dataset.
    pub stop: Arc<AtomicBool>,
    /// Time since whenever, for the breakdown in the summary; stands still by default.
    pub clock: fn() -> Duration,
}

impl SynthOptions {
    /// Options with defaults: seed 0, single clips, frames of 64 pixels with every channel, as many workers as cores.
    pub fn new(scenario: impl Into<String>, clips: usize, out: impl Into<PathBuf>) -> Self {
        Self {
            scenario: scenario.into(),
            clips,
            out: out.into(),
            seed: 0,
            frame_size: 64,
            unit: UnitKind::Single,
            scenarios: ScenarioOptions::default(),
            curation: Curation::default(),
            channels: ImageChannel::ALL.to_vec(),
            textures: None,
            shard: None,
            resume: false,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            stop: Arc::default(),
            clock: || Duration::ZERO,
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
    /// What is being recorded.
    pub scenario: String,
    /// Clips written, those found by `resume` included.
    pub clips_done: usize,
    /// Clips wanted.
    pub clips_total: usize,
    /// Frames recorded in this run.
    pub frames: usize,
}

/// What is in the folder at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthSummary {
    /// One entry a scenario.
    pub datasets: Vec<DatasetSummary>,
    /// Ended early because it was asked to.
    pub interrupted: bool,
}

/// One dataset that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetSummary {
    /// Task id or family name.
    pub scenario: String,
    /// Its folder.
    pub path: PathBuf,
    /// Clips in it.
    pub clips: usize,
    /// Frames in it.
    pub frames: usize,
    /// BLAKE3 over the clips' content hashes, hexadecimal.
    pub hash: String,
    /// Units in it.
    pub units: usize,
    /// Clips by outcome; empty for a task.
    pub outcomes: BTreeMap<String, usize>,
    /// Attempts that were rejected for a fault on the way, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Sound attempts that were passed over, because another outcome or event had its turn.
    pub redrawn_for_balance: u64,
    /// Seconds of this run in each of [`Stage::ALL`], summed over threads.
    pub stage_seconds: [f64; Stage::ALL.len()],
}

impl DatasetSummary {
    /// Share of units among units and attempts that were rejected for a fault; what was drawn again for balance alone
    /// had none.
    pub fn accept_rate(&self) -> f64 {
        let rejected: u64 = self.rejected.values().sum();
        self.units as f64 / (self.units as u64 + rejected).max(1) as f64
    }
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
