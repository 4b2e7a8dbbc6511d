use nalgebra::{Isometry3, Point3};
use worldstep_env::scene::semantic_class;

use super::super::fault::{Code, Fault};
use super::super::geometry::{Pinhole, isometry};
use super::super::rows::Rows;
use super::values::cameras;
use crate::lerobot::{ImageChannel, Source};

/// Pixels of each instance that are looked at in a frame, spread over it.
const PIXELS_PER_INSTANCE: usize = 8;
/// Largest distance between object coordinates and where depth and poses put the pixel, as a share of the depth.
const COORDINATES_SHARE_MAX: f64 = 2e-3;
/// Largest deviation of flow, pixels.
const FLOW_PX_MAX: f64 = 0.05;
/// The same as a share of the flow, where things move far.
const FLOW_SHARE_MAX: f64 = 5e-3;

/// Depth, intrinsics and poses lead to the object coordinates, and with the next pose to the flow.
pub fn check(rows: &Rows<'_>) -> Vec<Fault> {
    let soft: Vec<u16> = ["soft_body", "cloth", "rope"].into_iter().filter_map(semantic_class).collect();
    let mut faults = Vec::new();
    for camera in 0..cameras(rows) {
        let views: Vec<Pinhole> = (0..rows.clip.len).map(|t| view(rows, camera, t)).collect();
        let optics = Optics { rows, camera, views, soft: &soft };
        // The first of each kind says enough.
        for kind in [Code::Coordinates, Code::Flow] {
            faults.extend((0..rows.clip.len).find_map(|t| optics.frame(t, kind)));
        }
    }
    faults
}

fn view(rows: &Rows<'_>, camera: usize, t: usize) -> Pinhole {
    Pinhole::new(rows.row(Source::Intrinsics(camera), t), rows.row(Source::WorldFromCamera(camera), t))
}

struct Optics<'a> {
    rows: &'a Rows<'a>,
    camera: usize,
    views: Vec<Pinhole>,
    soft: &'a [u16],
}

/// A sampled pixel.
struct Sample {
    pixel: usize,
    at: (f64, f64),
    slot: usize,
    depth: f64,
    /// What it shows, in its object's frame.
    local: Point3<f64>,
}

impl Optics<'_> {
    fn frame(&self, t: usize, kind: Code) -> Option<Fault> {
        let rows = self.rows;
        let ids = rows.id_image(ImageChannel::Instance, self.camera, t)?;
        let depth = rows.float_image(ImageChannel::Depth, self.camera, t)?;
        let classes = rows.id_image(ImageChannel::Semantic, self.camera, t);
        let slot_ids = rows.ids(t);
        let poses: Vec<Isometry3<f64>> =
            (0..slot_ids.len()).map(|slot| isometry(rows.pose(t, slot))).collect();
        let mut seen: Vec<Vec<usize>> = vec![Vec::new(); slot_ids.len()];
        for (pixel, id) in ids.iter().enumerate().filter(|(_, id)| **id != 0) {
            let soft = classes.is_some_and(|classes| self.soft.contains(&classes[pixel]));
            let slot = slot_ids.iter().position(|other| *other == i64::from(*id));
            if let (Some(slot), false) = (slot, soft) {
                seen[slot].push(pixel);
            }
        }
        seen.iter().enumerate().find_map(|(slot, pixels)| {
            let step = (pixels.len() / PIXELS_PER_INSTANCE).max(1);
            pixels.iter().step_by(step).find_map(|pixel| {
                let at = ((pixel % rows.side) as f64 + 0.5, (pixel / rows.side) as f64 + 0.5);
                let depth = f64::from(depth[*pixel]);
                let local = poses[slot].inverse_transform_point(&self.views[t].point(at, depth));
                let sample = Sample { pixel: *pixel, at, slot, depth, local };
                match kind {
                    Code::Coordinates => self.coordinates(t, &sample),
                    _ => self.flows(t, &sample),
                }
            })
        })
    }

    fn flows(&self, t: usize, sample: &Sample) -> Option<Fault> {
        self.flow(ImageChannel::FlowForward, t, t + 1, sample)
            .or_else(|| self.flow(ImageChannel::FlowBackward, t, t.wrapping_sub(1), sample))
    }

    fn fault(&self, code: Code, t: usize, sample: &Sample, message: &str) -> Fault {
        let (x, y) = sample.at;
        let name = &self.rows.scenario.instances[sample.slot].name;
        Fault::at(code, t, format!("pixel ({x}, {y}) of camera {} on {name:?}: {message}", self.camera))
    }

    fn coordinates(&self, t: usize, sample: &Sample) -> Option<Fault> {
        let image = self.rows.float_image(ImageChannel::Coordinates, self.camera, t)?;
        let plane = self.rows.side * self.rows.side;
        let said = [0, 1, 2].map(|i| f64::from(image[i * plane + sample.pixel]));
        let distance = (sample.local - Point3::from(said)).norm();
        let limit = COORDINATES_SHARE_MAX * (sample.depth + 0.5);
        (distance > limit).then(|| {
            let found: [f64; 3] = sample.local.into();
            let message = format!(
                "object coordinates {said:.4?}, but depth and poses lead to {found:.4?}, {distance:.4} m away"
            );
            self.fault(Code::Coordinates, t, sample, &message)
        })
    }

    /// Flow from row `t` to row `to`, if there is one.
    fn flow(&self, channel: ImageChannel, t: usize, to: usize, sample: &Sample) -> Option<Fault> {
        let rows = self.rows;
        let image = rows.float_image(channel, self.camera, t)?;
        let view = self.views.get(to)?;
        let plane = rows.side * rows.side;
        let said = [0, 1].map(|i| f64::from(image[i * plane + sample.pixel]));
        let (x, y) = view.project(&(isometry(rows.pose(to, sample.slot)) * sample.local))?;
        let found = [x - sample.at.0, y - sample.at.1];
        let distance = (said[0] - found[0]).hypot(said[1] - found[1]);
        let limit = FLOW_PX_MAX + FLOW_SHARE_MAX * found[0].hypot(found[1]);
        (distance > limit).then(|| {
            let message = format!(
                "{} {said:.3?} px, but poses lead to {found:.3?} px, {distance:.3} px away",
                channel.name()
            );
            self.fault(Code::Flow, t, sample, &message)
        })
    }
}
