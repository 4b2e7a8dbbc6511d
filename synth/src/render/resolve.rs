use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, BindGroupLayoutEntries, CommandEncoder, LoadOp, MultisampleState,
    Operations, PipelineCompilationOptions, PipelineLayoutDescriptor, PrimitiveState, RawFragmentState,
    RawRenderPipelineDescriptor, RawVertexState, RenderPassColorAttachment, RenderPassDescriptor,
    RenderPipeline, ShaderModuleDescriptor, ShaderSource, ShaderStages, StoreOp, TextureSampleType,
    TextureView, binding_types::texture_2d,
};
use bevy::render::renderer::RenderDevice;

use super::targets::COLOR_FORMAT;

/// Averages the samples of the colour pass.
pub struct Resolve {
    pipeline: RenderPipeline,
    samples: BindGroup,
}

impl Resolve {
    /// Of what is drawn to `samples`.
    pub fn new(device: &RenderDevice, samples: &TextureView) -> Self {
        let shader = device.create_and_validate_shader_module(ShaderModuleDescriptor {
            label: Some("resolve"),
            source: ShaderSource::Wgsl(include_str!("resolve.wgsl").into()),
        });
        let bindings = device.create_bind_group_layout(
            "samples",
            &BindGroupLayoutEntries::single(
                ShaderStages::FRAGMENT,
                texture_2d(TextureSampleType::Float { filterable: false }),
            ),
        );
        let layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: Some("resolve"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let pipeline = device.create_render_pipeline(&RawRenderPipelineDescriptor {
            label: Some("resolve"),
            layout: Some(&layout),
            vertex: RawVertexState {
                module: &shader,
                entry_point: Some("cover"),
                compilation_options: PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: PrimitiveState::default(),
            depth_stencil: None,
            multisample: MultisampleState::default(),
            fragment: Some(RawFragmentState {
                module: &shader,
                entry_point: Some("resolve"),
                compilation_options: PipelineCompilationOptions::default(),
                targets: &[Some(COLOR_FORMAT.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let samples = device.create_bind_group("samples", &bindings, &BindGroupEntries::single(samples));
        Self { pipeline, samples }
    }

    /// Records the average of the first `width × height` pixels into `image`.
    pub fn draw(&self, encoder: &mut CommandEncoder, image: &TextureView, (width, height): (u32, u32)) {
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("resolve"),
            color_attachments: &[Some(RenderPassColorAttachment {
                view: image,
                depth_slice: None,
                resolve_target: None,
                ops: Operations { load: LoadOp::Load, store: StoreOp::Store },
            })],
            ..Default::default()
        });
        pass.set_scissor_rect(0, 0, width, height);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &*self.samples, &[]);
        pass.draw(0..3, 0..1);
    }
}
