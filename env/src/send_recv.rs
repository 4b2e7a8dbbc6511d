use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::registry::TaskEntry;
use crate::truth_env::Phase;
use crate::truth_vector_env::{Lane, difficulty_of, empty_batch};
use crate::{Action, AutoresetMode, Batch, Buffer, EnvError, EnvSpec, Randomisation};

/// Truth environments that are stepped one by one in the background: [`send`](Self::send) hands actions to some, and
/// [`recv`](Self::recv) gives those that are done first, as EnvPool does (Weng et al. 2022,
/// <https://arxiv.org/abs/2206.10558>). A batch is smaller than the number of environments, so that nobody waits for the
/// slowest.
///
/// Which environments come together depends on how long each takes; what each of them does does not: environment `i` with
/// seed `s` is [`TruthVectorEnv`](crate::TruthVectorEnv)'s lane `i` with that seed, to the bit.
pub struct SendRecvEnv {
    spec: EnvSpec,
    mode: AutoresetMode,
    threads: ThreadPool,
    batch_size: usize,
    /// Those that are not under way.
    lanes: Vec<Option<Box<Lane>>>,
    done: (Sender<Done>, Receiver<Done>),
    under_way: usize,
    env_ids: Vec<usize>,
    batch: Batch,
}

/// An environment that has been stepped, which it is, and whether its task went through with it.
type Done = (usize, Box<Lane>, bool);

/// What [`SendRecvEnv::recv`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Which environment each row is of, ascending.
    pub env_ids: &'a [usize],
    /// Rows in the order of `env_ids`; rows behind them mean nothing.
    pub batch: &'a Batch,
}

