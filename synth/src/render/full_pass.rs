//! What the colour pass needs beside tiles and instances when a scene has a light: lights, looks, shadows, pictures.
//!
//! Order of a pass: upload lights and looks → shadow pass → colour pass with bind groups 1 and 2. Nothing of this
//! exists before the first batch that has a light.

use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, BindGroupLayout, BindGroupLayoutEntries, Buffer, CommandEncoder,
    IndexFormat, LoadOp, Operations, RenderPassDepthStencilAttachment, RenderPassDescriptor, RenderPipeline,
    SamplerBindingType, SamplerDescriptor, ShaderStages, StoreOp, TextureSampleType,
    binding_types::{sampler, storage_buffer_read_only_sized, texture_2d_array, texture_depth_2d},
};
use bevy::render::renderer::{RenderDevice, RenderQueue};

use super::Atlas;
use super::full_pipelines::FullPipelines;
use super::light::{LightData, LookData};
use super::pass::INSTANCES_AT_FIRST;
use super::pictures::{PictureTexture, Pictures};
use super::shadow_map::ShadowMap;
use super::storage::Storage;
use super::style::Style;
use super::tile_batch::{Kind, TileBatch, Vertices};

/// See the module.
pub struct FullPass {
    pipelines: FullPipelines,
    light_layout: BindGroupLayout,
    lights: Storage<LightData>,
    looks: Storage<LookData>,
    light_group: BindGroup,
    shadow_map: ShadowMap,
    picture_group: BindGroup,
}

impl FullPass {
    pub fn new(
        device: &RenderDevice,
        queue: &RenderQueue,
        (atlas, tile_layout): (&Atlas, &BindGroupLayout),
        pictures: &Pictures,
    ) -> Self {
        let light_layout = device.create_bind_group_layout(
            "lights",
            &BindGroupLayoutEntries::sequential(
                ShaderStages::VERTEX,
                (storage_buffer_read_only_sized(false, None), storage_buffer_read_only_sized(false, None)),
            ),
        );
        let picture_layout = device.create_bind_group_layout(
            "pictures",
            &BindGroupLayoutEntries::sequential(
                ShaderStages::FRAGMENT,
                (
                    texture_depth_2d(),
                    sampler(SamplerBindingType::NonFiltering),
                    texture_2d_array(TextureSampleType::Float { filterable: true }),
                    sampler(SamplerBindingType::Filtering),
                ),
            ),
        );
        let shadow_map = ShadowMap::new(device, atlas);
        let pictures = PictureTexture::new(device, queue, pictures);
        let nearest = device.create_sampler(&SamplerDescriptor::default());
        let entries =
            BindGroupEntries::sequential((&shadow_map.view, &nearest, &pictures.view, &pictures.sampler));
        let groups = [tile_layout, &light_layout, &picture_layout];
        let lights = Storage::new(device, "lights", atlas.tiles);
        let looks = Storage::new(device, "looks", INSTANCES_AT_FIRST);
        Self {
            picture_group: device.create_bind_group("pictures", &picture_layout, &entries),
            pipelines: FullPipelines::new(device, groups, shadow_map.side),
            light_group: light_group(device, &light_layout, [&looks.buffer, &lights.buffer]),
            light_layout,
            lights,
            looks,
            shadow_map,
        }
    }

    /// Uploads what `batch` looks like, and makes the pipelines that it is first to need.
    pub fn prepare(&mut self, device: &RenderDevice, queue: &RenderQueue, batch: &TileBatch) {
        if self.looks.reserve(device, batch.instance_count()) {
            let buffers = [&self.looks.buffer, &self.lights.buffer];
            self.light_group = light_group(device, &self.light_layout, buffers);
        }
        self.lights.write_at(queue, 0, &batch.lights);
        for draw in batch.draws().filter(|draw| draw.style != Style::Plain) {
            self.pipelines.prepare(device, draw.kind, draw.style);
            let looks = batch.looks(draw.kind, draw.style);
            self.looks.write_at(queue, draw.instances.start as usize, looks);
        }
    }

    /// Draws the things of all tiles as the sun sees them.
    pub fn draw_shadows(
        &self,
        encoder: &mut CommandEncoder,
        (tile_group, shared_corners): (&BindGroup, &Buffer),
        batch: &TileBatch,
    ) {
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("shadow"),
            depth_stencil_attachment: Some(RenderPassDepthStencilAttachment {
                view: &self.shadow_map.view,
                depth_ops: Some(Operations { load: LoadOp::Clear(1.0), store: StoreOp::Store }),
                stencil_ops: None,
            }),
            ..Default::default()
        });
        pass.set_bind_group(0, &**tile_group, &[]);
        pass.set_index_buffer(*shared_corners.slice(..), IndexFormat::Uint32);
        pass.set_bind_group(1, &*self.light_group, &[]);
        for draw in batch.draws().filter(|draw| draw.style != Style::Plain) {
            if let Some(pipeline) = self.pipelines.shadow(draw.kind) {
                pass.set_pipeline(pipeline);
                for run in batch.runs(&draw) {
                    match run.vertices {
                        // A rectangle around the shape.
                        Vertices::Proxy => pass.draw(0..4, run.instances),
                        Vertices::Corners(corners) => pass.draw(0..corners, run.instances),
                        Vertices::Shared(corners) => pass.draw_indexed(corners, 0, run.instances),
                    }
                }
            }
        }
    }

    /// Binds what its pipelines need in the colour pass beside bind group 0.
    pub fn bind(&self, pass: &mut wgpu::RenderPass<'_>) {
        pass.set_bind_group(1, &*self.light_group, &[]);
        pass.set_bind_group(2, &*self.picture_group, &[]);
    }

    /// What draws the colour of instances of `kind` and `style`.
    pub fn pipeline(&self, kind: Kind, style: Style) -> Option<RenderPipeline> {
        self.pipelines.color(kind, style).cloned()
    }
}

fn light_group(device: &RenderDevice, layout: &BindGroupLayout, buffers: [&Buffer; 2]) -> BindGroup {
    let [looks, lights] = buffers;
    let entries = BindGroupEntries::sequential((looks.as_entire_binding(), lights.as_entire_binding()));
    device.create_bind_group("lights", layout, &entries)
}
