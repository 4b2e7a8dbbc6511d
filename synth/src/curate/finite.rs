use super::{Curation, Reason};
use crate::clips::Trajectory;

/// Numbers that are none.
pub fn check(trajectory: &Trajectory, _: &Curation) -> Option<Reason> {
    (0..=trajectory.len).find_map(|row| check_state(trajectory, row)).or_else(|| check_rows(trajectory))
}

fn check_state(trajectory: &Trajectory, row: usize) -> Option<Reason> {
    let fails = |what| Some(Reason::NonFinite { row, what });
    let poses = trajectory.poses_at(row);
    if !poses.iter().all(|pose| finite(&pose.position) && finite(&pose.quat_xyzw)) {
        return fails("a pose");
    }
    let velocities = trajectory.velocities_at(row);
    if !velocities.iter().all(|velocity| finite(&velocity.linear) && finite(&velocity.angular)) {
        return fails("a velocity");
    }
    if !trajectory.soft_at(row).iter().all(|corner| finite(corner)) {
        return fails("a corner of a soft body");
    }
    let cameras = trajectory.cameras_at(row);
    if !cameras.iter().all(|camera| finite(&camera.position) && finite(&camera.target)) {
        return fails("a camera");
    }
    None
}

fn check_rows(trajectory: &Trajectory) -> Option<Reason> {
    let series = [
        ("the state", &trajectory.state),
        ("the action", &trajectory.action),
        ("the reward", &trajectory.reward),
    ];
    for (what, values) in series {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Some(Reason::NonFinite { row: at * trajectory.len / values.len(), what });
        }
    }
    let contact = trajectory.contacts.iter().find(|(_, contact)| {
        !(finite(&contact.point) && finite(&contact.impulse) && contact.penetration.is_finite())
    });
    if let Some((row, _)) = contact {
        return Some(Reason::NonFinite { row: *row as usize, what: "a contact" });
    }
    let force =
        trajectory.forces.iter().find(|(_, force)| !(finite(&force.force) && finite(&force.torque)))?;
    Some(Reason::NonFinite { row: force.0 as usize, what: "a force" })
}

fn finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}
