use worldstep_env::Shape;

use crate::annotate::bodies::{Bodies, is_of_class};
use crate::annotate::ray_cast::vector;
use crate::clips::Trajectory;

/// Least way that is worth a word, metres.
const DISTANCE_MIN: f64 = 0.05;
/// Least descent of something that comes down a slope, metres.
const DESCENT_MIN: f64 = 0.05;

/// How a body moves before it meets anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Through the air, mostly down.
    Falls,
    /// Through the air, mostly along.
    Flies,
    /// On a surface, turning as it goes.
    Rolls,
    /// Down something of this id.
    RollsDown(u16),
    /// On a surface, turning less.
    Slides,
    /// Down something of this id.
    SlidesDown(u16),
    /// On a joint.
    Swings,
    /// In any other way.
    Moves,
}

/// How instance `index` moves before row `until`; `None` if it hardly does.
pub fn motion(trajectory: &Trajectory, bodies: &Bodies, index: usize, until: usize) -> Option<Motion> {
    let instance = &trajectory.scene.instances[index];
    let place = |row: usize| vector(trajectory.poses_at(row)[index].position);
    let last = until.clamp(1, trajectory.len);
    let jointed = trajectory.joints.iter().any(|joint| joint.a == instance.id || joint.b == instance.id);
    if jointed || is_of_class(instance, &["joint_link"]) {
        return moves_at_all(trajectory, bodies, index, last).then_some(Motion::Swings);
    }
    let way = place(last) - place(0);
    if way.length() < DISTANCE_MIN {
        return moves_at_all(trajectory, bodies, index, last).then_some(Motion::Moves);
    }
    if bodies.driven[index] || matches!(instance.shape, Shape::Soft { .. }) {
        return Some(Motion::Moves);
    }
    let (support, rows) = support(trajectory, instance.id, last);
    if 4 * rows <= last {
        let along = way.truncate().length();
        return Some(if -way.z > along { Motion::Falls } else { Motion::Flies });
    }
    if 2 * rows < last {
        return Some(Motion::Moves);
    }
    let down = support.filter(|_| -way.z > DESCENT_MIN);
    Some(match (rolls(trajectory, bodies, index, last), down) {
        (true, Some(id)) => Motion::RollsDown(id),
        (true, None) => Motion::Rolls,
        (false, Some(id)) => Motion::SlidesDown(id),
        (false, None) => Motion::Slides,
    })
}

/// Whether it moves noticeably before row `until`.
fn moves_at_all(trajectory: &Trajectory, bodies: &Bodies, index: usize, until: usize) -> bool {
    let from = vector(trajectory.poses_at(0)[index].position);
    let far = |row: usize| vector(trajectory.poses_at(row)[index].position).distance(from);
    let turning = |row: usize| bodies.speed(row, index) > 0.2;
    (0..=until).any(|row| far(row) > DISTANCE_MIN || turning(row))
}

/// What the body touches most before row `until` (unless it is the ground or can move), and in how many rows it
/// touches anything.
fn support(trajectory: &Trajectory, id: u16, until: usize) -> (Option<u16>, usize) {
    let instances = &trajectory.scene.instances;
    let mut counts = vec![0_usize; instances.len()];
    let (mut rows, mut last) = (0, None);
    for (row, contact) in trajectory.contacts.iter().filter(|(row, _)| (*row as usize) < until) {
        let other = match (contact.a == id, contact.b == id) {
            (true, _) => contact.b,
            (_, true) => contact.a,
            _ => continue,
        };
        if last != Some(*row) {
            (rows, last) = (rows + 1, Some(*row));
        }
        if let Some(index) = instances.iter().position(|instance| instance.id == other) {
            counts[index] += 1;
        }
    }
    let most = (0..counts.len()).rev().max_by_key(|index| counts[*index]).filter(|index| counts[*index] > 0);
    let slope = most.map(|index| &instances[index]);
    let slope = slope.filter(|instance| !instance.moving && !is_of_class(instance, &["ground"]));
    (slope.map(|instance| instance.id), rows)
}

/// Whether a round thing turns at half the rate at least that rolling takes, on average.
fn rolls(trajectory: &Trajectory, bodies: &Bodies, index: usize, until: usize) -> bool {
    let radius = match trajectory.scene.instances[index].shape {
        Shape::Sphere { radius } | Shape::Cylinder { radius, .. } | Shape::Capsule { radius, .. } => radius,
        Shape::Mesh { .. } => bodies.reach[index] as f32,
        Shape::Cuboid { .. } | Shape::Soft { .. } => return false,
    };
    let (mut rolled, mut gone) = (0.0, 0.0);
    for row in 0..until {
        let velocity = trajectory.velocities_at(row)[index];
        rolled += vector(velocity.angular).length() * f64::from(radius);
        gone += vector(velocity.linear).length();
    }
    rolled > 0.5 * gone
}
