use std::collections::BTreeMap;

use worldstep_env::{Scene, Shape};

use super::{Curation, Reason};
use crate::clips::Trajectory;

/// Bodies that stay deeper within each other than a share of the thinner one.
pub fn check(trajectory: &Trajectory, curation: &Curation) -> Option<Reason> {
    let scene = &trajectory.scene;
    let thickness: BTreeMap<u16, f64> =
        scene.instances.iter().map(|instance| (instance.id, thickness(scene, &instance.shape))).collect();
    // Last row and number of rows so far, by ids.
    let mut deep: BTreeMap<(u16, u16), (u32, u32)> = BTreeMap::new();
    for (row, contact) in &trajectory.contacts {
        let of = |id: u16| thickness.get(&id).copied().unwrap_or(f64::INFINITY);
        let allowed = curation.penetration_share * of(contact.a).min(of(contact.b));
        let depth = f64::from(contact.penetration);
        if depth <= allowed {
            continue;
        }
        let run = deep.entry((contact.a, contact.b)).or_insert((*row, 0));
        *run = if *row <= run.0 + 1 { (*row, run.1 + 1) } else { (*row, 1) };
        if run.1 >= curation.penetration_rows {
            let row = *row as usize;
            return Some(Reason::Penetration { row, a: contact.a, b: contact.b, depth, allowed });
        }
    }
    None
}

/// Least extent of a shape, metres; infinite for soft things, which are made to yield.
fn thickness(scene: &Scene, shape: &Shape) -> f64 {
    let least = |extents: [f32; 3]| f64::from(extents.into_iter().fold(f32::INFINITY, f32::min));
    match *shape {
        Shape::Cuboid { half_extents } => 2.0 * least(half_extents),
        Shape::Sphere { radius } | Shape::Capsule { radius, .. } => 2.0 * f64::from(radius),
        Shape::Cylinder { radius, half_height } => 2.0 * f64::from(radius.min(half_height)),
        Shape::Mesh { mesh } => scene.meshes.get(mesh as usize).map_or(f64::INFINITY, |mesh| {
            let extent = |axis: usize| {
                let along = || mesh.vertices.iter().map(|corner| corner[axis]);
                along().fold(f32::NEG_INFINITY, f32::max) - along().fold(f32::INFINITY, f32::min)
            };
            least([extent(0), extent(1), extent(2)])
        }),
        Shape::Soft { .. } => f64::INFINITY,
    }
}
