//! Stepping the model on plain arrays: what evaluation and the neural environment share.

use burn::tensor::{Tensor, TensorData};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;

use crate::cache::Cache;
use crate::codec::plain;
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::dynamics::{Dynamics, FrameInput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};
use crate::reward::{self, REWARD_BINS};

/// Corruption level that the model is told of for frames that it made itself: they carry small faults.
pub const DREAMT_LEVEL: usize = 1;

/// What one step said, on plain values.
#[derive(Default)]
pub struct Prediction {
    /// `lanes × SPATIAL_TOKENS × TOKEN_LOGITS`.
    pub code_logits: Vec<f32>,
    /// Expected reward of each lane.
    pub rewards: Vec<f32>,
    /// Probability of termination in each lane.
    pub terminated: Vec<f32>,
}

impl Prediction {
    /// What is said of lanes that were not stepped: nothing.
    pub fn zeros(lanes: usize) -> Self {
        let code_logits = vec![0.0; lanes * SPATIAL_TOKENS * TOKEN_LOGITS];
        Self { code_logits, rewards: vec![0.0; lanes], terminated: vec![0.0; lanes] }
    }

    /// Adds the lanes of `other` behind these.
    pub fn append(&mut self, mut other: Self) {
        self.code_logits.append(&mut other.code_logits);
        self.rewards.append(&mut other.rewards);
        self.terminated.append(&mut other.terminated);
    }

    /// The code logits of one lane.
    pub fn lane_logits(&self, lane: usize) -> &[f32] {
        let len = SPATIAL_TOKENS * TOKEN_LOGITS;
        &self.code_logits[lane * len..(lane + 1) * len]
    }
}

/// Appends one frame to each lane of `cache` where `mask` is true.
///
/// `codes` holds `lanes × FRAME_CODE_BYTES` level indices, `actions` the coded actions, `levels` the corruption level of
/// each lane's frame.
pub fn step(
    dynamics: &Dynamics,
    codes: &[u8],
    (actions, levels): (&[f32], &[usize]),
    mask: &[bool],
    cache: &mut Cache,
) -> Prediction {
    let lanes = mask.len();
    let device = dynamics.device();
    let mut one_hot = vec![0.0; lanes * SPATIAL_TOKENS * TOKEN_LOGITS];
    for (codes, out) in
        codes.chunks_exact(FRAME_CODE_BYTES).zip(one_hot.chunks_exact_mut(SPATIAL_TOKENS * TOKEN_LOGITS))
    {
        one_hot_tokens(codes, out);
    }
    let values = actions.len() / lanes;
    let mut rows = Vec::with_capacity(lanes * (values + NOISE_LEVELS));
    for (lane, level) in levels.iter().enumerate() {
        rows.extend_from_slice(&actions[lane * values..(lane + 1) * values]);
        rows.extend((0..NOISE_LEVELS).map(|i| if i == *level { 1.0 } else { 0.0 }));
    }
    let tensor =
        |values: Vec<f32>, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), &device);
    let input = FrameInput {
        codes: tensor(one_hot, [lanes * SPATIAL_TOKENS, TOKEN_LOGITS]),
        actions: tensor(rows, [lanes, values + NOISE_LEVELS]),
    };
    let output = dynamics.step(input, mask, cache);
    Prediction {
        code_logits: plain(output.codes),
        rewards: plain(output.reward).chunks_exact(REWARD_BINS).map(reward::expected).collect(),
        terminated: plain(output.terminated).into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
    }
}

/// Draws a frame's codes from its logits. `draw` names the randomness: the same for the same lane, seed and step,
/// whatever the neighbours do. Temperature 0 takes the likeliest level.
pub fn sample_codes(logits: &[f32], temperature: f32, draw: u64, out: &mut [u8]) {
    let mut rng = Rng::seed_from_u64(draw);
    for token in 0..SPATIAL_TOKENS {
        for part in 0..CODES_PER_TOKEN {
            let first = token * TOKEN_LOGITS + part * CODE_LOGITS;
            for dim in 0..CODE_VALUES {
                let logits = &logits[first + LOGIT_OFFSETS[dim]..first + LOGIT_OFFSETS[dim + 1]];
                out[grid_index(token, part) * CODE_VALUES + dim] =
                    sample_level(logits, temperature, &mut rng);
            }
        }
    }
}

fn sample_level(logits: &[f32], temperature: f32, rng: &mut Rng) -> u8 {
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
}
