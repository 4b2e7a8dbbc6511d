use std::ops::Range;

use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages};
use bevy::render::renderer::RenderDevice;

use super::{Atlas, Channels};

/// Where the images of a pass lie in the buffer that it is read through, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Readback {
    pub atlas: Atlas,
    /// Tiles that are drawn, the first ones of the atlas.
    pub tiles: usize,
    pub channels: Channels,
}

impl Readback {
    /// Bytes of a pixel of each image: colour, then labels.
    pub fn pixel_bytes(&self) -> &'static [u32] {
        match self.channels {
            Channels::Rgb => &[4],
            Channels::Labels => &[4, 8],
            Channels::All => &[4, 16, 16, 16],
        }
    }

    /// The bytes of image `index`.
    pub fn section(&self, index: usize) -> Range<usize> {
        let rows = self.atlas.used_height(self.tiles) as usize;
        let size = |pixel: &u32| self.atlas.padded_row_bytes(*pixel) as usize * rows;
        let start = self.pixel_bytes()[..index].iter().map(size).sum();
        start..start + size(&self.pixel_bytes()[index])
    }

    /// Bytes of all images.
    pub fn bytes(&self) -> u64 {
        self.section(self.pixel_bytes().len() - 1).end as u64
    }

    /// `buffer` if it is large enough, else a new one.
    pub fn buffer(&self, device: &RenderDevice, buffer: Option<Buffer>) -> Buffer {
        buffer.filter(|buffer| buffer.size() >= self.bytes()).unwrap_or_else(|| {
            device.create_buffer(&BufferDescriptor {
                label: Some("readback"),
                size: self.bytes(),
                usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        })
    }
}
