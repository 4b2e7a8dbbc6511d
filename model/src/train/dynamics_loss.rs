use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::coded_rows::{CodeTargets, Targets};
use super::host_batch::TOKEN_SOFTMAXES;
use super::loss::{LOGIT_MAX, Loss, binary_cross_entropy};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN};
use crate::dynamics::{FrameOutput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};

/// Weights of the heads beside the codes.
const REWARD: f32 = 0.2;
const TERMINATED: f32 = 0.2;
const OBJECTS: f32 = 0.3;
/// Added to a sum of weights to divide by: a batch may hold nothing that has such a target.
const NOTHING: f32 = 1e-6;

/// Cross-entropy of codes and reward, binary cross-entropy of termination, squared error of objects: a weighted sum of
/// weighted means.
pub fn loss(output: FrameOutput, targets: Targets) -> Loss {
    let Targets { codes: code_targets, facts } = targets;
    let reward =
        (log_softmax(output.reward, 1) * facts.rewards).sum().neg() / (facts.reward_weights.sum() + NOTHING);
    let weights = facts.terminated_weights * facts.real;
    let surprise = binary_cross_entropy(output.terminated, facts.terminated);
    let terminated = (surprise * weights.clone()).sum() / (weights.sum() + NOTHING);
    let error = output.objects - facts.objects;
    let weights = facts.object_weights;
    let objects = (error.clone() * error * weights.clone()).sum() / (weights.sum() + NOTHING);
    Loss::of("codes", 1.0, codes(output.codes, code_targets))
        .and("reward", REWARD, reward)
        .and("terminated", TERMINATED, terminated)
        .and("objects", OBJECTS, objects)
}

/// Mean over all softmaxes of `log Σ exp(logit) − logit[target]`, by weight. One product sums the exponentials of each
/// softmax, whatever its number of levels.
pub fn codes(logits: Tensor<2>, targets: CodeTargets) -> Tensor<1> {
    let CodeTargets { next_weighted, weights } = targets;
    let groups = softmax_groups(&logits.device());
    let logits = logits.clamp(-LOGIT_MAX, LOGIT_MAX);
    let partition = logits.clone().exp().matmul(groups).log();
    ((partition * weights.clone()).sum() - (logits * next_weighted).sum()) / (weights.sum() + NOTHING)
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
