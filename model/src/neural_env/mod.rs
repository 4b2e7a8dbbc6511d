//! The dream as an environment: the same `reset`/`step` as the truth.
//!
//! A reset shows what truth shows after `context_frames − 1` neutral actions under the same seed, and counts those
//! actions: dream and truth are truncated at the same frame.

mod audit;
mod free_memory;
mod lane;
mod memory;
mod observation;
mod on_card;
mod options;
mod prefetch;
mod restart;
mod starts;
mod step;

pub use audit::{AUDIT_INFO, AuditReport, AuditRow, AuditTruth, Terminations};
pub use free_memory::free_bytes;
pub use memory::{DreamMemory, EnvBytes, MEMORY_SHARE, MemoryMax};
pub use observation::DreamObservation;
pub use options::NeuralOptions;
pub use prefetch::{PrefetchedStarts, STARTS_AHEAD_MAX};
pub use starts::StartSource;

use std::ops::RangeInclusive;

use audit::Audit;
use lane::{Fits, Lane, SavedLane};
use observation::{put_row_bytes, row_bytes};
use on_card::KeptOnCard;
use step::StepBuffers;
use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, InfoColumn, Space, VectorEnv};

use crate::engine::{StepEngine, StepOutput, engine_over};
use crate::model::{Model, TaskCard};
use crate::on_card::Part;
use crate::packing::FRAME_CODE_BYTES;

/// Info column with the [uncertainty](StepOutput::uncertainty) of the frame that a step dreamt, in nats; not set after a
/// reset.
pub const UNCERTAINTY: &str = "uncertainty";

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
    /// The coded neutral action.
    neutral: Vec<f32>,
    /// Codes of each lane's present frame, which the engine has not seen yet.
    codes: Vec<u8>,
    said: StepOutput,
    batch: Batch,
    buffers: StepBuffers,
    /// Whether the source of starts knows what comes next.
    expected_told: bool,
    /// Truth beside some lanes.
    audit: Option<Audit>,
    /// Where the frames are, if they stay on a card.
    kept: Option<KeptOnCard>,
}

