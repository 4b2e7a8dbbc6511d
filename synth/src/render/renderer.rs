use std::path::Path;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::headless::Headless;
use super::pictures::Pictures;
use super::tile_batch::{TileBatch, View};
use super::{Frames, RenderError};

/// Size of what is drawn at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderConfig {
    /// Tiles of one pass; more views than this take several passes.
    pub tiles: usize,
    /// Width of a tile in pixels.
    pub width: u32,
    /// Height of a tile in pixels.
    pub height: u32,
}

/// What is drawn beside colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Colour only.
    Rgb,
    /// Colour, metric depth, instance and semantic ids.
    Labels,
    /// All that there is: normals, flow both ways and object coordinates too.
    All,
}

/// A handle on the thread that owns Bevy and the graphics device. Bounded: one pass is under way at a time.
pub struct Renderer {
    config: RenderConfig,
    adapter_name: String,
    requests: Option<Sender<Pass>>,
    replies: Receiver<Result<Pass, RenderError>>,
    thread: Option<JoinHandle<()>>,
    batch: TileBatch,
}

/// What goes to the thread and comes back, so that its memory is used again.
struct Pass {
    batch: TileBatch,
    frames: Frames,
}

impl Renderer {
    /// Starts the thread and opens the device.
    ///
    /// # Errors
    /// [`RenderError::NoDriver`] where there is nothing to draw with, [`RenderError::AtlasTooLarge`] if the tiles
    /// don't fit a texture.
    pub fn new(config: RenderConfig) -> Result<Self, RenderError> {
        Self::start(config, Pictures::default())
    }

    /// As [`new`](Self::new), with the PNG and JPEG files of `folder`, by name, as the pictures of
    /// [`Texture::Image`](worldstep_env::Texture::Image).
    ///
    /// # Errors
    /// Also [`RenderError::Pictures`] if there are none, or one can't be read.
    pub fn with_pictures(config: RenderConfig, folder: &Path) -> Result<Self, RenderError> {
        Self::start(config, Pictures::read(folder)?)
    }

    fn start(config: RenderConfig, pictures: Pictures) -> Result<Self, RenderError> {
        let (requests, request_receiver) = bounded(1);
        let (reply_sender, replies) = bounded(1);
        let (started_sender, started) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("worldstep-render".to_owned())
            .spawn(move || match Headless::new(&config, pictures) {
                Ok(headless) => {
                    let _ = started_sender.send(Ok(headless.adapter_name()));
                    draw_until_closed(headless, &request_receiver, &reply_sender);
                }
                Err(error) => drop(started_sender.send(Err(error))),
            })
            .map_err(|error| RenderError::Device { reason: error.to_string() })?;
        let adapter_name = started.recv().map_err(|_| thread_died())??;
        Ok(Self {
            config,
            adapter_name,
            requests: Some(requests),
            replies,
            thread: Some(thread),
            batch: TileBatch::default(),
        })
    }

    /// Size of what is drawn at once.
    pub fn config(&self) -> RenderConfig {
        self.config
    }

    /// Name of the driver that draws, for instance `llvmpipe (LLVM 19.1.7, 256 bits)`.
    pub fn adapter_name(&self) -> &str {
        &self.adapter_name
    }

    /// Draws `views`, any number of them, and replaces the content of `frames` by their images.
    ///
    /// # Errors
    /// [`RenderError::PoseCount`] if a view's poses don't fit its scene, [`RenderError::Device`] if the driver fails.
    pub fn render(
        &mut self,
        views: &[View<'_>],
        channels: Channels,
        frames: &mut Frames,
    ) -> Result<(), RenderError> {
        frames.clear();
        let size = (self.config.width, self.config.height);
        for chunk in views.chunks(self.config.tiles) {
            self.batch.fill(chunk, size, channels)?;
            let pass = Pass { batch: std::mem::take(&mut self.batch), frames: std::mem::take(frames) };
            let requests = self.requests.as_ref().ok_or_else(thread_died)?;
            requests.send(pass).map_err(|_| thread_died())?;
            let pass = self.replies.recv().map_err(|_| thread_died())??;
            self.batch = pass.batch;
            *frames = pass.frames;
        }
        Ok(())
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn draw_until_closed(
    mut headless: Headless,
    requests: &Receiver<Pass>,
    replies: &Sender<Result<Pass, RenderError>>,
) {
    for mut pass in requests {
        let drawn = headless.draw(&mut pass.batch, &mut pass.frames);
        if replies.send(drawn.map(|()| pass)).is_err() {
            return;
        }
    }
}

fn thread_died() -> RenderError {
    RenderError::Device { reason: "its thread ended".to_owned() }
}
