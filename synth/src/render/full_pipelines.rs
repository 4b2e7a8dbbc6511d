//! Pipelines of scenes with a light: one for each shape and style that has been drawn, and one for each shape that has
//! cast a shadow. They are made when first needed, as few of the many pairs ever are.

use bevy::render::render_resource::{
    BindGroupLayout, ColorTargetState, ColorWrites, CompareFunction, DepthBiasState, DepthStencilState,
    MultisampleState, PipelineCompilationOptions, PipelineLayout, PipelineLayoutDescriptor, PrimitiveState,
    PrimitiveTopology, RawFragmentState, RawRenderPipelineDescriptor, RawVertexBufferLayout, RawVertexState,
    RenderPipeline, ShaderModule, ShaderModuleDescriptor, ShaderSource, StencilState, VertexAttribute,
    VertexFormat, VertexStepMode, WgpuFeatures,
};
use bevy::render::renderer::RenderDevice;

use super::pipelines::{culled, with_clip_planes};
use super::style::{Pattern, Style};
use super::targets::{COLOR_FORMAT, DEPTH_FORMAT};
use super::tile_batch::{BUCKETS, Kind, bucket};

/// See the module.
pub struct FullPipelines {
    color_shader: ShaderModule,
    color_layout: PipelineLayout,
    color: Vec<Option<RenderPipeline>>,
    shadow_shader: ShaderModule,
    shadow_layout: PipelineLayout,
    shadow: [Option<RenderPipeline>; Kind::ALL.len()],
    shadow_side: u32,
}

impl FullPipelines {
    /// For bind groups of tiles and instances, of lights and looks, and of shadow map and pictures.
    pub fn new(device: &RenderDevice, groups: [&BindGroupLayout; 3], shadow_side: u32) -> Self {
        let [tiles, lights, pictures] = groups;
        let layout = |groups: &[Option<&wgpu::BindGroupLayout>]| {
            device.create_pipeline_layout(&PipelineLayoutDescriptor {
                label: Some("full"),
                bind_group_layouts: groups,
                immediate_size: 0,
            })
        };
        Self {
            color_shader: shader(device, color_source(device.features())),
            color_layout: layout(&[Some(tiles), Some(lights), Some(pictures)]),
            color: (0..BUCKETS).map(|_| None).collect(),
            shadow_shader: shader(device, shadow_source(device.features())),
            shadow_layout: layout(&[Some(tiles), Some(lights)]),
            shadow: [const { None }; Kind::ALL.len()],
            shadow_side,
        }
    }

    /// Makes what draws instances of `kind` and `style`, if it isn't there.
    pub fn prepare(&mut self, device: &RenderDevice, kind: Kind, style: Style) {
        let Style::Full { pattern, gloss } = style else { return };
        let slot = bucket(kind, style);
        if self.color[slot].is_none() {
            self.color[slot] = Some(self.color_pipeline(device, kind, (pattern, gloss)));
        }
        if self.shadow[kind as usize].is_none() && kind != Kind::Sky {
            self.shadow[kind as usize] = Some(self.shadow_pipeline(device, kind));
        }
    }

    /// What draws the colour of instances of `kind` and `style`, if it is [`prepare`](Self::prepare)d.
    pub fn color(&self, kind: Kind, style: Style) -> Option<&RenderPipeline> {
        self.color[bucket(kind, style)].as_ref()
    }

    /// What draws the shadow of instances of `kind`, likewise.
    pub fn shadow(&self, kind: Kind) -> Option<&RenderPipeline> {
        self.shadow[kind as usize].as_ref()
    }

