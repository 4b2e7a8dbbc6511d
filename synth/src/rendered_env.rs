use worldstep_env::record::{AppliedForce, Contact};
use worldstep_env::{
    AutoresetMode, Batch, Buffer, EnvError, EnvSpec, Pose, Scene, Space, TruthSource, VectorEnv, Velocity,
};

use crate::eyes::Eyes;
use crate::render::{Channels, RenderConfig, RenderError, Renderer};

/// Most tiles of one pass; more lanes than this take several passes.
const TILES_MAX: usize = 1024;

/// A truth environment that is seen instead of told: observations are rgb images, everything else is the inner one's.
///
/// # Shapes
/// Observations are `uint8`, `num_envs × height × width × 3`.
pub struct RenderedVectorEnv<E> {
    inner: E,
    eyes: Eyes,
    spec: EnvSpec,
    batch: Batch,
    image_len: usize,
    masked: Vec<usize>,
}

impl<E: TruthSource> RenderedVectorEnv<E> {
    /// Gives `inner` images of `width × height` pixels as observations.
    ///
    /// # Errors
    /// [`RenderError::NoDriver`] where there is nothing to draw with.
    pub fn new(inner: E, width: u32, height: u32) -> Result<Self, RenderError> {
        let tiles = inner.num_envs().min(TILES_MAX);
        let renderer = Renderer::new(RenderConfig { tiles, width, height })?;
        let observation_space = Space::image(height as usize, width as usize, 3);
        let image_len = observation_space.flat_len();
        let spec = EnvSpec { observation_space, ..inner.spec().clone() };
        let batch =
            Batch { observations: spec.observation_space.buffer(inner.num_envs()), ..inner.batch().clone() };
        Ok(Self { eyes: Eyes::new(renderer), spec, batch, image_len, masked: Vec::new(), inner })
    }

    /// The environment that is looked at.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Name of the driver that draws.
    pub fn adapter_name(&self) -> &str {
        self.eyes.renderer().adapter_name()
    }

    /// Brings rows and images of the lanes where `mask` is true up to date.
    fn observe(&mut self, mask: &[bool]) -> Result<(), EnvError> {
        let inner = self.inner.batch();
        self.batch.rewards.clone_from(&inner.rewards);
        self.batch.terminated.clone_from(&inner.terminated);
        self.batch.truncated.clone_from(&inner.truncated);
        self.batch.info.clone_from(&inner.info);
        self.masked.clear();
        self.masked.extend(mask.iter().enumerate().filter(|(_, masked)| **masked).map(|(lane, _)| lane));
        let frames = self
            .eyes
            .look(&self.inner, &self.masked, Channels::Rgb)
            .map_err(|error| EnvError::Engine { message: error.to_string() })?;
        let Buffer::U8(observations) = &mut self.batch.observations else { return Ok(()) };
        if self.masked.len() == mask.len() {
            std::mem::swap(observations, &mut frames.rgb);
            return Ok(());
        }
        for (lane, image) in self.masked.iter().zip(frames.rgb.chunks_exact(self.image_len)) {
            observations[lane * self.image_len..(lane + 1) * self.image_len].copy_from_slice(image);
        }
        Ok(())
    }
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

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.inner.step(actions, mask)?;
        self.observe(mask)
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.inner.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.inner.load_lane(lane, bytes)?;
        let mut mask = vec![false; self.num_envs()];
        mask[lane] = true;
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
