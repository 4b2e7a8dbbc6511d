use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use rand::SeedableRng;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use worldstep_env::Rng;

use super::clipping::clip;
use super::loss::{Loss, Reading};
use crate::device::ComputeDevice;
use crate::precision::Precision;

/// Name of the norm of all gradients among the values of a step.
pub const GRADIENT_NORM: &str = "gradient_norm";
/// Gradients beyond this norm are scaled down to it.
pub const GRADIENT_NORM_MAX: f32 = 1.0;

/// What a loss is drawn from.
pub struct Draw {
    /// Randomness of this share of this step.
    pub rng: Rng,
    /// Share of a whole batch to draw.
    pub share: f32,
    /// Share of the stage that is done, 0 to 1: what a curriculum goes by. 1 in validation.
    pub progress: f64,
}

/// What one stage minimises.
pub trait Objective<M>: Sync {
    /// The highest learning rate.
    fn peak_rate(&self) -> f64;

    /// Frames in a whole batch.
    fn frames(&self) -> usize;

    /// Loss of `module` on what is drawn from `draw`. The same draw gives the same loss.
    fn loss(&self, module: &M, draw: &mut Draw) -> Loss;
}

/// Threads that each differentiate their own share of a batch.
///
/// The processor backend runs element-wise operations on one core, so several small graphs side by side keep all cores
/// busy where one large graph would not. Shares are added up in their order, so the same seed gives the same bits,
/// whichever thread is done first; another number of threads draws other shares.
pub struct Shards {
    pools: Vec<ThreadPool>,
    device: Device,
    precision: Precision,
}

impl Shards {
    /// As many threads as suit `device`, which computes in `precision`.
    pub fn new(device: ComputeDevice, precision: Precision) -> Result<Self, ThreadPoolBuildError> {
        let count = device.shares();
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
        let pools = if count > 1 { (0..count).map(pool).collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Self { pools, device: device.burn().autodiff(), precision })
    }

    /// Each share's values, and clipped gradients, over a whole batch drawn from `seed`, when `progress` of the stage is done.
    pub fn gradients<M: Module + Sync>(
        &self,
        module: &M,
        objective: &impl Objective<M>,
        (seed, progress): (u64, f64),
    ) -> (Vec<Reading>, GradientsParams) {
        let shards = self.pools.len().max(1);
        let share = 1.0 / shards as f32;
        let results = self.each(module, &self.device, |shard, module| {
            // Products are rounded where that was asked for; gradients arrive at the weights themselves.
            let lowered = self.precision.lowered(module.clone());
            let rng = Rng::seed_from_u64(seed.wrapping_mul(64).wrapping_add(shard as u64));
            let loss = objective.loss(&lowered, &mut Draw { rng, share, progress });
            let reading = Reading::of(&loss);
            (reading, GradientsParams::from_grads((loss.total * share).backward(), &module))
        });
        self.alone(|| {
            let mut sum = GradientsAccumulator::new();
            let mut readings = Vec::with_capacity(shards);
            for (reading, gradients) in results {
                readings.push(reading);
                sum.accumulate(module, gradients);
            }
            let mut gradients = sum.grads();
            let norm = clip(module, &mut gradients, GRADIENT_NORM_MAX);
            if let (Some(norm), Some(last)) = (norm, readings.pop()) {
                readings.push(last.and(GRADIENT_NORM, norm));
            }
            (readings, gradients)
        })
    }

    /// Means over `batches` whole batches, the same ones for the same `seed`, of a network off the graph.
    pub fn means<M: Module + Sync>(
        &self,
        module: &M,
        objective: &impl Objective<M>,
        batches: u64,
        seed: u64,
    ) -> Vec<(&'static str, f32)> {
        let shards = self.pools.len().max(1) as u64;
        let results = self.each(module, &self.device.clone().inner(), |shard, module| {
            let module = self.precision.lowered(module);
            let loss = |batch: u64| {
                let rng = Rng::seed_from_u64(seed.wrapping_add(batch));
                Reading::of(&objective.loss(&module, &mut Draw { rng, share: 1.0, progress: 1.0 })).read()
            };
            (shard as u64..batches).step_by(shards as usize).map(loss).collect::<Vec<_>>()
        });
        let mut sums: Vec<(&'static str, f64, u64)> = Vec::new();
        for batch in 0..batches {
            // Adding them up in the order of batches makes the sum the same with any number of threads.
            for (name, value) in &results[(batch % shards) as usize][(batch / shards) as usize] {
                match sums.iter_mut().find(|(other, ..)| other == name) {
                    Some((_, sum, count)) => (*sum, *count) = (*sum + f64::from(*value), *count + 1),
                    None => sums.push((name, f64::from(*value), 1)),
                }
            }
        }
        sums.into_iter().map(|(name, sum, count)| (name, (sum / count as f64) as f32)).collect()
    }

    /// Runs `work` with a copy of `module` on `device` for each shard, in as many threads; results in the shards' order.
    fn each<M: Module + Sync, T: Send>(
        &self,
        module: &M,
        device: &Device,
        work: impl Fn(usize, M) -> T + Sync,
    ) -> Vec<T> {
        if self.pools.is_empty() {
            return vec![work(0, module.clone())];
        }
        std::thread::scope(|scope| {
            let work = &work;
            let mut threads = Vec::with_capacity(self.pools.len());
            for (shard, pool) in self.pools.iter().enumerate() {
                // Graphs that share a leaf are one graph, and its first backward pass would consume them all.
                let forked = module.clone().fork(device);
                threads.push(scope.spawn(move || pool.install(|| work(shard, forked))));
            }
            let join =
                |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            threads.into_iter().map(join).collect()
        })
    }

    /// Runs `work` in one thread: sums over large tensors are split as threads are free, and would not be the same twice.
    fn alone<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pools.first() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
