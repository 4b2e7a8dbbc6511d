use super::{check_lane, check_len, check_mode, copy_row, forward, split_state};
use crate::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, VectorEnv};

/// Cuts episodes off after a number of steps that is smaller than the task's own.
pub struct TimeLimit<V> {
    inner: V,
    spec: EnvSpec,
    batch: Batch,
    elapsed: Vec<u32>,
    /// Lanes whose episode is over for the environment inside. Kept here, since a lane that was loaded shows no flags.
    ended: Vec<bool>,
    /// Lanes that were cut off here: the environment inside does not know it.
    cut: Vec<bool>,
}

impl<V: VectorEnv> TimeLimit<V> {
    /// Wraps `inner`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `max_episode_steps` is 0, or `inner` is [`SameStep`](super::SameStep).
    pub fn new(inner: V, max_episode_steps: u32) -> Result<Self, EnvError> {
        check_mode(&inner)?;
        if max_episode_steps == 0 {
            let message = "max_episode_steps is 0, expected at least 1".to_owned();
            return Err(EnvError::Argument { message });
        }
        let mut spec = inner.spec().clone();
        spec.max_episode_steps = spec.max_episode_steps.min(max_episode_steps);
        let (batch, lanes) = (inner.batch().clone(), inner.num_envs());
        Ok(Self {
            inner,
            spec,
            batch,
            elapsed: vec![0; lanes],
            ended: vec![false; lanes],
            cut: vec![false; lanes],
        })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    fn publish(&mut self, mask: &[bool]) {
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            copy_row(&mut self.batch, self.inner.batch(), i);
            self.batch.truncated[i] |= self.cut[i] && !self.batch.terminated[i];
        }
    }
}

impl<V: VectorEnv> VectorEnv for TimeLimit<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, own_batch);

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            (self.elapsed[i], self.ended[i], self.cut[i]) = (0, false, false);
        }
        self.publish(mask);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        check_len("mask", mask.len(), self.num_envs())?;
        let anew: Vec<_> = self.cut.iter().zip(mask).map(|(cut, masked)| *cut && *masked).collect();
        if self.autoreset_mode() != AutoresetMode::NextStep
            && let Some(lane) = anew.iter().position(|anew| *anew)
        {
            return Err(EnvError::NeedsReset { lane });
        }
        let stepped: Vec<_> = mask.iter().zip(&anew).map(|(masked, anew)| *masked && !anew).collect();
        self.inner.step(actions, &stepped)?;
        if anew.contains(&true) {
            self.inner.reset(&vec![None; mask.len()], &anew)?;
        }
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            // The step after an end is the start of the next episode.
            let starts = anew[i] || self.ended[i];
            self.elapsed[i] = if starts { 0 } else { self.elapsed[i].saturating_add(1) };
            self.ended[i] = self.inner.batch().done(i);
            self.cut[i] = self.elapsed[i] >= self.spec.max_episode_steps && !self.ended[i];
        }
        self.publish(mask);
        Ok(())
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(lane)?;
        bytes.extend(self.elapsed[lane].to_le_bytes());
        bytes.extend([self.ended[lane], self.cut[lane]].map(u8::from));
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        check_lane(lane, self.num_envs())?;
        let (state, tail) = split_state(bytes, 6)?;
        self.inner.load_lane(lane, state)?;
        self.elapsed[lane] = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
        (self.ended[lane], self.cut[lane]) = (tail[4] != 0, tail[5] != 0);
        // A loaded lane shows no flags, as ever; that it was cut off is known when it is stepped.
        copy_row(&mut self.batch, self.inner.batch(), lane);
        Ok(())
    }
}
