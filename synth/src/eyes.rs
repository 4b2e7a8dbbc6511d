use worldstep_env::{CameraRig, Pose, TruthSource};

use crate::render::{Channels, Frames, Moment, RenderError, Renderer, View};

/// A lane to look at, and how long its episode has lasted, in seconds: cameras may move with time.
pub type LaneAt = (usize, f32);

/// Draws lanes of a truth environment as they are now, over buffers that are used again.
pub struct Eyes {
    renderer: Renderer,
    /// Cameras beside each scene's main one.
    rigs: Vec<CameraRig>,
    poses: Vec<Vec<Pose>>,
    frames: Frames,
}

impl Eyes {
    /// Eyes that draw with `renderer`: each lane through its scene's main camera, then through `rigs`.
    pub fn new(renderer: Renderer, rigs: Vec<CameraRig>) -> Self {
        Self { renderer, rigs, poses: Vec::new(), frames: Frames::default() }
    }

    /// Cameras beside each scene's main one.
    pub fn rigs(&self) -> &[CameraRig] {
        &self.rigs
    }

    /// The renderer's handle.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// Draws `lanes` of `env`; the frames hold the images of `lanes[0]`, main camera first, then those of `lanes[1]`
    /// and so on. What is done to the frames is overwritten by the next look.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn look(
        &mut self,
        env: &dyn TruthSource,
        lanes: &[LaneAt],
        channels: Channels,
    ) -> Result<&mut Frames, RenderError> {
        self.glance(env, lanes, channels)?;
        self.see()
    }

    /// Starts to draw `lanes` of `env` as they are now; they may go on meanwhile.
    ///
    /// # Errors
    /// As [`Renderer::submit`].
    pub fn glance(
        &mut self,
        env: &dyn TruthSource,
        lanes: &[LaneAt],
        channels: Channels,
    ) -> Result<(), RenderError> {
        self.poses.resize_with(lanes.len().max(self.poses.len()), Vec::new);
        for (poses, (lane, _)) in self.poses.iter_mut().zip(lanes) {
            poses.clear();
            env.poses(*lane, poses);
        }
        let mut views = Vec::with_capacity(lanes.len() * (1 + self.rigs.len()));
        for ((lane, time_s), poses) in lanes.iter().zip(&self.poses) {
            let scene = env.scene(*lane);
            let still = View::new(scene, poses);
            let main = View { now: Moment { camera: scene.camera_at(*time_s, poses), ..still.now }, ..still };
            views.push(main);
            views.extend(self.rigs.iter().map(|rig| {
                let now = Moment { camera: rig.at(*time_s, poses), ..main.now };
                View { now, ..main }
            }));
        }
        self.renderer.submit(&views, channels)
    }

    /// Waits for what the first glance began that was not seen yet.
    ///
    /// # Errors
    /// As [`Renderer::collect`].
    pub fn see(&mut self) -> Result<&mut Frames, RenderError> {
        self.renderer.collect(&mut self.frames)?;
        Ok(&mut self.frames)
    }
}
