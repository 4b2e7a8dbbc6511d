use worldstep_env::{Buffer, EnvError};

use super::observation::DreamObservation;
use super::{NeuralVectorEnv, UNCERTAINTY, action_error, code_row};
use crate::config::FRAME_CODES;
use crate::dynamics::OBJECT_VALUES;
use crate::engine::{DREAMT_LEVEL, FrameStep, Sampling};
use crate::fsq::code_index;
use crate::model::{Model, ModelCard};
use crate::packing::FRAME_CODE_BYTES;

/// Memory of a step, kept from one to the next: a step in which no lane restarts allocates nothing.
#[derive(Default)]
pub struct StepBuffers {
    /// Lanes that dream one frame on.
    pub live: Vec<bool>,
    /// Lanes whose episode has ended, which restart.
    pub ended: Vec<bool>,
    actions: Vec<f32>,
    levels: Vec<usize>,
    draws: Vec<u64>,
    /// Coded neutral actions of all lanes.
    neutral: Vec<f32>,
    /// Normalised objects of all lanes.
    objects: Vec<f32>,
    /// Codes, and then frames, of the lanes that are decoded, one beside the other.
    codes: Vec<u8>,
    frames: Vec<u8>,
}

impl StepBuffers {
    /// Room for the steps of `lanes` lanes; `neutral` is the coded neutral action.
    pub fn new(model: &Model, lanes: usize, observation: DreamObservation, neutral: &[f32]) -> Self {
        let config = &model.card.config;
        let rgb = if observation == DreamObservation::Rgb { lanes } else { 0 };
        Self {
            live: vec![false; lanes],
            ended: vec![false; lanes],
            actions: Vec::with_capacity(lanes * config.action_values),
            levels: vec![0; lanes],
            draws: vec![0; lanes],
            neutral: neutral.repeat(lanes),
            objects: vec![0.0; lanes * config.object_values()],
            codes: Vec::with_capacity(rgb * FRAME_CODE_BYTES),
            frames: Vec::with_capacity(rgb * config.frame.bytes()),
        }
    }
}

impl NeuralVectorEnv {
    /// Codes the actions of all lanes for the step that is to come.
    pub(super) fn code_actions(&mut self, actions: &Buffer) -> Result<(), EnvError> {
        self.buffers.actions.clear();
        for lane in 0..self.options.num_envs {
            let card = &self.model.card;
            card.encode_lane(self.task, (actions, lane), &mut self.buffers.actions).map_err(action_error)?;
        }
        Ok(())
    }

    /// Dreams one frame on in the lanes of `live`, under the coded actions; `actions` are the same for truth.
    pub(super) fn dream(&mut self, actions: &Buffer, live: &[bool]) {
        self.note_levels_and_draws();
        let StepBuffers { actions: coded, levels, draws, .. } = &self.buffers;
        let sampling = Sampling { draws, temperature: self.options.temperature };
        let frame = FrameStep { codes: &self.codes, actions: coded, levels, mask: live, sampling };
        self.engine.step(&frame, &mut self.said);
        for lane in lanes_of(live) {
            let code = lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES;
            self.codes[code.clone()].copy_from_slice(&self.said.codes[code]);
            self.conclude(lane);
        }
        self.observe(live);
        if let Some(audit) = &mut self.audit {
            audit.step(actions, live);
            self.audit_lanes(live);
        }
    }

    /// What the model is told of each lane's present frame, and what its randomness is named.
    fn note_levels_and_draws(&mut self) {
        let first = *self.clock().start();
        let StepBuffers { levels, draws, .. } = &mut self.buffers;
        for ((lane, level), draw) in self.lanes.iter().zip(levels).zip(draws) {
            *level = if lane.steps == first { 0 } else { DREAMT_LEVEL };
            *draw = lane.draw();
        }
    }

    /// Counts the step that `lane` has taken and tells what came of it.
    fn conclude(&mut self, lane: usize) {
        let threshold = self.options.termination_threshold.unwrap_or(self.task().ends_above());
        let state = &mut self.lanes[lane];
        state.steps += 1;
        let terminated = self.said.terminated[lane] > threshold;
        let truncated = !terminated && state.steps >= self.spec.max_episode_steps;
        state.done = terminated || truncated;
        self.tell(lane, (self.said.rewards[lane], terminated, truncated), Some(self.said.uncertainty[lane]));
    }

    /// Writes `lane`'s row, all but its observation and what an audit will find.
    pub(super) fn tell(
        &mut self,
        lane: usize,
        (reward, terminated, truncated): (f32, bool, bool),
        uncertainty: Option<f32>,
    ) {
        self.batch.rewards[lane] = reward;
        self.batch.terminated[lane] = terminated;
        self.batch.truncated[lane] = truncated;
        for column in &mut self.batch.info {
            let value = if column.name == UNCERTAINTY { uncertainty } else { None };
            column.values[lane] = value.unwrap_or(0.0);
            column.mask[lane] = value.is_some();
        }
    }

