use serde::{Deserialize, Serialize};

use super::{copy_outcomes, forward};
use crate::{Batch, Buffer, EnvError, EnvSpec, Space, VectorEnv};

/// Added to the variance, so that what never changes stays finite.
const EPSILON: f64 = 1e-8;

/// Running mean and variance of each element of an observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Observations so far.
    pub count: f64,
    /// Mean of each element.
    pub mean: Vec<f64>,
    /// Variance of each element.
    pub variance: Vec<f64>,
}

impl Statistics {
    /// Takes in one observation, after Welford (1962).
    fn add(&mut self, observation: &[f32]) {
        self.count += 1.0;
        for ((value, mean), variance) in observation.iter().zip(&mut self.mean).zip(&mut self.variance) {
            let before = f64::from(*value) - *mean;
            *mean += before / self.count;
            let after = f64::from(*value) - *mean;
            *variance += (before * after - *variance) / self.count;
        }
    }
}

/// Shifts and scales each element of the observation to mean 0 and variance 1, by what has been seen so far in all lanes.
///
/// Statistics belong to the wrapper, not to a lane: saved states do not hold them.
pub struct NormalizeObservation<V> {
    inner: V,
    spec: EnvSpec,
    batch: Batch,
    statistics: Statistics,
    learns: bool,
}

impl<V: VectorEnv> NormalizeObservation<V> {
    /// Wraps `inner`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if it does not observe float32 numbers.
    pub fn new(inner: V) -> Result<Self, EnvError> {
        let mut spec = inner.spec().clone();
        let width = spec.observation_space.flat_len();
        match &mut spec.observation_space {
            Space::Box(space) if space.dtype == crate::DType::Float32 => {
                (space.low, space.high) = (vec![f32::NEG_INFINITY], vec![f32::INFINITY]);
            }
            other => {
                let message = format!("observations are {:?}, expected float32 to normalise", other.dtype());
                return Err(EnvError::Argument { message });
            }
        }
        let batch = inner.batch().clone();
        let statistics = Statistics { count: 0.0, mean: vec![0.0; width], variance: vec![0.0; width] };
        Ok(Self { inner, spec, batch, statistics, learns: true })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    /// What has been seen.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Goes on from these statistics, for instance those that a policy was trained with.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if they are of another number of elements.
    pub fn set_statistics(&mut self, statistics: Statistics) -> Result<(), EnvError> {
        let (mean, variance, expected) =
            (statistics.mean.len(), statistics.variance.len(), self.statistics.mean.len());
        if [mean, variance] != [expected; 2] {
            let message = format!("statistics of {mean} and {variance} elements, expected {expected}");
            return Err(EnvError::Argument { message });
        }
        self.statistics = statistics;
        Ok(())
    }

    /// Whether statistics follow what is seen (as at first) or stay as they are.
    pub fn set_learns(&mut self, learns: bool) {
        self.learns = learns;
    }

    fn publish(&mut self, learned_from: Option<&[bool]>, touched: &[bool]) {
        copy_outcomes(&mut self.batch, self.inner.batch());
        let (Buffer::F32(seen), Buffer::F32(told)) =
            (&self.inner.batch().observations, &mut self.batch.observations)
        else {
            return;
        };
        let width = self.statistics.mean.len();
        if let Some(mask) = learned_from.filter(|_| self.learns) {
            let rows = seen.chunks_exact(width).zip(mask);
            rows.filter(|(_, masked)| **masked).for_each(|(row, _)| self.statistics.add(row));
        }
        let rows = seen.chunks_exact(width).zip(told.chunks_exact_mut(width)).zip(touched);
        for ((seen, told), _) in rows.filter(|(_, touched)| **touched) {
            let by = self.statistics.mean.iter().zip(&self.statistics.variance);
            for ((seen, told), (mean, variance)) in seen.iter().zip(told).zip(by) {
                *told = ((f64::from(*seen) - mean) / (variance + EPSILON).sqrt()) as f32;
            }
        }
    }
}

impl<V: VectorEnv> VectorEnv for NormalizeObservation<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, own_batch, save_lane);

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        self.publish(Some(mask), mask);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        self.publish(Some(mask), mask);
        Ok(())
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.inner.load_lane(lane, bytes)?;
        let mut touched = vec![false; self.num_envs()];
        touched[lane] = true;
        self.publish(None, &touched);
        Ok(())
    }
}
