//! The dream as an environment: the same `reset`/`step` as the truth.
//!
//! A reset shows what truth shows after `context_frames − 1` neutral actions under the same seed, and counts those
//! actions: dream and truth are truncated at the same frame.

mod lane;
mod starts;

pub use starts::StartSource;

use std::ops::RangeInclusive;

use lane::{Lane, SavedLane};
use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, VectorEnv};

use crate::codec::encode_frames;
use crate::config::FRAME_BYTES;
use crate::engine::{DREAMT_LEVEL, FrameStep, Sampling, StepEngine, StepOutput, engine};
use crate::model::Model;
use crate::packing::FRAME_CODE_BYTES;

/// How the dream is stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuralOptions {
    /// Lanes.
    pub num_envs: usize,
    /// When a lane whose episode has ended starts the next one.
    pub autoreset_mode: AutoresetMode,
    /// Sampling temperature; 0 takes the likeliest codes.
    pub temperature: f32,
    /// Probability from which on a predicted termination ends the episode.
    pub termination_threshold: f32,
}

impl NeuralOptions {
    /// Defaults: NEXT_STEP, likeliest codes, threshold 0.5.
    pub fn new(num_envs: usize) -> Self {
        Self {
            num_envs,
            autoreset_mode: AutoresetMode::NextStep,
            temperature: 0.0,
            termination_threshold: 0.5,
        }
    }
}

/// A learned model stepped as a [`VectorEnv`]: ring cache, a reset for each lane, first frames from truth.
///
/// The observation after a reset with seed `s` is frame `context_frames − 1` (counted from 0) of truth's episode `s`;
/// the model has seen the frames before it, on each of which the neutral action was taken. Those steps belong to the
/// episode, so that it is truncated where truth's is: `max_episode_steps − (context_frames − 1)` steps after the reset.
pub struct NeuralVectorEnv {
    model: Model,
    /// Which of the model's tasks it is.
    task: usize,
    starts: Box<dyn StartSource>,
    options: NeuralOptions,
    spec: EnvSpec,
    /// Names the model's weights in saved states.
    weights: u64,
    lanes: Vec<Lane>,
    engine: Box<dyn StepEngine>,
    /// Codes of each lane's present frame, which the engine has not seen yet.
    codes: Vec<u8>,
    said: StepOutput,
    batch: Batch,
}

impl NeuralVectorEnv {
    /// An environment of that of `model`'s tasks which the starts are of; nothing is reset yet.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `starts` is of none of its tasks or as long as an episode, or there are no lanes;
    /// [`EnvError::Engine`] if the model's weights are not those of its configuration.
    pub fn new(model: Model, starts: Box<dyn StartSource>, options: NeuralOptions) -> Result<Self, EnvError> {
        let spec = starts.spec().clone();
        let wrong = |message: String| Err(EnvError::Argument { message });
        let Some(task) = model.card.task_index(&spec.id) else {
            let dreams = model.card.task_names();
            return wrong(format!("the model dreams {dreams}, its starts are of {:?}", spec.id));
        };
        if options.num_envs == 0 {
            return wrong("num_envs is 0, expected at least 1".to_owned());
        }
        let (context, longest) = (starts.context_frames(), spec.max_episode_steps);
        if !(1..=longest as usize).contains(&context) {
            return wrong(format!("starts have {context} frames, expected 1..={longest}"));
        }
        let n = options.num_envs;
        Ok(Self {
            engine: engine(&model, n).map_err(|error| EnvError::Engine { message: error.to_string() })?,
            said: StepOutput::new(&model, n),
            batch: Batch::new(&spec, n, &[]),
            lanes: (0..n).map(Lane::new).collect(),
            codes: vec![0; n * FRAME_CODE_BYTES],
            weights: model.weights_hash(),
            model,
            task,
            starts,
            options,
            spec,
        })
    }

