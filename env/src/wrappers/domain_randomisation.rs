use super::forward;
use crate::{Buffer, EnvError, Randomisation, VectorEnv};

/// Draws masses, frictions, gravity, motors, latency and noise of each episode from ranges when it starts, so that a policy
/// learns what holds in all of these worlds (Tobin et al. 2017, <https://arxiv.org/abs/1703.06907>; of dynamics, Peng et
/// al. 2018, <https://arxiv.org/abs/1710.06537>).
///
/// ```
/// use worldstep_env::wrappers::{DomainRandomisation, RecordEpisodeStatistics};
/// use worldstep_env::{AutoresetMode, Randomisation, VectorEnv as _, make_truth};
///
/// let truth = make_truth("PushCube-v0", 64, AutoresetMode::NextStep)?;
/// let ranges = Randomisation { mass: [0.5, 2.0], latency: [0, 2], ..Randomisation::default() };
/// let mut envs = RecordEpisodeStatistics::new(DomainRandomisation::new(truth, ranges)?)?;
/// envs.reset_all(Some(0))?;
/// # Ok::<(), worldstep_env::EnvError>(())
/// ```
pub struct DomainRandomisation<V> {
    inner: V,
    ranges: Randomisation,
}

impl<V: VectorEnv> DomainRandomisation<V> {
    /// Wraps `inner`; episodes that start from now on are drawn from `ranges`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if a range cannot be drawn from, or `inner` has no physics to draw.
    pub fn new(mut inner: V, ranges: Randomisation) -> Result<Self, EnvError> {
        inner.randomise(Some(ranges.clone()))?;
        Ok(Self { inner, ranges })
    }

    /// What episodes are drawn from.
    pub fn ranges(&self) -> &Randomisation {
        &self.ranges
    }

    /// Draws later episodes from other ranges: a curriculum. Episodes under way keep their physics.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if a range cannot be drawn from; nothing has changed then.
    pub fn set_ranges(&mut self, ranges: Randomisation) -> Result<(), EnvError> {
        self.inner.randomise(Some(ranges.clone()))?;
        self.ranges = ranges;
        Ok(())
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }
}

impl<V: VectorEnv> VectorEnv for DomainRandomisation<V> {
    forward!(num_envs, autoreset_mode, spec, batch, reset, save_lane, load_lane);

    fn set_options(
        &mut self,
        options: &std::collections::BTreeMap<String, f32>,
        mask: &[bool],
    ) -> Result<(), EnvError> {
        self.inner.set_options(options, mask)
    }

    fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        self.set_ranges(ranges.unwrap_or_default())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)
    }
}
