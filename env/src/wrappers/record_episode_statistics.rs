use super::{check_lane, check_mode, copy_batch, forward, split_state};
use crate::{Batch, Buffer, EnvError, InfoColumn, VectorEnv};

/// Tells each episode's return and length where it ends, as infos `episode/r` and `episode/l`.
pub struct RecordEpisodeStatistics<V> {
    inner: V,
    batch: Batch,
    /// Return and steps of the episode so far.
    sums: Vec<(f64, u32)>,
    /// Lanes whose episode is over. Kept here, since a lane that was loaded shows no flags.
    ended: Vec<bool>,
}

impl<V: VectorEnv> RecordEpisodeStatistics<V> {
    /// Wraps `inner`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if it is [`SameStep`](super::SameStep).
    pub fn new(inner: V) -> Result<Self, EnvError> {
        check_mode(&inner)?;
        let lanes = inner.num_envs();
        let mut batch = inner.batch().clone();
        for name in ["episode/r", "episode/l"] {
            batch.info.push(InfoColumn { name, values: vec![0.0; lanes], mask: vec![false; lanes] });
        }
        Ok(Self { inner, batch, sums: vec![(0.0, 0); lanes], ended: vec![false; lanes] })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    fn publish(&mut self) {
        copy_batch(&mut self.batch, self.inner.batch());
    }

    /// Tells of lane `i`, or that there is nothing to tell.
    fn tell(&mut self, i: usize) {
        let ended = self.batch.done(i);
        let (sum, steps) = self.sums[i];
        let from = self.batch.info.len() - 2;
        for (column, value) in self.batch.info[from..].iter_mut().zip([sum as f32, steps as f32]) {
            column.mask[i] = ended;
            column.values[i] = if ended { value } else { 0.0 };
        }
    }
}

impl<V: VectorEnv> VectorEnv for RecordEpisodeStatistics<V> {
    forward!(num_envs, autoreset_mode, episode_options, spec, own_batch);

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        self.publish();
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            (self.sums[i], self.ended[i]) = ((0.0, 0), false);
            self.tell(i);
        }
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        self.publish();
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            self.sums[i] = match (self.ended[i], self.sums[i]) {
                (true, _) => (0.0, 0),
                (false, (sum, steps)) => (sum + f64::from(self.batch.rewards[i]), steps.saturating_add(1)),
            };
            self.ended[i] = self.batch.done(i);
            self.tell(i);
        }
        Ok(())
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(lane)?;
        let (sum, steps) = self.sums[lane];
        bytes.extend(sum.to_le_bytes());
        bytes.extend(steps.to_le_bytes());
        bytes.push(u8::from(self.ended[lane]));
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        check_lane(lane, self.num_envs())?;
        let (state, tail) = split_state(bytes, 13)?;
        self.inner.load_lane(lane, state)?;
        let (sum, rest) = tail.split_at(8);
        let (steps, ended) = rest.split_at(4);
        self.sums[lane] = (
            f64::from_le_bytes(sum.try_into().unwrap_or_default()),
            u32::from_le_bytes(steps.try_into().unwrap_or_default()),
        );
        self.ended[lane] = ended != [0];
        self.publish();
        self.tell(lane);
        Ok(())
    }
}
