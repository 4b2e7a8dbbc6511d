use std::collections::VecDeque;
use std::path::Path;
use std::thread::JoinHandle;

use bevy::render::render_resource::Buffer;
use crossbeam::channel::{Receiver, Sender, bounded};

use super::headless::{Headless, Submitted};
use super::pictures::Pictures;
use super::render_thread::{Work, draw_until_closed};
use super::tile_batch::{TileBatch, View};
use super::{Frames, RenderError};

/// Size of what is drawn at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderConfig {
    /// Most tiles of one pass; fewer are taken where they would not fit a texture or too much memory. More views than
    /// that take several passes.
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

/// Passes that the thread has at once: one is drawn, one is next; a third may be read meanwhile.
const PASSES_UNDER_WAY: usize = 2;
/// Submissions that may wait to be collected.
pub const SUBMISSIONS_MAX: usize = 4;

/// A handle on the thread that owns Bevy and the graphics device.
///
/// [`render`](Self::render) draws and waits. [`submit`](Self::submit) only starts drawing, and
/// [`collect`](Self::collect) waits for what was submitted first: whatever happens in between happens while it is drawn.
/// Bounded: a few passes are under way at a time, and [`SUBMISSIONS_MAX`] submissions wait.
pub struct Renderer {
    config: RenderConfig,
    adapter_name: String,
    pass_views: usize,
    requests: Option<Sender<Work>>,
    replies: Receiver<Result<Submitted, RenderError>>,
    thread: Option<JoinHandle<()>>,
    /// Passes that the thread has.
    under_way: usize,
    /// Passes that it will get.
    waiting: VecDeque<TileBatch>,
    submissions: VecDeque<Submission>,
    /// Memory to use again.
    batches: Vec<TileBatch>,
    buffers: Vec<Buffer>,
}

/// What was asked for and is not collected.
struct Submission {
    views: usize,
    passes: usize,
    channels: Channels,
}

impl Renderer {
    /// Starts the thread and opens the device.
    ///
    /// # Errors
    /// [`RenderError::NoDriver`] where there is nothing to draw with, [`RenderError::AtlasTooLarge`] if not even one
    /// tile fits a texture.
    pub fn new(config: RenderConfig) -> Result<Self, RenderError> {
        Self::start(config, Pictures::default())
    }

    /// As [`new`](Self::new), with the PNG files of `folder`, by name, as the pictures of
    /// [`Texture::Image`](worldstep_env::Texture::Image).
    ///
    /// # Errors
    /// Also [`RenderError::Pictures`] if there are none, or one can't be read.
    pub fn with_pictures(config: RenderConfig, folder: &Path) -> Result<Self, RenderError> {
        Self::start(config, Pictures::read(folder)?)
    }

    fn start(config: RenderConfig, pictures: Pictures) -> Result<Self, RenderError> {
        let (requests, request_receiver) = bounded(PASSES_UNDER_WAY);
        let (reply_sender, replies) = bounded(PASSES_UNDER_WAY);
        let (started_sender, started) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("worldstep-render".to_owned())
            .spawn(move || match Headless::new(&config, pictures) {
                Ok(headless) => {
                    let _ = started_sender.send(Ok((headless.adapter_name(), headless.atlas())));
                    draw_until_closed(headless, &request_receiver, &reply_sender);
                }
                Err(error) => drop(started_sender.send(Err(error))),
            })
            .map_err(|error| RenderError::Device { reason: error.to_string() })?;
        let (adapter_name, atlas) = started.recv().map_err(|_| thread_died())??;
        Ok(Self {
            config,
            adapter_name,
            requests: Some(requests),
            replies,
            thread: Some(thread),
            pass_views: atlas.tiles,
            under_way: 0,
            waiting: VecDeque::new(),
            submissions: VecDeque::new(),
            batches: Vec::new(),
            buffers: Vec::new(),
        })
    }

    /// Size of what is drawn at once.
    pub fn config(&self) -> RenderConfig {
        self.config
    }

