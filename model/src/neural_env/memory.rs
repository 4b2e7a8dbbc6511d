use super::free_memory::free_bytes;
use super::lane::Lane;
use super::observation::{DreamObservation, row_len_bytes};
use super::prefetch::STARTS_AHEAD_MAX;
use crate::engine::{self, EngineMemory, runs_on_processor};
use crate::model::Model;
use crate::packing::FRAME_CODE_BYTES;

/// Share of the free memory that a dream takes at most, if it is not told how much it may take.
pub const MEMORY_SHARE: f64 = 0.5;

/// The same of a GPU's memory, which the dream has for itself: the rest is for products and recordings.
#[cfg(feature = "cuda")]
const GPU_MEMORY_SHARE: f64 = 0.9;

/// A lane's entries in lists: of rings, levels, draws, masks, and those of a reset.
const LIST_ENTRIES_BYTES: usize = 256;

/// What a dream takes, known before anything of it is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DreamMemory {
    /// Bytes of one environment, for it alone.
    pub env: EnvBytes,
    /// Bytes of everything that the environments share: weights, working memory of all threads, starts drawn ahead.
    pub shared: u64,
}

/// Bytes of one environment, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvBytes {
    /// Keys and values of the frames that it remembers.
    pub ring: u64,
    /// Its present frame's and the next one's codes.
    pub codes: u64,
    /// What it shows; frames twice, as those of a part of the lanes are decoded in a place of their own.
    pub observation: u64,
    /// The true frames that it starts from and their codes: all environments may start at once.
    pub start: u64,
    /// Actions, readouts, counters, flags.
    pub rest: u64,
}

impl EnvBytes {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ring + self.codes + self.observation + self.start + self.rest
    }
}

impl DreamMemory {
    /// What `num_envs` environments of `model` take that show `observation` and start from `context_frames` frames.
    pub fn new(model: &Model, num_envs: usize, observation: DreamObservation, context_frames: usize) -> Self {
        let config = &model.card.config;
        let EngineMemory { lane_bytes, shared_bytes } = engine::memory(model, num_envs);
        let frame_bytes = config.frame.bytes();
        let frames = (context_frames * frame_bytes) as u64;
        let seen = if observation == DreamObservation::Rgb { frame_bytes + FRAME_CODE_BYTES } else { 0 };
        let numbers = 2 * config.action_values + 2 * config.object_values() + 6;
        let shown = row_len_bytes(&observation.space(config, config.tracked_objects));
        Self {
            env: EnvBytes {
                ring: lane_bytes,
                codes: 2 * FRAME_CODE_BYTES as u64,
                observation: (shown + seen) as u64,
                start: frames + 2 * (context_frames * FRAME_CODE_BYTES) as u64,
                rest: (4 * numbers + 2 * size_of::<Lane>() + LIST_ENTRIES_BYTES) as u64,
            },
            shared: shared_bytes + STARTS_AHEAD_MAX.min(num_envs) as u64 * frames,
        }
    }

    /// Bytes of `num_envs` environments in all.
    pub fn total(&self, num_envs: usize) -> u64 {
        self.env.total().saturating_mul(num_envs as u64).saturating_add(self.shared)
    }

    /// Whether `num_envs` environments fit into `bytes_max`.
    ///
    /// # Errors
    /// A line that says how many do.
    pub fn check(&self, num_envs: usize, bytes_max: u64) -> Result<(), String> {
        let total = self.total(num_envs);
        if total <= bytes_max {
            return Ok(());
        }
        let fit = bytes_max.saturating_sub(self.shared) / self.env.total();
        Err(format!(
            "{num_envs} environments take {} ({} each and {} in common), of {} that are allowed: {fit} fit; ask for \
             fewer, or allow more (`worldstep serve --memory-mb`, `NeuralOptions::memory_bytes_max`)",
            mega(total),
            mega(self.env.total()),
            mega(self.shared),
            mega(bytes_max),
        ))
    }
}

/// Bytes that a dream of `model` over `devices` devices may take if nobody says how many: a share of what is free where it
/// computes. None where that is not told.
pub fn default_bytes_max(model: &Model, devices: usize) -> Option<u64> {
    let share = |free: u64, share: f64| (free as f64 * share) as u64;
    if runs_on_processor(model) {
        return free_bytes().map(|free| share(free, MEMORY_SHARE));
    }
    #[cfg(feature = "cuda")]
    return crate::cuda::free_bytes(model, devices).map(|free| share(free, GPU_MEMORY_SHARE));
    #[cfg(not(feature = "cuda"))]
    {
        let _ = devices;
        None
    }
}

fn mega(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_how_many_fit() {
        let env = EnvBytes { ring: 700, codes: 100, observation: 100, start: 50, rest: 50 };
        let memory = DreamMemory { env, shared: 500 };
        assert_eq!(memory.total(4), 4500);
        memory.check(4, 4500).unwrap();
        let refusal = memory.check(4, 4499).unwrap_err();
        assert!(refusal.contains("4 environments") && refusal.contains(": 3 fit"), "{refusal}");
        assert!(memory.check(1, 100).unwrap_err().contains(": 0 fit"));
        memory.check(usize::MAX, u64::MAX - 1).unwrap_err();
    }
}
