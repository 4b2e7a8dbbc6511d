use super::{copy_row, forward};
use crate::{AutoresetMode, Batch, Buffer, EnvError, InfoColumn, VectorEnv};

/// What the episodes ended with that ended in the last step: Gymnasium's `final_obs` and `final_info`.
#[derive(Clone, Debug, PartialEq)]
pub struct Finals {
    /// Lanes whose episode has ended.
    pub mask: Vec<bool>,
    /// Last observation of each of these; rows of other lanes mean nothing.
    pub observations: Buffer,
    /// Infos of the step that ended it.
    pub info: Vec<InfoColumn>,
}

/// Starts the next episode in the step that ends one, Gymnasium's `SAME_STEP`: rewards and flags are those of the end, the
/// observation is the first of the new episode, [`finals`](Self::finals) has the last of the old one.
pub struct SameStep<V> {
    inner: V,
    batch: Batch,
    finals: Finals,
}

impl<V: VectorEnv> SameStep<V> {
    /// Wraps `inner`, which must leave resets to its caller.
    ///
    /// # Errors
    /// [`EnvError::Argument`] unless it was made with [`AutoresetMode::Disabled`].
    pub fn new(inner: V) -> Result<Self, EnvError> {
        let mode = inner.autoreset_mode();
        if mode != AutoresetMode::Disabled {
            let message = format!("autoreset mode {mode:?} inside SameStep, expected Disabled");
            return Err(EnvError::Argument { message });
        }
        let batch = inner.batch().clone();
        let mask = vec![false; inner.num_envs()];
        let finals = Finals { mask, observations: batch.observations.clone(), info: batch.info.clone() };
        Ok(Self { inner, batch, finals })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    /// What ended in the last step.
    pub fn finals(&self) -> &Finals {
        &self.finals
    }
}

impl<V: VectorEnv> VectorEnv for SameStep<V> {
    forward!(num_envs, episode_options, spec, own_batch, save_lane);

    fn autoreset_mode(&self) -> AutoresetMode {
        AutoresetMode::SameStep
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        (0..mask.len()).filter(|i| mask[*i]).for_each(|i| copy_row(&mut self.batch, self.inner.batch(), i));
        self.finals.mask.fill(false);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        let ended = self.inner.batch();
        // Only these: the row of a lane that was left alone may be that of its end, which the environment inside has
        // forgotten over the reset.
        (0..mask.len()).filter(|i| mask[*i]).for_each(|i| copy_row(&mut self.batch, ended, i));
        for (i, known) in self.finals.mask.iter_mut().enumerate() {
            *known = mask[i] && ended.done(i);
        }
        if !self.finals.mask.contains(&true) {
            return Ok(());
        }
        let lanes = mask.len();
        let width = ended.observations.len() / lanes.max(1);
        for i in (0..lanes).filter(|i| self.finals.mask[*i]) {
            self.finals.observations.copy_rows(i, &ended.observations, i, 1, width);
        }
        for (to, from) in self.finals.info.iter_mut().zip(&ended.info) {
            to.values.copy_from_slice(&from.values);
            for ((to, from), known) in to.mask.iter_mut().zip(&from.mask).zip(&self.finals.mask) {
                *to = *from && *known;
            }
        }
        self.inner.reset(&vec![None; lanes], &self.finals.mask)?;
        let begun = self.inner.batch();
        for i in (0..lanes).filter(|i| self.finals.mask[*i]) {
            self.batch.observations.copy_rows(i, &begun.observations, i, 1, width);
            for column in &mut self.batch.info {
                (column.values[i], column.mask[i]) = (0.0, false);
            }
        }
        Ok(())
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.inner.load_lane(lane, bytes)?;
        copy_row(&mut self.batch, self.inner.batch(), lane);
        self.finals.mask[lane] = false;
        Ok(())
    }
}
