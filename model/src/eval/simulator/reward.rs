use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Last steps ahead of the bands that errors are averaged over; a band begins where the one before ends.
const BANDS: [usize; 5] = [1, 8, 16, 64, 256];

/// Errors of foretold rewards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RewardErrors {
    /// Mean absolute error one step ahead of the true frames.
    pub one_step_mae: f64,
    /// That of always saying the median reward of the training clips, the best that a constant can do there: to be beaten.
    pub constant_mae: f64,
    /// Mean absolute error within dreams, by band of steps ahead; null where no clip is as long.
    pub dreamt_mae: BTreeMap<usize, Option<f64>>,
    /// Mean absolute error of the sum of rewards over the dreamt part of a clip.
    pub dreamt_return_mae: Option<f64>,
    /// Correlation of the dreamt and the true mean reward of a step over clips (sums would tell long clips from short
    /// ones); null for fewer than three, or where all are the same.
    pub dreamt_reward_correlation: Option<f64>,
}

/// Sums over clips.
#[derive(Default)]
pub struct Rewards {
    /// What always the same guess would be.
    constant: f64,
    one_step: Vec<f64>,
    truth: Vec<f64>,
    bands: [(f64, usize); BANDS.len()],
    /// Dreamt and true sums, and over how many steps.
    returns: Vec<([f64; 2], usize)>,
}

impl Rewards {
    /// Nothing added yet; `known` are the rewards of the clips that were learned from.
    pub fn new(known: impl Iterator<Item = f32>) -> Self {
        let mut known: Vec<f32> = known.collect();
        known.sort_by(f32::total_cmp);
        let constant = known.get(known.len() / 2).copied().unwrap_or(0.0);
        Self { constant: f64::from(constant), ..Self::default() }
    }

    /// Adds one reward foretold from true frames.
    pub fn add(&mut self, foretold: f32, truth: f32) {
        self.one_step.push(f64::from((foretold - truth).abs()));
        self.truth.push(f64::from(truth));
    }

    /// Adds the rewards of one dream, as far as there are true ones.
    pub fn add_dream(&mut self, dreamt: &[f32], truth: &[f32]) {
        let (mut sum, mut true_sum) = (0.0, 0.0);
        for (i, (dreamt, truth)) in dreamt.iter().zip(truth).enumerate() {
            sum += f64::from(*dreamt);
            true_sum += f64::from(*truth);
            if let Some(band) = BANDS.iter().position(|last| i < *last) {
                self.bands[band].0 += f64::from((dreamt - truth).abs());
                self.bands[band].1 += 1;
            }
        }
        self.returns.push(([sum, true_sum], dreamt.len().min(truth.len())));
    }

    /// All errors.
    pub fn report(&self) -> RewardErrors {
        let mean = |values: &mut dyn Iterator<Item = f64>, count: usize| {
            (count > 0).then(|| values.sum::<f64>() / count as f64)
        };
        let off = &mut self.truth.iter().map(|reward| (reward - self.constant).abs());
        let returns = &mut self.returns.iter().map(|([a, b], _)| (a - b).abs());
        let a_step = self.returns.iter().filter(|(_, steps)| *steps > 0);
        let a_step: Vec<_> = a_step.map(|(sums, steps)| sums.map(|sum| sum / *steps as f64)).collect();
        let band = |(last, (sum, count)): (&usize, &(f64, usize))| {
            (*last, (*count > 0).then(|| sum / *count as f64))
        };
        RewardErrors {
            one_step_mae: mean(&mut self.one_step.iter().copied(), self.one_step.len()).unwrap_or(0.0),
            constant_mae: mean(off, self.truth.len()).unwrap_or(0.0),
            dreamt_mae: BANDS.iter().zip(&self.bands).map(band).collect(),
            dreamt_return_mae: mean(returns, self.returns.len()),
            dreamt_reward_correlation: correlation(&a_step),
        }
    }
}

/// Pearson's correlation of pairs.
fn correlation(pairs: &[[f64; 2]]) -> Option<f64> {
    let count = pairs.len() as f64;
    let mean = [0, 1].map(|i| pairs.iter().map(|pair| pair[i]).sum::<f64>() / count);
    let moment =
        |i: usize, j: usize| pairs.iter().map(|pair| (pair[i] - mean[i]) * (pair[j] - mean[j])).sum::<f64>();
    let spread = (moment(0, 0) * moment(1, 1)).sqrt();
    (pairs.len() >= 3 && spread > 1e-12).then(|| moment(0, 1) / spread)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_means_of_absolute_differences() {
        let mut rewards = Rewards::new([1.0, 0.0, 0.0].into_iter());
        [(0.5, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)].iter().for_each(|(a, b)| rewards.add(*a, *b));
        rewards.add_dream(&[1.0, 0.0, 0.0, 9.0], &[0.0, 0.0, 1.0]);
        rewards.add_dream(&[2.0, 2.0], &[2.0, 2.0]);
        rewards.add_dream(&[3.0], &[2.5]);
        let report = rewards.report();
        assert_eq!((report.one_step_mae, report.constant_mae), (0.375, 0.5));
        assert_eq!(report.dreamt_mae[&1], Some(0.5), "1, 0 and 0.5 off in the first step");
        assert_eq!((report.dreamt_mae[&8], report.dreamt_mae[&16]), (Some(1.0 / 3.0), None));
        assert!((report.dreamt_return_mae.unwrap() - (0.0 + 0.0 + 0.5) / 3.0).abs() < 1e-9);
        // Sums of 1 and 1 over three steps, 4 and 4 over two, 3 and 2.5 over one.
        let by_hand = [[1.0 / 3.0, 1.0 / 3.0], [2.0, 2.0], [3.0, 2.5]];
        assert_eq!(report.dreamt_reward_correlation, correlation(&by_hand));
        assert_eq!(correlation(&[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), Some(1.0));
    }
}
