use bevy::render::render_resource::{
    Buffer, CommandEncoder, Extent3d, TexelCopyBufferInfo, TexelCopyBufferLayout, Texture, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::RenderDevice;

use super::Atlas;
use super::readback::Readback;

/// Colour; linear in the shader, sRGB in memory.
pub const COLOR_FORMAT: TextureFormat = TextureFormat::Rgba8UnormSrgb;
/// Reversed depth for the depth test.
pub const DEPTH_FORMAT: TextureFormat = TextureFormat::Depth32Float;
/// Samples of the colour pass beside each other in a pixel, and above each other.
pub const SAMPLES_ACROSS: u32 = 2;
/// Ids and metric depth, as bits.
pub const LABEL_FORMATS: [TextureFormat; 1] = [TextureFormat::Rg32Uint];
/// `Known` of `label.wgsl`, as bits.
pub const KNOWN_FORMATS: [TextureFormat; 3] = [TextureFormat::Rgba32Uint; 3];

/// A texture that is drawn to and read back.
pub struct Image {
    pub view: TextureView,
    texture: Texture,
}

/// What the colour pass writes to.
pub struct ColorTargets {
    pub image: Image,
    /// What `image` is averaged from, larger by [`SAMPLES_ACROSS`] both ways.
    pub samples: TextureView,
    pub depth: TextureView,
}

/// What a label pass writes to.
pub struct LabelTargets {
    pub images: Vec<Image>,
    pub depth: TextureView,
}

impl ColorTargets {
    pub fn new(device: &RenderDevice, atlas: &Atlas) -> Self {
        Self {
            image: Image::new(device, atlas, COLOR_FORMAT),
            samples: attachment(device, atlas, COLOR_FORMAT, SAMPLES_ACROSS),
            depth: attachment(device, atlas, DEPTH_FORMAT, SAMPLES_ACROSS),
        }
    }
}

impl LabelTargets {
    pub fn new(device: &RenderDevice, atlas: &Atlas, formats: &[TextureFormat]) -> Self {
        Self {
            images: formats.iter().map(|format| Image::new(device, atlas, *format)).collect(),
            depth: attachment(device, atlas, DEPTH_FORMAT, 1),
        }
    }
}

impl Image {
    fn new(device: &RenderDevice, atlas: &Atlas, format: TextureFormat) -> Self {
        let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
        let texture = texture(device, atlas, (format, 1), usage);
        let view = texture.create_view(&TextureViewDescriptor::default());
        Self { view, texture }
    }

    /// Records the copy of what was drawn to section `index` of `buffer`.
    pub fn copy(&self, encoder: &mut CommandEncoder, readback: &Readback, index: usize, buffer: &Buffer) {
        let atlas = &readback.atlas;
        let layout = TexelCopyBufferLayout {
            offset: readback.section(index).start as u64,
            bytes_per_row: Some(atlas.padded_row_bytes(readback.pixel_bytes()[index])),
            rows_per_image: None,
        };
        let (width, height) = (atlas.used_width(readback.tiles), atlas.used_height(readback.tiles));
        encoder.copy_texture_to_buffer(
            self.texture.as_image_copy(),
            TexelCopyBufferInfo { buffer, layout },
            Extent3d { width, height, depth_or_array_layers: 1 },
        );
    }
}

/// A texture that is drawn to, `scale` times as large as the atlas, and read by the device alone.
fn attachment(device: &RenderDevice, atlas: &Atlas, format: TextureFormat, scale: u32) -> TextureView {
    let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING;
    texture(device, atlas, (format, scale), usage).create_view(&TextureViewDescriptor::default())
}

fn texture(
    device: &RenderDevice,
    atlas: &Atlas,
    (format, scale): (TextureFormat, u32),
    usage: TextureUsages,
) -> Texture {
    let (width, height) = (scale * atlas.width(), scale * atlas.height());
    device.create_texture(&TextureDescriptor {
        label: Some("atlas"),
        size: Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}
