use super::free_memory::free_bytes;
use super::lane::Lane;
use super::observation::{DreamObservation, row_len_bytes};
use super::prefetch::STARTS_AHEAD_MAX;
use crate::engine::{self, EngineMemory, runs_on_processor};
use crate::model::Model;
use crate::packing::FRAME_CODE_BYTES;

/// Share of the host's free memory that a dream takes at most, if it is not told how much it may take.
pub const MEMORY_SHARE: f64 = 0.5;

/// The same of a GPU's memory, which the dream has for itself: the rest is for products and recordings.
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
    /// Bytes of `shared` that lie in the memory of the GPU that steps: weights and working memory. The environments' rings
    /// lie there too, and all else in the host's. `None` where a processor steps, which has the host's memory alone.
    pub shared_on_gpu: Option<u64>,
}

/// Bytes that a dream may take, by where they lie; `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryMax {
    /// Of both memories together: what a user has set.
    pub together: Option<u64>,
    /// Of the host's memory.
    pub host: Option<u64>,
    /// Of the memory of all GPUs that step.
    pub gpu: Option<u64>,
    /// How many they are; 0 is one. Each has its own of what environments have in common.
    pub gpus: usize,
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
            shared_on_gpu: (!runs_on_processor(model)).then_some(shared_bytes),
        }
    }

    /// Bytes of `num_envs` environments in all.
    pub fn total(&self, num_envs: usize) -> u64 {
        self.together().total(num_envs)
    }

    /// Bytes of `num_envs` environments that lie in the host's memory.
    pub fn on_host(&self, num_envs: usize) -> u64 {
        self.host().total(num_envs)
    }

    /// Bytes of `num_envs` environments that lie in the memory of GPUs; 0 where a processor steps.
    pub fn on_gpu(&self, num_envs: usize) -> u64 {
        self.gpu().total(num_envs)
    }

    /// Whether `num_envs` environments fit into each memory.
    ///
    /// # Errors
    /// A line that names the memory and says how many do.
    pub fn check(&self, num_envs: usize, max: &MemoryMax) -> Result<(), String> {
        for (taken, allowed, place) in [
            (self.together(), max.together, "memory"),
            (self.gpu().on_each_of(max.gpus), max.gpu, "memory of the GPU"),
            (self.host(), max.host, "memory of the host"),
        ] {
            if let Some(allowed) = allowed {
                taken.check(num_envs, allowed, place)?;
            }
        }
        Ok(())
    }

    fn together(&self) -> Taken {
        Taken { each: self.env.total(), common: self.shared }
    }

    fn gpu(&self) -> Taken {
        match self.shared_on_gpu {
            Some(common) => Taken { each: self.env.ring, common },
            None => Taken { each: 0, common: 0 },
        }
    }

    fn host(&self) -> Taken {
        let (all, gpu) = (self.together(), self.gpu());
        Taken { each: all.each - gpu.each, common: all.common - gpu.common }
    }
}

/// What environments take of one memory: bytes of each, and in common.
#[derive(Clone, Copy)]
struct Taken {
    each: u64,
    common: u64,
}

impl Taken {
    fn total(self, num_envs: usize) -> u64 {
        self.each.saturating_mul(num_envs as u64).saturating_add(self.common)
    }

    /// What they take of `count` memories that they are divided over.
    fn on_each_of(self, count: usize) -> Self {
        Self { common: self.common.saturating_mul(count.max(1) as u64), ..self }
    }

    fn check(self, num_envs: usize, allowed: u64, place: &str) -> Result<(), String> {
        let total = self.total(num_envs);
        if total <= allowed {
            return Ok(());
        }
        let fit = allowed.saturating_sub(self.common) / self.each.max(1);
        Err(format!(
            "{num_envs} environments take {} of {place} ({} each and {} in common), of {} that are allowed: {fit} fit; ask \
             for fewer, or allow more (`worldstep serve --memory-mb`, `NeuralOptions::memory_bytes_max`)",
            mega(total),
            mega(self.each),
            mega(self.common),
            mega(allowed),
        ))
    }
}

