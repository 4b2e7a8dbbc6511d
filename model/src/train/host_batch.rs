//! A batch as the host puts it together: plain arrays that become tensors in one go.

use burn::tensor::{Device, Tensor, TensorData};

use super::coded_rows::{CodeTargets, HostRows, NO_CODE, Targets};
use super::dynamics_batch::DrawnFrames;
use super::frame_facts::{Column, FrameFacts};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::dynamics::{FrameInput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};

/// Softmaxes of one token.
pub const TOKEN_SOFTMAXES: usize = CODES_PER_TOKEN * CODE_VALUES;

/// [`FrameInput`] as arrays.
pub struct HostInput {
    codes: Vec<f32>,
    actions: Vec<f32>,
    frames: usize,
}

impl HostInput {
    pub fn new(rows: &HostRows, frames: &DrawnFrames) -> Self {
        let count = frames.len();
        let values = SPATIAL_TOKENS * TOKEN_LOGITS;
        let mut codes = vec![0.0; count * values];
        let seen = frames.seen.chunks_exact(FRAME_CODE_BYTES);
        for (seen, out) in seen.zip(codes.chunks_exact_mut(values)) {
            if seen[0] != NO_CODE {
                one_hot_tokens(seen, out);
            }
        }
        let mut actions = Vec::new();
        for (row, level) in frames.rows.iter().zip(&frames.levels) {
            actions.extend_from_slice(rows.actions.row(*row as usize));
            actions.extend((0..NOISE_LEVELS).map(|i| f32::from(i == usize::from(*level))));
        }
        Self { codes, actions, frames: count }
    }

    pub fn tensors(self, device: &Device) -> FrameInput {
        let width = self.actions.len() / self.frames;
        debug_assert!(width > NOISE_LEVELS);
        FrameInput {
            codes: tensor(self.codes, [self.frames * SPATIAL_TOKENS, TOKEN_LOGITS], device),
            actions: tensor(self.actions, [self.frames, width], device),
        }
    }
}

/// [`Targets`] as arrays.
pub struct HostTargets {
    next_weighted: Vec<f32>,
    softmax_weights: Vec<f32>,
    facts: FrameFacts<Column>,
}

impl HostTargets {
    pub fn new(rows: &HostRows, gathered: &[u32]) -> Self {
        let mut next_weighted = vec![0.0; gathered.len() * SPATIAL_TOKENS * TOKEN_LOGITS];
        let mut softmax_weights = Vec::with_capacity(gathered.len() * FRAME_CODES * CODE_VALUES);
        let tokens = next_weighted.chunks_exact_mut(SPATIAL_TOKENS * TOKEN_LOGITS);
        for (row, out) in gathered.iter().zip(tokens) {
            let weights = rows.code_weights.row(*row as usize);
            let next = (*row as usize + 1) * FRAME_CODE_BYTES;
            for token in 0..SPATIAL_TOKENS {
                for part in 0..CODES_PER_TOKEN {
                    let patch = grid_index(token, part);
                    let weight = weights[patch];
                    softmax_weights.extend([weight; CODE_VALUES]);
                    if weight > 0.0 {
                        let code = &rows.codes[next + patch * CODE_VALUES..][..CODE_VALUES];
                        let first = token * TOKEN_LOGITS + part * CODE_LOGITS;
                        for (dim, level) in code.iter().enumerate() {
                            out[first + LOGIT_OFFSETS[dim] + usize::from(*level)] = weight;
                        }
                    }
                }
            }
        }
        Self { next_weighted, softmax_weights, facts: rows.facts.map(|column| column.gather(gathered)) }
    }

    pub fn tensors(self, device: &Device) -> Targets {
        let tokens = self.next_weighted.len() / TOKEN_LOGITS;
        Targets {
            codes: CodeTargets {
                next_weighted: tensor(self.next_weighted, [tokens, TOKEN_LOGITS], device),
                weights: tensor(self.softmax_weights, [tokens, TOKEN_SOFTMAXES], device),
            },
            facts: self.facts.map(|column| column.clone().tensor(device)),
        }
    }
}

fn tensor(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
