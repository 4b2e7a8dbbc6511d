use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt as _;

use super::device_frames::DeviceFrames;
use super::gradients::{Draw, Objective};
use super::loss::Loss;
use super::sampler::Sampler;
use crate::config::FrameSize;
use crate::data::{Clips, Corpus, PIXEL_MOVING, Split};
use crate::tokenizer::{self, Tokenizer};

/// Frames in one step.
const BATCH: usize = 32;
/// Weight of a pixel that shows something that can move; others weigh 1.
const MOVING_WEIGHT: f32 = 10.0;
const L1: f32 = 0.5;
const L2: f32 = 2.0;
/// Weight of the worst pixel of each patch.
const WORST: f32 = 0.02;

/// Reconstruction of single frames of one split.
pub struct TokenizerObjective<'a> {
    parts: Vec<FramesOf<'a>>,
    sampler: Sampler,
    on_device: Option<Arc<DeviceFrames>>,
}

/// Frames of one part of the corpus.
struct FramesOf<'a> {
    clips: &'a Clips,
    /// Its number.
    part: usize,
    /// Those of the split.
    rows: Vec<usize>,
}

impl<'a> TokenizerObjective<'a> {
    /// Frames are gathered from `on_device`, which holds those of `corpus`, or put together by the host. `None` if `split`
    /// holds no frame.
    pub fn new(corpus: &Corpus<'a>, split: Split, on_device: Option<Arc<DeviceFrames>>) -> Option<Self> {
        let drawn = corpus.parts().iter().enumerate().filter(|(_, part)| part.weight > 0.0);
        let frames = drawn.map(|(number, part)| {
            let rows = part.clips.split(split).flat_map(|clip| clip.rows()).collect();
            (part.weight, FramesOf { clips: part.clips, part: number, rows })
        });
        let (weights, parts): (Vec<_>, Vec<_>) = frames.filter(|(_, of)| !of.rows.is_empty()).unzip();
        (!parts.is_empty()).then(|| Self { parts, sampler: Sampler::new(&weights), on_device })
    }
}

/// Frames as they were drawn.
pub enum DrawnFrames {
    /// Rows of those on the device.
    Rows(Arc<DeviceFrames>, Vec<u32>),
    /// Put together on the host: patches, and what each of their values weighs.
    Host { size: FrameSize, patches: Vec<f32>, weights: Vec<f32> },
}

impl DrawnFrames {
    /// Patches on `device`, and what each of their values weighs.
    pub fn gather(self, device: &Device) -> [Tensor<2>; 2] {
        match self {
            Self::Rows(frames, rows) => frames.batch(&rows, device),
            Self::Host { size, patches, weights } => [patches, weights].map(|values| {
                let shape = [values.len() / size.patch_values(), size.patch_values()];
                Tensor::from_data(TensorData::new(values, shape), device)
            }),
        }
    }
}

/// What each value of a pixel weighs, which shows something that can move or not.
pub fn pixel_weight(moving: bool) -> f32 {
    if moving { MOVING_WEIGHT } else { 1.0 }
}

impl Objective<Tokenizer> for TokenizerObjective<'_> {
    type Drawn = DrawnFrames;

    fn peak_rate(&self) -> f64 {
        3e-3
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn frames(&self) -> usize {
        BATCH
    }

    fn draw(&self, draw: &mut Draw) -> DrawnFrames {
        let drawn = (0..draw.count).map(|_| {
            let of = &self.parts[self.sampler.draw(&mut draw.rng)];
            (of, of.rows[draw.rng.random_range(0..of.rows.len())])
        });
        if let Some(frames) = &self.on_device {
            let rows = drawn.map(|(of, row)| (frames.first(of.part) + row) as u32).collect();
            return DrawnFrames::Rows(Arc::clone(frames), rows);
        }
        let size = self.parts[0].clips.frame_size;
        let mut frames = Vec::with_capacity(drawn.len() * size.bytes());
        let mut weights = Vec::with_capacity(frames.capacity());
        for (of, row) in drawn {
            frames.extend_from_slice(of.clips.frame(row));
            patch_weights(of.clips.classes(row), size, &mut weights);
        }
        DrawnFrames::Host { size, patches: tokenizer::patch_values(&frames, size), weights }
    }

    fn loss(&self, tokenizer: &Tokenizer, drawn: DrawnFrames) -> Loss {
        let [target, weights] = drawn.gather(&tokenizer.device());
        let error = (tokenizer.decode(tokenizer.encode(target.clone())) - target).abs();
        let total = weights.clone().sum();
        let worst = error.clone().max_dim(1).mean();
        let weighted = error.clone() * weights;
        let l1 = weighted.clone().sum() / total.clone();
        let l2 = (weighted * error).sum() / total;
        Loss::of("l1", L1, l1).and("l2", L2, l2).and("worst_pixel", WORST, worst)
    }
}

/// Appends a frame's pixel weights in patch order, each for three channels.
fn patch_weights(classes: &[u8], size: FrameSize, out: &mut Vec<f32>) {
    for pixel in tokenizer::patch_pixels(size) {
        out.extend([pixel_weight(classes[pixel] & PIXEL_MOVING != 0); 3]);
    }
}
