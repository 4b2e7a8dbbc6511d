//! Rewards as a distribution over bins: two-hot targets on a symmetric logarithmic scale
//! ([DreamerV3](https://arxiv.org/abs/2301.04104)).

/// Bins of the reward head, the middle one is 0.
pub const REWARD_BINS: usize = 41;
/// The outermost bins, on the symlog scale: rewards of ±19.
pub(crate) const SYMLOG_MAX: f32 = 3.0;

fn symlog(x: f32) -> f32 {
    x.signum() * x.abs().ln_1p()
}

fn symexp(x: f32) -> f32 {
    x.signum() * x.abs().exp_m1()
}

/// Writes the two-hot form of `reward` into `out`, [`REWARD_BINS`] zeros.
pub fn two_hot(reward: f32, out: &mut [f32]) {
    let place = (symlog(reward) / SYMLOG_MAX + 1.0) * 0.5 * (REWARD_BINS - 1) as f32;
    let place = place.clamp(0.0, (REWARD_BINS - 1) as f32);
    let low = (place.floor() as usize).min(REWARD_BINS - 2);
    let share = place - low as f32;
    out[low] = 1.0 - share;
    out[low + 1] = share;
}

/// The expected reward under `logits`, [`REWARD_BINS`] of them.
pub fn expected(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let (mut sum, mut mean) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let weight = (logit - max).exp();
        sum += weight;
        mean += weight * (bin as f32 / (REWARD_BINS - 1) as f32 * 2.0 - 1.0) * SYMLOG_MAX;
    }
    symexp(mean / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hot_rewards_come_back() {
        for reward in [-5.0, -1.0, -0.013, 0.0, 0.4, 1.0, 12.0] {
            let mut bins = [0.0; REWARD_BINS];
            two_hot(reward, &mut bins);
            let logits = bins.map(|share| share.max(1e-30).ln());
            assert!((expected(&logits) - reward).abs() < 1e-3 * (1.0 + f32::abs(reward)), "{reward}");
        }
    }
}