impl NeuralVectorEnv {
    /// An environment of that of `model`'s tasks which the starts are of; nothing is reset yet.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `starts` is of none of its tasks or as long as an episode, or an option is impossible;
    /// [`EnvError::Limit`] if so many lanes take more memory than they may, before any of it is allocated;
    /// [`EnvError::Engine`] if the model's weights are not those of its configuration.
    pub fn new(model: Model, starts: Box<dyn StartSource>, options: NeuralOptions) -> Result<Self, EnvError> {
        options.autoreset_mode.check_engine()?;
        let model = model.with_products(options.products);
        let task =
            check(&model, starts.as_ref(), &options).map_err(|message| EnvError::Argument { message })?;
        let (n, observation) = (options.num_envs, options.observation);
        let memory = DreamMemory::new(&model, n, observation, starts.context_frames());
        let memory_max = MemoryMax::of(options.memory_bytes_max, &model, options.devices);
        memory.check(n, &memory_max).map_err(|message| EnvError::Limit { message })?;
        let observation_space = observation.space(&model.card.config, model.card.tasks[task].objects.len());
        let spec = EnvSpec { observation_space, ..starts.spec().clone() };
        let mut neutral = Vec::new();
        let action = starts.neutral_action();
        model.card.encode_action(task, action, &mut neutral).map_err(action_error)?;
        Ok(Self {
            engine: engine_over(&model, n, options.devices)
                .map_err(|error| EnvError::Engine { message: error.to_string() })?,
            said: StepOutput::new(&model, n),
            batch: Batch::new(&spec, n, &[UNCERTAINTY]),
            lanes: (0..n).map(Lane::new).collect(),
            codes: vec![0; n * FRAME_CODE_BYTES],
            weights: model.weights_hash(),
            buffers: StepBuffers::new(&model, n, observation, &neutral),
            neutral,
            expected_told: true,
            audit: None,
            kept: None,
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

    /// The task that it dreams.
    pub fn task(&self) -> &TaskCard {
        &self.model.card.tasks[self.task]
    }

    /// What it takes of this machine's memory.
    pub fn memory(&self) -> DreamMemory {
        let options = &self.options;
        DreamMemory::new(&self.model, options.num_envs, options.observation, self.starts.context_frames())
    }

    /// Steps the lanes of `live` and restarts those of `ended`. What can fail comes first: after an error no lane has moved.
    fn step_or_restart(&mut self, actions: &Buffer, live: &[bool], ended: &[bool]) -> Result<(), EnvError> {
        self.code_actions(actions)?;
        let starts = self.draw_starts(ended)?;
        if live.contains(&true) {
            self.dream(actions, live);
        }
        self.begin(ended, &starts);
        Ok(())
    }

    /// Steps of an episode at its reset and at its truncation.
    fn clock(&self) -> RangeInclusive<u32> {
        self.starts.context_frames() as u32 - 1..=self.spec.max_episode_steps
    }

    /// Bytes of a frame.
    fn frame_bytes(&self) -> usize {
        self.model.card.config.frame.bytes()
    }

    /// What `lane` shows, as bytes.
    fn shown(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        match &self.kept {
            Some(kept) => kept.row(lane),
            None => Ok(row_bytes(&self.batch.observations, lane, self.spec.observation_space.flat_len())),
        }
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

/// Whether `model` can dream on from `starts` in this way; gives the number of the task.
fn check(model: &Model, starts: &dyn StartSource, options: &NeuralOptions) -> Result<usize, String> {
    let (card, spec) = (&model.card, starts.spec());
    let Some(task) = card.task_index(&spec.id) else {
        return Err(format!("the model dreams {}, its starts are of {:?}", card.task_names(), spec.id));
    };
    options.check()?;
    let (frames, side) = (card.config.frame, card.config.frame.side());
    if spec.observation_space != Space::image(side, side, 3) {
        let found = match &spec.observation_space {
            Space::Box(space) => format!("{:?}", space.shape),
            other => format!("{other:?}"),
        };
        return Err(format!("the model's frames are {frames}, its starts show {found}"));
    }
    if options.observation == DreamObservation::State && card.tasks[task].objects.is_empty() {
        return Err(format!("the model tracks no objects in {}: it has no state, ask for rgb", spec.id));
    }
    let (context, longest) = (starts.context_frames(), spec.max_episode_steps);
    if !(1..=longest as usize).contains(&context) {
        return Err(format!("starts have {context} frames, expected 1..={longest}"));
    }
    Ok(task)
}

fn info_column(name: &'static str, num_envs: usize) -> InfoColumn {
    InfoColumn { name, values: vec![0.0; num_envs], mask: vec![false; num_envs] }
}

/// Codes of `lane`'s frame.
fn code_row(codes: &[u8], lane: usize) -> &[u8] {
    &codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES]
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
        let starts = self.draw_starts(mask).inspect_err(|_| self.lanes = before)?;
        self.begin(mask, &starts);
        Ok(())
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
        if !self.expected_told {
            self.tell_expected();
        }
        // Taken out and put back, so that they can be read while the rest of the environment is written.
        let (mut live, mut ended) =
            (std::mem::take(&mut self.buffers.live), std::mem::take(&mut self.buffers.ended));
        for (i, (lane, masked)) in self.lanes.iter().zip(mask).enumerate() {
            (live[i], ended[i]) = (*masked && !lane.done, *masked && lane.done);
        }
        let stepped = self.step_or_restart(actions, &live, &ended);
        (self.buffers.live, self.buffers.ended) = (live, ended);
        stepped
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.check_lane(lane)?;
        if !self.lanes[lane].started {
            return Err(EnvError::NeedsReset { lane });
        }
        SavedLane {
            task: self.spec.id.clone(),
            weights: self.weights,
            lane: self.lanes[lane].clone(),
            cache: self.engine.lane(lane),
            codes: code_row(&self.codes, lane).to_vec(),
            observation: self.shown(lane)?,
            outcome: (self.batch.rewards[lane], self.batch.terminated[lane], self.batch.truncated[lane]),
        }
        .to_bytes()
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.check_lane(lane)?;
        let saved = SavedLane::from_bytes(bytes)?;
        saved.check(&Fits {
            task: &self.spec.id,
            weights: self.weights,
            clock: self.clock(),
            observation: &self.spec.observation_space,
        })?;
        if !self.engine.set_lane(lane, &saved.cache) {
            return Err(EnvError::State { message: "its cache is of another size".to_owned() });
        }
        self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].copy_from_slice(&saved.codes);
        self.lanes[lane] = saved.lane;
        self.tell(lane, saved.outcome, None);
        put_row_bytes(&mut self.batch.observations, lane, &saved.observation);
        if let Some(kept) = &mut self.kept {
            kept.put(&[lane], 0, Part::Host(&saved.observation));
        }
        self.expected_told = false;
        if let Some(audit) = &mut self.audit {
            audit.leave(lane);
        }
        Ok(())
    }
}
