use super::forward;
use crate::{Buffer, EnvError, EnvSpec, Space, VectorEnv};

/// Takes any number as an action and clips it to the bounds of the space inside; infinities and NaN are refused still.
pub struct ClipAction<V> {
    inner: V,
    spec: EnvSpec,
    clipped: Vec<f32>,
}

impl<V: VectorEnv> ClipAction<V> {
    /// Wraps `inner`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if its actions are not continuous.
    pub fn new(inner: V) -> Result<Self, EnvError> {
        let mut spec = inner.spec().clone();
        let Space::Box(space) = &mut spec.action_space else {
            let message = format!("actions of {} are not continuous: there is nothing to clip", spec.id);
            return Err(EnvError::Argument { message });
        };
        (space.low, space.high) = (vec![f32::MIN], vec![f32::MAX]);
        Ok(Self { inner, spec, clipped: Vec::new() })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }
}

impl<V: VectorEnv> VectorEnv for ClipAction<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, batch, reset, save_lane, load_lane);

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.spec.action_space.check(actions, self.num_envs())?;
        let (Space::Box(space), Buffer::F32(values)) = (&self.inner.spec().action_space, actions) else {
            return self.inner.step(actions, mask);
        };
        let width = space.shape.iter().product::<usize>().max(1);
        self.clipped.clear();
        self.clipped.extend(values.iter().enumerate().map(|(i, value)| {
            let (low, high) = space.bounds(i % width);
            value.clamp(low, high)
        }));
        let clipped = Buffer::F32(std::mem::take(&mut self.clipped));
        let stepped = self.inner.step(&clipped, mask);
        if let Buffer::F32(values) = clipped {
            self.clipped = values;
        }
        stepped
    }
}
