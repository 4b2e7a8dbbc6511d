//! All frames that the dynamics learns from, row by row: each row once, ready to be gathered.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::device_rows::DeviceRows;
use super::dynamics_batch::DrawnFrames;
use super::error::TrainError;
use super::feed::Feed;
use super::frame_facts::{Column, FrameFacts};
use super::host_batch::{HostInput, HostTargets};
use super::objective::ObjectiveOptions;
use super::tasks::TaskRows;
use crate::config::{FRAME_CODES, FrameSize, GRID_SIDE};
use crate::data::{ClipRange, Clips, Corpus, PIXEL_MOVING};
use crate::device::ComputeDevice;
use crate::dynamics::FrameInput;
use crate::fsq::CODE_VALUES;
use crate::model::ModelCard;
use crate::packing::FRAME_CODE_BYTES;
use crate::reward::{REWARD_BINS, two_hot};

/// A level that no code has: the codes of what is no frame.
pub const NO_CODE: u8 = u8::MAX;

/// A corpus as the dynamics reads it. Every row has its codes, its action, and what is to be told of it; one more row, the
/// last, is what lies beyond the end of a clip: no codes, and nothing of it weighs.
///
/// Rows lie in the host's memory, and [on the device](Self::on_device) too if they are put there.
pub struct CodedRows {
    host: HostRows,
    device: Option<DeviceRows>,
    /// Place of the first row of each of the corpus's parts; none of a part that is not learned from.
    firsts: Vec<Option<usize>>,
    /// Bit `i` of a row: patch `i` shows something that can move.
    moving: Vec<u64>,
}

/// Rows as plain arrays, the padding among them.
pub struct HostRows {
    /// `rows × FRAME_CODE_BYTES`.
    pub codes: Vec<u8>,
    /// `[rows, action_values]`.
    pub actions: Column,
    /// `[rows, FRAME_CODES]`, over the grid: what each code of the next row weighs; 0 where no next frame is known.
    pub code_weights: Column,
    pub facts: FrameFacts<Column>,
}

/// What the loss holds an output against.
pub struct Targets {
    pub codes: CodeTargets,
    pub facts: FrameFacts<Tensor<2>>,
}

/// The codes to be told and what each counts.
pub struct CodeTargets {
    /// `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`: one-hot next codes times their weight.
    pub next_weighted: Tensor<2>,
    /// `[frames * SPATIAL_TOKENS, CODES_PER_TOKEN * CODE_VALUES]`: the weight of each softmax.
    pub weights: Tensor<2>,
}

impl CodedRows {
    /// `codes` are those of all rows of each part of `corpus`. Parts that weigh nothing are left out, and those of tasks
    /// that the card lacks.
    pub fn new(
        corpus: &Corpus<'_>,
        codes: &[Arc<[u8]>],
        card: &ModelCard,
        options: &ObjectiveOptions,
    ) -> Self {
        let parts = corpus.parts().iter();
        let read = parts.map(|part| TaskRows::new(card, part.clips).filter(|_| part.weight > 0.0));
        let read: Vec<_> = read.collect();
        let learned = |part: &usize| read[*part].is_some();
        let rows_of = |part: usize| corpus.parts()[part].clips.rows();
        let rows = (0..read.len()).filter(learned).map(rows_of).sum::<usize>() + 1;
        let mut filled = Self {
            host: HostRows::empty(rows, card),
            device: None,
            firsts: Vec::with_capacity(read.len()),
            moving: Vec::with_capacity(rows - 1),
        };
        for ((part, read), codes) in corpus.parts().iter().zip(read).zip(codes) {
            let first = filled.moving.len();
            filled.firsts.push(read.is_some().then_some(first));
            if let Some(read) = read {
                filled.push_part(part.clips, &read, codes, options);
            }
        }
        filled
    }

    /// Rows of frames and actions of which nothing is to be told.
    #[cfg(test)]
    pub fn of_one_clip(card: &ModelCard, mut codes: Vec<u8>, actions: &[f32]) -> Self {
        let rows = codes.len() / FRAME_CODE_BYTES + 1;
        codes.resize(rows * FRAME_CODE_BYTES, NO_CODE);
        let mut host = HostRows { codes, ..HostRows::empty(rows, card) };
        for (row, action) in actions.chunks_exact(card.config.action_values).enumerate() {
            host.actions.row_mut(row).copy_from_slice(action);
        }
        Self { host, device: None, firsts: vec![Some(0)], moving: vec![0; rows - 1] }
    }

    fn push_part(&mut self, clips: &Clips, read: &TaskRows, codes: &[u8], options: &ObjectiveOptions) {
        let first = self.moving.len();
        let at = first * FRAME_CODE_BYTES;
        self.host.codes[at..at + codes.len()].copy_from_slice(codes);
        let moving = |row| patches_of_class(clips.classes(row), clips.frame_size, PIXEL_MOVING);
        self.moving.extend((0..clips.rows()).map(moving));
        for clip in &clips.ranges {
            self.put_clip(clips, clip, (first, read), options);
        }
    }

    fn put_clip(
        &mut self,
        clips: &Clips,
        clip: &ClipRange,
        (first, read): (usize, &TaskRows),
        options: &ObjectiveOptions,
    ) {
        for row in clip.rows() {
            let at = first + row;
            read.put_action(clips, row, self.host.actions.row_mut(at));
            if row + 1 < clip.rows().end {
                self.put_code_weights(at, options);
            }
            let facts = &mut self.host.facts;
            put_outcome(clips, row, (at, facts), options);
            read.put_objects(clips, row, (facts.objects.row_mut(at), facts.object_weights.row_mut(at)));
            facts.real.row_mut(at)[0] = 1.0;
        }
    }

