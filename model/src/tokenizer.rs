use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::block::Block;
use crate::config::{FRAME_CODES, FrameSize, GRID_SIDE, ModelConfig};
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
            embed_patch: LinearConfig::new(config.frame.patch_values(), encoder.width).init(device),
            encoder_position: position(encoder.width),
            encoder: (0..encoder.layers).map(|_| Block::new(encoder, false, None, device)).collect(),
            to_code: LinearConfig::new(encoder.width, CODE_VALUES).init(device),
            embed_code: LinearConfig::new(CODE_VALUES, decoder.width).init(device),
            decoder_position: position(decoder.width),
            decoder: (0..decoder.layers).map(|_| Block::new(decoder, true, None, device)).collect(),
            to_patch: LinearConfig::new(decoder.width, config.frame.patch_values()).init(device),
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.decoder_position.device()
    }

    /// Size of the frames.
    pub fn frame_size(&self) -> FrameSize {
        let [_, values] = self.to_patch.weight.dims();
        FrameSize::from_patch_values(values).unwrap_or_default()
    }

    /// # Shapes
    /// - patches: `[frames * 64, patch values]` in ±1, as [`patches`] gives them
    /// - output: `[frames * 64, 4]`, quantised values in ±1
    pub fn encode(&self, patches: Tensor<2>) -> Tensor<2> {
        let x = add_position(linear(&self.embed_patch, patches), &self.encoder_position);
        let x = self.encoder.iter().fold(x, |x, block| block.forward(x, FRAME_CODES));
        fsq::quantize(linear(&self.to_code, rms_norm(x)))
    }

    /// # Shapes
    /// - codes: `[frames * 64, 4]`, values in ±1
    /// - output: `[frames * 64, patch values]`, pixels in ±1 (and a little beyond)
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

/// Frames of `size`, HWC `uint8`, as rows of patches in ±1.
pub fn patches(frames: &[u8], size: FrameSize, device: &Device) -> Tensor<2> {
    let rows = frames.len() / size.bytes() * FRAME_CODES;
    Tensor::from_data(TensorData::new(patch_values(frames, size), [rows, size.patch_values()]), device)
}

/// The values of [`patches`], row-major.
pub fn patch_values(frames: &[u8], size: FrameSize) -> Vec<f32> {
    patch_bytes(frames, size).into_iter().map(pixel_value).collect()
}

/// What a byte of a frame is to the network, in ±1.
pub fn pixel_value(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// Frames of `size`, HWC, in the order of their patches.
pub fn patch_bytes(frames: &[u8], size: FrameSize) -> Vec<u8> {
    let run = size.patch_side() * 3;
    let mut bytes = vec![0; frames.len()];
    for (frame, out) in frames.chunks_exact(size.bytes()).zip(bytes.chunks_exact_mut(size.bytes())) {
        for_each_run(size, |pixel, patch| {
            out[patch..patch + run].copy_from_slice(&frame[pixel..pixel + run])
        });
    }
    bytes
}

/// Pixels of a frame in the order of its patches.
pub fn patch_pixels(size: FrameSize) -> impl Iterator<Item = usize> {
    let side = size.patch_side();
    (0..FRAME_CODES).flat_map(move |patch| {
        let (top, left) = (patch / GRID_SIDE * side, patch % GRID_SIDE * side);
        (0..side * side).map(move |at| (top + at / side) * size.side() + left + at % side)
    })
}

/// The inverse of [`patches`] on plain values, rounded and clamped to `uint8`.
pub fn frames(patches: &[f32], size: FrameSize) -> Vec<u8> {
    let run = size.patch_side() * 3;
    let mut frames = vec![0; patches.len()];
    for (patches, out) in patches.chunks_exact(size.bytes()).zip(frames.chunks_exact_mut(size.bytes())) {
        for_each_run(size, |pixel, patch| {
            for (to, from) in out[pixel..pixel + run].iter_mut().zip(&patches[patch..patch + run]) {
                *to = ((from + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
            }
        });
    }
    frames
}

/// Calls `copy(pixel, patch)` with the first byte of each run of pixels that is contiguous in both layouts.
fn for_each_run(size: FrameSize, mut copy: impl FnMut(usize, usize)) {
    let side = size.patch_side();
    for patch in 0..FRAME_CODES {
        for row in 0..side {
            let y = patch / GRID_SIDE * side + row;
            let x = patch % GRID_SIDE * side;
            copy((y * size.side() + x) * 3, patch * size.patch_values() + row * side * 3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::plain;

    #[test]
    fn patches_and_frames_are_inverse() {
        for size in FrameSize::ALL {
            let frame: Vec<u8> = (0..2 * size.bytes()).map(|i| (i * 7 % 251) as u8).collect();
            let rows = plain(patches(&frame, size, &Device::flex()));
            assert_eq!(frames(&rows, size), frame);
        }
    }

    #[test]
    fn a_patch_keeps_its_code_when_others_change() {
        let device = Device::flex();
        for size in FrameSize::ALL {
            let config = ModelConfig { frame: size, ..ModelConfig::new(crate::config::Preset::Nano, 3, 1) };
            let tokenizer = Tokenizer::new(&config, &device);
            assert_eq!(tokenizer.frame_size(), size);
            let mut frame = vec![40; size.bytes()];
            let code = |frame: &[u8]| plain(tokenizer.encode(patches(frame, size, &device)));
            let before = code(&frame);
            frame[..size.patch_side() * 3].fill(250);
            let after = code(&frame);
            assert_eq!(before[CODE_VALUES..], after[CODE_VALUES..]);
        }
    }
}
