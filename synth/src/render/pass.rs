use bevy::app::{App, Plugin};
use bevy::ecs::prelude::{IntoScheduleConfigs, Res, ResMut, Resource};
use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, Buffer, BufferDescriptor, BufferInitDescriptor, BufferUsages,
    CommandEncoder, IndexFormat, LoadOp, Operations, RenderPassColorAttachment,
    RenderPassDepthStencilAttachment, RenderPassDescriptor, RenderPipeline, StoreOp,
};
use bevy::render::renderer::{
    FlushCommands, RenderContext, RenderDevice, RenderGraph, RenderGraphSystems, RenderQueue,
};
use bevy::render::{ExtractSchedule, MainWorld, RenderApp};

use super::Atlas;
use super::pipelines::Pipelines;
use super::style::Style;
use super::targets::Targets;
use super::tile_batch::{InstanceData, Kind, TileBatch, TileData};

/// Instances that the GPU has room for at first; the buffer doubles when they don't fit.
const INSTANCES_AT_FIRST: usize = 1024;

/// Draws the main world's [`TileBatch`] into [`TilePass::targets`] once an update.
pub struct TilePlugin {
    pub atlas: Atlas,
}

/// The pass and all that it owns on the GPU, in the render world.
#[derive(Resource)]
pub struct TilePass {
    pub atlas: Atlas,
    pub targets: Targets,
    pipelines: Pipelines,
    atlas_uniform: Buffer,
    tiles: Buffer,
    instances: Buffer,
    instance_capacity: usize,
    bind_group: BindGroup,
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
            let pass = TilePass::new(device, self.atlas);
            render_app.insert_resource(pass);
        }
    }
}

/// Exchanges the batches: the render world gets what is to be drawn, the main world the old one to fill again.
fn extract_batch(mut main_world: ResMut<MainWorld>, mut batch: ResMut<TileBatch>) {
    std::mem::swap(&mut *main_world.resource_mut::<TileBatch>(), &mut *batch);
}

/// What Bevy's core pipeline would do, which is not built in.
fn submit_commands(mut commands: FlushCommands) {
    commands.flush();
}

fn draw_tiles(
    mut pass: ResMut<TilePass>,
    batch: Res<TileBatch>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut context: RenderContext,
) {
    if batch.tiles.is_empty() {
        return;
    }
    pass.upload(&device, &queue, &batch);
    let encoder = context.command_encoder();
    let tiles = batch.tiles.len();
    pass.draw_color(encoder, &batch);
    pass.targets.color.copy_to_readback(encoder, &pass.atlas, tiles);
    if batch.labels {
        pass.draw_label(encoder, &batch);
        pass.targets.label.copy_to_readback(encoder, &pass.atlas, tiles);
    }
}

impl TilePass {
    fn new(device: &RenderDevice, atlas: Atlas) -> Self {
        let pipelines = Pipelines::new(device);
        let layout = [atlas.columns, atlas.rows, atlas.tile_width, atlas.tile_height];
        let atlas_uniform = device.create_buffer_with_data(&BufferInitDescriptor {
            label: Some("atlas"),
            contents: bytemuck::bytes_of(&layout),
            usage: BufferUsages::UNIFORM,
        });
        let tiles = storage(device, atlas.tiles * size_of::<TileData>());
        let instances = storage(device, INSTANCES_AT_FIRST * size_of::<InstanceData>());
        let bind_group = bind(device, &pipelines, [&atlas_uniform, &tiles, &instances]);
        Self {
            targets: Targets::new(device, &atlas),
            instance_capacity: INSTANCES_AT_FIRST,
            atlas,
            pipelines,
            atlas_uniform,
            tiles,
            instances,
            bind_group,
        }
    }

    fn upload(&mut self, device: &RenderDevice, queue: &RenderQueue, batch: &TileBatch) {
        let count = batch.instance_count();
        if count > self.instance_capacity {
            self.instance_capacity = count.next_power_of_two();
            self.instances = storage(device, self.instance_capacity * size_of::<InstanceData>());
            let buffers = [&self.atlas_uniform, &self.tiles, &self.instances];
            self.bind_group = bind(device, &self.pipelines, buffers);
        }
        queue.write_buffer(&self.tiles, 0, bytemuck::cast_slice(&batch.tiles));
        let mut offset = 0;
        for instances in &batch.instances {
            queue.write_buffer(&self.instances, offset, bytemuck::cast_slice(instances));
            offset += size_of_val(instances.as_slice()) as u64;
        }
    }

    fn draw_color(&self, encoder: &mut CommandEncoder, batch: &TileBatch) {
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("color"),
            color_attachments: &[Some(RenderPassColorAttachment {
                view: &self.targets.color_samples,
                depth_slice: None,
                resolve_target: Some(&self.targets.color.view),
                ops: Operations { load: LoadOp::Clear(Default::default()), store: StoreOp::Discard },
            })],
            depth_stencil_attachment: Some(cleared_depth(&self.targets.color.depth)),
            ..Default::default()
        });
        self.draw_kinds(&mut pass, batch, |kind| Some(self.pipelines.color(kind)));
    }

    fn draw_label(&self, encoder: &mut CommandEncoder, batch: &TileBatch) {
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("label"),
            color_attachments: &[Some(RenderPassColorAttachment {
                view: &self.targets.label.view,
                depth_slice: None,
                resolve_target: None,
                ops: Operations { load: LoadOp::Clear(Default::default()), store: StoreOp::Store },
            })],
            depth_stencil_attachment: Some(cleared_depth(&self.targets.label.depth)),
            ..Default::default()
        });
        self.draw_kinds(&mut pass, batch, |kind| self.pipelines.label(kind));
    }

    fn draw_kinds<'a>(
        &self,
        pass: &mut wgpu::RenderPass<'_>,
        batch: &TileBatch,
        pipeline: impl Fn(Kind) -> Option<&'a RenderPipeline>,
    ) {
        let proxy = &self.pipelines.proxy;
        pass.set_bind_group(0, &*self.bind_group, &[]);
        pass.set_vertex_buffer(0, *proxy.positions.slice(..));
        pass.set_index_buffer(*proxy.indices.slice(..), IndexFormat::Uint32);
        let mut start = 0;
        for kind in Kind::ALL {
            let first = kind as usize * Style::COUNT;
            let buckets = &batch.instances[first..first + Style::COUNT];
            let end = start + buckets.iter().map(Vec::len).sum::<usize>() as u32;
            if let Some(pipeline) = pipeline(kind)
                && start < end
            {
                pass.set_pipeline(pipeline);
                pass.draw_indexed(0..proxy.index_count, 0, start..end);
            }
            start = end;
        }
    }
}

fn cleared_depth(view: &wgpu::TextureView) -> RenderPassDepthStencilAttachment<'_> {
    RenderPassDepthStencilAttachment {
        view,
        depth_ops: Some(Operations { load: LoadOp::Clear(0.0), store: StoreOp::Discard }),
        stencil_ops: None,
    }
}

fn storage(device: &RenderDevice, bytes: usize) -> Buffer {
    device.create_buffer(&BufferDescriptor {
        label: Some("tiles"),
        size: bytes as u64,
        usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn bind(device: &RenderDevice, pipelines: &Pipelines, buffers: [&Buffer; 3]) -> BindGroup {
    let [atlas, tiles, instances] = buffers;
    let entries = BindGroupEntries::sequential((
        atlas.as_entire_binding(),
        tiles.as_entire_binding(),
        instances.as_entire_binding(),
    ));
    device.create_bind_group("tiles", &pipelines.bindings, &entries)
}
