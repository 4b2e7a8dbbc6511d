use super::{check_lane, check_mode, copy_outcomes, forward, note_ends, split_state};
use crate::{Batch, BoxSpace, Buffer, EnvError, EnvSpec, Space, VectorEnv};

/// Shows the last few observations as one, the oldest first: shape `frames ×` observation. An episode starts with its
/// first observation in all places.
pub struct FrameStack<V> {
    inner: V,
    frames: usize,
    /// Elements of one observation.
    width: usize,
    spec: EnvSpec,
    batch: Batch,
    /// Lanes whose episode is over. Kept here, since a lane that was loaded shows no flags.
    ended: Vec<bool>,
}

impl<V: VectorEnv> FrameStack<V> {
    /// Wraps `inner`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `frames` is 0, `inner` is [`SameStep`](super::SameStep), or observations are not one array.
    pub fn new(inner: V, frames: usize) -> Result<Self, EnvError> {
        check_mode(&inner)?;
        let wrong = |message: &str| Err(EnvError::Argument { message: message.to_owned() });
        if frames == 0 {
            return wrong("a stack of 0 frames, expected at least 1");
        }
        let mut spec = inner.spec().clone();
        let width = spec.observation_space.flat_len();
        let Space::Box(BoxSpace { low, high, shape, .. }) = &mut spec.observation_space else {
            return wrong("observations are not one array: they cannot be stacked");
        };
        for bounds in [low, high] {
            if bounds.len() > 1 {
                *bounds = bounds.repeat(frames);
            }
        }
        shape.insert(0, frames);
        let mut batch = inner.batch().clone();
        batch.observations = spec.observation_space.buffer(inner.num_envs());
        let ended = vec![false; inner.num_envs()];
        Ok(Self { inner, frames, width, spec, batch, ended })
    }

    /// The environment inside.
    pub fn inner(&self) -> &V {
        &self.inner
    }

    /// Shifts the frames of lane `i` and puts the newest at the end, or in all places.
    fn push(&mut self, i: usize, starts: bool) {
        let (stack, seen) = (&mut self.batch.observations, &self.inner.batch().observations);
        let first = i * self.frames;
        for k in first..first + self.frames - 1 {
            if starts {
                stack.copy_rows(k, seen, i, 1, self.width);
            } else {
                shift(stack, k, self.width);
            }
        }
        stack.copy_rows(first + self.frames - 1, seen, i, 1, self.width);
    }
}

/// Copies row `k + 1` over row `k`.
fn shift(stack: &mut Buffer, k: usize, width: usize) {
    let (from, to) = ((k + 1) * width..(k + 2) * width, k * width);
    match stack {
        Buffer::F32(values) => values.copy_within(from, to),
        Buffer::U8(values) => values.copy_within(from, to),
        Buffer::U16(values) => values.copy_within(from, to),
        Buffer::I64(values) => values.copy_within(from, to),
    }
}

impl<V: VectorEnv> VectorEnv for FrameStack<V> {
    forward!(num_envs, autoreset_mode, episode_options, own_spec, own_batch);

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        copy_outcomes(&mut self.batch, self.inner.batch());
        (0..mask.len()).filter(|i| mask[*i]).for_each(|i| self.push(i, true));
        note_ends(&mut self.ended, &self.batch, mask);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        copy_outcomes(&mut self.batch, self.inner.batch());
        (0..mask.len()).filter(|i| mask[*i]).for_each(|i| self.push(i, self.ended[i]));
        note_ends(&mut self.ended, &self.batch, mask);
        Ok(())
    }

    /// The state inside, then the frames, how many bytes these are (u32), and whether the episode is over.
    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(lane)?;
        let mut frames = Buffer::zeros(self.batch.observations.dtype(), self.frames * self.width);
        frames.copy_rows(0, &self.batch.observations, lane, 1, self.frames * self.width);
        let frames = crate::physics::encode(&frames)?;
        bytes.extend(&frames);
        bytes.extend((frames.len() as u32).to_le_bytes());
        bytes.push(u8::from(self.ended[lane]));
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        check_lane(lane, self.num_envs())?;
        let (rest, ended) = split_state(bytes, 1)?;
        let (rest, len) = split_state(rest, 4)?;
        let len = u32::from_le_bytes(len.try_into().unwrap_or_default()) as usize;
        let (state, frames) = split_state(rest, len)?;
        let frames: Buffer = crate::physics::decode(frames)?;
        self.spec
            .observation_space
            .check(&frames, 1)
            .map_err(|error| EnvError::State { message: format!("frames of a stack: {error}") })?;
        self.inner.load_lane(lane, state)?;
        self.ended[lane] = ended != [0];
        copy_outcomes(&mut self.batch, self.inner.batch());
        self.batch.observations.copy_rows(lane, &frames, 0, 1, self.frames * self.width);
        Ok(())
    }
}
