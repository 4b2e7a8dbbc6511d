use std::collections::BTreeMap;

use bevy::math::DVec3;
use worldstep_env::record::{Contact, Event, EventKind};

use super::{EventRules, rows_of};
use crate::annotate::bodies::Bodies;
use crate::annotate::ray_cast::vector;
use crate::clips::Trajectory;

/// A share of what bearing a body's weight takes that is no touch at all.
const TOUCH_SHARE: f64 = 0.01;

/// What is known of two bodies that touch now and then.
#[derive(Clone, Copy, Debug)]
struct Touch {
    /// Last row with contact.
    last: u32,
    /// First row of this touch, while its impact may still come: one that begins late in a row shows in the next.
    fresh: Option<u32>,
}

/// First contacts that change a velocity.
pub fn detect(trajectory: &Trajectory, bodies: &Bodies, rules: &EventRules) -> Vec<Event> {
    let apart = rows_of(rules.apart_s, trajectory.fps) as u32;
    let joined: Vec<(u16, u16)> = trajectory.joints.iter().map(|joint| ordered(joint.a, joint.b)).collect();
    let mut touches: BTreeMap<(u16, u16), Touch> = BTreeMap::new();
    let mut events = Vec::new();
    for (frame, contact) in &trajectory.contacts {
        let pair = ordered(contact.a, contact.b);
        let impact = Impact::new(trajectory, bodies, contact);
        if joined.contains(&pair) || impact.impulse <= TOUCH_SHARE * impact.bearing {
            continue;
        }
        let before = touches.get(&pair).copied();
        let starts = match before {
            // What touches from the first row on has been touching, unless something flies in.
            None => *frame > 0 || impact.closing_speed(trajectory, bodies, contact) > rules.impact_speed,
            Some(touch) => frame.saturating_sub(touch.last) > apart,
        };
        let fresh = if starts {
            Some(*frame)
        } else {
            before.and_then(|touch| touch.fresh).filter(|first| frame - first <= 1)
        };
        let strikes = fresh.is_some() && impact.impulse >= impact.least(rules);
        if strikes {
            let (a, b) = by_speed(bodies, *frame as usize, contact);
            let value = impact.impulse as f32;
            events.push(Event { frame: *frame, kind: EventKind::Collision, a, b, value });
        }
        touches.insert(pair, Touch { last: *frame, fresh: fresh.filter(|_| !strikes) });
    }
    events
}

/// One contact, weighed against the lighter of its bodies.
struct Impact {
    /// N·s.
    impulse: f64,
    /// Mass of the lighter body, kg.
    mass: f64,
    /// Impulse that bears that body's weight for one row, N·s; the share of it that acts along the normal.
    bearing: f64,
}

impl Impact {
    fn new(trajectory: &Trajectory, bodies: &Bodies, contact: &Contact) -> Self {
        let mass_of = |id| bodies.index(id).map_or(f64::INFINITY, |index| bodies.mass[index]);
        let lighter = mass_of(contact.a).min(mass_of(contact.b));
        // Without a mass, nothing is known of weights; every impulse counts.
        let mass = if lighter.is_finite() { lighter } else { 0.0 };
        let along = vector(trajectory.gravity).dot(vector(contact.normal)).abs();
        let bearing = mass * along / f64::from(trajectory.fps);
        Self { impulse: vector(contact.impulse).length(), mass, bearing }
    }

    fn least(&self, rules: &EventRules) -> f64 {
        self.mass * rules.impact_speed + self.bearing * rules.impact_weights
    }

    /// How fast the bodies approach along the normal at the start of the first row, m/s.
    fn closing_speed(&self, trajectory: &Trajectory, bodies: &Bodies, contact: &Contact) -> f64 {
        let point = vector(contact.point);
        let velocity = |id| {
            let Some(index) = bodies.index(id) else { return DVec3::ZERO };
            let (pose, velocity) = (trajectory.poses_at(0)[index], trajectory.velocities_at(0)[index]);
            let arm = point - vector(pose.position);
            vector(velocity.linear) + vector(velocity.angular).cross(arm)
        };
        (velocity(contact.a) - velocity(contact.b)).dot(vector(contact.normal))
    }
}

/// The faster body first; an unseen one last.
fn by_speed(bodies: &Bodies, row: usize, contact: &Contact) -> (u16, u16) {
    let speed = |id| bodies.index(id).map_or(-1.0, |index| bodies.speed(row, index));
    if speed(contact.b) > speed(contact.a) { (contact.b, contact.a) } else { (contact.a, contact.b) }
}

fn ordered(a: u16, b: u16) -> (u16, u16) {
    (a.min(b), a.max(b))
}
