//! The tokenizer's frames on the device: a batch is gathered there by the numbers of its rows.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::device_rows::{bytes, on, places};
use super::tokenizer_stage::pixel_weight;
use crate::config::{FRAME_CODES, FrameSize};
use crate::data::{Clips, Corpus, PIXEL_MOVING};
use crate::tokenizer;

/// All frames of a corpus as bytes, in the order of their patches, none of them on a graph.
pub struct DeviceFrames {
    device: Device,
    size: FrameSize,
    /// `[rows, bytes of a frame]`.
    pixels: Tensor<2, Int>,
    /// `[rows, pixels of a frame]`: 1 where something can move.
    moving: Tensor<2, Int>,
    /// `[256]`: what a network reads of each byte.
    values: Tensor<1>,
    /// `[2]`: what a value of a pixel weighs where nothing can move, and where something can.
    weights: Tensor<1>,
    /// Place of the first row of each of the corpus's parts.
    firsts: Vec<usize>,
}

impl DeviceFrames {
    /// What frames of `corpus` take on a device, bytes.
    pub fn bytes(corpus: &Corpus<'_>) -> u64 {
        let frame = |clips: &Clips| clips.rows() * (clips.frame_size.bytes() + clips.frame_size.pixels());
        corpus.parts().iter().map(|part| frame(part.clips) as u64).sum()
    }

    /// Puts all frames of `corpus` on `device`.
    pub fn new(corpus: &Corpus<'_>, device: &Device) -> Self {
        let (device, size) = (device.clone().inner(), corpus.frame_size());
        let (mut pixels, mut moving, mut firsts, mut rows) = (vec![], vec![], vec![], 0);
        for part in corpus.parts() {
            firsts.push(rows);
            rows += part.clips.rows();
            pixels.extend(tokenizer::patch_bytes(&part.clips.frames, size));
            for row in 0..part.clips.rows() {
                let classes = part.clips.classes(row);
                let moves = |pixel| u8::from(classes[pixel] & PIXEL_MOVING != 0);
                moving.extend(tokenizer::patch_pixels(size).map(moves));
            }
        }
        let table = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), (&device, DType::F32))
        };
        Self {
            pixels: bytes(&pixels, size.bytes(), &device),
            moving: bytes(&moving, size.pixels(), &device),
            values: table((0..=u8::MAX).map(tokenizer::pixel_value).collect()),
            weights: table([false, true].map(pixel_weight).to_vec()),
            firsts,
            size,
            device,
        }
    }

    /// Place of the first row of part number `part`.
    pub fn first(&self, part: usize) -> usize {
        self.firsts[part]
    }

    /// Patches of these rows and what each of their values weighs, `[rows * FRAME_CODES, patch_values]` each, as the host
    /// puts them together, to the bit.
    pub fn batch(&self, rows: &[u32], device: &Device) -> [Tensor<2>; 2] {
        let places = places(rows.iter().map(|row| *row as usize), &self.device);
        let shape = [rows.len() * FRAME_CODES, self.size.patch_values()];
        let pixels = self.pixels.clone().select(0, places.clone());
        let patches = self.values.clone().select(0, pixels.reshape([-1])).reshape(shape);
        let moving = self.moving.clone().select(0, places).reshape([-1]);
        let weights: Tensor<1> = self.weights.clone().select(0, moving);
        let count = weights.dims()[0];
        let weights = weights.reshape([count, 1]).expand([count, 3]).reshape(shape);
        [patches, weights].map(|tensor| on(device, tensor))
    }
}
