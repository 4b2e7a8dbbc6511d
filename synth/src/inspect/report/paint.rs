use std::collections::BTreeMap;

use worldstep_env::scene::SEMANTIC_CLASSES;

use super::wheel;
use crate::inspect::Rows;
use crate::lerobot::ImageChannel;

/// What a pixel that shows nothing is drawn as.
const NOTHING: [u8; 3] = [24, 26, 30];
/// Anchors of viridis, from far (dark) to near (bright).
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// Draws annotations of one clip in scales that hold for all of its frames.
pub struct Painter<'a> {
    rows: Rows<'a>,
    camera: usize,
    /// Nearest and farthest, metres.
    pub depth: (f32, f32),
    /// Longest flow, pixels.
    pub flow: f32,
    /// Range of each instance's coordinates.
    coordinates: BTreeMap<u16, [(f32, f32); 3]>,
}

impl<'a> Painter<'a> {
    /// Looks for the scales in the frames `frames`.
    pub fn new(rows: Rows<'a>, camera: usize, frames: &[usize]) -> Self {
        let mut painter =
            Self { rows, camera, depth: (f32::MAX, 0.0), flow: 1e-3, coordinates: BTreeMap::new() };
        for t in frames {
            painter.widen(*t);
        }
        painter
    }

    fn widen(&mut self, t: usize) {
        let (rows, camera) = (self.rows, self.camera);
        let plane = rows.side * rows.side;
        for depth in
            rows.float_image(ImageChannel::Depth, camera, t).into_iter().flatten().filter(|d| **d > 0.0)
        {
            self.depth = (self.depth.0.min(*depth), self.depth.1.max(*depth));
        }
        for channel in [ImageChannel::FlowForward, ImageChannel::FlowBackward] {
            if let Some(flow) = rows.float_image(channel, camera, t) {
                let longest = (0..plane).map(|i| flow[i].hypot(flow[plane + i])).fold(0.0, f32::max);
                self.flow = self.flow.max(longest);
            }
        }
        let ids = rows.id_image(ImageChannel::Instance, camera, t);
        let coordinates = rows.float_image(ImageChannel::Coordinates, camera, t);
        if let (Some(ids), Some(coordinates)) = (ids, coordinates) {
            for (i, id) in ids.iter().enumerate() {
                let ranges = self.coordinates.entry(*id).or_insert([(f32::MAX, f32::MIN); 3]);
                for (axis, range) in ranges.iter_mut().enumerate() {
                    let value = coordinates[axis * plane + i];
                    *range = (range.0.min(value), range.1.max(value));
                }
            }
        }
    }

    /// Row `t` of `channel` as RGB pixels; `None` if the dataset has no such channel.
    pub fn frame(&self, channel: ImageChannel, t: usize) -> Option<Vec<u8>> {
        let (rows, camera) = (self.rows, self.camera);
        let pixels: Vec<[u8; 3]> = match channel {
            ImageChannel::Rgb => return rows.color_image(camera, t).map(<[u8]>::to_vec),
            ImageChannel::Instance => {
                rows.id_image(channel, camera, t)?.iter().map(|id| instance_color(*id)).collect()
            }
            ImageChannel::Semantic => {
                rows.id_image(channel, camera, t)?.iter().map(|class| class_color(*class)).collect()
            }
            ImageChannel::Depth => {
                rows.float_image(channel, camera, t)?.iter().map(|depth| self.depth_color(*depth)).collect()
            }
            ImageChannel::Normal => self.planes(channel, t, |[x, y, z], _| {
                [x, y, z].map(|value| (127.5 + 127.5 * value).clamp(0.0, 255.0) as u8)
            })?,
            ImageChannel::FlowForward | ImageChannel::FlowBackward => {
                self.planes(channel, t, |[x, y, _], _| wheel::color(x / self.flow, y / self.flow))?
            }
            ImageChannel::Coordinates => {
                self.planes(channel, t, |point, id| self.coordinate_color(point, id))?
            }
        };
        Some(pixels.into_flattened())
    }

    /// Draws pixels of several planes, those that show something.
    fn planes(
        &self,
        channel: ImageChannel,
        t: usize,
        color: impl Fn([f32; 3], u16) -> [u8; 3],
    ) -> Option<Vec<[u8; 3]>> {
        let values = self.rows.float_image(channel, self.camera, t)?;
        let ids = self.rows.id_image(ImageChannel::Instance, self.camera, t)?;
        let plane = ids.len();
        let value = |axis: usize, i: usize| values.get(axis * plane + i).copied().unwrap_or(0.0);
        let draw = |(i, id): (usize, &u16)| match id {
            0 => NOTHING,
            id => color([value(0, i), value(1, i), value(2, i)], *id),
        };
        Some(ids.iter().enumerate().map(draw).collect())
    }

    fn depth_color(&self, depth: f32) -> [u8; 3] {
        if depth <= 0.0 {
            return NOTHING;
        }
        let (near, far) = self.depth;
        let nearness = (far - depth) / (far - near).max(1e-6);
        let at = nearness.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
        let (i, part) = ((at as usize).min(VIRIDIS.len() - 2), at.fract());
        let part = if at as usize > i { 1.0 } else { part };
        std::array::from_fn(|c| {
            (f32::from(VIRIDIS[i][c]) * (1.0 - part) + f32::from(VIRIDIS[i + 1][c]) * part) as u8
        })
    }

    fn coordinate_color(&self, point: [f32; 3], id: u16) -> [u8; 3] {
        let Some(ranges) = self.coordinates.get(&id) else { return NOTHING };
        std::array::from_fn(|axis| {
            let (low, high) = ranges[axis];
            (255.0 * (point[axis] - low) / (high - low).max(1e-6)).clamp(0.0, 255.0) as u8
        })
    }
}

/// A colour for an instance: hues a golden angle apart, so that neighbours differ.
pub fn instance_color(id: u16) -> [u8; 3] {
    if id == 0 {
        return NOTHING;
    }
    let turn = (f32::from(id) * 0.618_034).fract();
    let value = if id.is_multiple_of(2) { 0.95 } else { 0.8 };
    wheel::hsv(turn, 0.62, value)
}

/// A colour for a class.
pub fn class_color(class: u16) -> [u8; 3] {
    if class == 0 {
        return NOTHING;
    }
    let turn = f32::from(class) / SEMANTIC_CLASSES.len() as f32;
    wheel::hsv(turn, if class.is_multiple_of(2) { 0.45 } else { 0.75 }, 0.9)
}

/// A colour as CSS has it.
pub fn css([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}
