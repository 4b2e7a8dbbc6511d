use crate::{Buffer, EnvError, EnvSpec, VectorEnv};

/// What one step of one environment returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What follows the action.
    pub observation: Buffer,
    /// Reward caused by the action.
    pub reward: f32,
    /// The episode ended by the task's own rules.
    pub terminated: bool,
    /// The episode was cut off.
    pub truncated: bool,
    /// Named values, for instance `success`.
    pub info: Vec<(&'static str, f32)>,
}

/// One environment, Gymnasium's `Env`: the caller resets it after an episode's end.
pub trait Env {
    /// Spaces and limits.
    fn spec(&self) -> &EnvSpec;

    /// Starts an episode and returns its first observation; `None` goes on with the present random stream.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the engine fails.
    fn reset(&mut self, seed: Option<u64>) -> Result<Buffer, EnvError>;

    /// Applies one action.
    ///
    /// # Errors
    /// [`EnvError::Action`] for an action outside the space, [`EnvError::NeedsReset`] before the first reset and after
    /// an episode's end; nothing has moved then.
    fn step(&mut self, action: &Buffer) -> Result<Step, EnvError>;

    /// Everything that the future depends on, as bytes.
    ///
    /// # Errors
    /// [`EnvError::NeedsReset`] before the first reset.
    fn save_state(&self) -> Result<Vec<u8>, EnvError>;

    /// Restores what [`save_state`](Self::save_state) gave.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes are no state of this environment; nothing has changed then.
    fn load_state(&mut self, bytes: &[u8]) -> Result<(), EnvError>;
}

/// A vector of one lane worn as an [`Env`], so that the scalar and the vector form of every engine share their logic.
pub struct SingleEnv<V> {
    inner: V,
    ended: bool,
}

impl<V: VectorEnv> SingleEnv<V> {
    /// Wears `inner` as a single environment.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if it has more than one lane.
    pub fn new(inner: V) -> Result<Self, EnvError> {
        if inner.num_envs() != 1 {
            let message = format!("a vector of {} environments, expected 1", inner.num_envs());
            return Err(EnvError::Argument { message });
        }
        Ok(Self { inner, ended: false })
    }

    /// The vector behind it.
    pub fn inner(&self) -> &V {
        &self.inner
    }
}

impl<V: VectorEnv> Env for SingleEnv<V> {
    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Buffer, EnvError> {
        self.inner.reset(&[seed], &[true])?;
        self.ended = false;
        Ok(self.inner.batch().observations.clone())
    }

    fn step(&mut self, action: &Buffer) -> Result<Step, EnvError> {
        if self.ended {
            return Err(EnvError::NeedsReset { lane: 0 });
        }
        self.inner.step(action, &[true])?;
        let batch = self.inner.batch();
        self.ended = batch.done(0);
        Ok(Step {
            observation: batch.observations.clone(),
            reward: batch.rewards[0],
            terminated: batch.terminated[0],
            truncated: batch.truncated[0],
            info: batch
                .info
                .iter()
                .filter(|column| column.mask[0])
                .map(|column| (column.name, column.values[0]))
                .collect(),
        })
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(0)?;
        bytes.push(u8::from(self.ended));
        Ok(bytes)
    }

    fn load_state(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        let empty = || EnvError::State { message: "no bytes".to_owned() };
        let (ended, lane) = bytes.split_last().ok_or_else(empty)?;
        self.inner.load_lane(0, lane)?;
        self.ended = *ended != 0;
        Ok(())
    }
}
