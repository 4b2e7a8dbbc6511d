use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::physics::World;
use crate::randomisation::check_difficulty;
use crate::record::{AppliedForce, Contact};
use crate::registry::TaskEntry;
use crate::truth_env::{Phase, Transition};
use crate::{
    Action, AutoresetMode, Batch, Buffer, EnvError, EnvSpec, Pose, Randomisation, Scene, TruthEnv,
    TruthSource, VectorEnv, Velocity,
};

/// Info columns that every truth environment has, before the task's reward terms.
const INFO: [&str; 2] = ["success", "diverged"];
/// Lanes that one thread takes at a time: below this, handing work over costs more than stepping.
const LANES_PER_JOB: usize = 4;

/// Many truth environments of one task, stepped in parallel; lane `i` is a [`TruthEnv`].
pub struct TruthVectorEnv {
    spec: EnvSpec,
    mode: AutoresetMode,
    lanes: Vec<Lane>,
    batch: Batch,
}

pub(crate) struct Lane {
    pub env: TruthEnv,
    /// What the lane's part of the batch is to become.
    row: Row,
    state: Vec<f32>,
}

enum Row {
    Untouched,
    Started,
    Stepped(Transition),
}

impl TruthVectorEnv {
    /// `num_envs` environments of `entry`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `num_envs` is 0, or the mode is [`SameStep`](AutoresetMode::SameStep).
    pub fn new(entry: &'static TaskEntry, num_envs: usize, mode: AutoresetMode) -> Result<Self, EnvError> {
        if num_envs == 0 {
            return Err(EnvError::Argument { message: "num_envs is 0, expected at least 1".to_owned() });
        }
        mode.check_engine()?;
        let spec = entry.spec();
        let batch = empty_batch(entry, num_envs);
        let lanes = (0..num_envs).map(|i| Lane::new(entry, i)).collect();
        Ok(Self { spec, mode, lanes, batch })
    }

    /// The physics behind `lane`.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn world(&self, lane: usize) -> &World {
        self.lanes[lane].env.task().world()
    }

    /// Moves everything in `lane` that is free to move by `offset` metres.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn displace(&mut self, lane: usize, offset: [f32; 3]) {
        self.lanes[lane].env.displace(offset);
    }

    /// How much of the ranges of its starts and goals later episodes of `lane` use: see [`TruthEnv::set_difficulty`].
    ///
    /// # Errors
    /// [`EnvError::Argument`] for a lane that is not there, or a difficulty outside 0 to 1.
    pub fn set_difficulty(&mut self, lane: usize, difficulty: Option<f32>) -> Result<(), EnvError> {
        self.check_lane(lane)?;
        self.lanes[lane].env.set_difficulty(difficulty)
    }

    fn check_len(&self, what: &str, len: usize) -> Result<(), EnvError> {
        if len == self.lanes.len() {
            return Ok(());
        }
        let message = format!("{what} has {len} entries, expected {} (one a lane)", self.lanes.len());
        Err(EnvError::Argument { message })
    }

    fn check_lane(&self, lane: usize) -> Result<(), EnvError> {
        if lane < self.lanes.len() {
            return Ok(());
        }
        let message = format!("lane {lane} is not there, expected 0..{}", self.lanes.len());
        Err(EnvError::Argument { message })
    }

    /// Writes what the lanes left into the batch's arrays.
    fn publish(&mut self) {
        let rows = self.lanes.iter_mut().enumerate();
        rows.for_each(|(i, lane)| lane.publish(&mut self.batch, i));
    }
}

/// A batch with every info column of a task.
pub(crate) fn empty_batch(entry: &TaskEntry, rows: usize) -> Batch {
    let names: Vec<_> = INFO.into_iter().chain(entry.reward_terms.iter().map(|term| term.name)).collect();
    Batch::new(&entry.spec(), rows, &names)
}

/// The difficulty that options of a reset name; there are no others.
pub(crate) fn difficulty_of(options: &BTreeMap<String, f32>) -> Result<Option<f32>, EnvError> {
    if let Some(name) = options.keys().find(|name| *name != "difficulty") {
        let message = format!("unknown option {name:?}, expected difficulty");
        return Err(EnvError::Argument { message });
    }
    let difficulty = options.get("difficulty").copied();
    difficulty.map_or(Ok(()), check_difficulty)?;
    Ok(difficulty)
}

impl Lane {
    /// Lane `i` of a vector.
    pub fn new(entry: &'static TaskEntry, i: usize) -> Self {
        Self { env: TruthEnv::new(entry, i as u64), row: Row::Untouched, state: Vec::new() }
    }

