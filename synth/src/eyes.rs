use worldstep_env::{Pose, TruthSource};

use crate::render::{Channels, Frames, RenderError, Renderer, View};

/// Draws lanes of a truth environment as they are now, over buffers that are used again.
pub struct Eyes {
    renderer: Renderer,
    poses: Vec<Vec<Pose>>,
    frames: Frames,
}

impl Eyes {
    /// Eyes that draw with `renderer`.
    pub fn new(renderer: Renderer) -> Self {
        Self { renderer, poses: Vec::new(), frames: Frames::default() }
    }

    /// The renderer's handle.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// Draws `lanes` of `env`; image `i` of the frames is lane `lanes[i]`. What
    /// is done to the frames is overwritten by the next look.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn look(
        &mut self,
        env: &dyn TruthSource,
        lanes: &[usize],
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
        lanes: &[usize],
        channels: Channels,
    ) -> Result<(), RenderError> {
        self.poses.resize_with(lanes.len().max(self.poses.len()), Vec::new);
        for (poses, lane) in self.poses.iter_mut().zip(lanes) {
            poses.clear();
            env.poses(*lane, poses);
        }
        let views: Vec<_> =
            lanes.iter().zip(&self.poses).map(|(lane, poses)| View::new(env.scene(*lane), poses)).collect();
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
