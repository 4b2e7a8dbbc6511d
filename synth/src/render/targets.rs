use bevy::render::render_resource::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, Extent3d, TexelCopyBufferInfo,
    TexelCopyBufferLayout, Texture, TextureDescriptor, TextureDimension, TextureFormat, TextureUsages,
    TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::RenderDevice;

use super::Atlas;

/// Colour with antialiasing; linear in the shader, sRGB in memory.
pub const COLOR_FORMAT: TextureFormat = TextureFormat::Rgba8UnormSrgb;
/// Instance id and metric depth.
pub const LABEL_FORMAT: TextureFormat = TextureFormat::Rg32Float;
/// Reversed depth for the depth test.
pub const DEPTH_FORMAT: TextureFormat = TextureFormat::Depth32Float;
/// Samples of the colour pass.
pub const SAMPLE_COUNT: u32 = 4;
/// Bytes of a pixel of [`COLOR_FORMAT`].
pub const COLOR_BYTES: u32 = 4;
/// Bytes of a pixel of [`LABEL_FORMAT`].
pub const LABEL_BYTES: u32 = 8;

/// A texture that is drawn to, and the buffer that it is read through.
pub struct Channel {
    pub view: TextureView,
    pub depth: TextureView,
    pub readback: Buffer,
    texture: Texture,
    pixel_bytes: u32,
}

/// Everything that a pass writes to.
pub struct Targets {
    pub color: Channel,
    /// What `color` is resolved from.
    pub color_samples: TextureView,
    pub label: Channel,
}

impl Targets {
    pub fn new(device: &RenderDevice, atlas: &Atlas) -> Self {
        let render = TextureUsages::RENDER_ATTACHMENT;
        let samples = texture_on(device, atlas, (COLOR_FORMAT, SAMPLE_COUNT), render);
        Self {
            color: Channel::new(device, atlas, (COLOR_FORMAT, SAMPLE_COUNT), COLOR_BYTES),
            color_samples: samples.create_view(&TextureViewDescriptor::default()),
            label: Channel::new(device, atlas, (LABEL_FORMAT, 1), LABEL_BYTES),
        }
    }
}

impl Channel {
    fn new(
        device: &RenderDevice,
        atlas: &Atlas,
        (format, depth_samples): (TextureFormat, u32),
        pixel_bytes: u32,
    ) -> Self {
        let render = TextureUsages::RENDER_ATTACHMENT;
        let texture = texture_on(device, atlas, (format, 1), render | TextureUsages::COPY_SRC);
        let depth = texture_on(device, atlas, (DEPTH_FORMAT, depth_samples), render);
        let readback = device.create_buffer(&BufferDescriptor {
            label: Some("readback"),
            size: u64::from(atlas.padded_row_bytes(pixel_bytes)) * u64::from(atlas.height()),
            usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        Self {
            view: texture.create_view(&TextureViewDescriptor::default()),
            depth: depth.create_view(&TextureViewDescriptor::default()),
            readback,
            texture,
            pixel_bytes,
        }
    }

    /// Records the copy of the first `tiles` tiles to the readback buffer.
    pub fn copy_to_readback(&self, encoder: &mut CommandEncoder, atlas: &Atlas, tiles: usize) {
        let layout = TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(atlas.padded_row_bytes(self.pixel_bytes)),
            rows_per_image: None,
        };
        encoder.copy_texture_to_buffer(
            self.texture.as_image_copy(),
            TexelCopyBufferInfo { buffer: &self.readback, layout },
            Extent3d { width: atlas.width(), height: atlas.used_height(tiles), depth_or_array_layers: 1 },
        );
    }

    /// Bytes of the readback buffer that the first `tiles` tiles take.
    pub fn readback_bytes(&self, atlas: &Atlas, tiles: usize) -> u64 {
        u64::from(atlas.padded_row_bytes(self.pixel_bytes)) * u64::from(atlas.used_height(tiles))
    }
}

fn texture_on(
    device: &RenderDevice,
    atlas: &Atlas,
    (format, sample_count): (TextureFormat, u32),
    usage: TextureUsages,
) -> Texture {
    device.create_texture(&TextureDescriptor {
        label: Some("atlas"),
        size: Extent3d { width: atlas.width(), height: atlas.height(), depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count,
        dimension: TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}
