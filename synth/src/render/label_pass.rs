use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, BindGroupLayout, BindGroupLayoutEntries, CommandEncoder, LoadOp, Operations,
    RenderPassColorAttachment, RenderPassDescriptor, RenderPipeline, ShaderStages, StoreOp,
    binding_types::storage_buffer_read_only_sized,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};

use super::motion::MotionData;
use super::pass::{INSTANCES_AT_FIRST, cleared_depth};
use super::pipelines::{Entries, Shader, pipeline};
use super::storage::Storage;
use super::targets::{Image, KNOWN_FORMATS, LABEL_FORMATS, LabelTargets};
use super::tile_batch::{Kind, TileBatch};
use super::{Atlas, Channels};

/// Draws ground truth, either of two ways: ids and depth alone, or everything.
pub struct LabelPass {
    labels: Way,
    known: Way,
    motion_bindings: BindGroupLayout,
    motions: Storage<MotionData>,
    motion_group: BindGroup,
}

/// Pipelines and what they write to, made when they are first asked for.
struct Way {
    pipelines: [RenderPipeline; Kind::ALL.len()],
    targets: Option<LabelTargets>,
}

impl LabelPass {
    pub fn new(device: &RenderDevice, shader: &Shader, instances: &BindGroupLayout) -> Self {
        let motion_bindings = device.create_bind_group_layout(
            "motions",
            &BindGroupLayoutEntries::single(
                ShaderStages::VERTEX,
                storage_buffer_read_only_sized(false, None),
            ),
        );
        let way = |[shapes, triangles]: [Entries; 2], layouts: &[&BindGroupLayout], formats: &[_]| Way {
            pipelines: Kind::ALL.map(|kind| {
                let entries = if kind.has_facets() { &triangles } else { &shapes };
                pipeline(device, shader, (entries, layouts), kind, formats)
            }),
            targets: None,
        };
        let labels = [
            Entries { vertex: "label_vertex", fragment: "label" },
            Entries { vertex: "label_facet_vertex", fragment: "label_facet" },
        ];
        let known = [
            Entries { vertex: "known_vertex", fragment: "label_in_full" },
            Entries { vertex: "known_facet_vertex", fragment: "label_facet_in_full" },
        ];
        let motions = Storage::new(device, "motions", INSTANCES_AT_FIRST);
        Self {
            labels: way(labels, &[instances], &LABEL_FORMATS),
            known: way(known, &[instances, &motion_bindings], &KNOWN_FORMATS),
            motion_group: bind(device, &motion_bindings, &motions),
            motion_bindings,
            motions,
        }
    }

    /// Brings what `batch` needs to the GPU.
    pub fn prepare(&mut self, device: &RenderDevice, queue: &RenderQueue, atlas: &Atlas, batch: &TileBatch) {
        match batch.channels {
            Channels::Rgb => {}
            Channels::Labels => self.labels.prepare(device, atlas, &LABEL_FORMATS),
            Channels::All => {
                self.known.prepare(device, atlas, &KNOWN_FORMATS);
                if self.motions.reserve(device, batch.instance_count()) {
                    self.motion_group = bind(device, &self.motion_bindings, &self.motions);
                }
                self.motions.write(queue, &batch.motions);
            }
        }
    }

    /// Records the pass that `channels` asks for; `draw_kinds` draws all instances with the pipelines that it is given.
    pub fn draw(
        &self,
        encoder: &mut CommandEncoder,
        channels: Channels,
        draw_kinds: impl FnOnce(&mut wgpu::RenderPass<'_>, &dyn Fn(Kind) -> Option<RenderPipeline>),
    ) {
        let Some((way, targets)) = self.way(channels) else { return };
        let attachments: Vec<_> = targets.images.iter().map(attach).collect();
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("label"),
            color_attachments: &attachments,
            depth_stencil_attachment: Some(cleared_depth(&targets.depth)),
            ..Default::default()
        });
        if channels == Channels::All {
            pass.set_bind_group(1, &*self.motion_group, &[]);
        }
        // The sky has no labels.
        draw_kinds(&mut pass, &|kind| (kind != Kind::Sky).then(|| way.pipelines[kind as usize].clone()));
    }

    /// What was drawn for `channels`.
    pub fn images(&self, channels: Channels) -> &[Image] {
        self.way(channels).map_or(&[], |(_, targets)| &targets.images)
    }

    fn way(&self, channels: Channels) -> Option<(&Way, &LabelTargets)> {
        let way = match channels {
            Channels::Rgb => return None,
            Channels::Labels => &self.labels,
            Channels::All => &self.known,
        };
        way.targets.as_ref().map(|targets| (way, targets))
    }
}

impl Way {
    fn prepare(&mut self, device: &RenderDevice, atlas: &Atlas, formats: &[wgpu::TextureFormat]) {
        self.targets.get_or_insert_with(|| LabelTargets::new(device, atlas, formats));
    }
}

fn attach(image: &Image) -> Option<RenderPassColorAttachment<'_>> {
    Some(RenderPassColorAttachment {
        view: &image.view,
        depth_slice: None,
        resolve_target: None,
        ops: Operations { load: LoadOp::Clear(Default::default()), store: StoreOp::Store },
    })
}

fn bind(device: &RenderDevice, layout: &BindGroupLayout, motions: &Storage<MotionData>) -> BindGroup {
    device.create_bind_group("motions", layout, &BindGroupEntries::single(motions.buffer.as_entire_binding()))
}
