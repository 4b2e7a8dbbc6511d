//! Blocks, dynamics and decoder on plain rows, for some lanes at once.

use pulp::Arch;

use super::attention::{Heads, over_time, within_frame};
use super::elementwise::{gated, norm_heads, norm_rows, to_bytes};
use super::product::{Packed, Start, View, product};
use super::ring::Ring;
use super::scratch::{Scratch, sized};
use super::vector::vector_fns;
use super::weights::{AttentionWeights, BlockWeights, DecoderWeights, DynamicsWeights, EncoderWeights};
use crate::config::{
    ACTION_TOKEN, CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, FRAME_TOKENS, FrameSize, GRID_SIDE,
    NOISE_LEVELS, READOUT_TOKEN, SPATIAL_TOKENS, StackConfig,
};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{self, CODE_VALUES, FSQ_STEPS, LOGIT_OFFSETS};
use crate::packing::{FRAME_CODE_BYTES, grid_index};

/// One lane of a pass.
pub struct LaneInput<'a> {
    /// Level indices of its present frame.
    pub codes: &'a [u8],
    /// Its coded action.
    pub action: &'a [f32],
    /// Level of corruption that the model is told of.
    pub level: usize,
    pub ring: &'a mut Ring,
}

/// One stack's sizes, and where its blocks are in a frame.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub arch: Arch,
    heads: Heads,
    pub width: usize,
    hidden: usize,
    tokens: usize,
    pub rows: usize,
}

impl Shape {
    pub fn new(arch: Arch, stack: &StackConfig, tokens: usize, frames: usize) -> Self {
        let (width, hidden) = (stack.width, stack.hidden);
        Self { arch, heads: Heads::new(stack), width, hidden, tokens, rows: tokens * frames }
    }

    /// Rows of `input` times `weights`, added to what `output` holds or not.
    pub fn product(&self, input: &[f32], weights: &Packed, start: Start<'_>, output: &mut [f32]) {
        let (from, to) = (input.len() / self.rows, output.len() / self.rows);
        let views = (View::new(0, from), View::new(0, to));
        product(self.arch, self.rows, (input, views.0), (weights, start), (output, views.1));
    }

    /// Normalised queries and keys, and values, of the whole stream.
    fn project(&self, weights: &AttentionWeights, scratch: &mut Scratch) {
        let normed = sized(&mut scratch.normed, self.rows * self.width);
        norm_rows(self.arch, &scratch.stream[..self.rows * self.width], normed, self.width);
        let qkv = sized(&mut scratch.qkv, self.rows * self.heads.row());
        self.product(normed, &weights.qkv, Start::Zero, qkv);
        let heads = [self.heads.kv_heads * self.heads.groups, self.heads.kv_heads];
        norm_heads(self.arch, qkv, &weights.q_gain, heads);
    }

    /// Adds what attention found to the stream.
    fn merge(&self, weights: &AttentionWeights, scratch: &mut Scratch) {
        let len = self.rows * self.width;
        self.product(&scratch.mixed[..len], &weights.out, Start::Output, &mut scratch.stream[..len]);
    }

    pub fn spatial(&self, weights: &AttentionWeights, scratch: &mut Scratch) {
        self.project(weights, scratch);
        let mixed = sized(&mut scratch.mixed, self.rows * self.width);
        let frames = scratch.qkv[..self.rows * self.heads.row()].chunks_exact(self.tokens * self.heads.row());
        for (qkv, mixed) in frames.zip(mixed.chunks_exact_mut(self.tokens * self.width)) {
            within_frame(self.arch, self.heads, (qkv, self.tokens), mixed, &mut scratch.attention);
        }
        self.merge(weights, scratch);
    }

    pub fn feed_forward(&self, weights: &BlockWeights, scratch: &mut Scratch) {
        let stream = &mut scratch.stream[..self.rows * self.width];
        let normed = sized(&mut scratch.normed, self.rows * self.width);
        norm_rows(self.arch, stream, normed, self.width);
        let gates = sized(&mut scratch.gates, self.rows * 2 * self.hidden);
        self.product(normed, &weights.gate_value, Start::Zero, gates);
        let hidden = sized(&mut scratch.hidden, self.rows * self.hidden);
        gated(self.arch, gates, hidden, self.hidden);
        self.product(hidden, &weights.out, Start::Output, stream);
    }
}

