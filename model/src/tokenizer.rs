use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::block::Block;
use crate::config::{FRAME_BYTES, FRAME_CODES, FRAME_SIDE, GRID_SIDE, ModelConfig, PATCH_SIDE, PATCH_VALUES};
use crate::fsq::{self, CODE_VALUES};
use crate::norm::rms_norm;
use crate::precision::linear;

/// Frame ↔ 8 × 8 codes: patches → encoder → FSQ → decoder → patches.
#[derive(Module, Debug)]
pub struct Tokenizer {
    embed_patch: Linear,
    encoder_position: Param<Tensor<2>>,
    encoder: Vec<Block>,
    to_code: Linear,
    embed_code: Linear,
    decoder_position: Param<Tensor<2>>,
    decoder: Vec<Block>,
    to_patch: Linear,
}

impl Tokenizer {
    /// Fresh weights.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let (encoder, decoder) = (&config.encoder, &config.decoder);
        let position = |width| Initializer::Normal { mean: 0.0, std: 0.3 }.init([FRAME_CODES, width], device);
        Self {
            embed_patch: LinearConfig::new(PATCH_VALUES, encoder.width).init(device),
            encoder_position: position(encoder.width),
            encoder: (0..encoder.layers).map(|_| Block::new(encoder, false, None, device)).collect(),
            to_code: LinearConfig::new(encoder.width, CODE_VALUES).init(device),
            embed_code: LinearConfig::new(CODE_VALUES, decoder.width).init(device),
            decoder_position: position(decoder.width),
            decoder: (0..decoder.layers).map(|_| Block::new(decoder, true, None, device)).collect(),
            to_patch: LinearConfig::new(decoder.width, PATCH_VALUES).init(device),
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.decoder_position.device()
    }

    /// # Shapes
    /// - patches: `[frames * 64, 192]` in ±1, as [`patches`] gives them
    /// - output: `[frames * 64, 4]`, quantised values in ±1
    pub fn encode(&self, patches: Tensor<2>) -> Tensor<2> {
        let x = add_position(linear(&self.embed_patch, patches), &self.encoder_position);
        let x = self.encoder.iter().fold(x, |x, block| block.forward(x, FRAME_CODES));
        fsq::quantize(linear(&self.to_code, rms_norm(x)))
    }

    /// # Shapes
    /// - codes: `[frames * 64, 4]`, values in ±1
    /// - output: `[frames * 64, 192]`, pixels in ±1 (and a little beyond)
    pub fn decode(&self, codes: Tensor<2>) -> Tensor<2> {
        let x = add_position(linear(&self.embed_code, codes), &self.decoder_position);
        let x = self.decoder.iter().fold(x, |x, block| block.forward(x, FRAME_CODES));
        linear(&self.to_patch, rms_norm(x))
    }
}

fn add_position(x: Tensor<2>, position: &Param<Tensor<2>>) -> Tensor<2> {
    let [rows, width] = x.dims();
    let x = x.reshape([rows / FRAME_CODES, FRAME_CODES, width]) + position.val().unsqueeze();
    x.reshape([rows, width])
}

/// Frames, HWC `uint8`, as rows of patches in ±1.
pub fn patches(frames: &[u8], device: &Device) -> Tensor<2> {
    let count = frames.len() / FRAME_BYTES;
    let mut values = vec![0.0; frames.len()];
    for (frame, out) in frames.chunks_exact(FRAME_BYTES).zip(values.chunks_exact_mut(FRAME_BYTES)) {
        for_each_run(|pixel, patch| {
            for (to, from) in
                out[patch..patch + PATCH_SIDE * 3].iter_mut().zip(&frame[pixel..pixel + PATCH_SIDE * 3])
            {
                *to = f32::from(*from) / 127.5 - 1.0;
            }
        });
    }
    Tensor::from_data(TensorData::new(values, [count * FRAME_CODES, PATCH_VALUES]), device)
}

/// The inverse of [`patches`] on plain values, rounded and clamped to `uint8`.
pub fn frames(patches: &[f32]) -> Vec<u8> {
    let mut frames = vec![0; patches.len()];
    for (patches, out) in patches.chunks_exact(FRAME_BYTES).zip(frames.chunks_exact_mut(FRAME_BYTES)) {
        for_each_run(|pixel, patch| {
            for (to, from) in
                out[pixel..pixel + PATCH_SIDE * 3].iter_mut().zip(&patches[patch..patch + PATCH_SIDE * 3])
            {
                *to = ((from + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
            }
        });
    }
    frames
}

/// Calls `copy(pixel, patch)` with the first byte of each run of pixels that is contiguous in both layouts.
fn for_each_run(mut copy: impl FnMut(usize, usize)) {
    for patch in 0..FRAME_CODES {
        for row in 0..PATCH_SIDE {
            let y = patch / GRID_SIDE * PATCH_SIDE + row;
            let x = patch % GRID_SIDE * PATCH_SIDE;
            copy((y * FRAME_SIDE + x) * 3, patch * PATCH_VALUES + row * PATCH_SIDE * 3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::plain;

    #[test]
    fn patches_and_frames_are_inverse() {
        let frame: Vec<u8> = (0..2 * FRAME_BYTES).map(|i| (i * 7 % 251) as u8).collect();
        let rows = plain(patches(&frame, &Device::flex()));
        assert_eq!(frames(&rows), frame);
    }

    #[test]
    fn a_patch_keeps_its_code_when_others_change() {
        let device = Device::flex();
        let tokenizer = Tokenizer::new(&ModelConfig::new(crate::config::Preset::Nano, 3, 1), &device);
        let mut frame = vec![40; FRAME_BYTES];
        let code = |frame: &[u8]| plain(tokenizer.encode(patches(frame, &device)));
        let before = code(&frame);
        frame[..24].fill(250);
        let after = code(&frame);
        assert_eq!(before[CODE_VALUES..], after[CODE_VALUES..]);
    }
}
