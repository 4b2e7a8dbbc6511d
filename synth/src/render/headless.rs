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
use bevy::render::settings::{RenderCreation, RenderResources};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::time::TimePlugin;
use bevy::transform::TransformPlugin;
use bevy::window::{ExitCondition, WindowPlugin};
use crossbeam::channel::{Receiver, bounded};

use super::device::open_device;
use super::faults::Faults;
use super::pass::{TilePass, TilePlugin};
use super::pictures::Pictures;
use super::pipelines::tile_shader;
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
    faults: Faults,
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
        let shader = tile_shader(resources.0.features());
        Self::with_shader(config, pictures, resources, shader)
    }

    fn with_shader(
        config: &RenderConfig,
        pictures: Pictures,
        resources: RenderResources,
        shader: String,
    ) -> Result<Self, RenderError> {
        let faults = Faults::default();
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
            TilePlugin { atlas, pictures, shader, faults: faults.clone() },
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
        let mut headless = Self { apps, device, atlas, is_processor, faults };
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
        self.faults.check()?;
        match self.apps.main.world().get_resource::<DeviceFault>() {
            Some(DeviceFault(reason)) => Err(RenderError::Device { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bevy::ecs::prelude::{IntoScheduleConfigs as _, Res};
    use bevy::render::render_resource::{ShaderModuleDescriptor, ShaderSource};
    use bevy::render::renderer::{RenderGraph, RenderGraphSystems};

    use super::*;

    const CONFIG: RenderConfig = RenderConfig { tiles: 1, width: 16, height: 16 };

    fn reason(result: Result<impl Sized, RenderError>) -> String {
        match result {
            Err(RenderError::Refused { reason }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("nothing was refused"),
        }
    }

    #[test]
    fn a_shader_that_the_driver_refuses_is_an_error_at_the_start() {
        let started = |change: &dyn Fn(String) -> String| {
            let resources = open_device().unwrap();
            let shader = change(tile_shader(resources.0.features()));
            Headless::with_shader(&CONFIG, Pictures::default(), resources, shader).map(|_| ())
        };
        assert!(started(&|shader| shader).is_ok());
        let broken = reason(started(&|shader| shader + "fn broken() -> f32 { return missing; }"));
        assert!(broken.contains("missing"), "{broken}");
        // Every function is right, but one that a pipeline asks for is not there.
        let renamed = reason(started(&|shader| shader.replace("fn shade_facet(", "fn shade_facets(")));
        assert!(renamed.contains("shade_facet"), "{renamed}");
    }

    #[test]
    fn what_is_refused_while_drawing_is_an_error_of_that_very_pass() {
        // As pipelines are that are made when they are first needed.
        fn refused(device: Res<'_, RenderDevice>) {
            device.create_and_validate_shader_module(ShaderModuleDescriptor {
                label: None,
                source: ShaderSource::Wgsl("fn broken() -> f32 { return missing; }".into()),
            });
        }
        let mut headless = Headless::new(&CONFIG, Pictures::default()).unwrap();
        let label = bevy::app::AppLabel::intern(&RenderApp);
        let render_app = headless.apps.sub_apps.get_mut(&label).unwrap();
        render_app.add_systems(RenderGraph, refused.in_set(RenderGraphSystems::Render));
        let drawn = headless.submit(TileBatch::default(), None);
        assert!(reason(drawn).contains("missing"));
    }
}
