use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use burn::module::Module;
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use worldstep_env::Rng;

/// What a loss is drawn from.
pub struct Draw {
    /// Randomness of this share of this step.
    pub rng: Rng,
    /// Share of a whole batch to draw.
    pub share: f32,
    /// Share of the stage that is done, 0 to 1: what a curriculum goes by.
    pub progress: f64,
}

/// What one stage minimises.
pub trait Objective<M>: Sync {
    /// The highest learning rate.
    fn peak_rate(&self) -> f64;

    /// Loss of `module` on what is drawn from `draw`.
    fn loss(&self, module: &M, draw: &mut Draw) -> Tensor<1>;
}

/// Threads that each differentiate their own share of a batch.
///
/// The processor backend runs element-wise operations on one core, so several small graphs side by side keep all cores
/// busy where one large graph would not.
pub struct Shards {
    pools: Vec<ThreadPool>,
    device: Device,
}

impl Shards {
    pub fn new(count: usize, device: &Device) -> Result<Self, ThreadPoolBuildError> {
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
        let pools = if count > 1 { (0..count).map(pool).collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Self { pools, device: device.clone() })
    }

    /// Loss and gradients over a whole batch drawn from `seed`, when `progress` of the stage is done.
    pub fn gradients<M: Module + Sync>(
        &self,
        module: &M,
        objective: &impl Objective<M>,
        (seed, progress): (u64, f64),
    ) -> (f32, MultiGradientsParams) {
        let shards = self.pools.len().max(1);
        let one = |shard: usize, module: M| {
            let rng = Rng::seed_from_u64(seed.wrapping_mul(64).wrapping_add(shard as u64));
            let mut draw = Draw { rng, share: 1.0 / shards as f32, progress };
            let loss = objective.loss(&module, &mut draw) / shards as f32;
            let value: f32 = loss.clone().into_scalar();
            (value, GradientsParams::from_grads(loss.backward(), &module))
        };
        let results: Vec<(f32, GradientsParams)> = if self.pools.is_empty() {
            vec![one(0, module.clone())]
        } else {
            std::thread::scope(|scope| {
                let one = &one;
                let mut threads = Vec::with_capacity(shards);
                for (shard, pool) in self.pools.iter().enumerate() {
                    // Graphs that share a leaf are one graph, and its first backward pass would consume them all.
                    let forked = module.clone().fork(&self.device);
                    threads.push(scope.spawn(move || pool.install(|| one(shard, forked))));
                }
                let join = |thread: ScopedJoinHandle<'_, _>| {
                    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
                };
                threads.into_iter().map(join).collect()
            })
        };
        let loss = results.iter().map(|(loss, _)| loss).sum();
        let plain = self.device.clone().inner();
        let grads = results.into_iter().map(|(_, grads)| (grads, plain.clone())).collect();
        (loss, MultiGradientsParams { grads })
    }
}
