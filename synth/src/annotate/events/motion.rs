use worldstep_env::record::{Event, EventKind};
use worldstep_env::{Instance, Shape};

use super::latch::Latch;
use super::{EventRules, rows_of};
use crate::annotate::bodies::{Bodies, is_of_class, turn, up_in_body};
use crate::annotate::ray_cast::vector;
use crate::clips::Trajectory;

/// A thing stands upright if one of its axes that can is so near to the vertical (cosine, 10°).
const UPRIGHT_COSINE: f64 = 0.984_8;
/// Rows within which something that stands is borne by a contact.
const SUPPORT_S: f64 = 0.15;
/// What stands at first is no faster, m/s.
const STANDING_SPEED: f64 = 0.5;
/// Rows that a lean has to last.
const TOPPLE_ROWS: usize = 3;
/// Rows of speed that make a motion.
const MOVED_ROWS: usize = 2;

/// Bodies that moved and came to rest. What is driven rests at a command, and is left out.
pub fn rests(trajectory: &Trajectory, bodies: &Bodies, rules: &EventRules) -> Vec<Event> {
    let mut events = Vec::new();
    let rest_rows = rows_of(rules.rest_s, trajectory.fps);
    for (index, instance) in passive(trajectory, bodies) {
        let mut moving = Latch::new(false, MOVED_ROWS);
        let mut calm_since: Option<usize> = None;
        let mut jolted = false;
        for row in 0..=trajectory.len {
            let speed = bodies.speed(row, index);
            if speed > rules.moved_speed {
                moving.feed(row, Some(true));
            } else if !moving.is_on() {
                moving.feed(row, None);
            }
            // One row of jitter does not end a rest.
            let jolt = speed > rules.rest_speed;
            if jolt && (jolted || speed > rules.moved_speed) {
                calm_since = None;
            } else if !jolt {
                calm_since.get_or_insert(row);
            }
            jolted = jolt;
            let Some(since) = calm_since.filter(|since| moving.is_on() && row - since >= rest_rows) else {
                continue;
            };
            moving = Latch::new(false, MOVED_ROWS);
            let value = since as f32 / trajectory.fps as f32;
            events.push(Event { frame: since as u32, kind: EventKind::Rest, a: instance.id, b: 0, value });
        }
    }
    events
}

/// Bodies that stood upright on something and fell over.
pub fn topples(trajectory: &Trajectory, bodies: &Bodies, rules: &EventRules) -> Vec<Event> {
    let mut events = Vec::new();
    for (index, instance) in passive(trajectory, bodies) {
        let start = trajectory.poses_at(0)[index].quat_xyzw;
        let up = up_in_body(start);
        if !stands(instance, up.abs().to_array()) || !is_borne(trajectory, instance.id, bodies) {
            continue;
        }
        let mut fallen = Latch::new(false, TOPPLE_ROWS);
        for row in 0..=trajectory.len {
            let tilt = tilt(trajectory, row, index, up);
            let wanted = match tilt {
                tilt if tilt > rules.topple_angle => Some(true),
                tilt if tilt < rules.stand_angle => Some(false),
                _ => None,
            };
            let Some(since) = fallen.feed(row, wanted).filter(|_| fallen.is_on()) else { continue };
            let value = self::tilt(trajectory, since, index, up) as f32;
            events.push(Event { frame: since as u32, kind: EventKind::Topple, a: instance.id, b: 0, value });
        }
    }
    events
}

/// Angle between world up and the body's axis that was up at first, radians.
fn tilt(trajectory: &Trajectory, row: usize, index: usize, up: bevy::math::DVec3) -> f64 {
    (turn(trajectory.poses_at(row)[index].quat_xyzw) * up).z.clamp(-1.0, 1.0).acos()
}

/// Things that move, but not at a command.
fn passive<'a>(
    trajectory: &'a Trajectory,
    bodies: &'a Bodies,
) -> impl Iterator<Item = (usize, &'a Instance)> {
    let instances = trajectory.scene.instances.iter().enumerate();
    instances.filter(|(index, instance)| instance.moving && !bodies.driven[*index])
}

/// Whether a thing whose frame's axes have these shares of the vertical could fall over.
fn stands(instance: &Instance, [x, y, z]: [f64; 3]) -> bool {
    if is_of_class(instance, &["joint_link"]) {
        return false;
    }
    match instance.shape {
        Shape::Cuboid { .. } => x.max(y).max(z) > UPRIGHT_COSINE,
        Shape::Cylinder { .. } | Shape::Capsule { .. } | Shape::Mesh { .. } => z > UPRIGHT_COSINE,
        Shape::Sphere { .. } | Shape::Soft { .. } => false,
    }
}

/// Whether something touches the body soon after the start, when it is slow.
fn is_borne(trajectory: &Trajectory, id: u16, bodies: &Bodies) -> bool {
    let rows = rows_of(SUPPORT_S, trajectory.fps) as u32;
    let linear = |index: usize| vector(trajectory.velocities_at(0)[index].linear).length();
    let slow = bodies.index(id).is_some_and(|index| linear(index) < STANDING_SPEED);
    let touched = |(frame, contact): &(u32, worldstep_env::record::Contact)| {
        *frame < rows && (contact.a == id || contact.b == id)
    };
    slow && trajectory.contacts.iter().any(touched)
}
