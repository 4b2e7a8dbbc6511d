use std::collections::BTreeSet;

use nalgebra::{UnitQuaternion, Vector3};
use worldstep_env::record::Joint;

use super::super::fault::{Code, Fault};
use super::super::geometry::{isometry, vector};
use super::super::rows::Rows;

/// Distance between where velocities take a body in one step and where it is that is always accepted, metres.
const POSITION_M_MAX: f64 = 0.004;
/// The same for orientation, radians.
const ANGLE_MAX: f64 = 0.02;
/// Share of the way gone in one step that is accepted too: solvers correct positions beyond velocities.
const WAY_SHARE_MAX: f64 = 0.1;
/// Speed below which a body that nothing touches counts as asleep, m/s.
const ASLEEP: f64 = 1e-3;
/// Share of the untouched steps of a body that are free fall, if nothing unseen acts on it. A single
/// wrong velocity spoils two steps, which have to be the fewer ones also of a short flight.
const FREE_SHARE_MIN: f64 = 0.6;
/// Speed above which a step tells of drag, m/s.
const DRAG_SPEED_MIN: f64 = 0.1;
/// Untouched steps without which nothing is known of a body.
const FREE_STEPS_MIN: usize = 3;
/// Error of a momentum balance that is accepted, as a change of velocity, m/s.
const VELOCITY_MAX: f64 = 0.03;
/// The same as a share of all impulses in it.
const IMPULSE_SHARE_MAX: f64 = 0.05;

/// Poses move as velocities say, as far as contacts allow to tell; momentum changes by what contacts, forces and gravity do.
pub fn check(rows: &Rows<'_>) -> Vec<Fault> {
    let joints: Vec<Joint> = match serde_json::from_str(&rows.clip.facts.joints) {
        Ok(joints) => joints,
        Err(error) => return vec![Fault::new(Code::Schema, format!("joints in meta/episodes: {error}"))],
    };
    let held: BTreeSet<u16> = joints.iter().flat_map(|joint| [joint.a, joint.b]).collect();
    let slots = (0..rows.scenario.instances.len()).filter(|slot| rows.ids(0)[*slot] != 0);
    let found = slots.map(|slot| {
        let body = Body::new(rows, slot, &held);
        // What joints do to a body is in no table.
        [body.velocities(), if body.held { None } else { body.momentum() }]
    });
    found.flatten().flatten().collect()
}

/// One instance's way through a clip.
struct Body<'a> {
    rows: &'a Rows<'a>,
    slot: usize,
    name: &'a str,
    /// Rows in which something touches it.
    touched: BTreeSet<usize>,
    /// Whether it hangs on a joint.
    held: bool,
    /// Whether actions drive it.
    actuated: bool,
    dt: f64,
}

impl<'a> Body<'a> {
    fn new(rows: &'a Rows<'a>, slot: usize, held: &BTreeSet<u16>) -> Self {
        let label = &rows.scenario.instances[slot];
        let contacts = rows.clip.contacts.iter().filter(|(_, c)| c.a == label.id || c.b == label.id);
        let touched = contacts.map(|(frame, _)| *frame as usize).collect();
        let held = held.contains(&label.id);
        let (actuated, dt) = (label.actuated, 1.0 / f64::from(rows.fps));
        Self { rows, slot, name: &label.name, touched, held, actuated, dt }
    }

    fn linear(&self, t: usize) -> Vector3<f64> {
        vector(self.rows.velocity(t, self.slot))
    }

    fn angular(&self, t: usize) -> Vector3<f64> {
        vector(&self.rows.velocity(t, self.slot)[3..])
    }

    fn velocities(&self) -> Option<Fault> {
        // What actions place may move and be at rest again within one row.
        if self.actuated && self.mass().is_none() {
            return None;
        }
        (0..self.rows.clip.len.saturating_sub(1)).find_map(|t| {
            // Links of a chain swing to and fro within one row.
            let shaken = self.held || self.touched.contains(&t);
            let turned = if shaken { None } else { self.orientation(t) };
            self.position(t).or(turned)
        })
    }

    fn position(&self, t: usize) -> Option<Fault> {
        let way = vector(self.rows.pose(t + 1, self.slot)) - vector(self.rows.pose(t, self.slot));
        let (before, after) = (self.linear(t), self.linear(t + 1));
        let expected = (before + after) * 0.5 * self.dt;
        // The way is within the hull of both velocities, wherever between them a change fell.
        let change = self.leeway(t, Self::linear) * self.dt;
        let distance = (way - expected).norm();
        let limit = POSITION_M_MAX + change + WAY_SHARE_MAX * expected.norm() + self.pushed(t);
        (distance > limit).then(|| {
            let message = format!(
                "{:?} moves by {:.4?} m, velocities say {:.4?} m, {distance:.4} m apart (accepted {limit:.4})",
                self.name,
                way.as_slice(),
                expected.as_slice(),
            );
            Fault::at(Code::Velocity, t, message)
        })
    }

    /// How far the mean velocity of the step from row `t` can be from that of both rows: half of the change between
    /// them. What hangs on a joint or is driven may swing faster than rows can tell, so there the changes before and
    /// after count too, in full.
    fn leeway(&self, t: usize, velocity: impl Fn(&Self, usize) -> Vector3<f64>) -> f64 {
        let change = |t: usize| (velocity(self, t + 1) - velocity(self, t)).norm();
        if !self.held && !self.actuated {
            return 0.5 * change(t);
        }
        (t.saturating_sub(1)..(t + 2).min(self.rows.clip.len - 1)).map(change).sum()
    }

