use std::collections::BTreeMap;

use worldstep_env::scene::SEMANTIC_CLASSES;

use super::super::fault::{Code, Fault};
use super::super::rows::Rows;
use super::values::cameras;
use crate::lerobot::ImageChannel;

/// Largest deviation of a normal's length from 1.
const NORMAL_MAX: f32 = 1e-2;

/// Instance ids are of the clip, each of one class; depth and normals are there where an id is, and only there.
pub fn check(rows: &Rows<'_>) -> Vec<Fault> {
    let mut classes = BTreeMap::from([(0, 0)]);
    let mut faults = Vec::new();
    for camera in 0..cameras(rows) {
        // The first of each camera says enough.
        faults.extend((0..rows.clip.len).find_map(|t| frame(rows, camera, t, &mut classes)));
    }
    faults
}

fn frame(rows: &Rows<'_>, camera: usize, t: usize, classes: &mut BTreeMap<u16, u16>) -> Option<Fault> {
    let ids = rows.id_image(ImageChannel::Instance, camera, t)?;
    let semantic = rows.id_image(ImageChannel::Semantic, camera, t);
    let depth = rows.float_image(ImageChannel::Depth, camera, t);
    let normal = rows.float_image(ImageChannel::Normal, camera, t);
    let present = rows.ids(t);
    let mut last = u16::MAX;
    for (pixel, id) in ids.iter().enumerate() {
        let place = || format!("pixel ({}, {}) of camera {camera}", pixel % rows.side, pixel / rows.side);
        let fault = |code, message: String| Some(Fault::at(code, t, format!("{}: {message}", place())));
        if *id != last && *id != 0 && !present.contains(&i64::from(*id)) {
            return fault(Code::UnknownId, format!("instance {id} is not in the clip"));
        }
        last = *id;
        if let Some(class) = semantic.map(|semantic| semantic[pixel]) {
            if usize::from(class) >= SEMANTIC_CLASSES.len() {
                return fault(
                    Code::UnknownId,
                    format!("class {class}, there are {}", SEMANTIC_CLASSES.len()),
                );
            }
            let known = *classes.entry(*id).or_insert(class);
            if known != class {
                let message = format!("instance {id} is of class {class} here and {known} elsewhere");
                return fault(Code::Labels, message);
            }
        }
        if let Some(depth) = depth.map(|depth| depth[pixel])
            && (depth > 0.0) != (*id > 0)
        {
            return fault(Code::Labels, format!("depth {depth} m where instance {id} is"));
        }
        if let Some(normal) = normal {
            let plane = rows.side * rows.side;
            let length = (0..3).map(|i| normal[i * plane + pixel].powi(2)).sum::<f32>().sqrt();
            if (length - f32::from(u8::from(*id > 0))).abs() > NORMAL_MAX {
                return fault(Code::Labels, format!("normal of length {length} where instance {id} is"));
            }
        }
    }
    None
}
