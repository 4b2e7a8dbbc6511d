//! Clips dreamt side by side: the context is true, what follows is the model's own.

use super::EvalOptions;
use crate::codec::{decode_frames, encode_frames};
use crate::data::{ClipRange, Clips};
use crate::engine::{DREAMT_LEVEL, FrameStep, Sampling, StepEngine, StepOutput, engine};
use crate::model::{Model, ModelError};
use crate::packing::FRAME_CODE_BYTES;

/// Steps dreamt beyond a clip's end, with its last action.
const BEYOND_END: usize = 12;

/// Clips that are dreamt side by side.
pub struct Batch<'a> {
    model: &'a Model,
    /// Which of the model's tasks the clips are of.
    task: usize,
    clips: &'a Clips,
    /// The clips.
    pub ranges: &'a [ClipRange],
    options: &'a EvalOptions,
    /// Codes of each clip's true frames.
    codes: Vec<Vec<u8>>,
}

/// What was dreamt of one clip after its context; entry `i` of each field is of row `context + i`.
#[derive(Clone, Debug, Default)]
pub struct Dreamt {
    /// HWC `uint8` frames.
    pub frames: Vec<u8>,
    /// `FRAME_CODE_BYTES` a frame.
    codes: Vec<u8>,
    /// Expected reward of the action taken on seeing the frame.
    pub rewards: Vec<f32>,
    /// Probability that this action ends the episode.
    pub terminated: Vec<f32>,
    /// The readout, in SI units: position and velocity of each tracked object.
    pub objects: Vec<f32>,
}

/// What the model foretells of one row, seeing all true frames up to it.
#[derive(Clone, Copy, Debug)]
pub struct Foretold {
    /// Row among all clips.
    pub row: usize,
    /// Expected reward.
    pub reward: f32,
    /// Probability that the episode ends.
    pub terminated: f32,
    /// Mean entropy of the next frame's codes, nats.
    pub uncertainty: f32,
}

