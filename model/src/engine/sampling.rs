use pulp::Arch;

use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, SPATIAL_TOKENS};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::grid_index;

/// Draws a frame's codes from its logits. `draw` names the randomness: the same for the same lane, seed and step,
/// whatever the neighbours do. Temperature 0 takes the likeliest level. Every engine, and the network in PyTorch, draw the
/// same levels.
///
/// # Shapes
/// - logits: `[SPATIAL_TOKENS, TOKEN_LOGITS]`
/// - out: `FRAME_CODE_BYTES`
pub fn sample_codes(logits: &[f32], temperature: f32, draw: u64, out: &mut [u8]) {
    for token in 0..SPATIAL_TOKENS {
        for part in 0..CODES_PER_TOKEN {
            for dim in 0..CODE_VALUES {
                out[grid_index(token, part) * CODE_VALUES + dim] = sample_level(
                    &logits[softmax(token, part, dim)],
                    temperature,
                    uniform(draw, token, part, dim),
                );
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

/// A number in `[0, 1)` for one level of the frame named by `draw`: SplitMix64 (Steele, Lea and Flood 2014,
/// <https://doi.org/10.1145/2714064.2660195>) of the draw and of the level's place, so that every level can be drawn by itself.
pub fn uniform(draw: u64, token: usize, part: usize, dim: usize) -> f32 {
    let place = (token * CODES_PER_TOKEN + part) * CODE_VALUES + dim + 1;
    let mut z = draw.wrapping_add((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 * 2_f32.powi(-24)
}

/// The level that `uniform`, in `[0, 1)`, falls on; the likeliest at temperature 0.
pub(super) fn sample_level(logits: &[f32], temperature: f32, uniform: f32) -> u8 {
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
    let mut left = uniform * logits.iter().map(weight).sum::<f32>();
    for (level, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
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
        assert_eq!(sample_level(&[0.0, 3.0, 1.0], 0.0, 0.999), 1);
    }

    #[test]
    fn samples_follow_the_logits() {
        let ones =
            (0..1000).filter(|draw| sample_level(&[0.0, 1.0], 1.0, uniform(*draw, 3, 2, 1)) == 1).count();
        assert!((680..780).contains(&ones), "{ones} of 1000, expected 731");
    }

    /// Of SplitMix64's own reference program with seed 1234567.
    #[test]
    fn numbers_are_splitmix64s() {
        let expected = [6457827717110365317_u64, 3203168211198807973, 9817491932198370423];
        for (dim, bits) in expected.into_iter().enumerate() {
            assert_eq!(uniform(1_234_567, 0, 0, dim), (bits >> 40) as f32 / 16_777_216.0);
        }
    }

    #[test]
    fn numbers_of_all_places_and_of_draws_in_a_row_are_uniform_and_differ() {
        let places = || (0..SPATIAL_TOKENS).flat_map(|t| (0..16).map(move |i| (t, i / 4, i % 4)));
        let all: Vec<f32> =
            (0..64).flat_map(|draw| places().map(move |(t, p, d)| uniform(draw, t, p, d))).collect();
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        let variance = all.iter().map(|u| (u - mean).powi(2)).sum::<f32>() / all.len() as f32;
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003, "{mean} {variance}");
        assert!(all.iter().all(|u| (0.0..1.0).contains(u)));
        let mut sorted = all.clone();
        sorted.sort_by(f32::total_cmp);
        sorted.dedup();
        assert!(sorted.len() > all.len() - 30, "{} of {} differ", sorted.len(), all.len());
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