    fn color_pipeline(
        &self,
        device: &RenderDevice,
        kind: Kind,
        (pattern, gloss): (Pattern, bool),
    ) -> RenderPipeline {
        let constants = [
            ("SHAPE", f64::from(kind as u32)),
            ("SHADOW_SIDE", f64::from(self.shadow_side)),
            ("PATTERN", f64::from(pattern as u32)),
            ("GLOSS", f64::from(u8::from(gloss))),
        ];
        let options = PipelineCompilationOptions { constants: &constants, ..Default::default() };
        let position = VertexAttribute { format: VertexFormat::Float32x3, offset: 0, shader_location: 0 };
        let proxy = RawVertexBufferLayout {
            array_stride: position.format.size(),
            step_mode: VertexStepMode::Vertex,
            attributes: &[position],
        };
        let (vertex, fragment, buffers) = match kind {
            Kind::Sky => ("vertex_full", "shade_sky_full", std::slice::from_ref(&proxy)),
            kind if kind.has_facets() => ("facet_vertex_full", "shade_facet_full", &[][..]),
            _ => ("vertex_full", "shade_full", std::slice::from_ref(&proxy)),
        };
        device.create_render_pipeline(&RawRenderPipelineDescriptor {
            label: Some("full"),
            layout: Some(&self.color_layout),
            vertex: RawVertexState {
                module: &self.color_shader,
                entry_point: Some(vertex),
                compilation_options: options.clone(),
                buffers,
            },
            primitive: PrimitiveState { cull_mode: culled(kind), ..Default::default() },
            depth_stencil: Some(depth(CompareFunction::GreaterEqual)),
            multisample: MultisampleState::default(),
            fragment: Some(RawFragmentState {
                module: &self.color_shader,
                entry_point: Some(fragment),
                compilation_options: options.clone(),
                targets: &[Some(ColorTargetState {
                    format: COLOR_FORMAT,
                    blend: None,
                    write_mask: ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        })
    }

    fn shadow_pipeline(&self, device: &RenderDevice, kind: Kind) -> RenderPipeline {
        let constants = [("SHAPE", f64::from(kind as u32)), ("SHADOW_SIDE", f64::from(self.shadow_side))];
        let options = PipelineCompilationOptions { constants: &constants, ..Default::default() };
        let (vertex, fragment, topology) = match kind {
            kind if kind.has_facets() => {
                ("facet_vertex_shadow", "cast_facet_shadow", PrimitiveTopology::TriangleList)
            }
            _ => ("vertex_shadow", "cast_shadow", PrimitiveTopology::TriangleStrip),
        };
        device.create_render_pipeline(&RawRenderPipelineDescriptor {
            label: Some("shadow"),
            layout: Some(&self.shadow_layout),
            vertex: RawVertexState {
                module: &self.shadow_shader,
                entry_point: Some(vertex),
                compilation_options: options.clone(),
                buffers: &[],
            },
            primitive: PrimitiveState { topology, ..Default::default() },
            depth_stencil: Some(depth(CompareFunction::Less)),
            multisample: MultisampleState::default(),
            fragment: Some(RawFragmentState {
                module: &self.shadow_shader,
                entry_point: Some(fragment),
                compilation_options: options.clone(),
                targets: &[],
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

fn depth(compare: CompareFunction) -> DepthStencilState {
    DepthStencilState {
        format: DEPTH_FORMAT,
        depth_write_enabled: Some(true),
        depth_compare: Some(compare),
        stencil: StencilState::default(),
        bias: DepthBiasState::default(),
    }
}

fn shader(device: &RenderDevice, source: String) -> ShaderModule {
    device.create_and_validate_shader_module(ShaderModuleDescriptor {
        label: Some("full"),
        source: ShaderSource::Wgsl(source.into()),
    })
}

fn color_source(features: WgpuFeatures) -> String {
    let parts = concat!(
        include_str!("geometry.wgsl"),
        include_str!("triangles.wgsl"),
        include_str!("color.wgsl"),
        include_str!("full.wgsl"),
        include_str!("pattern.wgsl"),
        include_str!("shade_full.wgsl"),
        include_str!("facet_full.wgsl"),
    );
    with_clip_planes(parts, features)
}

fn shadow_source(features: WgpuFeatures) -> String {
    let parts = concat!(
        include_str!("geometry.wgsl"),
        include_str!("triangles.wgsl"),
        include_str!("full.wgsl"),
        include_str!("shadow.wgsl"),
        include_str!("facet_shadow.wgsl"),
    );
    with_clip_planes(parts, features)
}