    /// The model behind it.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Draws start frames for the lanes of `due`, feeds all but the last to the cache and shows the last. Only these
    /// lanes are computed: most steps restart few.
    fn restart(&mut self, due: &[bool]) -> Result<(), EnvError> {
        let due: Vec<usize> = (0..due.len()).filter(|lane| due[*lane]).collect();
        let context = self.starts.context_frames();
        if due.is_empty() {
            return Ok(());
        }
        let expected = due.len() * context * FRAME_BYTES;
        let mut frames = Vec::with_capacity(expected);
        let seeds: Vec<u64> = due.iter().map(|lane| self.lanes[*lane].next_seed()).collect();
        self.starts.starts(&seeds, &mut frames)?;
        if frames.len() != expected {
            let got = frames.len();
            let message = format!("{} starts have {got} bytes, expected {expected}", due.len());
            return Err(EnvError::Engine { message });
        }
        let first_step = *self.clock().start();
        let codes = encode_frames(&self.model.tokenizer, &frames);
        self.warm_up(&due, &codes, context)?;
        for (i, lane) in due.into_iter().enumerate() {
            let last = (i + 1) * context;
            self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES]
                .copy_from_slice(&codes[(last - 1) * FRAME_CODE_BYTES..last * FRAME_CODE_BYTES]);
            self.lanes[lane].begin(first_step);
            self.show(lane, &frames[(last - 1) * FRAME_BYTES..last * FRAME_BYTES], (0.0, false, false));
        }
        Ok(())
    }

    /// Shows the engine all start frames but the last, under the neutral action.
    fn warm_up(&mut self, due: &[usize], codes: &[u8], context: usize) -> Result<(), EnvError> {
        let mut neutral = Vec::new();
        let action = self.starts.neutral_action();
        self.model.card.encode_action(self.task, action, &mut neutral).map_err(action_error)?;
        let films = codes.chunks_exact(context * FRAME_CODE_BYTES);
        let seen: Vec<u8> =
            films.flat_map(|film| &film[..(context - 1) * FRAME_CODE_BYTES]).copied().collect();
        self.engine.warm_up(due, &seen, &neutral);
        Ok(())
    }

    fn show(&mut self, lane: usize, frame: &[u8], (reward, terminated, truncated): (f32, bool, bool)) {
        if let Buffer::U8(observations) = &mut self.batch.observations {
            observations[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES].copy_from_slice(frame);
        }
        self.batch.rewards[lane] = reward;
        self.batch.terminated[lane] = terminated;
        self.batch.truncated[lane] = truncated;
    }

    /// Dreams one frame on in the lanes of `live`.
    fn dream(&mut self, actions: &Buffer, live: &[bool]) -> Result<(), EnvError> {
        let n = self.options.num_envs;
        let mut coded = Vec::with_capacity(n * self.model.card.config.action_values);
        for lane in 0..n {
            let action = (actions, lane);
            self.model.card.encode_lane(self.task, action, &mut coded).map_err(action_error)?;
        }
        let first = *self.clock().start();
        let levels: Vec<_> =
            self.lanes.iter().map(|lane| if lane.steps == first { 0 } else { DREAMT_LEVEL }).collect();
        let draws: Vec<_> = self.lanes.iter().map(Lane::draw).collect();
        let frame = FrameStep {
            codes: &self.codes,
            actions: &coded,
            levels: &levels,
            mask: live,
            sampling: Sampling { draws: &draws, temperature: self.options.temperature },
        };
        self.engine.step(&frame, &mut self.said);
        let stepped: Vec<usize> = (0..n).filter(|lane| live[*lane]).collect();
        let code = |lane: usize| lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES;
        let next: Vec<u8> = stepped.iter().flat_map(|lane| &self.said.codes[code(*lane)]).copied().collect();
        let mut frames = vec![0; stepped.len() * FRAME_BYTES];
        self.engine.decode(&next, &mut frames);
        for (lane, frame) in stepped.into_iter().zip(frames.chunks_exact(FRAME_BYTES)) {
            self.codes[code(lane)].copy_from_slice(&self.said.codes[code(lane)]);
            self.lanes[lane].steps += 1;
            let terminated = self.said.terminated[lane] > self.options.termination_threshold;
            let truncated = !terminated && self.lanes[lane].steps >= self.spec.max_episode_steps;
            self.lanes[lane].done = terminated || truncated;
            self.show(lane, frame, (self.said.rewards[lane], terminated, truncated));
        }
        Ok(())
    }

    /// Steps of an episode at its reset and at its truncation.
    fn clock(&self) -> RangeInclusive<u32> {
        self.starts.context_frames() as u32 - 1..=self.spec.max_episode_steps
    }

    fn check_lane(&self, lane: usize) -> Result<(), EnvError> {
        let lanes = self.options.num_envs;
        if lane < lanes {
            return Ok(());
        }
        Err(EnvError::Argument { message: format!("lane {lane} is not there, expected 0..{lanes}") })
    }

    fn check_len(&self, what: &str, len: usize) -> Result<(), EnvError> {
        let expected = self.options.num_envs;
        if len == expected {
            return Ok(());
        }
        Err(EnvError::Argument { message: format!("{what} has {len} values, expected {expected}") })
    }
}

