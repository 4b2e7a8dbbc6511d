use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rand::SeedableRng as _;
use serde::{Deserialize, Serialize};

use crate::physics::{decode, encode};
use crate::randomisation::{Disturbance, LATENCY_MAX, Randomisation, check_difficulty};
use crate::registry::TaskEntry;
use crate::{Action, Buffer, Draw, EnvError, EnvSpec, Outcome, Rng, Space, Task};

/// What a single step returned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transition {
    /// Terms, termination and success.
    pub outcome: Outcome,
    /// Sum of the terms.
    pub reward: f32,
    /// Cut off by the time limit or because physics diverged.
    pub truncated: bool,
    /// A pose or velocity stopped being a number.
    pub diverged: bool,
}

/// One task with its random stream, clock and time limit: the single environment.
pub struct TruthEnv {
    entry: &'static TaskEntry,
    spec: EnvSpec,
    task: Box<dyn Task>,
    rng: Rng,
    elapsed_steps: u32,
    episode: u64,
    phase: Phase,
    recording: bool,
    difficulty: Option<f32>,
    randomisation: Option<Arc<Randomisation>>,
    disturbance: Disturbance,
    /// Actions that have not come to the task yet, the next one first.
    late: VecDeque<Buffer>,
}

/// Where in its life an episode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Never reset.
    Unstarted,
    /// Can be stepped.
    Running,
    /// Terminated or truncated.
    Ended,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    id: String,
    version: String,
    rng: Rng,
    elapsed_steps: u32,
    episode: u64,
    phase: Phase,
    difficulty: Option<f32>,
    disturbance: Disturbance,
    late: VecDeque<Buffer>,
    task: Vec<u8>,
}

impl TruthEnv {
    /// The task `entry` with a random stream of its own.
    pub fn new(entry: &'static TaskEntry, stream: u64) -> Self {
        Self {
            entry,
            spec: entry.spec(),
            task: (entry.make)(),
            rng: Rng::seed_from_u64(stream),
            elapsed_steps: 0,
            episode: 0,
            phase: Phase::Unstarted,
            recording: false,
            difficulty: None,
            randomisation: None,
            disturbance: Disturbance::default(),
            late: VecDeque::new(),
        }
    }

    /// Spaces and limits.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// The task itself.
    pub fn task(&self) -> &dyn Task {
        self.task.as_ref()
    }

    /// Moves everything that is free to move by `offset` metres.
    pub fn displace(&mut self, offset: [f32; 3]) {
        self.task.world_mut().displace(offset);
    }

    /// Episodes started so far.
    pub fn episode(&self) -> u64 {
        self.episode
    }

    /// Turns recording of contacts and forces on or off, for this and all later episodes.
    pub fn record(&mut self, on: bool) {
        self.recording = on;
        self.task.world_mut().record(on);
    }

    /// How much of the ranges of its starts and goals later episodes use, from 0 (the middle of each) to 1 (all of it);
    /// `None`, as at first, is what [`randomise`](Self::randomise) says.
    ///
    /// # Errors
    /// [`EnvError::Argument`] for any other number.
    pub fn set_difficulty(&mut self, difficulty: Option<f32>) -> Result<(), EnvError> {
        difficulty.map_or(Ok(()), check_difficulty)?;
        self.difficulty = difficulty;
        Ok(())
    }

    /// Draws the physics of later episodes from these ranges; from none at first, and again with `None`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if a range cannot be drawn from.
    pub fn randomise(&mut self, ranges: Option<Arc<Randomisation>>) -> Result<(), EnvError> {
        if let Some(ranges) = &ranges {
            ranges.check()?;
        }
        self.randomisation = ranges;
        Ok(())
    }

