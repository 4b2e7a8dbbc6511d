use std::ops::{Range, RangeInclusive};

use rand::{RngExt as _, SeedableRng as _};

use crate::Rng;

/// What a task draws its starts and goals with: a random stream, and how much of its ranges an episode may use.
#[derive(Debug)]
pub struct Draw<'a> {
    rng: &'a mut Rng,
    difficulty: f32,
}

impl<'a> Draw<'a> {
    /// Draws from `rng`; `difficulty` from 0 (the middle of every range) to 1 (all of it).
    pub fn new(rng: &'a mut Rng, difficulty: f32) -> Self {
        Self { rng, difficulty: difficulty.clamp(0.0, 1.0) }
    }

    /// A number of the part of `range` that the difficulty leaves: its middle at 0, all of it at 1.
    pub fn within(&mut self, range: Range<f32>) -> f32 {
        let middle = 0.5 * (range.start + range.end);
        let drawn = self.anywhere(range);
        // At full difficulty to the last bit what was drawn.
        if self.difficulty < 1.0 { middle + self.difficulty * (drawn - middle) } else { drawn }
    }

    /// A number of all of `range`, whatever the difficulty: for things that must not lie in one place.
    pub fn anywhere(&mut self, range: Range<f32>) -> f32 {
        self.rng.random_range(range)
    }

    /// A whole number of `range`; `0..n` chooses among `n`. The difficulty leaves it alone.
    pub fn index(&mut self, range: Range<usize>) -> usize {
        self.rng.random_range(range)
    }

    /// A count of which the difficulty allows the lower part: the least at 0, all of `range` at 1.
    pub fn count(&mut self, range: RangeInclusive<usize>) -> usize {
        let (least, drawn) = (*range.start(), self.rng.random_range(range));
        if self.difficulty < 1.0 {
            least + ((drawn - least) as f32 * self.difficulty).round() as usize
        } else {
            drawn
        }
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }
}

/// Calls `with` with the draws of a fixed seed: what a task looks like before its first episode.
pub(crate) fn with_fixed_draw<T>(with: impl FnOnce(&mut Draw<'_>) -> T) -> T {
    with(&mut Draw::new(&mut Rng::seed_from_u64(0), 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difficulty_narrows_every_range_to_its_middle() {
        let drawn = |difficulty| {
            let mut rng = Rng::seed_from_u64(5);
            let mut draw = Draw::new(&mut rng, difficulty);
            (0..200).map(|_| (draw.within(1.0..3.0), draw.count(2..=6))).collect::<Vec<_>>()
        };
        assert!(drawn(0.0).iter().all(|found| *found == (2.0, 2)));
        assert!(drawn(0.5).iter().all(|(x, n)| (1.5..2.5).contains(x) && (2..=4).contains(n)));
        assert!(drawn(1.0).iter().any(|(x, _)| *x < 1.2) && drawn(1.0).iter().any(|(_, n)| *n == 6));
    }

    #[test]
    fn at_full_difficulty_it_is_the_generator_itself() {
        let (mut rng, mut other) = (Rng::seed_from_u64(9), Rng::seed_from_u64(9));
        let mut draw = Draw::new(&mut rng, 1.0);
        for _ in 0..100 {
            assert_eq!(draw.within(-0.3..0.7), other.random_range(-0.3_f32..0.7));
        }
    }
}
