use std::time::{Duration, Instant};

use worldstep_env::{
    AutoresetMode, EnvError, Light, Pose, Scene, TruthSource as _, VectorEnv as _, make_truth,
};
use worldstep_synth::{Channels, Frames, RenderConfig, Renderer, View};

use super::engine_error;

/// Lights that scenes are drawn under: none, and one with shadows.
pub const LIGHTS: [&str; 2] = ["plain", "full"];
/// Submissions under way: one is drawn, one is next, one is read.
const UNDER_WAY: usize = 3;

/// Worlds of a task as they stand after a reset, under each of [`LIGHTS`].
pub struct Worlds {
    pub scenes: [Vec<Scene>; LIGHTS.len()],
    pub poses: Vec<Vec<Pose>>,
}

impl Worlds {
    /// `count` worlds of `task`.
    pub fn new(task: &str, count: usize) -> Result<Self, EnvError> {
        let mut worlds = make_truth(task, count, AutoresetMode::NextStep)?;
        worlds.reset_all(Some(0))?;
        let mut poses = vec![Vec::new(); count];
        poses.iter_mut().enumerate().for_each(|(lane, poses)| worlds.poses(lane, poses));
        let plain: Vec<_> = (0..count).map(|lane| worlds.scene(lane).clone()).collect();
        // All of the lane lies within its shadows' reach.
        let light = Light { shadow_center: plain[0].camera.target, shadow_radius: 3.5, ..Light::default() };
        let full = plain.iter().map(|scene| Scene { light: Some(light), ..scene.clone() }).collect();
        Ok(Self { scenes: [plain, full], poses })
    }
}

/// What draws the first worlds of some.
pub struct Stage<'a> {
    worlds: &'a Worlds,
    renderer: Renderer,
    frames: Frames,
}

impl<'a> Stage<'a> {
    /// Draws all of `worlds` in turn, in tiles of `size × size` pixels.
    pub fn new(worlds: &'a Worlds, size: u32) -> Result<Self, EnvError> {
        let config = RenderConfig { tiles: worlds.poses.len(), width: size, height: size };
        let renderer = Renderer::new(config).map_err(engine_error)?;
        Ok(Self { worlds, renderer, frames: Frames::default() })
    }

    /// Name of the driver that draws.
    pub fn adapter_name(&self) -> &str {
        self.renderer.adapter_name()
    }

    /// Views that this driver draws in one pass; more are drawn in several.
    pub fn pass_views(&self) -> usize {
        self.renderer.pass_views().min(self.worlds.poses.len())
    }

    /// Views/s of all worlds, again and again, for about `time`, after one pass that is not counted.
    ///
    /// Frames are read while the next ones are drawn, a pass at a time, as when clips are recorded: so all worlds need
    /// not be drawn once before the time is up.
    pub fn views_per_s(&mut self, channels: Channels, light: usize, time: Duration) -> Result<f64, EnvError> {
        let worlds = self.worlds.scenes[light].iter().zip(&self.worlds.poses);
        let views: Vec<_> = worlds
            .map(|(scene, poses)| {
                let view = View::new(scene, poses);
                // Flow costs the same wherever things go.
                View { next: Some(view.now), previous: Some(view.now), ..view }
            })
            .collect();
        let mut passes = views.chunks(self.renderer.pass_views()).cycle();
        let warm = passes.clone().next().unwrap_or_default();
        self.renderer.render(warm, channels, &mut self.frames).map_err(engine_error)?;
        let (start, mut drawn, mut under_way) = (Instant::now(), 0, 0);
        loop {
            while under_way < UNDER_WAY && start.elapsed() < time {
                let pass = passes.next().unwrap_or_default();
                self.renderer.submit(pass, channels).map_err(engine_error)?;
                drawn += pass.len();
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(drawn as f64 / start.elapsed().as_secs_f64());
            }
            self.renderer.collect(&mut self.frames).map_err(engine_error)?;
            under_way -= 1;
        }
    }
}