    /// A code that changes, or that lies under what moves in either frame, weighs more.
    fn put_code_weights(&mut self, row: usize, options: &ObjectiveOptions) {
        let ObjectiveOptions { changed_weight, moving_weight, .. } = *options;
        let moving = self.moving[row] | self.moving[row + 1];
        let (now, next) = (row * FRAME_CODE_BYTES, (row + 1) * FRAME_CODE_BYTES);
        let (codes, weights) = (&self.host.codes, self.host.code_weights.row_mut(row));
        for (patch, weight) in weights.iter_mut().enumerate() {
            let code = |frame: usize| &codes[frame + patch * CODE_VALUES..frame + (patch + 1) * CODE_VALUES];
            let changed = code(now) != code(next);
            let under = moving >> patch & 1 == 1;
            *weight = 1.0 + f32::from(changed) * changed_weight + f32::from(under) * moving_weight;
        }
    }

    /// With a copy on `device` if `feed` gathers there.
    ///
    /// # Errors
    /// [`TrainError::Option`] if that was asked for and does not fit.
    pub fn put(self, feed: Feed, device: ComputeDevice) -> Result<Self, TrainError> {
        let fits = feed.puts_on(device, self.device_bytes(), device.free_bytes())?;
        Ok(if fits { self.on_device(&device.burn()) } else { self })
    }

    /// With a copy on `device`, from which batches are then gathered.
    pub fn on_device(self, device: &Device) -> Self {
        Self { device: Some(DeviceRows::new(&self.host, &device.clone().inner())), ..self }
    }

    /// Whether batches are gathered on the device.
    pub fn are_on_device(&self) -> bool {
        self.device.is_some()
    }

    /// What a copy on a device takes there, bytes.
    pub fn device_bytes(&self) -> u64 {
        let HostRows { codes, actions, code_weights, facts } = &self.host;
        let mut bytes = codes.len() as u64 + actions.bytes() + code_weights.bytes();
        facts.map(|column| bytes += column.bytes());
        bytes
    }

    /// Place of the first row of part number `part`, if it is learned from.
    pub fn first(&self, part: usize) -> Option<usize> {
        self.firsts[part]
    }

    /// The row of what lies beyond a clip's end.
    pub fn padding(&self) -> u32 {
        self.moving.len() as u32
    }

    pub fn codes(&self, row: usize) -> &[u8] {
        &self.host.codes[row * FRAME_CODE_BYTES..(row + 1) * FRAME_CODE_BYTES]
    }

    /// One bit for each patch of a row that shows something that can move.
    pub fn moving(&self, row: usize) -> u64 {
        self.moving[row]
    }

    /// The network's input.
    pub fn input(&self, frames: &DrawnFrames, device: &Device) -> FrameInput {
        match &self.device {
            Some(rows) => rows.input(frames, device),
            None => self.host_input(frames).tensors(device),
        }
    }

    /// The network's input, not yet on the device.
    pub fn host_input(&self, frames: &DrawnFrames) -> HostInput {
        HostInput::new(&self.host, frames)
    }

    /// What the loss holds the output against.
    pub fn targets(&self, rows: &[u32], device: &Device) -> Targets {
        match &self.device {
            Some(on_device) => on_device.targets(rows, device),
            None => self.host_targets(rows).tensors(device),
        }
    }

    /// What the loss holds the output against, not yet on the device.
    pub fn host_targets(&self, rows: &[u32]) -> HostTargets {
        HostTargets::new(&self.host, rows)
    }
}

impl HostRows {
    fn empty(rows: usize, card: &ModelCard) -> Self {
        let column = |width| Column::zeros(rows, width);
        let objects = card.config.object_values();
        Self {
            codes: vec![NO_CODE; rows * FRAME_CODE_BYTES],
            actions: column(card.config.action_values),
            code_weights: column(FRAME_CODES),
            facts: FrameFacts {
                rewards: column(REWARD_BINS),
                reward_weights: column(1),
                terminated: column(1),
                terminated_weights: column(1),
                objects: column(objects),
                object_weights: column(objects),
                real: column(1),
            },
        }
    }
}

/// Reward and termination of `row`; what the dataset does not tell weighs nothing.
fn put_outcome(
    clips: &Clips,
    row: usize,
    (at, facts): (usize, &mut FrameFacts<Column>),
    options: &ObjectiveOptions,
) {
    let told = clips.targets;
    let reward = clips.rewards[row];
    let weight = f32::from(told.rewards) * (1.0 + f32::from(reward != 0.0) * options.reward_weight);
    let bins = facts.rewards.row_mut(at);
    two_hot(reward, bins);
    bins.iter_mut().for_each(|share| *share *= weight);
    facts.reward_weights.row_mut(at)[0] = weight;
    let terminated = f32::from(clips.terminated[row]);
    facts.terminated.row_mut(at)[0] = terminated;
    let weight = 1.0 + terminated * options.terminated_weight;
    facts.terminated_weights.row_mut(at)[0] = f32::from(told.terminated) * weight;
}

/// One bit for each patch that holds a pixel of `class`.
fn patches_of_class(classes: &[u8], size: FrameSize, class: u8) -> u64 {
    let (side, patch) = (size.side(), size.patch_side());
    let mut bits = 0;
    for (pixel, bit) in classes.iter().enumerate() {
        if bit & class != 0 {
            let (y, x) = (pixel / side, pixel % side);
            bits |= 1 << (y / patch * GRID_SIDE + x / patch);
        }
    }
    bits
}
