use worldstep_env::Shape;

use super::bodies::{Bodies, turn};
use super::ray_cast::vector;
use crate::clips::Trajectory;

/// How far each thing that can move gets from where it starts, metres; turning counts as far as it moves the surface.
pub(crate) fn excursions(trajectory: &Trajectory) -> Vec<f64> {
    let instances = &trajectory.scene.instances;
    let reach = Bodies::new(trajectory).reach;
    let mut far = vec![0.0_f64; instances.len()];
    let first = trajectory.poses_at(0);
    for row in 1..=trajectory.len {
        let poses = trajectory.poses_at(row);
        for (index, instance) in instances.iter().enumerate().filter(|(_, instance)| instance.moving) {
            let (from, to) = (&first[index], &poses[index]);
            let turned = match instance.shape {
                // A ball that turns in place looks as before, nearly.
                Shape::Sphere { .. } => 0.0,
                _ => turn(from.quat_xyzw).angle_between(turn(to.quat_xyzw)) * reach[index],
            };
            let moved = vector(from.position).distance(vector(to.position)) + turned;
            far[index] = far[index].max(moved);
        }
    }
    add_soft_excursions(trajectory, &mut far);
    far
}

fn add_soft_excursions(trajectory: &Trajectory, far: &mut [f64]) {
    let scene = &trajectory.scene;
    let mut begin = 0;
    for (index, instance) in scene.instances.iter().enumerate() {
        let Shape::Soft { mesh } = instance.shape else { continue };
        let corners = scene.meshes.get(mesh as usize).map_or(0, |mesh| mesh.vertices.len());
        let first = trajectory.soft_at(0);
        let range = begin.min(first.len())..(begin + corners).min(first.len());
        for row in 1..=trajectory.len {
            let pairs = first[range.clone()].iter().zip(&trajectory.soft_at(row)[range.clone()]);
            let moved = pairs.map(|(from, to)| vector(*from).distance(vector(*to))).fold(0.0, f64::max);
            far[index] = far[index].max(moved);
        }
        begin += corners;
    }
}
