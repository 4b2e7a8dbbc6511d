//! The device's memory that a step works in, beside that of the blocks.

use super::context::{Buffer, Context, Stored};
use super::exchange::{Inputs, Outputs};
use super::memory::{padded, tile_rows};
use crate::config::{FRAME_CODES, FRAME_TOKENS, ModelConfig, SPATIAL_TOKENS};
use crate::dynamics::TOKEN_LOGITS;
use crate::reward::REWARD_BINS;

/// What goes to the device and comes from it in a step, and what is made of the last normalised rows.
pub struct StepBuffers<S> {
    pub told: Buffer<u8>,
    pub said: Buffer<u8>,
    pub logits: Buffer<f32>,
    /// `[tile_rows(lanes), width]`.
    pub readout_rows: Buffer<S>,
    pub readouts: Buffer<f32>,
    pub entropies: Buffer<f32>,
    pub draft: Option<DraftBuffers<S>>,
}

/// What a refiner works in, beside the dynamics' rows.
pub struct DraftBuffers<S> {
    pub thoughts: Buffer<S>,
    pub refined: Buffer<f32>,
    pub confidence: Buffer<f32>,
    pub masked: Buffer<u32>,
}

impl<S: Stored> StepBuffers<S> {
    /// Of `lanes` lanes of a model.
    pub fn new(context: &Context, config: &ModelConfig, lanes: usize) -> Self {
        let (width, objects, rows) = (config.dynamics.width, config.object_values(), tile_rows(lanes));
        let draft = config.refiner.as_ref().map(|_| DraftBuffers {
            thoughts: Buffer::empty(context, lanes * SPATIAL_TOKENS * width),
            refined: Buffer::empty(context, tile_rows(lanes * SPATIAL_TOKENS) * padded(TOKEN_LOGITS)),
            confidence: Buffer::empty(context, lanes * FRAME_CODES),
            masked: Buffer::empty(context, lanes * FRAME_CODES),
        });
        Self {
            told: Buffer::empty(context, Inputs::new(config.action_values, lanes).bytes),
            said: Buffer::empty(context, Outputs::new(objects, lanes).bytes),
            logits: Buffer::empty(context, tile_rows(lanes * FRAME_TOKENS) * padded(TOKEN_LOGITS)),
            readout_rows: Buffer::empty(context, rows * width),
            readouts: Buffer::empty(context, rows * padded(REWARD_BINS + 1 + objects)),
            entropies: Buffer::empty(context, lanes * FRAME_CODES),
            draft,
        }
    }

    /// Where `lanes` rows of a model are told, and say, what.
    pub fn views(&self, config: &ModelConfig, lanes: usize) -> Views {
        let inputs = Inputs::new(config.action_values, lanes);
        let outputs = Outputs::new(config.object_values(), lanes);
        let Self { told, said, .. } = self;
        Views {
            lanes,
            codes: Buffer::view(told, inputs.codes),
            actions: Buffer::view(told, inputs.actions),
            levels: Buffer::view(told, inputs.levels),
            rings: Buffer::view(told, inputs.lanes),
            newest: Buffer::view(told, inputs.newest),
            ages: Buffer::view(told, inputs.ages),
            draws: Buffer::view(told, inputs.draws),
            temperature: Buffer::view(told, inputs.temperature),
            next_codes: Buffer::view(said, outputs.codes),
            numbers: Buffer::view(said, outputs.numbers),
        }
    }
}

/// [`Inputs`] and [`Outputs`] of some lanes on the device.
pub struct Views {
    /// Rows of lanes: those that step, and those that fill their bucket up.
    pub lanes: usize,
    pub codes: Buffer<u8>,
    pub actions: Buffer<f32>,
    pub levels: Buffer<u32>,
    pub rings: Buffer<u32>,
    pub newest: Buffer<u32>,
    pub ages: Buffer<u32>,
    pub draws: Buffer<u64>,
    pub temperature: Buffer<f32>,
    pub next_codes: Buffer<u8>,
    pub numbers: Buffer<f32>,
}
