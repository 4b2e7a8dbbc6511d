use super::forward;
use crate::{BoxSpace, Buffer, EnvError, EnvSpec, Space, VectorEnv};

/// Takes actions from one range, the same for every element, and stretches it over the bounds of the space inside.
pub struct RescaleAction<V> {
    inner: V,
    spec: EnvSpec,
    range: [f32; 2],
    rescaled: Vec<f32>,
}

impl<V: VectorEnv> RescaleAction<V> {
    /// Wraps `inner`; `low` becomes the lower bound of each action's element, `high` the upper one.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if the actions of `inner` are not continuous and bounded, or `low` is not below `high`.
    pub fn new(inner: V, low: f32, high: f32) -> Result<Self, EnvError> {
        let mut spec = inner.spec().clone();
        let wrong = |message: String| Err(EnvError::Argument { message });
        if !(low.is_finite() && high.is_finite() && low < high) {
            return wrong(format!("the range of actions is [{low}, {high}], expected low < high"));
        }
        let Space::Box(space) = &mut spec.action_space else {
            return wrong(format!("actions of {} are not continuous: they cannot be rescaled", spec.id));
        };
        if space.low.iter().chain(&space.high).any(|bound| bound.abs() >= f32::MAX) {
            return wrong(format!("actions of {} have no bounds: they cannot be rescaled", spec.id));
        }
        (space.low, space.high) = (vec![low], vec![high]);
        Ok(Self { inner, spec, range: [low, high], rescaled: Vec::new() })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    fn rescale(&self, space: &BoxSpace, i: usize, value: f32) -> f32 {
        let (low, high) = space.bounds(i);
        let share = (value - self.range[0]) / (self.range[1] - self.range[0]);
        // The ends are met exactly; what rounding puts past them is not passed on.
        (low + share * (high - low)).clamp(low, high)
    }
}

impl<V: VectorEnv> VectorEnv for RescaleAction<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, batch, reset, save_lane, load_lane);

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.spec.action_space.check(actions, self.num_envs())?;
        let (Space::Box(space), Buffer::F32(values)) = (&self.inner.spec().action_space, actions) else {
            return self.inner.step(actions, mask);
        };
        let width = space.shape.iter().product::<usize>().max(1);
        let mut rescaled = std::mem::take(&mut self.rescaled);
        rescaled.clear();
        rescaled.extend(values.iter().enumerate().map(|(i, value)| self.rescale(space, i % width, *value)));
        let rescaled = Buffer::F32(rescaled);
        let stepped = self.inner.step(&rescaled, mask);
        if let Buffer::F32(values) = rescaled {
            self.rescaled = values;
        }
        stepped
    }
}