    /// Writes what it left, if anything, into row `i` of a batch.
    pub fn publish(&mut self, batch: &mut Batch, i: usize) {
        let Buffer::F32(observations) = &mut batch.observations else { return };
        let transition = match std::mem::replace(&mut self.row, Row::Untouched) {
            Row::Untouched => return,
            Row::Started => None,
            Row::Stepped(transition) => Some(transition),
        };
        let len = self.state.len();
        observations[i * len..(i + 1) * len].copy_from_slice(&self.state);
        let known = transition.is_some();
        let transition = transition.unwrap_or_default();
        batch.rewards[i] = transition.reward;
        batch.terminated[i] = transition.outcome.terminated;
        batch.truncated[i] = transition.truncated;
        let facts = [f32::from(transition.outcome.success), f32::from(transition.diverged)];
        let values = facts.into_iter().chain(transition.outcome.terms);
        for (column, value) in batch.info.iter_mut().zip(values) {
            column.values[i] = value;
            column.mask[i] = known;
        }
    }

    pub fn start(&mut self, seed: Option<u64>) {
        self.env.reset(seed);
        self.row = Row::Started;
        self.observe();
    }

    pub fn step(&mut self, action: Action<'_>) {
        if self.env.phase() == Phase::Ended {
            self.start(None);
            return;
        }
        let transition = self.env.step_unchecked(action);
        self.row = Row::Stepped(transition);
        // Whoever reads a diverged lane gets the last observation that was one.
        if !transition.diverged {
            self.observe();
        }
    }

    fn observe(&mut self) {
        self.state.clear();
        self.env.observe(&mut self.state);
    }
}

impl VectorEnv for TruthVectorEnv {
    fn num_envs(&self) -> usize {
        self.lanes.len()
    }

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.check_len("seeds", seeds.len())?;
        self.check_len("mask", mask.len())?;
        self.lanes
            .par_iter_mut()
            .with_min_len(LANES_PER_JOB)
            .zip(seeds.par_iter().zip(mask))
            .filter(|(_, (_, masked))| **masked)
            .for_each(|(lane, (seed, _))| lane.start(*seed));
        self.publish();
        Ok(())
    }

    fn set_options(&mut self, options: &BTreeMap<String, f32>, mask: &[bool]) -> Result<(), EnvError> {
        self.check_len("mask", mask.len())?;
        let difficulty = difficulty_of(options)?;
        (0..mask.len()).filter(|i| mask[*i]).try_for_each(|i| self.set_difficulty(i, difficulty))
    }

    fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        let ranges = ranges.map(Arc::new);
        self.lanes.iter_mut().try_for_each(|lane| lane.env.randomise(ranges.clone()))
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.check_len("mask", mask.len())?;
        self.spec.action_space.check(actions, self.lanes.len())?;
        let blocked = |phase| match self.mode {
            AutoresetMode::NextStep => phase == Phase::Unstarted,
            AutoresetMode::Disabled | AutoresetMode::SameStep => phase != Phase::Running,
        };
        for (i, (lane, masked)) in self.lanes.iter().zip(mask).enumerate() {
            if *masked && blocked(lane.env.phase()) {
                return Err(EnvError::NeedsReset { lane: i });
            }
        }
        let width = self.spec.action_space.flat_len();
        self.lanes.par_iter_mut().with_min_len(LANES_PER_JOB).enumerate().filter(|(i, _)| mask[*i]).for_each(
            |(i, lane)| match actions {
                Buffer::F32(values) => lane.step(Action::Box(&values[i * width..(i + 1) * width])),
                Buffer::I64(values) => lane.step(Action::Discrete(values[i])),
                Buffer::U8(_) | Buffer::U16(_) => {}
            },
        );
        self.publish();
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.check_lane(lane)?;
        let env = &self.lanes[lane].env;
        if env.phase() == Phase::Unstarted {
            return Err(EnvError::NeedsReset { lane });
        }
        env.save()
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.check_lane(lane)?;
        let lane = &mut self.lanes[lane];
        lane.env.load(bytes)?;
        lane.row = Row::Started;
        lane.observe();
        self.publish();
        Ok(())
    }
}

impl TruthSource for TruthVectorEnv {
    fn scene(&self, lane: usize) -> &Scene {
        self.lanes[lane].env.task().scene()
    }

    fn poses(&self, lane: usize, out: &mut Vec<Pose>) {
        self.lanes[lane].env.task().world().poses(out);
    }

    fn velocities(&self, lane: usize, out: &mut Vec<Velocity>) {
        self.lanes[lane].env.task().world().velocities(out);
    }

    fn state(&self, lane: usize, out: &mut Vec<f32>) {
        self.lanes[lane].env.task().state(out);
    }

    fn expert_action(&self, lane: usize, out: &mut Buffer) {
        self.lanes[lane].env.task().expert(out);
    }

    fn episode(&self, lane: usize) -> u64 {
        self.lanes[lane].env.episode()
    }

    fn record(&mut self, lane: usize, on: bool) {
        self.lanes[lane].env.record(on);
    }

    fn contacts(&self, lane: usize) -> &[Contact] {
        self.lanes[lane].env.task().world().contacts()
    }

    fn forces(&self, lane: usize) -> &[AppliedForce] {
        self.lanes[lane].env.task().world().forces()
    }
}
