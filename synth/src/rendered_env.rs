use std::collections::BTreeMap;

use worldstep_env::record::{AppliedForce, Contact};
use worldstep_env::{
    AutoresetMode, Batch, BoxSpace, Buffer, CameraRig, DType, EnvError, EnvSpec, Pose, Randomisation, Scene,
    Space, TruthSource, VectorEnv, Velocity,
};

use crate::eyes::{Eyes, LaneAt};
use crate::render::{Channels, Frames, RenderConfig, RenderError, Renderer};

/// Most tiles of one pass; more lanes than this take several passes.
const TILES_MAX: usize = 1024;

/// Fewest lanes of a step that is done in two halves. A half then fills a pass of a software driver at 64×64 pixels;
/// with fewer, two passes cost more there than waiting.
const HALVES_LANES_MIN: usize = 128;

/// A truth environment that is seen instead of told: observations are rgb images, everything else is the inner one's.
///
/// A step of many lanes is done in two halves: while the first half is drawn, the second half's physics goes on. What
/// comes out is the same bit for bit, as lanes know nothing of each other.
///
/// # Shapes
/// Observations are `uint8`, `num_envs × height × width × 3`; with further cameras `num_envs × cameras × height × width
/// × 3`, the scene's main camera first. Seen as depth, they are `float32`, `num_envs × height × width × 1`: metric z along
/// the camera's axis, metres; 0 where nothing is seen.
pub struct RenderedVectorEnv<E> {
    inner: E,
    eyes: Eyes,
    /// What is drawn: with labels, depth is what is shown.
    channels: Channels,
    spec: EnvSpec,
    batch: Batch,
    /// Values of one lane's observation.
    image_len: usize,
    clocks: Vec<Clock>,
    /// Lanes that are drawn.
    masked: Vec<LaneAt>,
}

/// How long a lane's episode has lasted.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    episode: u64,
    steps: u32,
}

impl<E: TruthSource> RenderedVectorEnv<E> {
    /// Gives `inner` images of `width × height` pixels as observations.
    ///
    /// # Errors
    /// [`RenderError::NoDriver`] where there is nothing to draw with.
    pub fn new(inner: E, width: u32, height: u32) -> Result<Self, RenderError> {
        Self::with_cameras(inner, (width, height), Vec::new())
    }