    /// Appends the state observation: the task's own, with the episode's sensor noise.
    pub fn observe(&self, out: &mut Vec<f32>) {
        let start = out.len();
        self.task.state(out);
        if self.disturbance.noise.std == 0.0 {
            return;
        }
        // The step picks the draws, so that a state that is loaded shows what it showed when it was saved.
        let step = u64::from(self.elapsed_steps).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Rng::seed_from_u64(self.disturbance.noise_seed ^ step);
        self.disturbance.noise.add(&mut out[start..], &mut rng);
        if let Space::Box(space) = &self.spec.observation_space {
            for (i, value) in out[start..].iter_mut().enumerate() {
                let (low, high) = space.bounds(i);
                *value = value.clamp(low, high);
            }
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Starts an episode; `None` goes on with the present random stream.
    pub fn reset(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = Rng::seed_from_u64(seed);
        }
        let difficulty = self.randomisation.as_ref().map_or(1.0, |ranges| ranges.difficulty);
        self.task.reset(&mut Draw::new(&mut self.rng, self.difficulty.unwrap_or(difficulty)));
        self.disturbance = match &self.randomisation {
            Some(ranges) => ranges.apply(self.task.world_mut(), &mut self.rng),
            None => Disturbance::default(),
        };
        self.late.clear();
        for _ in 0..self.disturbance.latency {
            self.late.push_back(self.spec.action_space.neutral(1));
        }
        self.task.world_mut().record(self.recording);
        self.elapsed_steps = 0;
        self.episode += 1;
        self.phase = Phase::Running;
    }

    /// Applies one action.
    ///
    /// # Errors
    /// [`EnvError::NeedsReset`] before the first reset and after an episode's end; [`EnvError::Action`] for an action
    /// outside the space. Nothing has moved then.
    pub fn step(&mut self, action: &Buffer) -> Result<Transition, EnvError> {
        self.spec.action_space.check(action, 1)?;
        if self.phase != Phase::Running {
            return Err(EnvError::NeedsReset { lane: 0 });
        }
        match action {
            Buffer::F32(values) => Ok(self.step_unchecked(Action::Box(values))),
            Buffer::I64(values) => Ok(self.step_unchecked(Action::Discrete(values[0]))),
            Buffer::U8(_) | Buffer::U16(_) => {
                Err(EnvError::Action { message: format!("{:?} actions are not in use", action.dtype()) })
            }
        }
    }

    /// [`step`](Self::step) for a caller that has checked the action and the phase.
    pub(crate) fn step_unchecked(&mut self, action: Action<'_>) -> Transition {
        // Rapier can panic on a world that has diverged; that must not take the other lanes down.
        let mut due = self.late.pop_front();
        let stepped = catch_unwind(AssertUnwindSafe(|| match &due {
            None => self.task.step(action),
            Some(Buffer::F32(values)) => self.task.step(Action::Box(values)),
            Some(Buffer::I64(values)) => self.task.step(Action::Discrete(values[0])),
            Some(Buffer::U8(_) | Buffer::U16(_)) => Outcome::default(),
        }));
        match (&mut due, action) {
            (Some(Buffer::F32(values)), Action::Box(new)) => values.copy_from_slice(new),
            (Some(Buffer::I64(values)), Action::Discrete(new)) => values[0] = new,
            _ => {}
        }
        self.late.extend(due);
        self.elapsed_steps += 1;
        let diverged = stepped.is_err() || !self.task.world().is_finite();
        let mut outcome = stepped.unwrap_or_default();
        if diverged {
            outcome = Outcome::default();
        }
        let truncated =
            diverged || (!outcome.terminated && self.elapsed_steps >= self.spec.max_episode_steps);
        if outcome.terminated || truncated {
            self.phase = Phase::Ended;
        }
        Transition { outcome, reward: outcome.terms.iter().sum(), truncated, diverged }
    }

    /// Everything that the episode's future depends on: physics, random stream, clock, actions under way, and the difficulty
    /// that was set. The ranges that later episodes are drawn from are the environment's own.
    ///
    /// # Errors
    /// [`EnvError::State`] if the world cannot be encoded.
    pub fn save(&self) -> Result<Vec<u8>, EnvError> {
        let mut bytes = encode(&Saved {
            id: self.entry.id.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rng: self.rng.clone(),
            elapsed_steps: self.elapsed_steps,
            episode: self.episode,
            phase: self.phase,
            difficulty: self.difficulty,
            disturbance: self.disturbance,
            late: self.late.clone(),
            task: self.task.save()?,
        })?;
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        Ok(bytes)
    }

    /// The task in a saved state, once it was seen to be one: a checksum is no proof, since anyone can make it fit.
    fn loaded(&self, bytes: &[u8]) -> Result<Box<dyn Task>, EnvError> {
        let refuse =
            |what: &str| EnvError::State { message: format!("{what} in a state of {}", self.entry.id) };
        let mut task = (self.entry.make)();
        let (clock, things) = (task.world().clock()?, task.scene().instances.len());
        task.load(bytes)?;
        if task.world().clock()? != clock || task.scene().instances.len() != things {
            return Err(refuse("another clock or other things"));
        }
        // Handles of bodies may lead nowhere.
        let seen = catch_unwind(AssertUnwindSafe(|| {
            let (mut state, mut poses) = (Vec::new(), Vec::new());
            task.world().poses(&mut poses);
            task.state(&mut state);
            (task.world().is_finite(), Buffer::F32(state))
        }));
        let (finite, state) = seen.map_err(|_| refuse("bodies that are not there"))?;
        if !finite || self.spec.observation_space.check(&state, 1).is_err() {
            return Err(refuse("what is no number"));
        }
        Ok(task)
    }

    /// Restores what [`save`](Self::save) gave.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes are damaged or come from another task or version; nothing has changed then.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        let whole = bytes
            .split_last_chunk()
            .filter(|(body, checksum)| crc32fast::hash(body).to_le_bytes() == **checksum);
        let Some((body, _)) = whole else {
            let message = format!("these {} bytes are damaged or no saved state", bytes.len());
            return Err(EnvError::State { message });
        };
        let saved: Saved = decode(body)?;
        let version = env!("CARGO_PKG_VERSION");
        if saved.id != self.entry.id || saved.version != version {
            return Err(EnvError::State {
                message: format!(
                    "state of {} {}, expected {} {version}",
                    saved.id, saved.version, self.entry.id
                ),
            });
        }
        if saved.elapsed_steps > self.spec.max_episode_steps {
            let message =
                format!("{} steps, expected at most {}", saved.elapsed_steps, self.spec.max_episode_steps);
            return Err(EnvError::State { message });
        }
        let actions = &self.spec.action_space;
        let waits = saved.disturbance.latency;
        if waits > LATENCY_MAX
            || saved.late.len() != waits as usize
            || saved.late.iter().any(|action| actions.check(action, 1).is_err())
            || saved.difficulty.is_some_and(|difficulty| check_difficulty(difficulty).is_err())
            || !saved.disturbance.noise.std.is_finite()
        {
            let message = "actions under way, noise or difficulty are out of range".to_owned();
            return Err(EnvError::State { message });
        }
        self.task = self.loaded(&saved.task)?;
        (self.difficulty, self.disturbance, self.late) = (saved.difficulty, saved.disturbance, saved.late);
        self.task.world_mut().record(self.recording);
        self.rng = saved.rng;
        self.elapsed_steps = saved.elapsed_steps;
        // A new number, not the saved one: whoever caches the scene by episode must look again.
        self.episode = self.episode.max(saved.episode).saturating_add(1);
        self.phase = saved.phase;
        Ok(())
    }
}
