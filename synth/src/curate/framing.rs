use worldstep_env::Shape;

use super::{Curation, Reason};
use crate::annotate::{Eye, turn, vector};
use crate::clips::Trajectory;

/// Nothing moves.
pub fn check_static(trajectory: &Trajectory, curation: &Curation) -> Option<Reason> {
    if curation.still_outcomes.contains(&trajectory.outcome) {
        return None;
    }
    let moved = excursions(trajectory).into_iter().fold(0.0, f64::max);
    (moved < curation.static_distance).then_some(Reason::Static { moved })
}

/// What moves cannot be seen for too long.
pub fn check_out_of_frame(trajectory: &Trajectory, curation: &Curation) -> Option<Reason> {
    let excursions = excursions(trajectory);
    let movers: Vec<usize> =
        (0..excursions.len()).filter(|index| excursions[*index] >= curation.static_distance).collect();
    if movers.is_empty() || trajectory.len == 0 {
        return None;
    }
    let empty =
        (0..trajectory.len).filter(|row| !movers.iter().any(|index| in_picture(trajectory, *row, *index)));
    let share = empty.count() as f64 / trajectory.len as f64;
    (share > curation.out_of_frame_share).then_some(Reason::OutOfFrame { share })
}

/// How far each thing that can move gets from where it starts, metres; turning counts as far as it moves the surface.
fn excursions(trajectory: &Trajectory) -> Vec<f64> {
    let instances = &trajectory.scene.instances;
    let reach = crate::annotate::Bodies::new(trajectory).reach;
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
        let range = begin..(begin + corners).min(trajectory.soft_at(0).len());
        for row in 1..=trajectory.len {
            let pairs =
                trajectory.soft_at(0)[range.clone()].iter().zip(&trajectory.soft_at(row)[range.clone()]);
            let moved = pairs.map(|(from, to)| vector(*from).distance(vector(*to))).fold(0.0, f64::max);
            far[index] = far[index].max(moved);
        }
        begin += corners;
    }
}

/// Whether the middle of an instance is in the main camera's picture.
fn in_picture(trajectory: &Trajectory, row: usize, index: usize) -> bool {
    let camera = trajectory.cameras_at(row).first().copied().unwrap_or(trajectory.scene.camera);
    let eye = Eye::new(&camera);
    let at = eye.camera_from_world(vector(trajectory.poses_at(row)[index].position));
    at.z > 0.0 && eye.sees(at.truncate() / at.z)
}
