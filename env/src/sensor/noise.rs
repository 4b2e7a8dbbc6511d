use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::Rng;

/// Normal noise on a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Standard deviation in the reading's own unit; 0 by default.
    pub std: f32,
}

impl Noise {
    /// Adds a draw to every value.
    pub fn add(&self, values: &mut [f32], rng: &mut Rng) {
        if self.std == 0.0 {
            return;
        }
        for value in values {
            *value += self.std * normal(rng);
        }
    }
}

/// A draw of the standard normal distribution, after Box and Muller (1958).
fn normal(rng: &mut Rng) -> f32 {
    let radius = (-2.0 * rng.random_range(f32::MIN_POSITIVE..1.0).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random_range(0.0..1.0_f32)).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn noise_has_the_deviation_that_was_asked_for() {
        let mut values = vec![3.0; 20_000];
        Noise { std: 0.2 }.add(&mut values, &mut Rng::seed_from_u64(1));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        assert!((mean - 3.0).abs() < 0.01 && (variance.sqrt() - 0.2).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn no_noise_draws_nothing() {
        let (mut rng, mut values) = (Rng::seed_from_u64(1), [1.0]);
        Noise::default().add(&mut values, &mut rng);
        assert_eq!((values, rng), ([1.0], Rng::seed_from_u64(1)));
    }
}