    /// Gives `inner` images of `width × height` pixels from the scene's main camera and from each of `rigs`: fixed,
    /// orbiting, tracking, or worn by a body. One pass draws all of them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_cameras(
        inner: E,
        (width, height): (u32, u32),
        rigs: Vec<CameraRig>,
    ) -> Result<Self, RenderError> {
        let cameras = 1 + rigs.len();
        let tiles = (inner.num_envs() * cameras).min(TILES_MAX);
        let renderer = Renderer::new(RenderConfig { tiles, width, height })?;
        let observation_space = match cameras {
            1 => Space::image(height as usize, width as usize, 3),
            _ => Space::Box(BoxSpace {
                low: vec![0.0],
                high: vec![255.0],
                shape: vec![cameras, height as usize, width as usize, 3],
                dtype: DType::Uint8,
            }),
        };
        let image_len = observation_space.flat_len();
        let spec = EnvSpec { observation_space, ..inner.spec().clone() };
        let batch =
            Batch { observations: spec.observation_space.buffer(inner.num_envs()), ..inner.batch().clone() };
        let clocks = vec![Clock::default(); inner.num_envs()];
        Ok(Self {
            eyes: Eyes::new(renderer, rigs),
            channels: Channels::Rgb,
            spec,
            batch,
            image_len,
            clocks,
            masked: Vec::new(),
            inner,
        })
    }

    /// As [`new`](Self::new), with depth instead of colours.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn depth(inner: E, width: u32, height: u32) -> Result<Self, RenderError> {
        let mut env = Self::new(inner, width, height)?;
        env.channels = Channels::Labels;
        env.spec.observation_space = Space::Box(BoxSpace {
            low: vec![0.0],
            high: vec![f32::INFINITY],
            shape: vec![height as usize, width as usize, 1],
            dtype: DType::Float32,
        });
        env.image_len = env.spec.observation_space.flat_len();
        env.batch.observations = env.spec.observation_space.buffer(env.inner.num_envs());
        Ok(env)
    }

    /// The environment that is looked at.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Name of the driver that draws.
    pub fn adapter_name(&self) -> &str {
        self.eyes.renderer().adapter_name()
    }

    /// Cameras of one lane.
    pub fn cameras(&self) -> usize {
        1 + self.eyes.rigs().len()
    }

    /// Brings rows and images of the lanes where `mask` is true up to date.
    fn observe(&mut self, mask: &[bool]) -> Result<(), EnvError> {
        self.copy_rows();
        self.mask(mask);
        let frames = self.eyes.look(&self.inner, &self.masked, self.channels).map_err(engine)?;
        if self.masked.len() == mask.len() {
            match &mut self.batch.observations {
                Buffer::U8(observations) => std::mem::swap(observations, &mut frames.rgb),
                Buffer::F32(observations) => std::mem::swap(observations, &mut frames.depth),
                _ => {}
            }
            return Ok(());
        }
        let lanes: Vec<_> = self.masked.iter().map(|(lane, _)| *lane).collect();
        copy_images(&mut self.batch, self.image_len, &lanes, frames);
        Ok(())
    }

    /// Notes the lanes where `mask` is true, which have just begun an episode or made a step in theirs.
    fn mask(&mut self, mask: &[bool]) {
        self.masked.clear();
        for lane in lanes_of(mask) {
            let (clock, episode) = (&mut self.clocks[lane], self.inner.episode(lane));
            let steps = if clock.episode == episode { clock.steps.wrapping_add(1) } else { 0 };
            *clock = Clock { episode, steps };
            self.masked.push((lane, steps as f32 / self.spec.fps as f32));
        }
    }

    /// What the inner environment says of its lanes, all but observations.
    fn copy_rows(&mut self) {
        let inner = self.inner.batch();
        self.batch.rewards.clone_from(&inner.rewards);
        self.batch.terminated.clone_from(&inner.terminated);
        self.batch.truncated.clone_from(&inner.truncated);
        self.batch.info.clone_from(&inner.info);
    }

    /// Whether the lanes of `mask` can be stepped in halves. A lane that can't be stepped at all must be found before
    /// any other one is: an action that does not fit is found with the first half, as all of them are looked at each
    /// time, and what else could be wrong is ruled out here.
    fn steps_in_halves(&self, mask: &[bool]) -> bool {
        mask.len() == self.num_envs()
            && lanes_of(mask).count() >= HALVES_LANES_MIN
            && self.inner.autoreset_mode() == AutoresetMode::NextStep
            && lanes_of(mask).all(|lane| self.inner.episode(lane) > 0)
    }

    /// Steps the lanes of `mask`, and draws the first half of them while the second one is stepped.
    fn step_in_halves(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        let lanes: Vec<_> = lanes_of(mask).collect();
        let half = lanes.len() / 2;
        let (mut first, mut second) = (mask.to_vec(), mask.to_vec());
        first[lanes[half]..].fill(false);
        second[..lanes[half]].fill(false);
        self.inner.step(actions, &first)?;
        self.mask(&first);
        self.eyes.glance(&self.inner, &self.masked, self.channels).map_err(engine)?;
        let stepped = self.inner.step(actions, &second);
        let glanced = stepped.is_ok().then(|| {
            self.mask(&second);
            self.eyes.glance(&self.inner, &self.masked, self.channels).map_err(engine)
        });
        // What was begun is taken, or the next step would get it.
        let frames = self.eyes.see().map_err(engine)?;
        copy_images(&mut self.batch, self.image_len, &lanes[..half], frames);
        stepped.and(glanced.unwrap_or(Ok(())))?;
        let frames = self.eyes.see().map_err(engine)?;
        copy_images(&mut self.batch, self.image_len, &lanes[half..], frames);
        self.copy_rows();
        Ok(())
    }
}