    /// Shows the present frames of the lanes of `mask`, which the model has made or, for codes and states, seen.
    pub(super) fn observe(&mut self, mask: &[bool]) {
        match self.options.observation {
            DreamObservation::Rgb => self.decode(mask),
            DreamObservation::Codes => self.show_codes(mask),
            DreamObservation::Latent => self.read_latents(mask),
            DreamObservation::State => self.read_state(mask),
        }
    }

    fn decode(&mut self, mask: &[bool]) {
        let bytes = self.frame_bytes();
        if self.kept.is_some() {
            return self.decode_on_card(mask);
        }
        let Buffer::U8(observations) = &mut self.batch.observations else { return };
        if !mask.contains(&false) {
            return self.engine.decode(&self.codes, observations);
        }
        let StepBuffers { codes, frames, .. } = &mut self.buffers;
        codes.clear();
        for lane in lanes_of(mask) {
            codes.extend_from_slice(code_row(&self.codes, lane));
        }
        frames.resize(codes.len() / FRAME_CODE_BYTES * bytes, 0);
        self.engine.decode(codes, frames);
        for (lane, frame) in lanes_of(mask).zip(frames.chunks_exact(bytes)) {
            observations[lane * bytes..(lane + 1) * bytes].copy_from_slice(frame);
        }
    }

    /// Decodes to where the frames stay; those in the batch are as they were.
    fn decode_on_card(&mut self, mask: &[bool]) {
        let bytes = self.frame_bytes();
        let Some(kept) = &mut self.kept else { return };
        let StepBuffers { codes, frames, .. } = &mut self.buffers;
        let lanes: Vec<usize> = lanes_of(mask).collect();
        codes.clear();
        lanes.iter().for_each(|lane| codes.extend_from_slice(code_row(&self.codes, *lane)));
        frames.resize(lanes.len() * bytes, 0);
        self.engine.decode_on_card(codes, frames, &mut |first, part| kept.put(&lanes, first, part));
    }

    fn show_codes(&mut self, mask: &[bool]) {
        let Buffer::U16(observations) = &mut self.batch.observations else { return };
        for lane in lanes_of(mask) {
            let shown = &mut observations[lane * FRAME_CODES..(lane + 1) * FRAME_CODES];
            let (codes, _) = code_row(&self.codes, lane).as_chunks();
            shown.iter_mut().zip(codes).for_each(|(shown, code)| *shown = code_index(code));
        }
    }

    fn read_latents(&mut self, mask: &[bool]) {
        self.note_levels_and_draws();
        let StepBuffers { neutral, levels, draws, .. } = &mut self.buffers;
        let sampling = Sampling { draws, temperature: 0.0 };
        let frame = FrameStep { codes: &self.codes, actions: neutral, levels, mask, sampling };
        let Buffer::F32(observations) = &mut self.batch.observations else { return };
        self.engine.read_latents(&frame, observations);
    }

    fn read_state(&mut self, mask: &[bool]) {
        self.read_objects(mask);
        let width = self.task().objects.len() * OBJECT_VALUES;
        for lane in lanes_of(mask) {
            let Buffer::F32(observations) = &mut self.batch.observations else { return };
            let said = lane_objects(&self.model.card, self.task, &self.buffers.objects, lane);
            observations[lane * width..].iter_mut().zip(said).for_each(|(shown, value)| *shown = value);
        }
    }

    /// Reads out the present frames of the lanes of `mask`: the step's own readout is of the frame that it appended, this
    /// one of the frame that it dreamt.
    fn read_objects(&mut self, mask: &[bool]) {
        self.note_levels_and_draws();
        let StepBuffers { neutral, levels, draws, objects, .. } = &mut self.buffers;
        let sampling = Sampling { draws, temperature: 0.0 };
        let frame = FrameStep { codes: &self.codes, actions: neutral, levels, mask, sampling };
        self.engine.read_objects(&frame, objects);
    }

    /// Where the model believes the tracked objects of each lane of `mask` to be, lane after lane.
    pub(super) fn believed_objects(&mut self, mask: &[bool]) -> Vec<f32> {
        if self.task().objects.is_empty() {
            return Vec::new();
        }
        self.read_objects(mask);
        let (card, said) = (&self.model.card, &self.buffers.objects);
        lanes_of(mask).flat_map(|lane| lane_objects(card, self.task, said, lane)).collect()
    }
}

/// The readout of `lane` in SI units, as far as `task` has objects.
fn lane_objects(card: &ModelCard, task: usize, said: &[f32], lane: usize) -> impl Iterator<Item = f32> {
    let task = &card.tasks[task];
    let scales = task.object_mean.iter().zip(&task.object_scale);
    let said = &said[lane * card.config.object_values()..];
    said.iter().zip(scales).map(|(value, (mean, scale))| value * scale + mean)
}

/// Lanes where `mask` is true.
pub fn lanes_of(mask: &[bool]) -> impl Iterator<Item = usize> {
    mask.iter().enumerate().filter(|(_, masked)| **masked).map(|(lane, _)| lane)
}
