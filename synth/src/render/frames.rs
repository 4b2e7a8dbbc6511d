use super::Atlas;

/// What a render gave: one image a view, row-major, in the views' order. What nothing was asked for is empty; where
/// nothing was hit, everything but colour is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frames {
    /// Views × height × width × 3, sRGB.
    pub rgb: Vec<u8>,
    /// Views × height × width, metric z along the camera's forward axis, metres.
    pub depth: Vec<f32>,
    /// Views × height × width, [`Instance::id`](worldstep_env::Instance::id); 0 is the background.
    pub instance: Vec<u16>,
    /// Views × height × width, [`Instance::semantic`](worldstep_env::Instance::semantic).
    pub semantic: Vec<u16>,
    /// Views × height × width × 3, unit normals in the camera's frame (x right, y down, z forward).
    pub normal: Vec<f32>,
    /// Views × height × width × 2, x and y in pixels: where what is seen at a pixel's centre will be one row later,
    /// less that centre. 0 where that is behind the camera.
    pub flow_forward: Vec<f32>,
    /// The same, one row earlier.
    pub flow_backward: Vec<f32>,
    /// Views × height × width × 3, the point that is seen, in its object's frame, metres; of a soft thing, where it is
    /// at rest.
    pub coordinates: Vec<f32>,
}

impl Frames {
    /// Empties the images, keeping their memory.
    pub fn clear(&mut self) {
        self.rgb.clear();
        self.depth.clear();
        self.instance.clear();
        self.semantic.clear();
        self.normal.clear();
        self.flow_forward.clear();
        self.flow_backward.clear();
        self.coordinates.clear();
    }

    /// Appends the first `tiles` tiles of a colour atlas that was read back.
    pub(super) fn push_color(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        for row in rows::<4>(atlas, bytes, tiles) {
            self.rgb.extend(row.iter().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
        }
    }

    fn push_ids_depth(&mut self, ids: u32, depth: u32) {
        self.instance.push(ids as u16);
        self.semantic.push((ids >> 16) as u16);
        self.depth.push(f32::from_bits(depth));
    }

    /// Appends tiles of an atlas of ids and depth.
    pub(super) fn push_labels(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        for row in rows::<8>(atlas, bytes, tiles) {
            for [ids, depth] in row.iter().map(|pixel| words(pixel)) {
                self.push_ids_depth(ids, depth);
            }
        }
    }

    /// Appends tiles of the first atlas of `Known`; `normal` gets its z later.
    pub(super) fn push_ids_depth_normal(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        for row in rows::<16>(atlas, bytes, tiles) {
            for [ids, depth, x, y] in row.iter().map(|pixel| words(pixel)) {
                self.push_ids_depth(ids, depth);
                self.normal.extend([f32::from_bits(x), f32::from_bits(y), 0.0]);
            }
        }
    }

    /// Appends tiles of the second atlas of `Known`.
    pub(super) fn push_flow(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        for row in rows::<16>(atlas, bytes, tiles) {
            for flow in row.iter().map(|pixel| words::<4>(pixel).map(f32::from_bits)) {
                self.flow_forward.extend([flow[0], flow[1]]);
                self.flow_backward.extend([flow[2], flow[3]]);
            }
        }
    }

    /// Appends tiles of the third atlas of `Known`.
    pub(super) fn push_coordinates_normal(&mut self, atlas: &Atlas, bytes: &[u8], tiles: usize) {
        for row in rows::<16>(atlas, bytes, tiles) {
            for [x, y, z, normal_z] in row.iter().map(|pixel| words::<4>(pixel).map(f32::from_bits)) {
                let pixel = self.coordinates.len();
                self.coordinates.extend([x, y, z]);
                self.normal[pixel + 2] = normal_z;
            }
        }
    }
}

/// The rows of the first `tiles` tiles of an atlas of `PIXEL` bytes a pixel.
fn rows<'a, const PIXEL: usize>(
    atlas: &'a Atlas,
    bytes: &'a [u8],
    tiles: usize,
) -> impl Iterator<Item = &'a [[u8; PIXEL]]> {
    let (width, height) = (atlas.tile_width as usize, atlas.tile_height);
    (0..tiles).flat_map(move |tile| {
        (0..height).map(move |y| {
            let start = atlas.row_offset(tile, y, PIXEL as u32);
            bytes[start..start + width * PIXEL].as_chunks::<PIXEL>().0
        })
    })
}

fn words<const WORDS: usize>(pixel: &[u8]) -> [u32; WORDS] {
    let (words, _) = pixel.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}