impl<'a> Batch<'a> {
    pub fn new(
        (model, task): (&'a Model, usize),
        clips: &'a Clips,
        ranges: &'a [ClipRange],
        options: &'a EvalOptions,
    ) -> Self {
        let encode = |clip: &ClipRange| encode_frames(&model.tokenizer, clips.film(clip.rows()));
        Self { model, task, clips, ranges, options, codes: ranges.iter().map(encode).collect() }
    }

    /// Steps dreamt of clip `lane`: all that there is truth for, and some beyond the clip's end, or an end that is
    /// foretold late would not be told from one that is not foretold.
    fn reach(&self, lane: usize) -> usize {
        let true_steps = self.ranges[lane].len - self.options.context_frames;
        if true_steps <= self.options.horizon_max {
            true_steps + BEYOND_END
        } else {
            self.options.horizon_max
        }
    }

    /// The frames of clip `lane` through the tokenizer and back.
    pub fn recoded(&self, lane: usize) -> Vec<u8> {
        decode_frames(&self.model.tokenizer, &self.codes[lane])
    }

    /// Rewards and terminations foretold along the whole of each clip, one step ahead of its true frames.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] if the weights are not those of the configuration.
    pub fn watch(&self, mut say: impl FnMut(Foretold)) -> Result<(), ModelError> {
        let lanes = self.ranges.len();
        let mut engine = engine(self.model, lanes)?;
        let mut said = StepOutput::new(self.model, lanes);
        let longest = self.ranges.iter().map(|range| range.len).max().unwrap_or(0);
        for t in 0..longest {
            let codes: Vec<u8> =
                (0..lanes).flat_map(|lane| self.true_codes(lane, t).iter().copied()).collect();
            let step = Step { t, level: 0, mask: self.ranges.iter().map(|range| t < range.len).collect() };
            self.step(&codes, step, |lane| &self.ranges[lane], engine.as_mut(), &mut said);
            for (lane, range) in self.ranges.iter().enumerate().filter(|(_, range)| t < range.len) {
                say(Foretold {
                    row: range.start + t,
                    reward: said.rewards[lane],
                    terminated: said.terminated[lane],
                    uncertainty: said.uncertainty[lane],
                });
            }
        }
        Ok(())
    }

    /// Codes of the true frame `t` of clip `lane`, or of its last one.
    fn true_codes(&self, lane: usize, t: usize) -> &[u8] {
        let t = t.min(self.ranges[lane].len - 1);
        &self.codes[lane][t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES]
    }

    /// What follows the context in each clip, dreamt with the actions of `actor(lane)`; the context has the clip's own.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] if the weights are not those of the configuration.
    pub fn dream<'r>(&'r self, actor: impl Fn(usize) -> &'r ClipRange) -> Result<Vec<Dreamt>, ModelError> {
        let (lanes, context) = (self.ranges.len(), self.options.context_frames);
        let mut engine = engine(self.model, lanes)?;
        let mut said = StepOutput::new(self.model, lanes);
        let mut dreamt = vec![Dreamt::default(); lanes];
        let longest = (0..lanes).map(|lane| self.reach(lane)).max().unwrap_or(0);
        for t in 0..context + longest {
            if t < context {
                for (lane, codes) in said.codes.chunks_exact_mut(FRAME_CODE_BYTES).enumerate() {
                    codes.copy_from_slice(self.true_codes(lane, t));
                }
            }
            let codes = said.codes.clone();
            // The last context frame's action is the first to shape the dream.
            let own = |lane: usize| if t + 1 < context { &self.ranges[lane] } else { actor(lane) };
            let mask = (0..lanes).map(|lane| t < context + self.reach(lane)).collect();
            let level = if t < context { 0 } else { DREAMT_LEVEL };
            self.step(&codes, Step { t, level, mask }, own, engine.as_mut(), &mut said);
            for (lane, dreamt) in dreamt.iter_mut().enumerate() {
                let (from, end) = (lane * FRAME_CODE_BYTES, context + self.reach(lane));
                if (context..end).contains(&(t + 1)) {
                    dreamt.codes.extend_from_slice(&said.codes[from..from + FRAME_CODE_BYTES]);
                }
                if (context..end).contains(&t) {
                    self.read_out(&said, lane, dreamt);
                }
            }
        }
        for dreamt in &mut dreamt {
            dreamt.frames = vec![0; dreamt.codes.len() / FRAME_CODE_BYTES * self.clips.frame_size.bytes()];
            engine.decode(&dreamt.codes, &mut dreamt.frames);
        }
        Ok(dreamt)
    }

    fn read_out(&self, said: &StepOutput, lane: usize, dreamt: &mut Dreamt) {
        dreamt.rewards.push(said.rewards[lane]);
        dreamt.terminated.push(said.terminated[lane]);
        let task = &self.model.card.tasks[self.task];
        let (mean, scale) = (&task.object_mean, &task.object_scale);
        let values = self.model.card.config.object_values();
        let own = &said.objects[lane * values..(lane + 1) * values];
        dreamt
            .objects
            .extend(own.iter().zip(mean).zip(scale).map(|((value, mean), scale)| value * scale + mean));
    }

    /// Appends one frame to the lanes of the step, with the action that `actor(lane)` took at its time (its last one, if
    /// over).
    fn step<'r>(
        &self,
        codes: &[u8],
        step: Step,
        actor: impl Fn(usize) -> &'r ClipRange,
        engine: &mut dyn StepEngine,
        said: &mut StepOutput,
    ) {
        let lanes = self.ranges.len();
        let mut actions = Vec::with_capacity(lanes * self.model.card.config.action_values);
        for lane in 0..lanes {
            let range = actor(lane);
            let coded = self.clips.action(range.start + step.t.min(range.len - 1));
            self.model.card.pad_action(self.task, coded, &mut actions);
        }
        let draws: Vec<u64> =
            self.ranges.iter().map(|range| (range.start as u64) << 20 | step.t as u64).collect();
        let sampling = Sampling { draws: &draws, temperature: self.options.temperature };
        let levels = vec![step.level; lanes];
        let frame = FrameStep { codes, actions: &actions, levels: &levels, mask: &step.mask, sampling };
        engine.step(&frame, said);
    }
}

/// When a frame is appended, as what, and to which lanes.
struct Step {
    t: usize,
    level: usize,
    mask: Vec<bool>,
}