    /// How far the contacts of row `t` can have taken it beyond its velocities before and after, metres.
    fn pushed(&self, t: usize) -> f64 {
        let Some(mass) = self.mass() else { return 0.0 };
        let id = self.rows.scenario.instances[self.slot].id;
        let here = self
            .rows
            .clip
            .contacts
            .iter()
            .filter(|(frame, c)| *frame as usize == t && (c.a == id || c.b == id));
        here.map(|(_, contact)| vector(&contact.impulse).norm()).sum::<f64>() / mass * self.dt
    }

    /// What it weighs, kg; none if nothing can move it.
    fn mass(&self) -> Option<f64> {
        let mass = f64::from(*self.rows.clip.facts.physical[0].get(self.slot)?);
        (mass.is_finite() && mass > 0.0).then_some(mass)
    }

    fn orientation(&self, t: usize) -> Option<Fault> {
        let [a, b] = [t, t + 1].map(|t| isometry(self.rows.pose(t, self.slot)).rotation);
        let turn = b * a.inverse();
        let (before, after) = (self.angular(t), self.angular(t + 1));
        let expected = UnitQuaternion::from_scaled_axis((before + after) * 0.5 * self.dt);
        let change = self.leeway(t, Self::angular) * self.dt;
        let distance = turn.angle_to(&expected);
        let limit = ANGLE_MAX + change + WAY_SHARE_MAX * expected.angle();
        (distance > limit).then(|| {
            let message = format!(
                "{:?} turns by {:.4?} rad, velocities say {:.4?} rad, {distance:.4} rad apart (accepted {limit:.4})",
                self.name,
                turn.scaled_axis().as_slice(),
                expected.scaled_axis().as_slice(),
            );
            Fault::at(Code::Velocity, t, message)
        })
    }

    /// Kinematic drives are in no table, so only what falls freely when nothing touches it is weighed.
    fn momentum(&self) -> Option<Fault> {
        let mass = self.mass()?;
        let steps: Vec<usize> =
            (0..self.rows.clip.len.saturating_sub(1)).filter(|t| !self.asleep(*t)).collect();
        let (untouched, touched): (Vec<usize>, Vec<usize>) =
            steps.into_iter().partition(|t| !self.touched.contains(t));
        let drag = self.drag(&untouched, mass);
        let weigh = |t: &usize| self.balance(*t, mass, drag);
        let wrong: Vec<Fault> = untouched.iter().filter_map(weigh).collect();
        let free = untouched.len() - wrong.len();
        if untouched.len() < FREE_STEPS_MIN || (free as f64) < FREE_SHARE_MIN * untouched.len() as f64 {
            return None;
        }
        wrong.into_iter().next().or_else(|| touched.iter().find_map(weigh))
    }

    /// Its drag, 1/s, which is in no table: what the median of its untouched steps lacks.
    fn drag(&self, untouched: &[usize], mass: f64) -> f64 {
        let mut told: Vec<f64> = untouched
            .iter()
            .filter_map(|t| {
                let mean = (self.linear(*t) + self.linear(t + 1)) * 0.5;
                let lack = self.recorded(*t, mass).0 / mass - (self.linear(t + 1) - self.linear(*t));
                (mean.norm() > DRAG_SPEED_MIN).then(|| lack.dot(&mean) / (mean.norm_squared() * self.dt))
            })
            .collect();
        told.sort_by(f64::total_cmp);
        told.get(told.len() / 2).map_or(0.0, |drag| drag.max(0.0))
    }

    fn asleep(&self, t: usize) -> bool {
        let still = [t, t + 1].iter().all(|t| self.linear(*t).norm() < ASLEEP);
        still && !self.touched.contains(&t)
    }

    fn balance(&self, t: usize, mass: f64, drag: f64) -> Option<Fault> {
        let (recorded, size) = self.recorded(t, mass);
        let (before, after) = (self.linear(t), self.linear(t + 1));
        let expected = recorded - (before + after) * (0.5 * mass * drag * self.dt);
        let found = (after - before) * mass;
        let distance = (found - expected).norm();
        (distance > VELOCITY_MAX * mass + IMPULSE_SHARE_MAX * size).then(|| {
            let message = format!(
                "momentum of {:?} changes by {:.4?} N·s, contacts, forces, gravity and drag say {:.4?} N·s",
                self.name,
                found.as_slice(),
                expected.as_slice(),
            );
            Fault::at(Code::Momentum, t, message)
        })
    }

    /// What gravity, contacts and forces of row `t` give it, N·s, and the sum of their sizes.
    fn recorded(&self, t: usize, mass: f64) -> (Vector3<f64>, f64) {
        let clip = self.rows.clip;
        let id = self.rows.scenario.instances[self.slot].id;
        let mut impulse = vector(&clip.facts.gravity) * (mass * self.dt);
        let mut size = impulse.norm();
        for (_, contact) in clip.contacts.iter().filter(|(frame, _)| *frame as usize == t) {
            let sign = f64::from(i8::from(contact.b == id) - i8::from(contact.a == id));
            impulse += vector(&contact.impulse) * sign;
            size += vector(&contact.impulse).norm() * sign.abs();
        }
        for (_, force) in clip.forces.iter().filter(|(frame, force)| *frame as usize == t && force.id == id) {
            impulse += vector(&force.force) * self.dt;
            size += vector(&force.force).norm() * self.dt;
        }
        (impulse, size)
    }
}
