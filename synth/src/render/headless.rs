use bevy::app::{App, SubApps, TaskPoolPlugin};
use bevy::asset::AssetPlugin;
use bevy::camera::CameraPlugin;
use bevy::diagnostic::FrameCountPlugin;
use bevy::image::ImagePlugin;
use bevy::mesh::MeshPlugin;
use bevy::prelude::Resource;
use bevy::render::error_handler::{RenderErrorHandler, RenderErrorPolicy};
use bevy::render::render_resource::{MapMode, PollType};
use bevy::render::renderer::{RenderAdapterInfo, RenderDevice};
use bevy::render::settings::RenderCreation;
use bevy::render::{RenderApp, RenderPlugin};
use bevy::time::TimePlugin;
use bevy::transform::TransformPlugin;
use bevy::window::{ExitCondition, WindowPlugin};
use crossbeam::channel::bounded;

use super::device::open_device;
use super::pass::{TilePass, TilePlugin};
use super::pictures::Pictures;
use super::targets::{Image, SAMPLES_ACROSS};
use super::tile_batch::TileBatch;
use super::{Atlas, Channels, Frames, RenderConfig, RenderError};

/// What the driver complained of, set by Bevy's error handler.
#[derive(Resource)]
struct DeviceFault(String);

/// A Bevy app without window or event loop, driven by hand: one update draws one batch.
pub struct Headless {
    apps: SubApps,
    device: RenderDevice,
    atlas: Atlas,
}

impl Headless {
    pub fn new(config: &RenderConfig, pictures: Pictures) -> Result<Self, RenderError> {
        let resources = open_device()?;
        let device = resources.0.clone();
        let limit = device.limits().max_texture_dimension_2d / SAMPLES_ACROSS;
        let atlas = Atlas::new(config.tiles, config.width, config.height, limit)?;
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
        let mut headless = Self { apps, device, atlas };
        // Bevy's render world starts up during the first update.
        headless.update()?;
        Ok(headless)
    }

    /// Name of the driver that draws.
    pub fn adapter_name(&self) -> String {
        self.apps.main.world().resource::<RenderAdapterInfo>().name.clone()
    }

    /// Draws `batch` and appends its tiles to `frames`. The batch comes back with old content, to be filled again.
    pub fn draw(&mut self, batch: &mut TileBatch, frames: &mut Frames) -> Result<(), RenderError> {
        let (tiles, channels) = (batch.tiles.len(), batch.channels);
        std::mem::swap(&mut *self.apps.main.world_mut().resource_mut::<TileBatch>(), batch);
        self.update()?;
        let render_app = self.apps.sub_apps.get(&bevy::app::AppLabel::intern(&RenderApp));
        let Some(render_app) = render_app else {
            return Err(RenderError::Device { reason: "the render world is gone".to_owned() });
        };
        let pass = render_app.world().resource::<TilePass>();
        self.read(&pass.color.image, tiles, |bytes| frames.push_color(&self.atlas, bytes, tiles))?;
        for (part, image) in pass.label.images(channels).iter().enumerate() {
            self.read(image, tiles, |bytes| match (channels, part) {
                (Channels::Labels, _) => frames.push_labels(&self.atlas, bytes, tiles),
                (_, 0) => frames.push_ids_depth_normal(&self.atlas, bytes, tiles),
                (_, 1) => frames.push_flow(&self.atlas, bytes, tiles),
                (_, _) => frames.push_coordinates_normal(&self.atlas, bytes, tiles),
            })?;
        }
        Ok(())
    }

    /// One frame of Bevy's.
    fn update(&mut self) -> Result<(), RenderError> {
        self.apps.update();
        match self.apps.main.world().get_resource::<DeviceFault>() {
            Some(DeviceFault(reason)) => Err(RenderError::Device { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn read(&self, image: &Image, tiles: usize, use_bytes: impl FnOnce(&[u8])) -> Result<(), RenderError> {
        let failed = |reason: String| RenderError::Device { reason };
        let slice = image.readback.slice(..image.readback_bytes(&self.atlas, tiles));
        let (sender, receiver) = bounded(1);
        slice.map_async(MapMode::Read, move |result| {
            let _ = sender.try_send(result);
        });
        self.device.poll(PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
        match receiver.try_recv() {
            Ok(Ok(())) => use_bytes(&slice.get_mapped_range()),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(error) => return Err(failed(error.to_string())),
        }
        image.readback.unmap();
        Ok(())
    }
}
