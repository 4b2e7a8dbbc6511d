use std::ops::RangeInclusive;

use rand::{Rng as _, SeedableRng};
use serde::{Deserialize, Serialize};
use worldstep_env::{DType, EnvError, Rng, Space};

use super::observation::{floats, row_len_bytes};
use crate::cache::LaneCache;
use crate::packing::FRAME_CODE_BYTES;
use crate::{fnv, fsq};

/// Version of the bytes that a lane is saved to: this number, the hash of the MessagePack that follows (both
/// little-endian), and that MessagePack.
const STATE_VERSION: u32 = 3;

/// One lane's own counters. All its randomness is drawn from `seed`, `episode` and `steps`, so that neighbours and order
/// of execution never matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    seed: u64,
    /// Episodes begun since the lane was seeded.
    episode: u64,
    /// Steps in this episode, those on the start frames included.
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

    /// A start was drawn, on which truth took `steps` steps.
    pub fn begin(&mut self, steps: u32) {
        self.episode = self.episode.saturating_add(1);
        self.steps = steps;
        self.started = true;
        self.done = false;
    }

    /// Names the randomness of the coming step.
    pub fn draw(&self) -> u64 {
        self.number(self.episode, u64::from(self.steps))
    }

    /// Whether a lane whose episodes run through `clock` can have come to this.
    fn is_possible(&self, clock: &RangeInclusive<u32>) -> bool {
        let over = self.done || self.steps < *clock.end();
        self.started && self.episode > 0 && clock.contains(&self.steps) && over
    }

    fn number(&self, episode: u64, step: u64) -> u64 {
        let mixed = self.seed
            ^ episode.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ step.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Rng::seed_from_u64(mixed).next_u64()
    }
}

/// Everything that a lane's future depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedLane {
    pub task: String,
    /// [`Model::weights_hash`](crate::model::Model::weights_hash): a dream goes on only with the weights that it began
    /// with.
    pub weights: u64,
    pub lane: Lane,
    pub cache: LaneCache,
    pub codes: Vec<u8>,
    /// What was shown, as little-endian bytes.
    pub observation: Vec<u8>,
    pub outcome: (f32, bool, bool),
}

