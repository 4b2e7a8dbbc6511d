use bevy::app::{App, Plugin};
use bevy::ecs::prelude::{IntoScheduleConfigs, Res, ResMut, Resource};
use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, Buffer, BufferInitDescriptor, BufferUsages, CommandEncoder, IndexFormat,
    LoadOp, Operations, RenderPassColorAttachment, RenderPassDepthStencilAttachment, RenderPassDescriptor,
    RenderPipeline, StoreOp,
};
use bevy::render::renderer::{
    PendingCommandBuffers, RenderContext, RenderDevice, RenderGraph, RenderGraphSystems, RenderQueue,
};
use bevy::render::{ExtractSchedule, MainWorld, RenderApp};

use super::Atlas;
use super::faults::Faults;
use super::full_pass::FullPass;
use super::label_pass::LabelPass;
use super::pictures::Pictures;
use super::pipelines::{Pipelines, Shader};
use super::readback::Readback;
use super::resolve::Resolve;
use super::storage::Storage;
use super::style::Style;
use super::targets::ColorTargets;
use super::tile_batch::{InstanceData, Kind, TileBatch, TileData, Vertices};
use super::triangles::{CornerData, CornerMotionData};

/// Instances that the GPU has room for at first; the buffer doubles when they don't fit.
pub const INSTANCES_AT_FIRST: usize = 1024;

/// Draws the main world's [`TileBatch`] into [`TilePass::targets`] once an update.
pub struct TilePlugin {
    pub atlas: Atlas,
    pub pictures: Pictures,
    /// The source of the shader, see [`tile_shader`](super::pipelines::tile_shader).
    pub shader: String,
    pub faults: Faults,
}

/// The pass and all that it owns on the GPU, in the render world.
#[derive(Resource)]
pub struct TilePass {
    pub atlas: Atlas,
    pub color: ColorTargets,
    resolve: Resolve,
    pub label: LabelPass,
    pipelines: Pipelines,
    atlas_uniform: Buffer,
    tiles: Storage<TileData>,
    instances: Storage<InstanceData>,
    corners: Storage<CornerData>,
    corner_motions: Storage<CornerMotionData>,
    shared_corners: Storage<u32>,
    bind_group: BindGroup,
    pictures: Pictures,
    /// What scenes with a light need; none before the first one.
    full: Option<FullPass>,
    /// Where the next pass is read through; none while there is nothing to draw.
    pub target: Option<(Readback, Buffer)>,
    /// The last pass that was handed to the device.
    pub submission: Option<wgpu::SubmissionIndex>,
}

impl Plugin for TilePlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<TileBatch>();
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            render_app.init_resource::<TileBatch>().add_systems(ExtractSchedule, extract_batch).add_systems(
                RenderGraph,
                (
                    draw_tiles.in_set(RenderGraphSystems::Render),
                    submit_commands.in_set(RenderGraphSystems::Submit),
                ),
            );
        }
    }

    fn finish(&self, app: &mut App) {
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            let device = render_app.world().resource::<RenderDevice>();
            // Bevy has begun to listen by now.
            self.faults.watch(device);
            let shader = Shader::new(device, &self.shader);
            let pass = TilePass::new(device, &shader, self.atlas, self.pictures.clone());
            render_app.insert_resource(pass);
        }
    }
}

/// Exchanges the batches: the render world gets what is to be drawn, the main world the old one to fill again.
fn extract_batch(mut main_world: ResMut<MainWorld>, mut batch: ResMut<TileBatch>) {
    std::mem::swap(&mut *main_world.resource_mut::<TileBatch>(), &mut *batch);
}

/// What Bevy's core pipeline would do, which is not built in.
fn submit_commands(
    mut pass: ResMut<TilePass>,
    mut commands: ResMut<PendingCommandBuffers>,
    queue: Res<RenderQueue>,
) {
    pass.submission = Some(queue.submit(commands.take()));
}

fn draw_tiles(
    mut pass: ResMut<TilePass>,
    batch: Res<TileBatch>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut context: RenderContext,
) {
    let Some((readback, buffer)) = pass.target.take() else { return };
    pass.upload(&device, &queue, &batch);
    let encoder = context.command_encoder();
    if let Some(full) = pass.full(&batch) {
        full.draw_shadows(encoder, (&pass.bind_group, &pass.shared_corners.buffer), &batch);
    }
    pass.draw_color(encoder, &batch);
    let (atlas, tiles) = (&readback.atlas, readback.tiles);
    let used = (atlas.used_width(tiles), atlas.used_height(tiles));
    pass.resolve.draw(encoder, &pass.color.image.view, used);
    pass.color.image.copy(encoder, &readback, 0, &buffer);
    pass.label.draw(encoder, batch.channels, |label, pipeline| {
        pass.draw_instances(label, &batch, &|kind, _| pipeline(kind))
    });
    for (index, image) in (1..).zip(pass.label.images(batch.channels)) {
        image.copy(encoder, &readback, index, &buffer);
    }
}

