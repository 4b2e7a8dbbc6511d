use bevy::math::primitives::Cuboid;
use bevy::mesh::{Indices, Mesh, MeshBuilder, Meshable};
use bevy::render::render_resource::{
    BindGroupLayout, BindGroupLayoutEntries, Buffer, BufferInitDescriptor, BufferUsages, ColorTargetState,
    ColorWrites, CompareFunction, DepthBiasState, DepthStencilState, Face, MultisampleState,
    PipelineCompilationOptions, PipelineLayoutDescriptor, PrimitiveState, RawFragmentState,
    RawRenderPipelineDescriptor, RawVertexBufferLayout, RawVertexState, RenderPipeline, ShaderModule,
    ShaderModuleDescriptor, ShaderSource, ShaderStages, StencilState, TextureFormat, VertexAttribute,
    VertexFormat, VertexStepMode, WgpuFeatures,
    binding_types::{storage_buffer_read_only_sized, uniform_buffer_sized},
};
use bevy::render::renderer::RenderDevice;

use super::targets::{COLOR_FORMAT, DEPTH_FORMAT};
use super::tile_batch::Kind;

/// How colours are drawn; the proxy mesh and the bindings are those of labels too.
pub struct Pipelines {
    pub bindings: BindGroupLayout,
    color: [RenderPipeline; Kind::ALL.len()],
    pub proxy: ProxyMesh,
}

/// Triangles of the cube of half extent 1 that every instance is rasterised with.
pub struct ProxyMesh {
    pub positions: Buffer,
    pub indices: Buffer,
    pub index_count: u32,
}

/// The compiled shader, and the device's buffers that its entry points take.
pub struct Shader(ShaderModule);

/// Names of functions of the shader.
pub struct Entries {
    pub vertex: &'static str,
    pub fragment: &'static str,
}

impl Shader {
    /// Compiles `source`; what is wrong with it is told by [`Faults`](super::faults::Faults).
    pub fn new(device: &RenderDevice, source: &str) -> Self {
        Self(device.create_and_validate_shader_module(ShaderModuleDescriptor {
            label: Some("tiles"),
            source: ShaderSource::Wgsl(source.into()),
        }))
    }
}

impl Pipelines {
    pub fn new(device: &RenderDevice, shader: &Shader) -> Self {
        let bindings = device.create_bind_group_layout(
            "tiles",
            &BindGroupLayoutEntries::sequential(
                ShaderStages::VERTEX_FRAGMENT,
                (
                    uniform_buffer_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                ),
            ),
        );
        let color = |kind| {
            let entries = match kind {
                Kind::Sky => Entries { vertex: "vertex", fragment: "shade_sky" },
                kind if kind.has_facets() => Entries { vertex: "facet_vertex", fragment: "shade_facet" },
                _ => Entries { vertex: "vertex", fragment: "shade" },
            };
            pipeline(device, shader, (&entries, &[&bindings]), kind, &[COLOR_FORMAT])
        };
        Self { color: Kind::ALL.map(color), proxy: ProxyMesh::new(device), bindings }
    }

    /// What draws the colour of instances of `kind`.
    pub fn color(&self, kind: Kind) -> RenderPipeline {
        self.color[kind as usize].clone()
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
pub fn tile_shader(features: WgpuFeatures) -> String {
    let source = concat!(
        include_str!("geometry.wgsl"),
        include_str!("triangles.wgsl"),
        include_str!("color.wgsl"),
        include_str!("facet_color.wgsl"),
        include_str!("label.wgsl"),
        include_str!("facet_label.wgsl"),
    );
    with_clip_planes(source, features)
}

/// `source` with its clip planes, where the driver has them.
pub fn with_clip_planes(source: &str, features: WgpuFeatures) -> String {
    if features.contains(WgpuFeatures::CLIP_DISTANCES) {
        format!("enable clip_distances;\n{}", source.replace("//CLIP ", ""))
    } else {
        source.to_owned()
    }
}

/// The faces that are not looked at in instances of `kind`: those of a proxy that look at the camera, so that one
/// inside it still sees its shape; of a closed thing, those that don't. Triangles with corners of their own sort
/// themselves.
pub fn culled(kind: Kind) -> Option<Face> {
    match kind {
        Kind::Triangles | Kind::Sheet => None,
        Kind::Closed => Some(Face::Back),
        Kind::Sky | Kind::Box | Kind::Sphere | Kind::Cylinder | Kind::Capsule => Some(Face::Front),
    }
}

/// A pipeline that draws instances of `kind`, from the buffers of `layouts`, to targets of `formats`.
pub fn pipeline(
    device: &RenderDevice,
    shader: &Shader,
    (entries, layouts): (&Entries, &[&BindGroupLayout]),
    kind: Kind,
    formats: &[TextureFormat],
) -> RenderPipeline {
    let layouts: Vec<_> = layouts.iter().map(|layout| Some(&***layout)).collect();
    let layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
        label: Some(entries.fragment),
        bind_group_layouts: &layouts,
        immediate_size: 0,
    });
    let position = VertexAttribute { format: VertexFormat::Float32x3, offset: 0, shader_location: 0 };
    let proxy = RawVertexBufferLayout {
        array_stride: position.format.size(),
        step_mode: VertexStepMode::Vertex,
        attributes: &[position],
    };
    let constants = [("SHAPE", f64::from(kind as u32))];
    let options = PipelineCompilationOptions { constants: &constants, ..Default::default() };
    let target = |format: &TextureFormat| ColorTargetState {
        format: *format,
        blend: None,
        write_mask: ColorWrites::ALL,
    };
    let targets: Vec<_> = formats.iter().map(|format| Some(target(format))).collect();
    device.create_render_pipeline(&RawRenderPipelineDescriptor {
        label: Some(entries.fragment),
        layout: Some(&layout),
        vertex: RawVertexState {
            module: &shader.0,
            entry_point: Some(entries.vertex),
            compilation_options: options.clone(),
            buffers: if kind.has_facets() { &[] } else { std::slice::from_ref(&proxy) },
        },
        primitive: PrimitiveState { cull_mode: culled(kind), ..Default::default() },
        depth_stencil: Some(DepthStencilState {
            format: DEPTH_FORMAT,
            depth_write_enabled: Some(true),
            depth_compare: Some(CompareFunction::GreaterEqual),
            stencil: StencilState::default(),
            bias: DepthBiasState::default(),
        }),
        multisample: MultisampleState::default(),
        fragment: Some(RawFragmentState {
            module: &shader.0,
            entry_point: Some(entries.fragment),
            compilation_options: options,
            targets: &targets,
        }),
        multiview_mask: None,
        cache: None,
    })
}
