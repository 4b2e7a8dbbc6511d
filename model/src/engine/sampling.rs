use pulp::Arch;
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;

use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, SPATIAL_TOKENS};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::grid_index;

/// Draws a frame's codes from its logits. `draw` names the randomness: the same for the same lane, seed and step,
/// whatever the neighbours do. Temperature 0 takes the likeliest level.
///
/// # Shapes
/// - logits: `[SPATIAL_TOKENS, TOKEN_LOGITS]`
/// - out: `FRAME_CODE_BYTES`
pub fn sample_codes(logits: &[f32], temperature: f32, draw: u64, out: &mut [u8]) {
    let mut rng = Rng::seed_from_u64(draw);
    for token in 0..SPATIAL_TOKENS {
        for part in 0..CODES_PER_TOKEN {
            for dim in 0..CODE_VALUES {
                out[grid_index(token, part) * CODE_VALUES + dim] =
                    sample_level(&logits[softmax(token, part, dim)], temperature, &mut rng);
            }
        }
    }
}

/// Mean entropy of a frame's softmaxes, in nats: 0 where the model is sure, ln 8 and ln 5 where it knows nothing.
///
/// # Shapes
/// - logits: `[SPATIAL_TOKENS, TOKEN_LOGITS]`
pub fn entropy(logits: &[f32]) -> f32 {
    let ends: [usize; CODES_PER_TOKEN * CODE_VALUES] =
        std::array::from_fn(|i| i / CODE_VALUES * CODE_LOGITS + LOGIT_OFFSETS[i % CODE_VALUES + 1]);
    let (arch, mut sum) = (Arch::new(), 0.0);
    for token in logits.chunks_exact(TOKEN_LOGITS) {
        super::cpu::add_entropies(arch, token, &ends, &mut sum);
    }
    sum / (SPATIAL_TOKENS * ends.len()) as f32
}

/// Where the logits of one level lie.
pub(super) fn softmax(token: usize, part: usize, dim: usize) -> std::ops::Range<usize> {
    let first = token * TOKEN_LOGITS + part * CODE_LOGITS;
    first + LOGIT_OFFSETS[dim]..first + LOGIT_OFFSETS[dim + 1]
}

/// Log-likelihood of `level` under the softmax of `logits`.
pub(super) fn log_likelihood(logits: &[f32], level: usize) -> f32 {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    logits[level] - max - sum.ln()
}

pub(super) fn sample_level(logits: &[f32], temperature: f32, rng: &mut Rng) -> u8 {
    let mut best = 0;
    for (level, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = level;
        }
    }
    if temperature <= 0.0 {
        return best as u8;
    }
    let weight = |logit: &f32| ((logit - logits[best]) / temperature).exp();
    let mut left = rng.random_range(0.0..1.0) * logits.iter().map(weight).sum::<f32>();
    for (level, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left <= 0.0 {
            return level as u8;
        }
    }
    best as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        let mut rng = Rng::seed_from_u64(0);
        assert_eq!(sample_level(&[0.0, 3.0, 1.0], 0.0, &mut rng), 1);
    }

    #[test]
    fn samples_follow_the_logits() {
        let mut rng = Rng::seed_from_u64(0);
        let ones = (0..1000).filter(|_| sample_level(&[0.0, 1.0], 1.0, &mut rng) == 1).count();
        assert!((680..780).contains(&ones), "{ones} of 1000, expected 731");
    }

    #[test]
    fn likelihoods_of_all_levels_sum_to_one() {
        let logits = [0.5, -3.0, 100.0, 99.0];
        let sum: f32 = (0..4).map(|level| log_likelihood(&logits, level).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!((log_likelihood(&logits, 2) - log_likelihood(&logits, 3) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn entropy_goes_from_certainty_to_ignorance() {
        let mut logits = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
        let ignorance = (8f32.ln() + 3.0 * 5f32.ln()) / 4.0;
        assert!((entropy(&logits) - ignorance).abs() < 1e-5);
        for token in 0..SPATIAL_TOKENS {
            for (part, dim) in
                (0..CODES_PER_TOKEN).flat_map(|part| (0..CODE_VALUES).map(move |dim| (part, dim)))
            {
                logits[softmax(token, part, dim).start] = 40.0;
            }
        }
        assert!(entropy(&logits).abs() < 1e-5, "{}", entropy(&logits));
    }

    /// Only differences count, however large the logits are: 90 beside 88 is as unsure as 2 beside 0.
    #[test]
    fn entropy_is_that_of_the_softmax_at_any_height() {
        let at = |height: f32| {
            let mut logits = vec![height - 60.0; SPATIAL_TOKENS * TOKEN_LOGITS];
            for token in 0..SPATIAL_TOKENS {
                for (part, dim) in
                    (0..CODES_PER_TOKEN).flat_map(|part| (0..CODE_VALUES).map(move |dim| (part, dim)))
                {
                    let first = softmax(token, part, dim).start;
                    (logits[first], logits[first + 1]) = (height, height - 2.0);
                }
            }
            entropy(&logits)
        };
        let p = 1.0 / (1.0 + (-2f32).exp());
        let expected = -(p * p.ln() + (1.0 - p) * (1.0 - p).ln());
        for height in [0.0, 90.0, -90.0] {
            assert!((at(height) - expected).abs() < 1e-4, "{height}: {}, expected {expected}", at(height));
        }
    }
}