impl TilePass {
    fn new(device: &RenderDevice, shader: &Shader, atlas: Atlas, pictures: Pictures) -> Self {
        let pipelines = Pipelines::new(device, shader);
        let layout = [atlas.columns, atlas.rows, atlas.tile_width, atlas.tile_height];
        let atlas_uniform = device.create_buffer_with_data(&BufferInitDescriptor {
            label: Some("atlas"),
            contents: bytemuck::bytes_of(&layout),
            usage: BufferUsages::UNIFORM,
        });
        let tiles = Storage::new(device, "tiles", atlas.tiles);
        let instances = Storage::new(device, "instances", INSTANCES_AT_FIRST);
        let corners = Storage::new(device, "corners", INSTANCES_AT_FIRST);
        let corner_motions = Storage::new(device, "corner motions", INSTANCES_AT_FIRST);
        let shared_corners = Storage::new(device, "shared corners", INSTANCES_AT_FIRST);
        let buffers =
            [&atlas_uniform, &tiles.buffer, &instances.buffer, &corners.buffer, &corner_motions.buffer];
        let bind_group = bind(device, &pipelines, buffers);
        let color = ColorTargets::new(device, &atlas);
        Self {
            resolve: Resolve::new(device, &color.samples),
            color,
            label: LabelPass::new(device, shader, &pipelines.bindings),
            atlas,
            pipelines,
            atlas_uniform,
            tiles,
            instances,
            corners,
            corner_motions,
            shared_corners,
            bind_group,
            pictures,
            full: None,
            target: None,
            submission: None,
        }
    }

    fn upload(&mut self, device: &RenderDevice, queue: &RenderQueue, batch: &TileBatch) {
        let triangles = &batch.corners;
        let grown = [
            self.instances.reserve(device, batch.instance_count()),
            self.corners.reserve(device, triangles.now.len()),
            self.corner_motions.reserve(device, triangles.motions.len()),
        ];
        if grown.contains(&true) {
            let buffers = [
                &self.atlas_uniform,
                &self.tiles.buffer,
                &self.instances.buffer,
                &self.corners.buffer,
                &self.corner_motions.buffer,
            ];
            self.bind_group = bind(device, &self.pipelines, buffers);
        }
        // Not bound with the others: it is the index buffer.
        self.shared_corners.reserve(device, triangles.shared.len());
        self.shared_corners.write(queue, std::slice::from_ref(&triangles.shared));
        self.corners.write(queue, std::slice::from_ref(&triangles.now));
        self.corner_motions.write(queue, std::slice::from_ref(&triangles.motions));
        self.tiles.write(queue, std::slice::from_ref(&batch.tiles));
        self.instances.write(queue, &batch.instances);
        self.label.prepare(device, queue, &self.atlas, batch);
        if !batch.lights.is_empty() {
            let tiles = (&self.atlas, &self.pipelines.bindings);
            let full = self.full.get_or_insert_with(|| FullPass::new(device, queue, tiles, &self.pictures));
            full.prepare(device, queue, batch);
        }
    }

    /// What is drawn in full in `batch`, if anything is.
    fn full(&self, batch: &TileBatch) -> Option<&FullPass> {
        self.full.as_ref().filter(|_| !batch.lights.is_empty())
    }

    fn draw_color(&self, encoder: &mut CommandEncoder, batch: &TileBatch) {
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("color"),
            color_attachments: &[Some(RenderPassColorAttachment {
                view: &self.color.samples,
                depth_slice: None,
                resolve_target: None,
                ops: Operations { load: LoadOp::Clear(Default::default()), store: StoreOp::Store },
            })],
            depth_stencil_attachment: Some(cleared_depth(&self.color.depth)),
            ..Default::default()
        });
        let full = self.full(batch);
        if let Some(full) = full {
            full.bind(&mut pass);
        }
        self.draw_instances(&mut pass, batch, &|kind, style| match style {
            Style::Plain => Some(self.pipelines.color(kind)),
            Style::Full { .. } => full?.pipeline(kind, style),
        });
    }

    fn draw_instances(
        &self,
        pass: &mut wgpu::RenderPass<'_>,
        batch: &TileBatch,
        pipeline: &dyn Fn(Kind, Style) -> Option<RenderPipeline>,
    ) {
        let proxy = &self.pipelines.proxy;
        pass.set_bind_group(0, &*self.bind_group, &[]);
        pass.set_vertex_buffer(0, *proxy.positions.slice(..));
        for draw in batch.draws() {
            if let Some(pipeline) = pipeline(draw.kind, draw.style) {
                pass.set_pipeline(&pipeline);
                let indices =
                    if draw.kind.has_facets() { &self.shared_corners.buffer } else { &proxy.indices };
                pass.set_index_buffer(*indices.slice(..), IndexFormat::Uint32);
                for run in batch.runs(&draw) {
                    match run.vertices {
                        Vertices::Proxy => pass.draw_indexed(0..proxy.index_count, 0, run.instances),
                        Vertices::Corners(corners) => pass.draw(0..corners, run.instances),
                        Vertices::Shared(corners) => pass.draw_indexed(corners, 0, run.instances),
                    }
                }
            }
        }
    }
}

pub fn cleared_depth(view: &wgpu::TextureView) -> RenderPassDepthStencilAttachment<'_> {
    RenderPassDepthStencilAttachment {
        view,
        depth_ops: Some(Operations { load: LoadOp::Clear(0.0), store: StoreOp::Discard }),
        stencil_ops: None,
    }
}

fn bind(device: &RenderDevice, pipelines: &Pipelines, buffers: [&Buffer; 5]) -> BindGroup {
    let [atlas, tiles, instances, corners, corner_motions] = buffers;
    let entries = BindGroupEntries::sequential((
        atlas.as_entire_binding(),
        tiles.as_entire_binding(),
        instances.as_entire_binding(),
        corners.as_entire_binding(),
        corner_motions.as_entire_binding(),
    ));
    device.create_bind_group("tiles", &pipelines.bindings, &entries)
}
