use super::{check_lane, check_mode, copy_row, forward, note_ends, split_state};
use crate::{Batch, Buffer, EnvError, EnvSpec, VectorEnv};

/// Carries each action out several times, and gives the sum of the rewards and of their terms.
///
/// A lane whose episode ends on the way goes no further, and one that starts anew (in
/// [`NextStep`](crate::AutoresetMode::NextStep)) does only that: its first observation is seen.
pub struct ActionRepeat<V> {
    inner: V,
    repeats: u32,
    spec: EnvSpec,
    batch: Batch,
    /// Lanes whose episode is over. Kept here, since a lane that was loaded shows no flags.
    ended: Vec<bool>,
    going: Vec<bool>,
}

impl<V: VectorEnv> ActionRepeat<V> {
    /// Wraps `inner`; a step is `repeats` of its own.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `repeats` is 0, or `inner` is [`SameStep`](super::SameStep).
    pub fn new(inner: V, repeats: u32) -> Result<Self, EnvError> {
        check_mode(&inner)?;
        if repeats == 0 {
            return Err(EnvError::Argument {
                message: "0 repeats of an action, expected at least 1".to_owned(),
            });
        }
        let mut spec = inner.spec().clone();
        spec.max_episode_steps = spec.max_episode_steps.div_ceil(repeats);
        spec.fps = (spec.fps / repeats).max(1);
        let batch = inner.batch().clone();
        let going = vec![false; inner.num_envs()];
        Ok(Self { inner, repeats, spec, batch, ended: going.clone(), going })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    /// Adds what the lanes that are going got in the last inner step to what they had.
    fn collect(&mut self, first: bool) {
        let (batch, new) = (&mut self.batch, self.inner.batch());
        let (rows, width) = (self.going.len(), new.observations.len() / self.going.len().max(1));
        for i in (0..rows).filter(|i| self.going[*i]) {
            batch.observations.copy_rows(i, &new.observations, i, 1, width);
            let sum = if first { 0.0 } else { batch.rewards[i] };
            batch.rewards[i] = sum + new.rewards[i];
            (batch.terminated[i], batch.truncated[i]) = (new.terminated[i], new.truncated[i]);
            for (column, new) in batch.info.iter_mut().zip(&new.info) {
                let adds_up = column.name.starts_with("reward/") && !first;
                let sum = if adds_up { column.values[i] } else { 0.0 };
                (column.values[i], column.mask[i]) = (sum + new.values[i], new.mask[i]);
            }
        }
    }
}

impl<V: VectorEnv> VectorEnv for ActionRepeat<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, own_batch);

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        self.going.copy_from_slice(mask);
        self.collect(true);
        note_ends(&mut self.ended, &self.batch, mask);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        self.going.copy_from_slice(mask);
        self.collect(true);
        for _ in 1..self.repeats {
            let batch = self.inner.batch();
            for (i, (going, anew)) in self.going.iter_mut().zip(&self.ended).enumerate() {
                *going &= !batch.done(i) && !anew;
            }
            if !self.going.contains(&true) {
                break;
            }
            self.inner.step(actions, &self.going)?;
            self.collect(false);
        }
        note_ends(&mut self.ended, &self.batch, mask);
        Ok(())
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(lane)?;
        bytes.push(u8::from(self.ended[lane]));
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        check_lane(lane, self.num_envs())?;
        let (state, tail) = split_state(bytes, 1)?;
        self.inner.load_lane(lane, state)?;
        self.ended[lane] = tail[0] != 0;
        copy_row(&mut self.batch, self.inner.batch(), lane);
        Ok(())
    }
}
