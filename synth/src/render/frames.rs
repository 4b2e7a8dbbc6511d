use super::Channels;
use super::readback::Readback;

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
    /// Makes room for `views` images of `pixels` pixels, of what `channels` ask for and nothing else. What is there
    /// already may stay: all of it will be replaced.
    pub(super) fn prepare(&mut self, views: usize, pixels: usize, channels: Channels) {
        let labels = if channels == Channels::Rgb { 0 } else { views * pixels };
        let known = if channels == Channels::All { labels } else { 0 };
        self.rgb.resize(3 * views * pixels, 0);
        self.depth.resize(labels, 0.0);
        self.instance.resize(labels, 0);
        self.semantic.resize(labels, 0);
        self.normal.resize(3 * known, 0.0);
        self.flow_forward.resize(2 * known, 0.0);
        self.flow_backward.resize(2 * known, 0.0);
        self.coordinates.resize(3 * known, 0.0);
    }

    /// Fills in the tiles of a pass, as images from number `first` on.
    pub(super) fn unpack(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        self.unpack_rgb(first, readback, &bytes[readback.section(0)]);
        match readback.channels {
            Channels::Rgb => {}
            Channels::Labels => self.unpack_labels(first, readback, &bytes[readback.section(1)]),
            Channels::All => {
                self.unpack_ids_depth_normal(first, readback, &bytes[readback.section(1)]);
                self.unpack_flow(first, readback, &bytes[readback.section(2)]);
                self.unpack_coordinates_normal(first, readback, &bytes[readback.section(3)]);
            }
        }
    }

    fn unpack_rgb(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        for (at, row) in rows::<4>(first, readback, bytes) {
            let out = self.rgb[3 * at..3 * (at + row.len())].as_chunks_mut::<3>().0;
            for (out, pixel) in out.iter_mut().zip(row) {
                *out = [pixel[0], pixel[1], pixel[2]];
            }
        }
    }

    fn put_ids_depth(&mut self, at: usize, ids: u32, depth: u32) {
        self.instance[at] = ids as u16;
        self.semantic[at] = (ids >> 16) as u16;
        self.depth[at] = f32::from_bits(depth);
    }

    fn unpack_labels(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        for (at, row) in rows::<8>(first, readback, bytes) {
            for (at, [ids, depth]) in (at..).zip(row.iter().map(|pixel| words(pixel))) {
                self.put_ids_depth(at, ids, depth);
            }
        }
    }

    fn unpack_ids_depth_normal(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        for (at, row) in rows::<16>(first, readback, bytes) {
            for (at, [ids, depth, x, y]) in (at..).zip(row.iter().map(|pixel| words(pixel))) {
                self.put_ids_depth(at, ids, depth);
                self.normal[3 * at] = f32::from_bits(x);
                self.normal[3 * at + 1] = f32::from_bits(y);
            }
        }
    }

    fn unpack_flow(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        for (at, row) in rows::<16>(first, readback, bytes) {
            for (at, pixel) in (at..).zip(row) {
                let flow = words::<4>(pixel).map(f32::from_bits);
                self.flow_forward[2 * at..2 * at + 2].copy_from_slice(&flow[..2]);
                self.flow_backward[2 * at..2 * at + 2].copy_from_slice(&flow[2..]);
            }
        }
    }

    fn unpack_coordinates_normal(&mut self, first: usize, readback: &Readback, bytes: &[u8]) {
        for (at, row) in rows::<16>(first, readback, bytes) {
            for (at, pixel) in (at..).zip(row) {
                let [x, y, z, normal_z] = words::<4>(pixel).map(f32::from_bits);
                self.coordinates[3 * at..3 * at + 3].copy_from_slice(&[x, y, z]);
                self.normal[3 * at + 2] = normal_z;
            }
        }
    }
}

/// The rows of all tiles of an image of `PIXEL` bytes a pixel, each with the position of its first pixel among all
/// images, of which the first tile is number `first`.
fn rows<'a, const PIXEL: usize>(
    first: usize,
    readback: &'a Readback,
    bytes: &'a [u8],
) -> impl Iterator<Item = (usize, &'a [[u8; PIXEL]])> {
    let atlas = &readback.atlas;
    let (width, height) = (atlas.tile_width as usize, atlas.tile_height);
    (0..readback.tiles).flat_map(move |tile| {
        (0..height).map(move |y| {
            let start = atlas.row_offset(tile, y, PIXEL as u32);
            let at = ((first + tile) * height as usize + y as usize) * width;
            (at, bytes[start..start + width * PIXEL].as_chunks::<PIXEL>().0)
        })
    })
}

fn words<const WORDS: usize>(pixel: &[u8]) -> [u32; WORDS] {
    let (words, _) = pixel.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}