impl SendRecvEnv {
    /// `num_envs` environments of `entry` on `threads` threads (0: one a core), received `batch_size` at a time.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `batch_size` is not in `1..=num_envs`, or the mode is
    /// [`SameStep`](AutoresetMode::SameStep); [`EnvError::Engine`] if there can be no threads.
    pub fn new(
        entry: &'static TaskEntry,
        num_envs: usize,
        batch_size: usize,
        threads: usize,
        mode: AutoresetMode,
    ) -> Result<Self, EnvError> {
        mode.check_engine()?;
        if batch_size == 0 || batch_size > num_envs {
            let message = format!("batch_size is {batch_size}, expected 1 to num_envs, which is {num_envs}");
            return Err(EnvError::Argument { message });
        }
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| EnvError::Engine { message: format!("no threads to step with: {error}") })?;
        Ok(Self {
            spec: entry.spec(),
            mode,
            threads,
            batch_size,
            lanes: (0..num_envs).map(|i| Some(Box::new(Lane::new(entry, i)))).collect(),
            done: channel(),
            under_way: 0,
            env_ids: Vec::with_capacity(num_envs),
            batch: empty_batch(entry, batch_size),
        })
    }

    /// Number of environments.
    pub fn num_envs(&self) -> usize {
        self.lanes.len()
    }

    /// Spaces and limits, the same for every environment.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// Draws the physics of later episodes from these ranges; see [`VectorEnv::randomise`](crate::VectorEnv::randomise).
    ///
    /// # Errors
    /// [`EnvError::Argument`] if a range cannot be drawn from, or some environments are under way; nothing has changed then.
    pub fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        self.check_idle()?;
        let ranges = ranges.map(Arc::new);
        self.lanes.iter_mut().flatten().try_for_each(|lane| lane.env.randomise(ranges.clone()))
    }

    /// What later episodes of some environments are to be like: see [`VectorEnv::set_options`](crate::VectorEnv::set_options).
    ///
    /// # Errors
    /// [`EnvError::Argument`] for an option or a value that cannot be, or an environment that is not there, under way, or
    /// named twice; nothing has changed then.
    pub fn set_options(
        &mut self,
        options: &BTreeMap<String, f32>,
        env_ids: &[usize],
    ) -> Result<(), EnvError> {
        self.check_ids(env_ids)?;
        let difficulty = difficulty_of(options)?;
        for i in env_ids {
            if let Some(lane) = &mut self.lanes[*i] {
                lane.env.set_difficulty(difficulty)?;
            }
        }
        Ok(())
    }

    /// Everything that the episode of an environment and its random stream depend on; a lane of
    /// [`TruthVectorEnv`](crate::TruthVectorEnv) can go on from it.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if it is not there or under way, [`EnvError::NeedsReset`] before its first reset.
    pub fn save(&self, env_id: usize) -> Result<Vec<u8>, EnvError> {
        self.check_ids(&[env_id])?;
        match &self.lanes[env_id] {
            Some(lane) if lane.env.phase() != Phase::Unstarted => lane.env.save(),
            _ => Err(EnvError::NeedsReset { lane: env_id }),
        }
    }

    /// Puts an environment into a state that [`save`](Self::save) gave, or a lane of
    /// [`TruthVectorEnv`](crate::TruthVectorEnv). It goes on with the next [`send`](Self::send); nothing is received for this.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes come from another task or version, [`EnvError::Argument`] if it is not there or under
    /// way; nothing has changed then.
    pub fn load(&mut self, env_id: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.check_ids(&[env_id])?;
        self.lanes[env_id].as_mut().map_or(Ok(()), |lane| lane.env.load(bytes))
    }

    fn check_idle(&self) -> Result<(), EnvError> {
        if self.under_way == 0 {
            return Ok(());
        }
        let message = format!("{} environments are under way: receive them first", self.under_way);
        Err(EnvError::Argument { message })
    }

    /// Environments that were sent and not received yet.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Starts an episode in every environment, environment `i` with seed `seed + i`; first observations are received as
    /// steps are.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if some are under way; nothing has started then.
    pub fn reset(&mut self, seed: Option<u64>) -> Result<(), EnvError> {
        self.check_idle()?;
        for i in 0..self.lanes.len() {
            let seed = seed.map(|seed| seed.wrapping_add(i as u64));
            self.launch(i, move |lane| lane.start(seed));
        }
        Ok(())
    }

    /// Starts an episode in some environments, those that ended for instance; each is received as a step is.
    ///
    /// # Errors
    /// [`EnvError::Argument`] for an environment that is not there, under way, or named twice; nothing has started then.
    pub fn send_reset(&mut self, env_ids: &[usize]) -> Result<(), EnvError> {
        self.check_ids(env_ids)?;
        env_ids.iter().for_each(|i| self.launch(*i, |lane| lane.start(None)));
        Ok(())
    }

    /// Steps the environments of `env_ids`, each with its row of `actions`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] for an environment that is not there, under way, or named twice; [`EnvError::Action`] for an
    /// action outside the space; [`EnvError::NeedsReset`] for one that cannot be stepped. Nothing is stepped then.
    pub fn send(&mut self, actions: &Buffer, env_ids: &[usize]) -> Result<(), EnvError> {
        self.check_ids(env_ids)?;
        self.spec.action_space.check(actions, env_ids.len())?;
        for i in env_ids {
            let phase = self.lanes[*i].as_ref().map_or(Phase::Unstarted, |lane| lane.env.phase());
            if phase == Phase::Unstarted || (phase == Phase::Ended && self.mode == AutoresetMode::Disabled) {
                return Err(EnvError::NeedsReset { lane: *i });
            }
        }
        let width = self.spec.action_space.flat_len();
        for (k, i) in env_ids.iter().enumerate() {
            match actions {
                Buffer::F32(values) => {
                    let action = values[k * width..(k + 1) * width].to_vec();
                    self.launch(*i, move |lane| lane.step(Action::Box(&action)));
                }
                Buffer::I64(values) => {
                    let action = values[k];
                    self.launch(*i, move |lane| lane.step(Action::Discrete(action)));
                }
                Buffer::U8(_) | Buffer::U16(_) => {}
            }
        }
        Ok(())
    }

    /// Waits for the next `batch_size` environments, or for all that are under way if these are fewer.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if none is under way; [`EnvError::Engine`] if a task has panicked: what came with it is lost.
    pub fn recv(&mut self) -> Result<Received<'_>, EnvError> {
        if self.under_way == 0 {
            let message = "no environment is under way: send actions or reset first".to_owned();
            return Err(EnvError::Argument { message });
        }
        self.env_ids.clear();
        let mut failed = None;
        for _ in 0..self.batch_size.min(self.under_way) {
            // It cannot be closed: this side holds a sender as well.
            let Ok((i, lane, whole)) = self.done.1.recv() else { break };
            self.lanes[i] = Some(lane);
            self.under_way -= 1;
            if whole {
                self.env_ids.push(i);
            } else {
                failed = Some(i);
            }
        }
        self.env_ids.sort_unstable();
        for (row, i) in self.env_ids.iter().enumerate() {
            if let Some(lane) = &mut self.lanes[*i] {
                lane.publish(&mut self.batch, row);
            }
        }
        if let Some(i) = failed {
            let message = format!("the task of environment {i} has panicked: reset it, or make it anew");
            return Err(EnvError::Engine { message });
        }
        Ok(Received { env_ids: &self.env_ids, batch: &self.batch })
    }

    fn launch(&mut self, i: usize, work: impl FnOnce(&mut Lane) + Send + 'static) {
        let Some(mut lane) = self.lanes[i].take() else { return };
        self.under_way += 1;
        let done = self.done.0.clone();
        self.threads.spawn(move || {
            // A task's step is caught where it is made; its reset and observation are not.
            let whole = catch_unwind(AssertUnwindSafe(|| work(&mut lane))).is_ok();
            // Nobody listens once the environments are gone.
            let _ = done.send((i, lane, whole));
        });
    }

    fn check_ids(&self, env_ids: &[usize]) -> Result<(), EnvError> {
        let wrong = |message: String| Err(EnvError::Argument { message });
        let mut seen = vec![false; self.lanes.len()];
        for i in env_ids {
            let Some(seen) = seen.get_mut(*i) else {
                return wrong(format!("environment {i} is not there, expected 0..{}", self.lanes.len()));
            };
            if std::mem::replace(seen, true) {
                return wrong(format!("environment {i} is named twice"));
            }
            if self.lanes[*i].is_none() {
                return wrong(format!("environment {i} is under way: receive it first"));
            }
        }
        Ok(())
    }
}
