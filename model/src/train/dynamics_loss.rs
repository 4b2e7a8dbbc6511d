use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::dynamics_batch::Windows;
use super::loss::{LOGIT_MAX, Loss, binary_cross_entropy};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::dynamics::{FrameInput, FrameOutput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::reward::REWARD_BINS;

/// Weights of the heads beside the codes.
const REWARD: f32 = 0.2;
const TERMINATED: f32 = 0.2;
const OBJECTS: f32 = 0.3;
/// Added to a sum of weights to divide by: a batch may hold nothing that has such a target.
const NOTHING: f32 = 1e-6;
/// Softmaxes of one token.
const TOKEN_SOFTMAXES: usize = CODES_PER_TOKEN * CODE_VALUES;

/// The network's input for a batch of windows.
pub fn input(windows: &mut Windows, device: &Device) -> FrameInput {
    let actions = windows.actions.len() / windows.frames;
    debug_assert!(actions > NOISE_LEVELS);
    FrameInput {
        codes: take(&mut windows.codes, [windows.frames * SPATIAL_TOKENS, TOKEN_LOGITS], device),
        actions: take(&mut windows.actions, [windows.frames, actions], device),
    }
}

/// Cross-entropy of codes and reward, binary cross-entropy of termination, squared error of objects: a weighted sum of
/// weighted means.
pub fn loss(output: FrameOutput, mut windows: Windows, device: &Device) -> Loss {
    let frames = windows.frames;
    let real = take(&mut windows.real, [frames, 1], device);
    let reward_weights = take(&mut windows.reward_weights, [frames, 1], device);
    let rewards = take(&mut windows.rewards, [frames, REWARD_BINS], device);
    let reward = (log_softmax(output.reward, 1) * rewards).sum().neg() / (reward_weights.sum() + NOTHING);
    let weights = take(&mut windows.terminated_weights, [frames, 1], device) * real.clone();
    let terminated = take(&mut windows.terminated, [frames, 1], device);
    let surprise = binary_cross_entropy(output.terminated, terminated);
    let terminated = (surprise * weights.clone()).sum() / (weights.sum() + NOTHING);
    let values = output.objects.dims()[1];
    let objects = take(&mut windows.objects, [frames, values], device);
    let weights = take(&mut windows.object_weights, [frames, values], device);
    let error = output.objects - objects;
    let objects = (error.clone() * error * weights.clone()).sum() / (weights.sum() + NOTHING);
    let next = CodeTargets::of(&mut windows);
    Loss::of("codes", 1.0, codes(output.codes, next, device))
        .and("reward", REWARD, reward)
        .and("terminated", TERMINATED, terminated)
        .and("objects", OBJECTS, objects)
}

/// The codes to be told and what each counts.
pub struct CodeTargets {
    /// As [`Windows::next_weighted`].
    pub next_weighted: Vec<f32>,
    /// As [`Windows::code_weights`].
    pub weights: Vec<f32>,
}

impl CodeTargets {
    fn of(windows: &mut Windows) -> Self {
        Self {
            next_weighted: std::mem::take(&mut windows.next_weighted),
            weights: std::mem::take(&mut windows.code_weights),
        }
    }
}

/// Mean over all softmaxes of `log Σ exp(logit) − logit[target]`, by weight. One product sums the exponentials of each
/// softmax, whatever its number of levels.
pub fn codes(logits: Tensor<2>, mut targets: CodeTargets, device: &Device) -> Tensor<1> {
    let rows = logits.dims()[0];
    let weights = take(&mut targets.weights, [rows, TOKEN_SOFTMAXES], device);
    let next = take(&mut targets.next_weighted, [rows, TOKEN_LOGITS], device);
    let logits = logits.clamp(-LOGIT_MAX, LOGIT_MAX);
    let partition = logits.clone().exp().matmul(softmax_groups(device)).log();
    ((partition * weights.clone()).sum() - (logits * next).sum()) / (weights.sum() + NOTHING)
}

/// `[TOKEN_LOGITS, TOKEN_SOFTMAXES]`: 1 where a logit belongs to a softmax.
fn softmax_groups(device: &Device) -> Tensor<2> {
    let mut groups = vec![0.0; TOKEN_LOGITS * TOKEN_SOFTMAXES];
    for part in 0..CODES_PER_TOKEN {
        for dim in 0..CODE_VALUES {
            for logit in LOGIT_OFFSETS[dim]..LOGIT_OFFSETS[dim + 1] {
                groups[(part * CODE_LOGITS + logit) * TOKEN_SOFTMAXES + part * CODE_VALUES + dim] = 1.0;
            }
        }
    }
    Tensor::from_data(TensorData::new(groups, [TOKEN_LOGITS, TOKEN_SOFTMAXES]), device)
}

fn take(values: &mut Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(std::mem::take(values), shape), device)
}