impl MemoryMax {
    /// What a dream of `model` over `devices` devices may take: `asked` bytes in all, or if nobody says how many, a share of
    /// what is free in each memory that it lies in. Not limited where a system does not tell.
    pub fn of(asked: Option<u64>, model: &Model, devices: usize) -> Self {
        if asked.is_some() {
            return Self { together: asked, ..Self::default() };
        }
        Self { gpus: devices, ..Self::shares_of(free_bytes(), gpu_free_bytes(model, devices)) }
    }

    /// Shares of what is free in the host's memory and in that of GPUs.
    fn shares_of(host: Option<u64>, gpu: Option<u64>) -> Self {
        let share = |free: u64, share: f64| (free as f64 * share) as u64;
        Self {
            together: None,
            host: host.map(|free| share(free, MEMORY_SHARE)),
            gpu: gpu.map(|free| share(free, GPU_MEMORY_SHARE)),
            gpus: 1,
        }
    }
}

#[cfg(feature = "cuda")]
fn gpu_free_bytes(model: &Model, devices: usize) -> Option<u64> {
    crate::cuda::free_bytes(model, devices)
}

#[cfg(not(feature = "cuda"))]
fn gpu_free_bytes(_model: &Model, _devices: usize) -> Option<u64> {
    None
}

fn mega(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ENV: EnvBytes = EnvBytes { ring: 700, codes: 100, observation: 100, start: 50, rest: 50 };

    fn together(bytes: u64) -> MemoryMax {
        MemoryMax { together: Some(bytes), ..MemoryMax::default() }
    }

    #[test]
    fn a_refusal_says_how_many_fit() {
        let memory = DreamMemory { env: ENV, shared: 500, shared_on_gpu: None };
        assert_eq!(memory.total(4), 4500);
        memory.check(4, &together(4500)).unwrap();
        let refusal = memory.check(4, &together(4499)).unwrap_err();
        assert!(refusal.contains("4 environments") && refusal.contains(": 3 fit"), "{refusal}");
        assert!(memory.check(1, &together(100)).unwrap_err().contains(": 0 fit"));
        memory.check(usize::MAX, &together(u64::MAX - 1)).unwrap_err();
        memory.check(usize::MAX, &MemoryMax::default()).unwrap();
    }

    #[test]
    fn what_lies_on_a_gpu_is_held_against_its_memory_and_the_rest_against_the_hosts() {
        let memory = DreamMemory { env: ENV, shared: 500, shared_on_gpu: Some(400) };
        assert_eq!((memory.on_gpu(4), memory.on_host(4), memory.total(4)), (3200, 1300, 4500));
        let max = |host, gpu| MemoryMax { together: None, host: Some(host), gpu: Some(gpu), gpus: 1 };
        // Neither memory alone has room for all.
        memory.check(4, &max(1300, 3200)).unwrap();
        let refusal = memory.check(4, &max(1300, 3199)).unwrap_err();
        assert!(refusal.contains("memory of the GPU") && refusal.contains(": 3 fit"), "{refusal}");
        let refusal = memory.check(4, &max(1299, 1 << 40)).unwrap_err();
        assert!(refusal.contains("memory of the host") && refusal.contains(": 3 fit"), "{refusal}");
        memory.check(4, &together(4499)).unwrap_err();
        // Two GPUs have weights each.
        memory.check(4, &MemoryMax { gpus: 2, ..max(1300, 3600) }).unwrap();
        assert!(memory.check(4, &MemoryMax { gpus: 2, ..max(1300, 3599) }).unwrap_err().contains(": 3 fit"));
    }

    #[test]
    fn a_processor_has_the_hosts_memory_alone() {
        let memory = DreamMemory { env: ENV, shared: 500, shared_on_gpu: None };
        assert_eq!((memory.on_gpu(4), memory.on_host(4)), (0, 4500));
        memory.check(4, &MemoryMax { gpu: Some(0), ..MemoryMax::default() }).unwrap();
        let refusal = memory.check(4, &MemoryMax { host: Some(4499), ..MemoryMax::default() });
        assert!(refusal.unwrap_err().contains("memory of the host"));
    }

    #[test]
    fn by_default_each_memory_lends_its_share() {
        let max = MemoryMax::shares_of(Some(1000), Some(1000));
        assert_eq!(max, MemoryMax { together: None, host: Some(500), gpu: Some(900), gpus: 1 });
        assert_eq!(MemoryMax::shares_of(None, None), MemoryMax { gpus: 1, ..MemoryMax::default() });
    }
}
