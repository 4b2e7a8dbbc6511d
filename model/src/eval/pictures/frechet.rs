//! Distance between two sets of clips by the Gaussians fitted to their features, after
//! [FVD](https://arxiv.org/abs/1812.01717): d² = |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½).

use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;

use super::feature_net::{Features, channels};

/// Frames of one sample.
pub const WINDOW: usize = 8;
/// Values of one sample.
pub const DIMENSION: usize = 8;
/// Fewest samples on either side: twice the values, or the covariances say nothing.
pub const SAMPLES_MIN: usize = 2 * DIMENSION;

/// Levels of the network that are looked at: the coarser two.
const COARSE: [usize; 2] = [1, 2];
/// Names the projection: another seed is another metric.
const SEED: u64 = 0x5eed_f4ed;

/// Turns windows of features into samples: means over time and place, mean changes from frame to frame, then a frozen
/// random projection to [`DIMENSION`] values.
pub struct WindowFeatures {
    /// `[DIMENSION, means and changes]`.
    projection: Vec<f32>,
}

impl Default for WindowFeatures {
    fn default() -> Self {
        let inputs = 2 * COARSE.map(channels).iter().sum::<usize>();
        let mut rng = Rng::seed_from_u64(SEED);
        // Unit variance, so that a sample is as long as what it is made from, on average.
        let bound = (3.0 / DIMENSION as f32).sqrt();
        Self { projection: (0..DIMENSION * inputs).map(|_| rng.random_range(-bound..bound)).collect() }
    }
}

impl WindowFeatures {
    /// The sample of [`WINDOW`] consecutive frames. `weights` is how much each place of the finest level of each frame counts;
    /// `None` if none does.
    pub fn sample(&self, frames: &[&Features], weights: &[&[f32]]) -> Option<[f64; DIMENSION]> {
        let mut pooled = Vec::new();
        for level in COARSE {
            let (width, size) = (channels(level), frames.first().map_or(0, |frame| frame.side(level)));
            let (mut means, mut changes) = (vec![0.0; width], vec![0.0; width]);
            let (mut total, mut moved) = (0.0, 0.0);
            for (t, (frame, weights)) in frames.iter().zip(weights).enumerate() {
                for place in 0..size * size {
                    let weight = weight_at(weights, place, size);
                    let here = &frame.levels[level][place * width..(place + 1) * width];
                    means.iter_mut().zip(here).for_each(|(sum, value)| *sum += weight * value);
                    total += weight;
                    if t > 0 {
                        let before = &frames[t - 1].levels[level][place * width..(place + 1) * width];
                        let pairs = changes.iter_mut().zip(here.iter().zip(before));
                        pairs.for_each(|(sum, (now, then))| *sum += weight * (now - then).abs());
                        moved += weight;
                    }
                }
            }
            if total <= 0.0 {
                return None;
            }
            pooled.extend(means.iter().map(|sum| sum / total));
            pooled.extend(changes.iter().map(|sum| sum / f32::max(moved, 1e-6)));
        }
        let rows = self.projection.chunks_exact(pooled.len());
        let mut out = [0.0; DIMENSION];
        for (out, row) in out.iter_mut().zip(rows) {
            *out = row.iter().zip(&pooled).map(|(weight, value)| f64::from(weight * value)).sum();
        }
        Some(out)
    }
}

/// The weight of a place of a coarser level: the mean over the places of the finest one that it covers.
fn weight_at(weights: &[f32], place: usize, size: usize) -> f32 {
    let fine = weights.len().isqrt();
    let step = fine / size;
    let (y, x) = (place / size * step, place % size * step);
    let covered = (0..step * step).map(|i| weights[(y + i / step) * fine + x + i % step]);
    covered.sum::<f32>() / (step * step) as f32
}

/// Squared Fréchet distance between the Gaussians fitted to two sets of samples; `None` if either has fewer than
/// [`SAMPLES_MIN`].
pub fn frechet(a: &[[f64; DIMENSION]], b: &[[f64; DIMENSION]]) -> Option<f64> {
    if a.len().min(b.len()) < SAMPLES_MIN {
        return None;
    }
    let ((mean_a, cov_a), (mean_b, cov_b)) = (gaussian(a), gaussian(b));
    let shift: f64 = mean_a.iter().zip(&mean_b).map(|(a, b)| (a - b).powi(2)).sum();
    let root = square_root(&cov_a);
    let cross = square_root(&(&root * &cov_b * &root));
    Some((shift + cov_a.trace() + cov_b.trace() - 2.0 * cross.trace()).max(0.0))
}

fn gaussian(samples: &[[f64; DIMENSION]]) -> ([f64; DIMENSION], DMatrix<f64>) {
    let count = samples.len() as f64;
    let mean: [f64; DIMENSION] =
        std::array::from_fn(|i| samples.iter().map(|sample| sample[i]).sum::<f64>() / count);
    let covariance = DMatrix::from_fn(DIMENSION, DIMENSION, |i, j| {
        samples.iter().map(|s| (s[i] - mean[i]) * (s[j] - mean[j])).sum::<f64>() / (count - 1.0)
    });
    (mean, covariance)
}

/// The root of a symmetric matrix without negative eigenvalues; those that rounding made are taken as 0.
fn square_root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let symmetric = (matrix + matrix.transpose()) * 0.5;
    let eigen = SymmetricEigen::new(symmetric);
    let roots = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
    &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn samples(count: usize, seed: u64) -> Vec<[f64; DIMENSION]> {
        let mut rng = Rng::seed_from_u64(seed);
        (0..count).map(|_| std::array::from_fn(|i| rng.random_range(-1.0..1.0) * (i + 1) as f64)).collect()
    }

    #[test]
    fn the_same_samples_are_no_distance_apart() {
        let some = samples(60, 1);
        assert!(frechet(&some, &some).unwrap() < 1e-6);
    }

    #[test]
    fn a_shift_is_its_squared_length() {
        let some = samples(60, 2);
        let shifted: Vec<_> =
            some.iter().map(|s| std::array::from_fn(|i| s[i] + [3.0, -4.0][i % 2])).collect();
        let expected = 4.0 * 9.0 + 4.0 * 16.0;
        assert!((frechet(&some, &shifted).unwrap() - expected).abs() < 1e-6);
    }

    /// For covariances that commute the trace is Σ (σ₁ − σ₂)²: samples scaled by 3 have Σ (3σ − σ)² = 4 Σ σ².
    #[test]
    fn a_scale_is_the_difference_of_the_deviations() {
        let some = samples(60, 3);
        let mean: [f64; DIMENSION] = std::array::from_fn(|i| some.iter().map(|s| s[i]).sum::<f64>() / 60.0);
        let scaled: Vec<[f64; DIMENSION]> =
            some.iter().map(|s| std::array::from_fn(|i| mean[i] + 3.0 * (s[i] - mean[i]))).collect();
        let variance: f64 =
            (0..DIMENSION).map(|i| some.iter().map(|s| (s[i] - mean[i]).powi(2)).sum::<f64>() / 59.0).sum();
        assert!((frechet(&some, &scaled).unwrap() - 4.0 * variance).abs() < 1e-6);
    }

    #[test]
    fn too_few_samples_give_no_number() {
        let (few, enough) = (samples(SAMPLES_MIN - 1, 4), samples(SAMPLES_MIN, 5));
        assert_eq!(frechet(&few, &enough), None);
        assert!(frechet(&enough, &enough).is_some());
    }
}
