//! Small things that stand about outside the action and mean nothing.

use rand::RngExt as _;
use rapier3d::prelude::*;
use worldstep_env::Shape;
use worldstep_env::physics::{Look, cylinder_collider};

use super::appearance::{Appearance, Azimuth, Region};
use super::build::{Built, Materials};

/// Places this clip's distractors on the ground behind and beside the region, as seen from `azimuth`.
pub(super) fn add(
    materials: &mut Materials<'_>,
    built: &mut Built,
    region: &Region,
    azimuth: Azimuth,
) -> Result<(), String> {
    let ranges = &materials.randomisation.distractors;
    // Off means none.
    let count = if ranges.enabled {
        materials.draws.draw("distractors.count", &ranges.count, true) as usize
    } else {
        materials.draws.note("distractors.count", 0.0);
        0
    };
    for i in 0..count {
        let name = format!("distractor_{i}");
        let place = format!("distractors.{i}");
        let largest = 2.0 * region.half.iter().copied().fold(0.0, f32::max);
        let size = materials.draws.draw(&format!("{place}.size"), &ranges.size, true) as f32 * largest;
        materials.draws.note(&format!("{place}.size_m"), f64::from(size));
        let mut stream = materials.draws.stream(&place);
        let kind = stream.random_range(0..3);
        // One a sector, so that they don't meet.
        let sector = (i as f64 + stream.random_range(0.1..0.9)) / count as f64 - 0.5;
        let angle = azimuth + std::f64::consts::PI * (1.0 + 0.9 * sector);
        let floor_radius = region.half[0].hypot(region.half[1]);
        let distance = f64::from(floor_radius * stream.random_range(1.05..1.35) + size);
        let yaw = stream.random_range(0.0..std::f64::consts::TAU);
        let position = [
            region.center[0] + (libm::cos(angle) * distance) as f32,
            region.center[1] + (libm::sin(angle) * distance) as f32,
        ];
        for (field, value) in
            [("shape", f64::from(kind)), ("x", position[0].into()), ("y", position[1].into())]
        {
            materials.draws.note(&format!("{place}.{field}"), value);
        }
        let color = Appearance::color(materials, "distractor", &name)?;
        let surface = Appearance::surface(materials, ("distractor", &name), size, color);
        let (shape, collider, height) = solid(kind, 0.5 * size);
        let look = Look { surface, ..Look::fixed(name.clone(), shape, color) };
        let at = Vector::new(position[0], position[1], height);
        let pose = Pose::from_parts(at, Rotation::from_axis_angle(Vector::Z, yaw as f32));
        let (handle, _) = built.world.add(look, RigidBodyBuilder::fixed().pose(pose), collider);
        built.handles.push(handle);
        built.names.bodies.insert(name, built.handles.len() - 1);
    }
    Ok(())
}

/// Shape, collider and height of the centre.
fn solid(kind: i32, half: f32) -> (Shape, ColliderBuilder, f32) {
    match kind {
        0 => (Shape::Cuboid { half_extents: [half; 3] }, ColliderBuilder::cuboid(half, half, half), half),
        1 => (Shape::Sphere { radius: half }, ColliderBuilder::ball(half), half),
        _ => {
            let shape = Shape::Cylinder { radius: 0.6 * half, half_height: half };
            (shape, cylinder_collider(0.6 * half, half), half)
        }
    }
}
