use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A stage of recording whose time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Physics and behaviour, on the workers.
    Simulate,
    /// Visibility, events, captions, curation, on the workers.
    Annotate,
    /// Drawing.
    Render,
    /// Images into files, hashes, statistics, on the workers.
    Encode,
    /// Compression and files.
    Write,
}

/// Time spent in each stage, summed over threads. Recording itself never looks at a clock: the caller lends one.
#[derive(Debug)]
pub struct Stages {
    clock: fn() -> Duration,
    nanos: [AtomicU64; Stage::ALL.len()],
}

impl Stage {
    /// Every stage, in the order of the pipeline.
    pub const ALL: [Self; 5] = [Self::Simulate, Self::Annotate, Self::Render, Self::Encode, Self::Write];

    /// Name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Annotate => "annotate",
            Self::Render => "render",
            Self::Encode => "encode",
            Self::Write => "write",
        }
    }
}

impl Stages {
    /// Counters at zero.
    pub fn new(clock: fn() -> Duration) -> Self {
        Self { clock, nanos: Default::default() }
    }

    /// Counts the time that `work` takes.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = (self.clock)();
        let result = work();
        let nanos = (self.clock)().saturating_sub(start).as_nanos() as u64;
        self.nanos[stage as usize].fetch_add(nanos, Ordering::Relaxed);
        result
    }

    /// Seconds in each of [`Stage::ALL`].
    pub fn seconds(&self) -> [f64; Stage::ALL.len()] {
        std::array::from_fn(|i| self.nanos[i].load(Ordering::Relaxed) as f64 * 1e-9)
    }
}
