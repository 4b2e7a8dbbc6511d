use burn::tensor::{Tensor, TensorData};
use rand::RngExt as _;

use super::gradients::{Draw, Objective};
use super::loss::Loss;
use super::sampler::Sampler;
use crate::config::{FRAME_CODES, FrameSize, GRID_SIDE};
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
    parts: Vec<(&'a Clips, Vec<usize>)>,
    sampler: Sampler,
}

impl<'a> TokenizerObjective<'a> {
    /// `None` if `split` holds no frame.
    pub fn new(corpus: &Corpus<'a>, split: Split) -> Option<Self> {
        let drawn = corpus.parts().iter().filter(|part| part.weight > 0.0);
        let rows = drawn.map(|part| {
            let rows = part.clips.split(split).flat_map(|clip| clip.start..clip.start + clip.len);
            (part.weight, (part.clips, rows.collect::<Vec<_>>()))
        });
        let (weights, parts): (Vec<_>, Vec<_>) = rows.filter(|(_, (_, rows))| !rows.is_empty()).unzip();
        (!parts.is_empty()).then(|| Self { parts, sampler: Sampler::new(&weights) })
    }
}

/// Frames as patches, on the host.
pub struct DrawnFrames {
    size: FrameSize,
    /// As [`tokenizer::patches`].
    patches: Vec<f32>,
    /// As `patches`: what each value weighs.
    weights: Vec<f32>,
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
        let size = self.parts[0].0.frame_size;
        let mut frames = Vec::with_capacity(draw.count * size.bytes());
        let mut weights = Vec::with_capacity(draw.count * size.bytes());
        for _ in 0..draw.count {
            let (clips, rows) = &self.parts[self.sampler.draw(&mut draw.rng)];
            let row = rows[draw.rng.random_range(0..rows.len())];
            frames.extend_from_slice(clips.frame(row));
            patch_weights(clips.classes(row), size, &mut weights);
        }
        DrawnFrames { size, patches: tokenizer::patch_values(&frames, size), weights }
    }

    fn loss(&self, tokenizer: &Tokenizer, drawn: DrawnFrames) -> Loss {
        let (device, width) = (tokenizer.device(), drawn.size.patch_values());
        let tensor = |values: Vec<f32>| -> Tensor<2> {
            let rows = values.len() / width;
            Tensor::from_data(TensorData::new(values, [rows, width]), &device)
        };
        let (target, weights) = (tensor(drawn.patches), tensor(drawn.weights));
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
    let side = size.patch_side();
    for patch in 0..FRAME_CODES {
        let (top, left) = (patch / GRID_SIDE * side, patch % GRID_SIDE * side);
        for y in top..top + side {
            for x in left..left + side {
                let moving = classes[y * size.side() + x] & PIXEL_MOVING != 0;
                out.extend([if moving { MOVING_WEIGHT } else { 1.0 }; 3]);
            }
        }
    }
}
