//! The corpus on the device: a batch is gathered there by the numbers of its rows.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::coded_rows::{CodeTargets, HostRows, Targets};
use super::dynamics_batch::DrawnFrames;
use super::frame_facts::FrameFacts;
use super::host_batch::TOKEN_SOFTMAXES;
use crate::config::{CODES_PER_TOKEN, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::dynamics::{FrameInput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::{FRAME_CODE_BYTES, grid_index};

/// [`HostRows`] as tensors, none of them on a graph. Of a batch only the rows' numbers travel here, and what was drawn for
/// it at random: the codes as they are to be seen, a byte each, and the level of corruption.
pub struct DeviceRows {
    device: Device,
    /// `[rows, FRAME_CODE_BYTES]`, a byte each.
    codes: Tensor<2, Int>,
    actions: Tensor<2>,
    code_weights: Tensor<2>,
    facts: FrameFacts<Tensor<2>>,
    tokens: TokenLayout,
}

/// How a frame's codes lie in its tokens, as places to select.
struct TokenLayout {
    /// `[SPATIAL_TOKENS * TOKEN_LOGITS]`: the byte of the codes that each logit is of.
    byte_of_logit: Tensor<1, Int>,
    /// `[1, SPATIAL_TOKENS * TOKEN_LOGITS]`: the level that each logit is of, a byte.
    level_of_logit: Tensor<2, Int>,
    /// `[SPATIAL_TOKENS * TOKEN_LOGITS]`: the patch that each logit is of.
    patch_of_logit: Tensor<1, Int>,
    /// `[SPATIAL_TOKENS * TOKEN_SOFTMAXES]`: the patch that each softmax is of.
    patch_of_softmax: Tensor<1, Int>,
}

impl DeviceRows {
    /// `device` is one without autodiff.
    pub fn new(rows: &HostRows, device: &Device) -> Self {
        Self {
            device: device.clone(),
            codes: bytes(&rows.codes, FRAME_CODE_BYTES, device),
            actions: rows.actions.clone().tensor(device),
            code_weights: rows.code_weights.clone().tensor(device),
            facts: rows.facts.map(|column| column.clone().tensor(device)),
            tokens: TokenLayout::new(device),
        }
    }

    /// As [`HostInput`](super::host_batch::HostInput) makes it, to the bit.
    pub fn input(&self, frames: &DrawnFrames, device: &Device) -> FrameInput {
        let rows = self.places(&frames.rows);
        let levels = bytes(&frames.levels, 1, &self.device).expand([frames.len(), NOISE_LEVELS]);
        let all: Vec<u8> = (0..NOISE_LEVELS as u8).collect();
        let all = bytes(&all, NOISE_LEVELS, &self.device).expand([frames.len(), NOISE_LEVELS]);
        let level = levels.equal(all).float();
        FrameInput {
            codes: on(device, self.tokens.one_hot(bytes(&frames.seen, FRAME_CODE_BYTES, &self.device))),
            actions: on(device, Tensor::cat(vec![self.actions.clone().select(0, rows), level], 1)),
        }
    }

    /// As [`HostTargets`](super::host_batch::HostTargets) makes them, to the bit.
    pub fn targets(&self, rows: &[u32], device: &Device) -> Targets {
        let places = self.places(rows);
        let next: Vec<u32> = self.following(rows);
        let next = self.tokens.one_hot(self.codes.clone().select(0, self.places(&next)));
        let weights = self.code_weights.clone().select(0, places.clone());
        let tokens = rows.len() * SPATIAL_TOKENS;
        let weighted = |places: &Tensor<1, Int>, width: usize| {
            weights.clone().select(1, places.clone()).reshape([tokens, width])
        };
        let TokenLayout { patch_of_logit, patch_of_softmax, .. } = &self.tokens;
        Targets {
            codes: CodeTargets {
                next_weighted: on(device, next * weighted(patch_of_logit, TOKEN_LOGITS)),
                weights: on(device, weighted(patch_of_softmax, TOKEN_SOFTMAXES)),
            },
            facts: self.facts.map(|column| on(device, column.clone().select(0, places.clone()))),
        }
    }

    /// The row after each; the last one, which weighs nothing, has itself.
    fn following(&self, rows: &[u32]) -> Vec<u32> {
        let last = self.codes.dims()[0] as u32 - 1;
        rows.iter().map(|row| (row + 1).min(last)).collect()
    }

    fn places(&self, rows: &[u32]) -> Tensor<1, Int> {
        places(rows.iter().map(|row| *row as usize), &self.device)
    }
}

impl TokenLayout {
    fn new(device: &Device) -> Self {
        let (mut byte, mut level, mut patch, mut softmax) = (vec![], vec![], vec![], vec![]);
        for (token, part) in
            (0..SPATIAL_TOKENS).flat_map(|token| (0..CODES_PER_TOKEN).map(move |p| (token, p)))
        {
            let code = grid_index(token, part);
            softmax.extend([code; CODE_VALUES]);
            for dim in 0..CODE_VALUES {
                for value in 0..LOGIT_OFFSETS[dim + 1] - LOGIT_OFFSETS[dim] {
                    byte.push(code * CODE_VALUES + dim);
                    level.push(value as u8);
                    patch.push(code);
                }
            }
        }
        Self {
            byte_of_logit: places(byte.into_iter(), device),
            level_of_logit: bytes(&level, level.len(), device),
            patch_of_logit: places(patch.into_iter(), device),
            patch_of_softmax: places(softmax.into_iter(), device),
        }
    }

    /// One-hot tokens of codes `[frames, FRAME_CODE_BYTES]`; [`NO_CODE`](super::coded_rows::NO_CODE) gives zeros.
    fn one_hot(&self, codes: Tensor<2, Int>) -> Tensor<2> {
        let frames = codes.dims()[0];
        let levels = codes.select(1, self.byte_of_logit.clone());
        let is = levels.equal(self.level_of_logit.clone().expand([frames, SPATIAL_TOKENS * TOKEN_LOGITS]));
        is.float().reshape([frames * SPATIAL_TOKENS, TOKEN_LOGITS])
    }
}

/// `[values / width, width]`, a byte each.
pub fn bytes(values: &[u8], width: usize, device: &Device) -> Tensor<2, Int> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, (device, DType::U8))
}

/// Places to select.
pub fn places(places: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i32> = places.map(|place| place as i32).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), (device, DType::I32))
}

/// As the network on `device` takes it: with autodiff where it has some.
pub fn on(device: &Device, tensor: Tensor<2>) -> Tensor<2> {
    if device.is_autodiff() { tensor.autodiff() } else { tensor }
}
