//! Memory that a pass works in.

use super::attention::{AttentionScratch, Heads};
use crate::config::{FRAME_CODES, FRAME_TOKENS, ModelConfig, SPATIAL_TOKENS, StackConfig};
use crate::dynamics::TOKEN_LOGITS;
use crate::reward::REWARD_BINS;

/// Memory of one pass, kept from step to step. It has its full size from the start; what does not fit makes it grow.
#[derive(Default)]
pub struct Scratch {
    /// The residual stream, `rows × width`.
    pub stream: Vec<f32>,
    pub normed: Vec<f32>,
    pub qkv: Vec<f32>,
    pub mixed: Vec<f32>,
    pub gates: Vec<f32>,
    pub hidden: Vec<f32>,
    pub attention: AttentionScratch,
    /// What the last pass gave.
    pub output: PassOutput,
}

/// What a pass of the dynamics gives.
#[derive(Default)]
pub struct PassOutput {
    /// `lanes × SPATIAL_TOKENS × TOKEN_LOGITS`.
    pub code_logits: Vec<f32>,
    /// `lanes × (REWARD_BINS + 1 + objects)`.
    pub readouts: Vec<f32>,
    /// `lanes × SPATIAL_TOKENS × width`, normalised; for a refiner only.
    pub spatial: Vec<f32>,
    /// `lanes × SPATIAL_TOKENS × TOKEN_LOGITS`; from a refiner only.
    pub refined_logits: Vec<f32>,
}

impl Scratch {
    /// Memory of these sizes.
    pub fn new(sizes: &ScratchSizes) -> Self {
        let [stream, normed, qkv, mixed, gates, hidden] = sizes.rows.map(|len| vec![0.0; len]);
        let [code_logits, readouts, spatial, refined_logits] = sizes.output.map(|len| vec![0.0; len]);
        let attention = AttentionScratch::with_room(sizes.attention);
        let output = PassOutput { code_logits, readouts, spatial, refined_logits };
        Self { stream, normed, qkv, mixed, gates, hidden, attention, output }
    }
}

/// The first `len` values, of which there are more or there will be.
pub fn sized(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if values.len() < len {
        values.resize(len, 0.0);
    }
    &mut values[..len]
}

/// Values of each part of a [`Scratch`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScratchSizes {
    /// Stream, normed, queries with keys and values, mixed, gates, hidden.
    rows: [usize; 6],
    attention: [usize; 4],
    /// As [`PassOutput`].
    output: [usize; 4],
}

impl ScratchSizes {
    /// What steps of `lanes` lanes at once take, and coding of `frames` frames.
    pub fn new(config: &ModelConfig, lanes: usize, frames: usize) -> Self {
        let dynamics = rows(&config.dynamics, lanes * FRAME_TOKENS);
        let mut codec =
            larger(rows(&config.decoder, frames * FRAME_CODES), rows(&config.encoder, frames * FRAME_CODES));
        // Patches lie in the place of gates.
        codec[4] = codec[4].max(frames * config.frame.bytes());
        let attention =
            |stack: &StackConfig, tokens, context| AttentionScratch::room(Heads::new(stack), tokens, context);
        let logits = lanes * SPATIAL_TOKENS * TOKEN_LOGITS;
        let refined = usize::from(config.refiner.is_some());
        Self {
            rows: larger(dynamics, codec),
            attention: larger(
                attention(&config.dynamics, FRAME_TOKENS, config.context_frames),
                attention(&config.decoder, FRAME_CODES, 0),
            ),
            output: [
                logits,
                lanes * (REWARD_BINS + 1 + config.object_values()),
                refined * lanes * SPATIAL_TOKENS * config.dynamics.width,
                refined * logits,
            ],
        }
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> usize {
        let values = self.rows.iter().chain(&self.attention).chain(&self.output);
        values.sum::<usize>() * size_of::<f32>()
    }
}

fn rows(stack: &StackConfig, rows: usize) -> [usize; 6] {
    let (width, hidden) = (stack.width, stack.hidden);
    [width, width, Heads::new(stack).row(), width, 2 * hidden, hidden].map(|row| rows * row)
}

fn larger<const N: usize>(a: [usize; N], b: [usize; N]) -> [usize; N] {
    std::array::from_fn(|i| a[i].max(b[i]))
}