/// Appends a frame to each lane's ring and leaves in `scratch.output` what follows.
pub fn dynamics(
    arch: Arch,
    (weights, stack): (&DynamicsWeights, &StackConfig),
    lanes: &mut [LaneInput<'_>],
    scratch: &mut Scratch,
) {
    let shape = Shape::new(arch, stack, FRAME_TOKENS, lanes.len());
    let frame = FRAME_TOKENS * shape.width;
    let stream = sized(&mut scratch.stream, lanes.len() * frame);
    for (lane, out) in lanes.iter().zip(stream.chunks_exact_mut(frame)) {
        embed(arch, weights, lane, out);
    }
    lanes.iter_mut().for_each(|lane| lane.ring.advance());
    let mut temporal_layers = 0;
    for block in &weights.blocks {
        if let Some(spatial) = &block.spatial {
            shape.spatial(spatial, scratch);
        }
        if let Some(temporal) = &block.temporal {
            shape.project(&temporal.attention, scratch);
            let mixed = sized(&mut scratch.mixed, lanes.len() * frame);
            let rows = scratch.qkv.chunks_exact(FRAME_TOKENS * shape.heads.row());
            for ((lane, qkv), mixed) in lanes.iter_mut().zip(rows).zip(mixed.chunks_exact_mut(frame)) {
                let ring = (&mut *lane.ring, temporal_layers);
                let scratch = &mut scratch.attention;
                over_time(arch, shape.heads, (qkv, &temporal.distance_bias), ring, (mixed, scratch));
            }
            shape.merge(&temporal.attention, scratch);
            temporal_layers += 1;
        }
        shape.feed_forward(block, scratch);
    }
    read_out(&shape, weights, lanes, scratch);
}

vector_fns! {
    /// The stream's first rows: codes, action, and what readout and registers start from.
    fn embed<'a>(weights: &'a DynamicsWeights, lane: &'a LaneInput<'a>, out: &'a mut [f32]) {
        let width = weights.embed_codes_bias.len();
        out.copy_from_slice(&weights.position);
        for (token, out) in out.chunks_exact_mut(width).take(SPATIAL_TOKENS).enumerate() {
            add(out, 1.0, &weights.embed_codes_bias);
            for logit in token_logits(token, lane.codes) {
                add(out, 1.0, &weights.embed_codes[logit * width..(logit + 1) * width]);
            }
        }
        let action = &mut out[ACTION_TOKEN * width..(ACTION_TOKEN + 1) * width];
        add(action, 1.0, &weights.embed_action_bias);
        for (value, row) in lane.action.iter().zip(weights.embed_action.chunks_exact(width)) {
            add(action, *value, row);
        }
        let level = lane.action.len() + lane.level.min(NOISE_LEVELS - 1);
        add(action, 1.0, &weights.embed_action[level * width..(level + 1) * width]);
    }

    /// The stream's first rows of a frame to decode.
    fn embed_frames<'a>(weights: &'a DecoderWeights, codes: &'a [u8], stream: &'a mut [f32]) {
        let width = weights.embed_code_bias.len();
        let positions = weights.position.chunks_exact(width).cycle();
        let rows = codes.chunks_exact(CODE_VALUES).zip(stream.chunks_exact_mut(width));
        for ((code, out), position) in rows.zip(positions) {
            out.copy_from_slice(position);
            add(out, 1.0, &weights.embed_code_bias);
            for (dim, level) in code.iter().enumerate() {
                let value = f32::from(*level) * 2.0 / FSQ_STEPS[dim] - 1.0;
                add(out, value, &weights.embed_code[dim * width..(dim + 1) * width]);
            }
        }
    }

    /// The patches of frames, in ±1.
    fn patch<'a>(size: FrameSize, frames: &'a [u8], patches: &'a mut [f32]) {
        let (side, run) = (size.patch_side(), size.patch_side() * 3);
        let films = frames.chunks_exact(size.bytes()).zip(patches.chunks_exact_mut(size.bytes()));
        for (frame, patches) in films {
            for (patch, values) in patches.chunks_exact_mut(size.patch_values()).enumerate() {
                let (top, left) = (patch / GRID_SIDE * side, patch % GRID_SIDE * side);
                for (row, values) in values.chunks_exact_mut(run).enumerate() {
                    let at = ((top + row) * size.side() + left) * 3;
                    for (value, byte) in values.iter_mut().zip(&frame[at..at + run]) {
                        *value = f32::from(*byte) / 127.5 - 1.0;
                    }
                }
            }
        }
    }

    /// Puts the patches of frames in their places.
    fn unpatch<'a>(size: FrameSize, patches: &'a [f32], frames: &'a mut [u8]) {
        let (side, run) = (size.patch_side(), size.patch_side() * 3);
        let films = patches.chunks_exact(size.bytes()).zip(frames.chunks_exact_mut(size.bytes()));
        for (patches, frame) in films {
            for (patch, values) in patches.chunks_exact(size.patch_values()).enumerate() {
                let (top, left) = (patch / GRID_SIDE * side, patch % GRID_SIDE * side);
                for (row, values) in values.chunks_exact(run).enumerate() {
                    let at = ((top + row) * size.side() + left) * 3;
                    to_bytes(values, &mut frame[at..at + run]);
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn add(out: &mut [f32], factor: f32, values: &[f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = factor.mul_add(*value, *out);
    }
}

/// Which of a token's one-hot values are 1.
#[inline(always)]
fn token_logits(token: usize, codes: &[u8]) -> impl Iterator<Item = usize> {
    (0..CODES_PER_TOKEN).flat_map(move |part| {
        let code = grid_index(token, part) * CODE_VALUES;
        (0..CODE_VALUES)
            .map(move |dim| part * CODE_LOGITS + LOGIT_OFFSETS[dim] + usize::from(codes[code + dim]))
    })
}

fn read_out(shape: &Shape, weights: &DynamicsWeights, lanes: &[LaneInput<'_>], scratch: &mut Scratch) {
    let (arch, width) = (shape.arch, shape.width);
    let normed = sized(&mut scratch.normed, shape.rows * width);
    norm_rows(arch, &scratch.stream[..shape.rows * width], normed, width);
    let codes = SPATIAL_TOKENS * TOKEN_LOGITS;
    let logits = sized(&mut scratch.output.code_logits, lanes.len() * codes);
    let head = (&weights.to_codes.weight, Start::Bias(&weights.to_codes.bias));
    for (i, (lane, logits)) in lanes.iter().zip(logits.chunks_exact_mut(codes)).enumerate() {
        let from = View::new(i * FRAME_TOKENS * width, width);
        product(arch, SPATIAL_TOKENS, (normed, from), head, (logits, View::new(0, TOKEN_LOGITS)));
        for (token, logits) in logits.chunks_exact_mut(TOKEN_LOGITS).enumerate() {
            for logit in token_logits(token, lane.codes) {
                logits[logit] += weights.persistence[logit];
            }
        }
    }
    let values = weights.to_readout.weight.columns();
    let readouts = sized(&mut scratch.output.readouts, lanes.len() * values);
    let from = View::new(READOUT_TOKEN * width, FRAME_TOKENS * width);
    let head = (&weights.to_readout.weight, Start::Bias(&weights.to_readout.bias));
    product(arch, lanes.len(), (normed, from), head, (readouts, View::new(0, values)));
    if weights.refiner.is_some() {
        let spatial = sized(&mut scratch.output.spatial, lanes.len() * SPATIAL_TOKENS * width);
        let frames = normed.chunks_exact(FRAME_TOKENS * width);
        for (normed, spatial) in frames.zip(spatial.chunks_exact_mut(SPATIAL_TOKENS * width)) {
            spatial.copy_from_slice(&normed[..SPATIAL_TOKENS * width]);
        }
    }
}

/// Codes of frames: HWC `uint8` to `frames × FRAME_CODE_BYTES` level indices.
pub fn encode(
    arch: Arch,
    (weights, stack, size): (&EncoderWeights, &StackConfig, FrameSize),
    frames: &[u8],
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    let shape = Shape::new(arch, stack, FRAME_CODES, frames.len() / size.bytes());
    let width = shape.width;
    let patches = sized(&mut scratch.gates, shape.rows * size.patch_values());
    patch(arch, size, frames, patches);
    let stream = sized(&mut scratch.stream, shape.rows * width);
    stream.chunks_exact_mut(weights.start.len()).for_each(|rows| rows.copy_from_slice(&weights.start));
    shape.product(patches, &weights.embed_patch, Start::Output, stream);
    for block in &weights.blocks {
        shape.feed_forward(block, scratch);
    }
    let normed = sized(&mut scratch.normed, shape.rows * width);
    norm_rows(arch, &scratch.stream[..shape.rows * width], normed, width);
    let values = sized(&mut scratch.hidden, shape.rows * CODE_VALUES);
    shape.product(normed, &weights.to_code.weight, Start::Bias(&weights.to_code.bias), values);
    fsq::levels(values, codes);
}

/// Frames of codes: `frames × FRAME_CODE_BYTES` level indices to HWC `uint8`.
pub fn decode(
    arch: Arch,
    (weights, stack, size): (&DecoderWeights, &StackConfig, FrameSize),
    codes: &[u8],
    frames: &mut [u8],
    scratch: &mut Scratch,
) {
    let shape = Shape::new(arch, stack, FRAME_CODES, codes.len() / FRAME_CODE_BYTES);
    let width = shape.width;
    let stream = sized(&mut scratch.stream, shape.rows * width);
    embed_frames(arch, weights, codes, stream);
    for block in &weights.blocks {
        if let Some(spatial) = &block.spatial {
            shape.spatial(spatial, scratch);
        }
        shape.feed_forward(block, scratch);
    }
    let normed = sized(&mut scratch.normed, shape.rows * width);
    norm_rows(arch, &scratch.stream[..shape.rows * width], normed, width);
    let patches = sized(&mut scratch.gates, shape.rows * size.patch_values());
    shape.product(normed, &weights.to_patch.weight, Start::Bias(&weights.to_patch.bias), patches);
    unpatch(arch, size, patches, frames);
}
