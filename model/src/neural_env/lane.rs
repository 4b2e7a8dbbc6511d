use rand::{Rng as _, SeedableRng};
use serde::{Deserialize, Serialize};
use worldstep_env::{EnvError, Rng};

use crate::cache::LaneCache;
use crate::model::TrainingRecord;

/// Version of the bytes that a lane is saved to.
const STATE_VERSION: u32 = 1;

/// One lane's own counters. All its randomness is drawn from `seed`, `episode` and `steps`, so that neighbours and order
/// of execution never matter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lane {
    seed: u64,
    /// Episodes begun since the lane was seeded.
    episode: u64,
    /// Steps in this episode.
    pub steps: u32,
    pub started: bool,
    pub done: bool,
}

impl Lane {
    /// A lane that was never seeded goes by its index.
    pub fn new(index: usize) -> Self {
        Self { seed: index as u64, episode: 0, steps: 0, started: false, done: false }
    }

    /// Begins a new stream.
    pub fn seed(&mut self, seed: u64) {
        self.seed = seed;
        self.episode = 0;
    }

    /// Seed of the next episode's start: the lane's own seed for the first, then one drawn from its stream.
    pub fn next_seed(&self) -> u64 {
        if self.episode == 0 { self.seed } else { self.number(self.episode, u64::MAX) }
    }

    /// A start was drawn.
    pub fn begin(&mut self) {
        self.episode += 1;
        self.steps = 0;
        self.started = true;
        self.done = false;
    }

    /// Names the randomness of the coming step.
    pub fn draw(&self) -> u64 {
        self.number(self.episode, u64::from(self.steps))
    }

    fn number(&self, episode: u64, step: u64) -> u64 {
        let mixed = self.seed
            ^ episode.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ step.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Rng::seed_from_u64(mixed).next_u64()
    }
}

/// Everything that a lane's future depends on.
#[derive(Serialize, Deserialize)]
pub struct SavedLane {
    pub task: String,
    /// Names the weights: a dream goes on only with those it began with.
    pub weights: TrainingRecord,
    pub lane: Lane,
    pub cache: LaneCache,
    pub codes: Vec<u8>,
    pub frame: Vec<u8>,
    pub outcome: (f32, bool, bool),
}

impl SavedLane {
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvError> {
        rmp_serde::to_vec(&(STATE_VERSION, self))
            .map_err(|error| EnvError::State { message: error.to_string() })
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvError> {
        let wrong = |message: String| EnvError::State { message };
        let (version, saved): (u32, Self) =
            rmp_serde::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if version != STATE_VERSION {
            return Err(wrong(format!("its version is {version}, this build reads {STATE_VERSION}")));
        }
        Ok(saved)
    }
}