/// Lanes where `mask` is true.
fn lanes_of(mask: &[bool]) -> impl Iterator<Item = usize> {
    mask.iter().enumerate().filter(|(_, masked)| **masked).map(|(lane, _)| lane)
}

/// Puts the images of `frames` where `lanes` have theirs.
fn copy_images(batch: &mut Batch, image_len: usize, lanes: &[usize], frames: &Frames) {
    match &mut batch.observations {
        Buffer::U8(observations) => copy_rows(observations, image_len, lanes, &frames.rgb),
        Buffer::F32(observations) => copy_rows(observations, image_len, lanes, &frames.depth),
        _ => {}
    }
}

fn copy_rows<T: Copy>(to: &mut [T], len: usize, lanes: &[usize], from: &[T]) {
    for (lane, image) in lanes.iter().zip(from.chunks_exact(len)) {
        to[lane * len..(lane + 1) * len].copy_from_slice(image);
    }
}

fn engine(error: RenderError) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}

impl<E: TruthSource> VectorEnv for RenderedVectorEnv<E> {
    fn num_envs(&self) -> usize {
        self.inner.num_envs()
    }

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.inner.autoreset_mode()
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.inner.reset(seeds, mask)?;
        self.observe(mask)
    }

    fn set_options(&mut self, options: &BTreeMap<String, f32>, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.set_options(options, mask)
    }

    fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        self.inner.randomise(ranges)
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        if self.steps_in_halves(mask) {
            return self.step_in_halves(actions, mask);
        }
        self.inner.step(actions, mask)?;
        self.observe(mask)
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The inner environment's bytes; with further cameras, which may move with time, the episode's steps behind them.
    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut bytes = self.inner.save_lane(lane)?;
        if !self.eyes.rigs().is_empty() {
            bytes.extend(self.clocks[lane].steps.to_le_bytes());
        }
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        let timed = !self.eyes.rigs().is_empty();
        let (body, steps) = match bytes.split_last_chunk() {
            Some((body, steps)) if timed => (body, u32::from_le_bytes(*steps)),
            _ => (bytes, 0),
        };
        self.inner.load_lane(lane, body)?;
        let mut mask = vec![false; self.num_envs()];
        mask[lane] = true;
        // To look counts as a step in an episode that is known.
        let known = Clock { episode: self.inner.episode(lane), steps: steps.wrapping_sub(1) };
        self.clocks[lane] = known;
        self.observe(&mask)
    }
}

impl<E: TruthSource> TruthSource for RenderedVectorEnv<E> {
    fn scene(&self, lane: usize) -> &Scene {
        self.inner.scene(lane)
    }

    fn poses(&self, lane: usize, out: &mut Vec<Pose>) {
        self.inner.poses(lane, out);
    }

    fn velocities(&self, lane: usize, out: &mut Vec<Velocity>) {
        self.inner.velocities(lane, out);
    }

    fn state(&self, lane: usize, out: &mut Vec<f32>) {
        self.inner.state(lane, out);
    }

    fn expert_action(&self, lane: usize, out: &mut Buffer) {
        self.inner.expert_action(lane, out);
    }

    fn episode(&self, lane: usize) -> u64 {
        self.inner.episode(lane)
    }

    fn record(&mut self, lane: usize, on: bool) {
        self.inner.record(lane, on);
    }

    fn contacts(&self, lane: usize) -> &[Contact] {
        self.inner.contacts(lane)
    }

    fn forces(&self, lane: usize) -> &[AppliedForce] {
        self.inner.forces(lane)
    }
}
