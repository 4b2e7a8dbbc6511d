use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use worldstep_env::Rng;

/// Draws places by their weights.
pub struct Sampler(Option<WeightedIndex<f64>>);

impl Sampler {
    /// A single place is drawn without randomness: training on one task is the same whatever there could be beside it.
    pub fn new(weights: &[f64]) -> Self {
        Self(if weights.len() > 1 { WeightedIndex::new(weights).ok() } else { None })
    }

    /// The place drawn.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        self.0.as_ref().map_or(0, |weights| weights.sample(rng))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn places_are_drawn_as_often_as_they_weigh() {
        let sampler = Sampler::new(&[1.0, 0.0, 3.0]);
        let mut rng = Rng::seed_from_u64(1);
        let mut counts = [0; 3];
        (0..4000).for_each(|_| counts[sampler.draw(&mut rng)] += 1);
        assert_eq!(counts[1], 0);
        // Three standard deviations of 4,000 draws are 82.
        assert!((918..=1082).contains(&counts[0]), "{counts:?}");
    }
}
