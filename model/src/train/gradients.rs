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

/// What the batch of a whole step is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    pub seed: u64,
    /// As [`Draw::progress`].
    pub progress: f64,
}

/// What a share of a batch is drawn from.
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
    /// A share of a batch, drawn on the host.
    type Drawn: Send;

    /// The highest learning rate.
    fn peak_rate(&self) -> f64;

    /// Windows, or frames, in a whole batch.
    fn batch(&self) -> usize;

    /// Frames in a whole batch.
    fn frames(&self) -> usize;

    /// Draws windows, or frames. The same draw gives the same ones; nothing of a network goes into it.
    fn draw(&self, draw: &mut Draw) -> Self::Drawn;

    /// Loss of `module` on what was drawn.
    fn loss(&self, module: &M, drawn: Self::Drawn) -> Loss;
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

    /// The shares of the batch of `turn`, drawn one after the other.
    pub fn draw<M, O: Objective<M>>(&self, objective: &O, turn: Turn) -> Vec<O::Drawn> {
        let draws = self.draws(objective, turn).into_iter();
        draws.map(|mut draw| objective.draw(&mut draw)).collect()
    }

    /// What the shares of the batch of `turn` are drawn from. Where it has fewer windows than there are threads, some rest.
    fn draws<M>(&self, objective: &impl Objective<M>, turn: Turn) -> Vec<Draw> {
        let counts = counts(objective.batch(), self.pools.len().max(1));
        let draw = |(shard, count): (usize, usize)| Draw {
            rng: Rng::seed_from_u64(turn.seed.wrapping_mul(64).wrapping_add(shard as u64)),
            count,
            progress: turn.progress,
        };
        counts.into_iter().enumerate().map(draw).collect()
    }

    /// Each share's values, and clipped gradients, over the whole batch of `turn`; that which was drawn ahead, if any, else
    /// each thread draws its own share.
    pub fn gradients<M: Module + Sync, O: Objective<M>>(
        &self,
        module: &M,
        objective: &O,
        turn: Turn,
        drawn: Option<Vec<O::Drawn>>,
    ) -> (Vec<Reading>, GradientsParams) {
        let batch = objective.batch();
        let draws = self.draws(objective, turn);
        let mut drawn = drawn.into_iter().flatten();
        let shares: Vec<_> = draws.into_iter().map(|draw| (draw, drawn.next())).collect();
        let count = shares.len();
        let results = self.each(module, &self.device, shares, |(mut draw, drawn), module| {
            // Products are rounded where that was asked for; gradients arrive at the weights themselves.
            let lowered = self.precision.lowered(module.clone());
            let drawn = drawn.unwrap_or_else(|| objective.draw(&mut draw));
            let loss = objective.loss(&lowered, drawn);
            let share = draw.count as f32 / batch as f32;
            let reading = Reading::of(&loss).weighing(share);
            (reading, GradientsParams::from_grads((loss.total * share).backward(), &module))
        });
        self.alone(|| {
            let mut sum = GradientsAccumulator::new();
            let mut readings = Vec::with_capacity(count);
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
        let results =
            self.each(module, &self.device.clone().inner(), (0..shards).collect(), |shard, module| {
                let module = self.precision.lowered(module);
                let loss = |batch: u64| {
                    let rng = Rng::seed_from_u64(seed.wrapping_add(batch));
                    let drawn = objective.draw(&mut Draw { rng, count, progress: 1.0 });
                    Reading::of(&objective.loss(&module, drawn)).read()
                };
                (shard..batches).step_by(shards as usize).map(loss).collect::<Vec<_>>()
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

    /// Runs `work` with a copy of `module` on `device` for each of `shares`, in as many threads, of which there are enough;
    /// results in the shares' order.
    fn each<M: Module + Sync, S: Send, T: Send>(
        &self,
        module: &M,
        device: &Device,
        shares: Vec<S>,
        work: impl Fn(S, M) -> T + Sync,
    ) -> Vec<T> {
        if self.pools.is_empty() {
            return shares.into_iter().map(|share| work(share, module.clone())).collect();
        }
        std::thread::scope(|scope| {
            let work = &work;
            let mut threads = Vec::with_capacity(shares.len());
            for (share, pool) in shares.into_iter().zip(&self.pools) {
                // Graphs that share a leaf are one graph, and its first backward pass would consume them all.
                let forked = module.clone().fork(device);
                threads.push(scope.spawn(move || pool.install(|| work(share, forked))));
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
        type Drawn = Vec<f32>;

        fn peak_rate(&self) -> f64 {
            1.0
        }

        fn batch(&self) -> usize {
            self.batch
        }

        fn frames(&self) -> usize {
            self.batch
        }

        fn draw(&self, draw: &mut Draw) -> Vec<f32> {
            // Small enough for a gradient that is not clipped.
            (0..draw.count).map(|_| draw.rng.random_range(-0.3..0.3)).collect()
        }

        fn loss(&self, line: &Linear, numbers: Vec<f32>) -> Loss {
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
                let turn = Turn { seed: 7, progress: 0.5 };
                let (readings, gradients) = shards.gradients(&line, &objective, turn, None);
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
                let objective = Line { batch, drawn: Mutex::default() };
                let ahead = Some(shards.draw(&objective, turn));
                let (_, gradients) = shards.gradients(&line, &objective, Turn { seed: 8, ..turn }, ahead);
                assert_eq!(gradient(&gradients), found, "what was drawn ahead is what is learned from");
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