fn action_error(message: String) -> EnvError {
    EnvError::Action { message: format!("action {message}") }
}

impl VectorEnv for NeuralVectorEnv {
    fn num_envs(&self) -> usize {
        self.options.num_envs
    }

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.options.autoreset_mode
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.check_len("seeds", seeds.len())?;
        self.check_len("mask", mask.len())?;
        let before = self.lanes.clone();
        for (lane, seed) in
            self.lanes.iter_mut().zip(seeds).zip(mask).filter(|(_, masked)| **masked).map(|(x, _)| x)
        {
            if let Some(seed) = seed {
                lane.seed(*seed);
            }
        }
        // Without first frames nothing has happened: the lanes keep their old streams too.
        self.restart(mask).inspect_err(|_| self.lanes = before)
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.check_len("mask", mask.len())?;
        self.spec.action_space.check(actions, self.options.num_envs)?;
        let needs_reset = |lane: &Lane| {
            !lane.started || (lane.done && self.options.autoreset_mode == AutoresetMode::Disabled)
        };
        if let Some(lane) = (0..mask.len()).find(|lane| mask[*lane] && needs_reset(&self.lanes[*lane])) {
            return Err(EnvError::NeedsReset { lane });
        }
        let ended: Vec<bool> =
            self.lanes.iter().zip(mask).map(|(lane, masked)| *masked && lane.done).collect();
        let live: Vec<bool> =
            self.lanes.iter().zip(mask).map(|(lane, masked)| *masked && !lane.done).collect();
        if live.contains(&true) {
            self.dream(actions, &live)?;
        }
        if ended.contains(&true) {
            self.restart(&ended)?;
        }
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.check_lane(lane)?;
        if !self.lanes[lane].started {
            return Err(EnvError::NeedsReset { lane });
        }
        let frames = self.batch.observations.as_u8().unwrap_or_default();
        SavedLane {
            task: self.spec.id.clone(),
            weights: self.weights,
            lane: self.lanes[lane].clone(),
            cache: self.engine.lane(lane),
            codes: self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].to_vec(),
            frame: frames[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES].to_vec(),
            outcome: (self.batch.rewards[lane], self.batch.terminated[lane], self.batch.truncated[lane]),
        }
        .to_bytes()
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.check_lane(lane)?;
        let saved = SavedLane::from_bytes(bytes)?;
        saved.check(&self.spec.id, self.weights, &self.clock())?;
        if !self.engine.set_lane(lane, &saved.cache) {
            return Err(EnvError::State { message: "its cache is of another size".to_owned() });
        }
        self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].copy_from_slice(&saved.codes);
        self.lanes[lane] = saved.lane;
        self.show(lane, &saved.frame, saved.outcome);
        Ok(())
    }
}