impl SavedLane {
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvError> {
        let body = rmp_serde::to_vec(self).map_err(|error| wrong(error.to_string()))?;
        let hash = fnv::extend(fnv::EMPTY, &body);
        Ok([&STATE_VERSION.to_le_bytes()[..], &hash.to_le_bytes(), &body].concat())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave, of any task, weights and sizes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvError> {
        let short = || wrong(format!("{} bytes are too few for a state", bytes.len()));
        let (version, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let version = u32::from_le_bytes(*version);
        if version != STATE_VERSION {
            return Err(wrong(format!("its version is {version}, this build reads {STATE_VERSION}")));
        }
        let (hash, body) = rest.split_first_chunk().ok_or_else(short)?;
        if fnv::extend(fnv::EMPTY, body) != u64::from_le_bytes(*hash) {
            return Err(wrong("its bytes are damaged: they do not give the hash that stands before them"));
        }
        rmp_serde::from_slice(body).map_err(|error| wrong(error.to_string()))
    }

    /// Whether a lane of a dream that `fits` can be in this state. The cache's size is left to the cache.
    pub fn check(&self, fits: &Fits<'_>) -> Result<(), EnvError> {
        let Fits { task, weights, ref clock, observation } = *fits;
        let (reward, terminated, truncated) = self.outcome;
        if self.task != task {
            return Err(wrong(format!("it is of {:?}, not of {task:?}", self.task)));
        }
        if self.weights != weights {
            return Err(wrong(format!("its weights are {:016x}, not {weights:016x}", self.weights)));
        }
        let sizes = [self.codes.len(), self.observation.len()];
        let expected = [FRAME_CODE_BYTES, row_len_bytes(observation)];
        if sizes != expected {
            let message = format!(
                "codes and observation have {sizes:?} bytes, expected {expected:?}; a state goes on with the \
                 observation that it was saved with"
            );
            return Err(wrong(message));
        }
        if !fsq::in_range(&self.codes) {
            return Err(wrong("a code is not among the tokenizer's levels"));
        }
        let numbers = observation.dtype() != DType::Float32 || floats(&self.observation).all(f32::is_finite);
        if !reward.is_finite() || !self.cache.is_finite() || !numbers {
            return Err(wrong("its reward, its cache or what it shows holds a value that is no number"));
        }
        if !self.lane.is_possible(clock) || self.lane.done != (terminated || truncated) {
            return Err(wrong("its counters and flags contradict each other"));
        }
        Ok(())
    }
}

/// What a saved lane must belong to.
pub struct Fits<'a> {
    pub task: &'a str,
    pub weights: u64,
    /// Steps of an episode at its reset and at its truncation.
    pub clock: RangeInclusive<u32>,
    /// Space of what it shows.
    pub observation: &'a Space,
}

fn wrong(message: impl Into<String>) -> EnvError {
    EnvError::State { message: message.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, Preset};
    use crate::neural_env::DreamObservation;

    /// What `saved` says of a lane that shows twelve numbers.
    fn check(saved: &SavedLane) -> Result<(), EnvError> {
        let config = ModelConfig::new(Preset::Nano, 1, 2);
        let observation = &DreamObservation::State.space(&config, 2);
        saved.check(&Fits { task: "Toy-v0", weights: 7, clock: 3..=10, observation })
    }

    fn saved() -> SavedLane {
        let mut lane = Lane::new(0);
        lane.begin(3);
        SavedLane {
            task: "Toy-v0".to_owned(),
            weights: 7,
            lane,
            cache: LaneCache::default(),
            codes: vec![4; FRAME_CODE_BYTES],
            observation: vec![20; 48],
            outcome: (0.5, false, false),
        }
    }

    #[test]
    fn bytes_give_back_what_was_saved() {
        let read = SavedLane::from_bytes(&saved().to_bytes().unwrap()).unwrap();
        assert_eq!(read, saved());
        check(&read).unwrap();
    }

    #[test]
    fn a_value_out_of_range_is_refused_whatever_the_hash_says() {
        type Change = fn(&mut SavedLane);
        let changes: [(&str, Change); 15] = [
            ("Chess-v0", |saved| saved.task = "Chess-v0".to_owned()),
            ("weights", |saved| saved.weights = 8),
            ("bytes", |saved| saved.codes.truncate(9)),
            ("bytes", |saved| saved.observation.clear()),
            ("levels", |saved| saved.codes[0] = 8),
            ("levels", |saved| saved.codes[FRAME_CODE_BYTES - 1] = 5),
            ("no number", |saved| saved.outcome.0 = f32::NAN),
            ("no number", |saved| saved.outcome.0 = f32::INFINITY),
            ("no number", |saved| saved.observation[4..8].copy_from_slice(&f32::NAN.to_le_bytes())),
            ("contradict", |saved| saved.lane.steps = 2),
            ("contradict", |saved| saved.lane.steps = 10),
            ("contradict", |saved| saved.lane.steps = u32::MAX),
            ("contradict", |saved| saved.lane.episode = 0),
            ("contradict", |saved| saved.lane.started = false),
            ("contradict", |saved| saved.outcome.2 = true),
        ];
        for (expected, change) in changes {
            let mut changed = saved();
            change(&mut changed);
            let read = SavedLane::from_bytes(&changed.to_bytes().unwrap()).unwrap();
            let error = check(&read).unwrap_err();
            assert!(matches!(error, EnvError::State { .. }));
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_cache_with_a_value_that_is_no_number_is_refused() {
        let bytes = rmp_serde::to_vec(&(1, 0, [0.0, f32::NAN])).unwrap();
        let cache = rmp_serde::from_slice(&bytes).unwrap();
        let error = check(&SavedLane { cache, ..saved() }).unwrap_err();
        assert!(error.to_string().contains("no number"), "{error}");
    }
}
