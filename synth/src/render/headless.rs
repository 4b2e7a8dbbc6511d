use bevy::app::{App, SubApps, TaskPoolPlugin};
use bevy::asset::AssetPlugin;
use bevy::camera::CameraPlugin;
use bevy::diagnostic::FrameCountPlugin;
use bevy::image::ImagePlugin;
use bevy::mesh::MeshPlugin;
use bevy::prelude::{Mut, Resource};
use bevy::render::error_handler::{RenderErrorHandler, RenderErrorPolicy};
use bevy::render::render_resource::{Buffer, MapMode, PollType};
use bevy::render::renderer::{RenderAdapterInfo, RenderDevice};
use bevy::render::settings::RenderCreation;
use bevy::render::{RenderApp, RenderPlugin};
use bevy::time::TimePlugin;
use bevy::transform::TransformPlugin;
use bevy::window::{ExitCondition, WindowPlugin};
use crossbeam::channel::{Receiver, bounded};

use super::device::open_device;
use super::pass::{TilePass, TilePlugin};
use super::pictures::Pictures;
use super::readback::Readback;
use super::targets::SAMPLES_ACROSS;
use super::tile_batch::TileBatch;
use super::{Atlas, RenderConfig, RenderError};

/// Most pixels of a pass, so that what it is drawn to (up to 250 bytes a pixel) stays within bounds.
const PASS_PIXELS_MAX: u64 = 1 << 22;
/// The same where the processor draws: less memory, and reading one pass while the next is drawn.
const PASS_PIXELS_MAX_PROCESSOR: u64 = 1 << 18;

/// What the driver complained of, set by Bevy's error handler.
#[derive(Resource)]
struct DeviceFault(String);

/// A Bevy app without window or event loop, driven by hand: one update draws one batch.
pub struct Headless {
    apps: SubApps,
    device: RenderDevice,
    atlas: Atlas,
    is_processor: bool,
}

/// A pass that was handed to the device.
pub struct Submitted {
    pub batch: TileBatch,
    pub readback: Readback,
    /// Holds the images once [`Headless::wait`] is through.
    pub buffer: Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Headless {
    pub fn new(config: &RenderConfig, pictures: Pictures) -> Result<Self, RenderError> {
        let resources = open_device()?;
        let device = resources.0.clone();
        let limit = device.limits().max_texture_dimension_2d / SAMPLES_ACROSS;
        let is_processor = resources.2.device_type == wgpu::DeviceType::Cpu;
        let pixels_max = if is_processor { PASS_PIXELS_MAX_PROCESSOR } else { PASS_PIXELS_MAX };
        let atlas = Atlas::fitting(config.tiles, (config.width, config.height), limit, pixels_max)?;
        let mut app = App::new();
        app.add_plugins((
            TaskPoolPlugin::default(),
            FrameCountPlugin,
            TimePlugin,
            TransformPlugin,
            WindowPlugin {
                primary_window: None,
                exit_condition: ExitCondition::DontExit,
                ..Default::default()
            },
            AssetPlugin::default(),
            RenderPlugin {
                render_creation: RenderCreation::Manual(resources),
                synchronous_pipeline_compilation: true,
                ..Default::default()
            },
            ImagePlugin::default(),
            MeshPlugin,
            CameraPlugin,
            TilePlugin { atlas, pictures },
        ));
        app.insert_resource(RenderErrorHandler(|error, main_world, _| {
            main_world.insert_resource(DeviceFault(format!("{:?} {}", error.ty, error.description)));
            RenderErrorPolicy::StopRendering
        }));
        // Without this, systems that find no render world complain before the fault is known.
        app.set_error_handler(bevy::ecs::error::ignore);
        app.finish();
        app.cleanup();
        let apps = std::mem::take(app.sub_apps_mut());
        let mut headless = Self { apps, device, atlas, is_processor };
        // Bevy's render world starts up during the first update.
        headless.update()?;
        Ok(headless)
    }

    /// Name of the driver that draws.
    pub fn adapter_name(&self) -> String {
        self.apps.main.world().resource::<RenderAdapterInfo>().name.clone()
    }

    /// How the tiles of a pass lie.
    pub fn atlas(&self) -> Atlas {
        self.atlas
    }

    /// Whether the driver draws on the processor, while it is handed a pass, so that there is nothing to wait for.
    pub fn is_processor(&self) -> bool {
        self.is_processor
    }

    /// Hands `batch` to the device, to be read through `buffer` if that is large enough.
    pub fn submit(&mut self, mut batch: TileBatch, buffer: Option<Buffer>) -> Result<Submitted, RenderError> {
        let readback = Readback { atlas: self.atlas, tiles: batch.tiles.len(), channels: batch.channels };
        if let Some(buffer) = &buffer {
            buffer.unmap();
        }
        let buffer = readback.buffer(&self.device, buffer);
        self.pass()?.target = Some((readback, buffer.clone()));
        std::mem::swap(&mut *self.apps.main.world_mut().resource_mut::<TileBatch>(), &mut batch);
        self.update()?;
        let Some(submission) = self.pass()?.submission.take() else {
            return Err(RenderError::Device { reason: "a pass was not handed to it".to_owned() });
        };
        let (sender, mapped) = bounded(1);
        buffer.slice(..readback.bytes()).map_async(MapMode::Read, move |result| {
            let _ = sender.try_send(result);
        });
        Ok(Submitted { batch, readback, buffer, submission, mapped })
    }

    /// Waits until a pass is drawn and can be read.
    pub fn wait(&self, pass: &Submitted) -> Result<(), RenderError> {
        let failed = |reason: String| RenderError::Device { reason };
        let wait = PollType::Wait { submission_index: Some(pass.submission.clone()), timeout: None };
        self.device.poll(wait).map_err(|error| failed(error.to_string()))?;
        match pass.mapped.try_recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn pass(&mut self) -> Result<Mut<'_, TilePass>, RenderError> {
        let render_app = self.apps.sub_apps.get_mut(&bevy::app::AppLabel::intern(&RenderApp));
        render_app
            .and_then(|app| app.world_mut().get_resource_mut::<TilePass>())
            .ok_or_else(|| RenderError::Device { reason: "the render world is gone".to_owned() })
    }

    /// One frame of Bevy's.
    fn update(&mut self) -> Result<(), RenderError> {
        self.apps.update();
        match self.apps.main.world().get_resource::<DeviceFault>() {
            Some(DeviceFault(reason)) => Err(RenderError::Device { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}
