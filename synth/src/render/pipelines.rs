use bevy::math::primitives::Cuboid;
use bevy::mesh::{Indices, Mesh, MeshBuilder, Meshable};
use bevy::render::render_resource::{
    BindGroupLayout, BindGroupLayoutEntries, Buffer, BufferInitDescriptor, BufferUsages, ColorTargetState,
    ColorWrites, CompareFunction, DepthBiasState, DepthStencilState, Face, MultisampleState,
    PipelineCompilationOptions, PipelineLayout, PipelineLayoutDescriptor, PrimitiveState, RawFragmentState,
    RawRenderPipelineDescriptor, RawVertexBufferLayout, RawVertexState, RenderPipeline, ShaderModule,
    ShaderModuleDescriptor, ShaderSource, ShaderStages, StencilState, TextureFormat, VertexAttribute,
    VertexFormat, VertexStepMode, WgpuFeatures,
    binding_types::{storage_buffer_read_only_sized, uniform_buffer_sized},
};
use bevy::render::renderer::RenderDevice;

use super::targets::{COLOR_FORMAT, DEPTH_FORMAT, LABEL_FORMAT, SAMPLE_COUNT};
use super::tile_batch::Kind;

/// How tiles are drawn: the proxy mesh and a pipeline for each channel.
pub struct Pipelines {
    pub bindings: BindGroupLayout,
    color: [RenderPipeline; Kind::ALL.len()],
    label: [RenderPipeline; Kind::ALL.len()],
    pub proxy: ProxyMesh,
}

/// Triangles of the cube of half extent 1 that every instance is rasterised with.
pub struct ProxyMesh {
    pub positions: Buffer,
    pub indices: Buffer,
    pub index_count: u32,
}

impl Pipelines {
    pub fn new(device: &RenderDevice) -> Self {
        let shader = device.create_and_validate_shader_module(ShaderModuleDescriptor {
            label: Some("tiles"),
            source: ShaderSource::Wgsl(shader_source(device.features()).into()),
        });
        let bindings = device.create_bind_group_layout(
            "tiles",
            &BindGroupLayoutEntries::sequential(
                ShaderStages::VERTEX_FRAGMENT,
                (
                    uniform_buffer_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                ),
            ),
        );
        let layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: Some("tiles"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let color = |kind| {
            let entry = if kind == Kind::Sky { "shade_sky" } else { "shade" };
            pipeline(device, (&shader, &layout), (entry, kind), (COLOR_FORMAT, SAMPLE_COUNT))
        };
        let label = |kind| pipeline(device, (&shader, &layout), ("label", kind), (LABEL_FORMAT, 1));
        Self {
            color: Kind::ALL.map(color),
            label: Kind::ALL.map(label),
            proxy: ProxyMesh::new(device),
            bindings,
        }
    }

    /// What draws the colour of instances of `kind`.
    pub fn color(&self, kind: Kind) -> &RenderPipeline {
        &self.color[kind as usize]
    }

    /// What draws id and depth of instances of `kind`; the sky has neither.
    pub fn label(&self, kind: Kind) -> Option<&RenderPipeline> {
        (kind != Kind::Sky).then(|| &self.label[kind as usize])
    }
}

impl ProxyMesh {
    fn new(device: &RenderDevice) -> Self {
        let mesh = Cuboid::from_length(2.0).mesh().build();
        let positions = mesh.attribute(Mesh::ATTRIBUTE_POSITION).map(|values| values.get_bytes());
        let indices: Vec<u32> = match mesh.indices() {
            Some(Indices::U16(values)) => values.iter().map(|i| u32::from(*i)).collect(),
            Some(Indices::U32(values)) => values.clone(),
            None => Vec::new(),
        };
        let buffer = |label, contents, usage| {
            device.create_buffer_with_data(&BufferInitDescriptor { label: Some(label), contents, usage })
        };
        Self {
            positions: buffer("proxy positions", positions.unwrap_or_default(), BufferUsages::VERTEX),
            indices: buffer("proxy indices", bytemuck::cast_slice(&indices), BufferUsages::INDEX),
            index_count: indices.len() as u32,
        }
    }
}

/// The shader, with its clip planes where the driver has them. They only save work: fragments outside their tile are
/// dropped either way.
fn shader_source(features: WgpuFeatures) -> String {
    let source = concat!(
        include_str!("geometry.wgsl"),
        "\n",
        include_str!("color.wgsl"),
        "\n",
        include_str!("label.wgsl")
    );
    if features.contains(WgpuFeatures::CLIP_DISTANCES) {
        format!("enable clip_distances;\n{}", source.replace("//CLIP ", ""))
    } else {
        source.to_owned()
    }
}

fn pipeline(
    device: &RenderDevice,
    (shader, layout): (&ShaderModule, &PipelineLayout),
    (entry, kind): (&str, Kind),
    (format, samples): (TextureFormat, u32),
) -> RenderPipeline {
    let position = VertexAttribute { format: VertexFormat::Float32x3, offset: 0, shader_location: 0 };
    let constants = [("SHAPE", f64::from(kind as u32))];
    let options = PipelineCompilationOptions { constants: &constants, ..Default::default() };
    device.create_render_pipeline(&RawRenderPipelineDescriptor {
        label: Some(entry),
        layout: Some(layout),
        vertex: RawVertexState {
            module: shader,
            entry_point: Some("vertex"),
            compilation_options: options.clone(),
            buffers: &[RawVertexBufferLayout {
                array_stride: position.format.size(),
                step_mode: VertexStepMode::Vertex,
                attributes: &[position],
            }],
        },
        // Back faces, so that a camera inside a proxy still sees its shape.
        primitive: PrimitiveState { cull_mode: Some(Face::Front), ..Default::default() },
        depth_stencil: Some(DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(true),
            depth_compare: Some(CompareFunction::GreaterEqual),
            stencil: StencilState::default(),
            bias: DepthBiasState::default(),
        }),
        multisample: MultisampleState { count: samples, ..Default::default() },
        fragment: Some(RawFragmentState {
            module: shader,
            entry_point: Some(entry),
            compilation_options: options.clone(),
            targets: &[Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
        }),
        multiview_mask: None,
        cache: None,
    })
}
