use super::Atlas;
use super::targets::{COLOR_BYTES, LABEL_BYTES};

/// What a render gave: one image a view, row-major, in the views' order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frames {
    /// Views × height × width × 3, sRGB.
    pub rgb: Vec<u8>,
    /// Views × height × width, metric z along the camera's forward axis; 0 where nothing was hit. Empty unless labels
    /// were asked for.
    pub depth: Vec<f32>,
    /// Views × height × width, [`Instance::id`](worldstep_env::Instance::id); 0 is the background. Empty unless labels
    /// were asked for.
    pub instance: Vec<u16>,
}

impl Frames {
    /// Empties the images, keeping their memory.
    pub fn clear(&mut self) {
        self.rgb.clear();
        self.depth.clear();
        self.instance.clear();
    }

    /// Appends the first `tiles` tiles of a colour atlas that was read back.
    pub(super) fn push_color(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        let row_bytes = (atlas.tile_width * COLOR_BYTES) as usize;
        for (tile, y) in rows(atlas, tiles) {
            let start = atlas.row_offset(tile, y, COLOR_BYTES);
            let row = &bytes[start..start + row_bytes];
            self.rgb.extend(row.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
        }
    }

    /// Appends the first `tiles` tiles of a label atlas that was read back.
    pub(super) fn push_label(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        let row_bytes = (atlas.tile_width * LABEL_BYTES) as usize;
        for (tile, y) in rows(atlas, tiles) {
            let start = atlas.row_offset(tile, y, LABEL_BYTES);
            for pixel in bytes[start..start + row_bytes].chunks_exact(8) {
                let value =
                    |at: usize| f32::from_le_bytes([pixel[at], pixel[at + 1], pixel[at + 2], pixel[at + 3]]);
                self.instance.push(value(0) as u16);
                self.depth.push(value(4));
            }
        }
    }
}

fn rows(atlas: &Atlas, tiles: usize) -> impl Iterator<Item = (usize, u32)> {
    let height = atlas.tile_height;
    (0..tiles).flat_map(move |tile| (0..height).map(move |y| (tile, y)))
}
