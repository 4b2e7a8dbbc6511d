//! The masked refiner on plain rows, for some lanes at once; see [`Refiner`](crate::refiner::Refiner).

use pulp::Arch;
use smallvec::SmallVec;

use super::elementwise::norm_rows;
use super::network::{Shape, add};
use super::product::Start;
use super::scratch::{Scratch, sized};
use super::vector::vector_fns;
use super::weights::{DynamicsWeights, RefinerWeights};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, ModelConfig, RefinerConfig, SPATIAL_TOKENS, StackConfig};
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::refinement::Draft;
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::packing::grid_index;

/// Logits of one frame.
const FRAME_LOGITS: usize = SPATIAL_TOKENS * TOKEN_LOGITS;

/// What refines, and how.
#[derive(Clone, Copy)]
pub struct RefinerPass<'a> {
    pub weights: &'a RefinerWeights,
    pub config: &'a RefinerConfig,
    pub stack: &'a StackConfig,
    pub temperature: f32,
}

impl<'a> RefinerPass<'a> {
    /// The refiner of a model, if it has one.
    pub fn of(weights: &'a DynamicsWeights, config: &'a ModelConfig, temperature: f32) -> Option<Self> {
        let stack = &config.dynamics;
        Some(Self {
            weights: weights.refiner.as_ref()?,
            config: config.refiner.as_ref()?,
            stack,
            temperature,
        })
    }
}

/// One lane's frame, drawn from the pass that `scratch` holds.
pub struct DraftLane<'a> {
    /// Level indices.
    pub codes: &'a mut [u8],
    /// Names its randomness.
    pub draw: u64,
}

/// Draws the least likely codes of `lanes` again; they are the lanes of the last pass, in its order.
pub fn refine(arch: Arch, pass: RefinerPass<'_>, lanes: &mut [DraftLane<'_>], scratch: &mut Scratch) {
    let logits = scratch.output.code_logits.chunks_exact(FRAME_LOGITS);
    let mut drafts: SmallVec<[Draft; 8]> =
        lanes.iter().zip(logits).map(|(lane, logits)| Draft::new(logits, lane.codes)).collect();
    let shape = Shape::new(arch, pass.stack, SPATIAL_TOKENS, lanes.len());
    for step in 0..pass.config.steps {
        drafts.iter_mut().for_each(|draft| draft.mask(pass.config, step));
        embed_lanes(&shape, pass.weights, (lanes, &drafts), scratch);
        for block in &pass.weights.blocks {
            if let Some(spatial) = &block.spatial {
                shape.spatial(spatial, scratch);
            }
            shape.feed_forward(block, scratch);
        }
        let logits = predict(&shape, pass.weights, scratch).chunks_exact(FRAME_LOGITS);
        for ((lane, draft), logits) in lanes.iter_mut().zip(&mut drafts).zip(logits) {
            draft.redraw(logits, (lane.draw, pass.temperature), step, lane.codes);
        }
    }
}

/// The stream's first rows: what the dynamics thought, and the codes that are known.
fn embed_lanes(
    shape: &Shape,
    weights: &RefinerWeights,
    (lanes, drafts): (&[DraftLane<'_>], &[Draft]),
    scratch: &mut Scratch,
) {
    let frame = SPATIAL_TOKENS * shape.width;
    let stream = sized(&mut scratch.stream, shape.rows * shape.width);
    stream.copy_from_slice(&scratch.output.spatial[..shape.rows * shape.width]);
    for ((lane, draft), out) in lanes.iter().zip(drafts).zip(stream.chunks_exact_mut(frame)) {
        embed(shape.arch, weights, Known { codes: lane.codes, draft }, out);
    }
}

/// The dynamics' logits and what the refiner adds to them.
fn predict<'s>(shape: &Shape, weights: &RefinerWeights, scratch: &'s mut Scratch) -> &'s [f32] {
    let len = shape.rows * shape.width;
    let normed = sized(&mut scratch.normed, len);
    norm_rows(shape.arch, &scratch.stream[..len], normed, shape.width);
    let logits = sized(&mut scratch.output.refined_logits, shape.rows * TOKEN_LOGITS);
    logits.copy_from_slice(&scratch.output.code_logits[..shape.rows * TOKEN_LOGITS]);
    shape.product(normed, &weights.to_codes, Start::Output, logits);
    logits
}

/// A frame, some of whose codes are masked.
struct Known<'a> {
    codes: &'a [u8],
    draft: &'a Draft,
}

vector_fns! {
    /// Adds position and known codes to one frame's rows.
    fn embed<'a>(weights: &'a RefinerWeights, known: Known<'a>, out: &'a mut [f32]) {
        let width = weights.embed_known_bias.len();
        add(out, 1.0, &weights.position);
        for (token, out) in out.chunks_exact_mut(width).enumerate() {
            add(out, 1.0, &weights.embed_known_bias);
            for part in 0..CODES_PER_TOKEN {
                let place = grid_index(token, part);
                if known.draft.is_masked(place) {
                    continue;
                }
                for (dim, offset) in LOGIT_OFFSETS.iter().take(CODE_VALUES).enumerate() {
                    let level = usize::from(known.codes[place * CODE_VALUES + dim]);
                    let row = part * CODE_LOGITS + offset + level;
                    add(out, 1.0, &weights.embed_known[row * width..(row + 1) * width]);
                }
            }
        }
    }
}
