use super::{Curation, Reason};
use crate::annotate::{Eye, excursions, vector};
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

/// Whether the middle of an instance is in the main camera's picture.
fn in_picture(trajectory: &Trajectory, row: usize, index: usize) -> bool {
    let camera = trajectory.cameras_at(row).first().copied().unwrap_or(trajectory.scene.camera);
    let eye = Eye::new(&camera);
    let at = eye.camera_from_world(vector(trajectory.poses_at(row)[index].position));
    at.z > 0.0 && eye.sees(at.truncate() / at.z)
}