    /// Views of one pass: as many tiles as were asked for, or fit.
    pub fn pass_views(&self) -> usize {
        self.pass_views
    }

    /// Name of the driver that draws, for instance `llvmpipe (LLVM 19.1.7, 256 bits)`.
    pub fn adapter_name(&self) -> &str {
        &self.adapter_name
    }

    /// Draws `views`, any number of them, and replaces the content of `frames` by their images.
    ///
    /// # Errors
    /// [`RenderError::PoseCount`] and [`RenderError::Triangles`] if a view does not fit its scene,
    /// [`RenderError::Device`] if the driver fails, [`RenderError::Submissions`] if something that was submitted is not collected.
    pub fn render(
        &mut self,
        views: &[View<'_>],
        channels: Channels,
        frames: &mut Frames,
    ) -> Result<(), RenderError> {
        if !self.submissions.is_empty() {
            return Err(RenderError::Submissions { waiting: self.submissions.len(), limit: 0 });
        }
        self.submit(views, channels)?;
        self.collect(frames)
    }

    /// Starts to draw `views`, any number of them.
    ///
    /// # Errors
    /// As [`render`](Self::render); [`RenderError::Submissions`] beyond [`SUBMISSIONS_MAX`].
    pub fn submit(&mut self, views: &[View<'_>], channels: Channels) -> Result<(), RenderError> {
        let waiting = self.submissions.len();
        if waiting >= SUBMISSIONS_MAX {
            return Err(RenderError::Submissions { waiting, limit: SUBMISSIONS_MAX });
        }
        views.iter().enumerate().try_for_each(|(index, view)| view.check(index))?;
        let size = (self.config.width, self.config.height);
        let mut filled = Vec::with_capacity(views.len().div_ceil(self.pass_views));
        for (pass, chunk) in views.chunks(self.pass_views).enumerate() {
            let mut batch = self.batches.pop().unwrap_or_default();
            batch.fill(chunk, size, channels).map_err(|error| error.after(pass * self.pass_views))?;
            filled.push(batch);
        }
        self.submissions.push_back(Submission { views: views.len(), passes: filled.len(), channels });
        self.waiting.extend(filled);
        self.send_waiting()
    }

    /// Waits for what was submitted first, and replaces the content of `frames` by its images.
    ///
    /// # Errors
    /// [`RenderError::Submissions`] if nothing was submitted, [`RenderError::Device`] if the driver fails.
    pub fn collect(&mut self, frames: &mut Frames) -> Result<(), RenderError> {
        let Some(submission) = self.submissions.pop_front() else {
            return Err(RenderError::Submissions { waiting: 0, limit: SUBMISSIONS_MAX });
        };
        let pixels = self.config.width as usize * self.config.height as usize;
        frames.prepare(submission.views, pixels, submission.channels);
        let mut first = 0;
        for _ in 0..submission.passes {
            let pass = self.replies.recv().map_err(|_| thread_died())??;
            self.under_way -= 1;
            // The next one is drawn while this one is read.
            self.send_waiting()?;
            let bytes = pass.buffer.slice(..pass.readback.bytes()).get_mapped_range();
            frames.unpack(first, &pass.readback, &bytes);
            drop(bytes);
            first += pass.readback.tiles;
            self.buffers.push(pass.buffer);
            self.batches.push(pass.batch);
        }
        Ok(())
    }

    fn send_waiting(&mut self) -> Result<(), RenderError> {
        let requests = self.requests.as_ref().ok_or_else(thread_died)?;
        while self.under_way < PASSES_UNDER_WAY
            && let Some(batch) = self.waiting.pop_front()
        {
            let work = Work { batch, buffer: self.buffers.pop() };
            requests.send(work).map_err(|_| thread_died())?;
            self.under_way += 1;
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

fn thread_died() -> RenderError {
    RenderError::Device { reason: "its thread ended".to_owned() }
}
