use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use rand::SeedableRng;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use worldstep_env::Rng;

use super::clipping::clip;
use super::loss::{Loss, Means, Reading};
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
    /// Windows, or frames, to draw.
    pub count: usize,
    /// Share of the stage that is done, 0 to 1: what a curriculum goes by. 1 in validation.
    pub progress: f64,
}

/// What one stage minimises.
pub trait Objective<M>: Sync {
    /// The highest learning rate.
    fn peak_rate(&self) -> f64;

    /// Windows, or frames, in a whole batch.
    fn batch(&self) -> usize;

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
        Self::with_threads(device.shares(), device.burn(), precision)
    }

    fn with_threads(
        count: usize,
        device: Device,
        precision: Precision,
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
        let pools = if count > 1 { (0..count).map(pool).collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Self { pools, device: device.autodiff(), precision })
    }

    /// Each share's values, and clipped gradients, over a whole batch drawn from `seed`, when `progress` of the stage is done.
    /// Where a batch has fewer windows than there are threads, some rest.
    pub fn gradients<M: Module + Sync>(
        &self,
        module: &M,
        objective: &impl Objective<M>,
        (seed, progress): (u64, f64),
    ) -> (Vec<Reading>, GradientsParams) {
        let batch = objective.batch();
        let counts = counts(batch, self.pools.len().max(1));
        let results = self.each(module, &self.device, counts.len(), |shard, module| {
            // Products are rounded where that was asked for; gradients arrive at the weights themselves.
            let lowered = self.precision.lowered(module.clone());
            let rng = Rng::seed_from_u64(seed.wrapping_mul(64).wrapping_add(shard as u64));
            let loss = objective.loss(&lowered, &mut Draw { rng, count: counts[shard], progress });
            let share = counts[shard] as f32 / batch as f32;
            let reading = Reading::of(&loss).weighing(share);
            (reading, GradientsParams::from_grads((loss.total * share).backward(), &module))
        });
        self.alone(|| {
            let mut sum = GradientsAccumulator::new();
            let mut readings = Vec::with_capacity(counts.len());
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
        let (shards, count) = (self.pools.len().max(1) as u64, objective.batch());
        let results = self.each(module, &self.device.clone().inner(), shards as usize, |shard, module| {
            let module = self.precision.lowered(module);
            let loss = |batch: u64| {
                let rng = Rng::seed_from_u64(seed.wrapping_add(batch));
                Reading::of(&objective.loss(&module, &mut Draw { rng, count, progress: 1.0 })).read()
            };
            (shard as u64..batches).step_by(shards as usize).map(loss).collect::<Vec<_>>()
        });
        let mut means = Means::default();
        for batch in 0..batches {
            // Adding them up in the order of batches makes the sum the same with any number of threads.
            for (name, value) in &results[(batch % shards) as usize][(batch / shards) as usize] {
                means.add(name, *value, 1.0);
            }
        }
        means.take()
    }

    /// Runs `work` with a copy of `module` on `device` for each of `shards`, in as many threads, of which there are enough;
    /// results in the shards' order.
    fn each<M: Module + Sync, T: Send>(
        &self,
        module: &M,
        device: &Device,
        shards: usize,
        work: impl Fn(usize, M) -> T + Sync,
    ) -> Vec<T> {
        if self.pools.is_empty() {
            return vec![work(0, module.clone())];
        }
        std::thread::scope(|scope| {
            let work = &work;
            let mut threads = Vec::with_capacity(shards);
            for (shard, pool) in self.pools.iter().take(shards).enumerate() {
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

/// How many of `batch` each of `shards` draws: all of them together just as many, none of them nothing.
fn counts(batch: usize, shards: usize) -> Vec<usize> {
    let count = |shard| batch / shards + usize::from(shard < batch % shards);
    (0..shards.min(batch)).map(count).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Tensor;
    use rand::RngExt as _;

    use super::*;
    use crate::codec::plain;

    /// The mean of what a line says of numbers at random, which are noted.
    struct Line {
        batch: usize,
        drawn: Mutex<Vec<f32>>,
    }

    impl Line {
        fn loss_of(line: &Linear, numbers: &[f32]) -> Loss {
            let x = Tensor::<1>::from_floats(numbers, &line.weight.device()).reshape([numbers.len(), 1]);
            Loss::of("line", 1.0, line.forward(x).square().mean())
        }
    }

    impl Objective<Linear> for Line {
        fn peak_rate(&self) -> f64 {
            1.0
        }

        fn batch(&self) -> usize {
            self.batch
        }

        fn frames(&self) -> usize {
            self.batch
        }

        fn loss(&self, line: &Linear, draw: &mut Draw) -> Loss {
            // Small enough for a gradient that is not clipped.
            let numbers: Vec<f32> = (0..draw.count).map(|_| draw.rng.random_range(-0.3..0.3)).collect();
            self.drawn.lock().unwrap().extend(&numbers);
            Self::loss_of(line, &numbers)
        }
    }

    #[test]
    fn a_batch_has_its_windows_and_its_gradient_whatever_the_number_of_threads() {
        let device = Device::flex();
        device.seed(5);
        let line = LinearConfig::new(1, 1).with_bias(false).init(&device.clone().autodiff());
        let gradient = |gradients: &GradientsParams| plain(gradients.get::<2>(line.weight.id).unwrap())[0];
        for threads in [1, 2, 3, 5, 8] {
            let shards = Shards::with_threads(threads, device.clone(), Precision::F32).unwrap();
            for batch in [1, 2, 3, 8, 32] {
                let objective = Line { batch, drawn: Mutex::default() };
                let (readings, gradients) = shards.gradients(&line, &objective, (7, 0.5));
                let numbers = objective.drawn.into_inner().unwrap();
                assert_eq!(numbers.len(), batch, "{threads} threads");
                assert_eq!(readings.len(), threads.min(batch));
                let whole = Line::loss_of(&line, &numbers).total.backward();
                let expected = gradient(&GradientsParams::from_grads(whole, &line));
                let found = gradient(&gradients);
                assert!(
                    (found - expected).abs() < 1e-5 * expected.abs().max(1e-3),
                    "{threads} threads, batch {batch}: {found}, unsharded {expected}"
                );
            }
        }
    }

    #[test]
    fn equal_shares_are_drawn_where_there_are_some() {
        assert_eq!(counts(8, 2), [4, 4]);
        assert_eq!(counts(8, 5), [2, 2, 2, 1, 1]);
        assert_eq!(counts(1, 8), [1]);
    }
}
