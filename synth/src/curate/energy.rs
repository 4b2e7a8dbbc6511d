use worldstep_env::Shape;
use worldstep_env::record::Contact;

use super::mass_properties::MassProperties;
use super::{Curation, Reason};
use crate::annotate::{Bodies, turn, vector};
use crate::clips::Trajectory;

/// Drivers are credited with so many times the work that a mean force over a row does.
const WORK_MARGIN: f64 = 1.5;

/// Mechanical energy that rises though nothing puts it in.
///
/// Counted are kinetic and potential energy of all free bodies: rigid, moved by physics alone, not joined to anything
/// driven. What applied forces and motors, bodies that actions drive and soft bodies can have added is allowed for.
pub fn check(trajectory: &Trajectory, curation: &Curation) -> Option<Reason> {
    let bodies = Bodies::new(trajectory);
    let free = free_bodies(trajectory, &bodies);
    if !free.contains(&true) {
        return None;
    }
    let ledger = Ledger::new(trajectory, &bodies, &free);
    let mut given = ledger.given.iter();
    let (mut credit, mut least, mut risen) = (0.0, f64::INFINITY, 0);
    let allowed = curation.energy_share * ledger.turnover + curation.energy_lift * ledger.weight;
    for (row, energy) in ledger.energy.iter().enumerate() {
        let own = energy - credit;
        least = f64::min(least, own);
        let gain = own - least;
        risen = if gain > allowed { risen + 1 } else { 0 };
        // One row alone may be an impact half done.
        if risen >= 2 {
            return Some(Reason::Energy { row, gain, allowed });
        }
        credit += given.next().copied().unwrap_or(0.0);
    }
    None
}

/// Energies of a clip, joules.
struct Ledger {
    /// Of the free bodies in each row, `len + 1`.
    energy: Vec<f64>,
    /// What may have been added during each row, `len`.
    given: Vec<f64>,
    /// Greatest kinetic energy or the range of potential energy, whichever is larger.
    turnover: f64,
    /// Weight of all free bodies, N.
    weight: f64,
}

impl Ledger {
    fn new(trajectory: &Trajectory, bodies: &Bodies, free: &[bool]) -> Self {
        let gravity = vector(trajectory.gravity);
        let scene = &trajectory.scene;
        let properties: Vec<MassProperties> =
            scene.instances.iter().map(|instance| MassProperties::new(scene, &instance.shape)).collect();
        let mut energy = Vec::with_capacity(trajectory.len + 1);
        let (mut kinetic_max, mut low, mut high) = (0.0_f64, f64::INFINITY, f64::NEG_INFINITY);
        for row in 0..=trajectory.len {
            let (mut kinetic, mut potential) = (0.0, 0.0);
            let states = trajectory.poses_at(row).iter().zip(trajectory.velocities_at(row));
            for (index, (pose, velocity)) in states.enumerate().filter(|(index, _)| free[*index]) {
                let (mass, own) = (bodies.mass[index], &properties[index]);
                let turn = turn(pose.quat_xyzw);
                let spin = turn.conjugate() * vector(velocity.angular);
                kinetic +=
                    0.5 * mass * (vector(velocity.linear).length_squared() + spin.dot(own.inertia * spin));
                potential -= mass * gravity.dot(vector(pose.position) + turn * own.center);
            }
            energy.push(kinetic + potential);
            kinetic_max = kinetic_max.max(kinetic);
            (low, high) = (low.min(potential), high.max(potential));
        }
        let mass: f64 = free.iter().zip(&bodies.mass).filter(|(free, _)| **free).map(|(_, mass)| mass).sum();
        let mut ledger = Self {
            energy,
            given: vec![0.0; trajectory.len],
            turnover: kinetic_max.max(high - low),
            weight: mass * gravity.length(),
        };
        ledger.credit_forces(trajectory, bodies, free);
        ledger.credit_contacts(trajectory, bodies, free);
        ledger
    }

    fn credit_forces(&mut self, trajectory: &Trajectory, bodies: &Bodies, free: &[bool]) {
        let row_s = 1.0 / f64::from(trajectory.fps);
        for (row, force) in &trajectory.forces {
            let Some(index) = bodies.index(force.id).filter(|index| free[*index]) else { continue };
            let row = *row as usize;
            let fastest = |pick: fn(&worldstep_env::Velocity) -> [f32; 3]| -> f64 {
                let speed = |row: usize| vector(pick(&trajectory.velocities_at(row)[index])).length();
                speed(row).max(speed(row + 1))
            };
            let mass = bodies.mass[index];
            let push = vector(force.force).length();
            // A force on something that rests gets it moving within the row.
            let speed = fastest(|velocity| velocity.linear) + push / mass * row_s;
            let spin = fastest(|velocity| velocity.angular);
            let work = (push * speed + vector(force.torque).length() * spin) * row_s;
            let arm = vector(force.point).distance(vector(trajectory.poses_at(row)[index].position));
            let turning = push * arm * spin * row_s;
            self.given[row] += WORK_MARGIN * (work + turning);
        }
    }

    fn credit_contacts(&mut self, trajectory: &Trajectory, bodies: &Bodies, free: &[bool]) {
        for (row, contact) in &trajectory.contacts {
            let [a, b] = [contact.a, contact.b].map(|id| bodies.index(id));
            let is_free = |index: Option<usize>| index.is_some_and(|index| free[index]);
            let driver = match (is_free(a), is_free(b)) {
                (true, false) => b,
                (false, true) => a,
                _ => continue,
            };
            let Some(driver) = driver else { continue };
            let row = *row as usize;
            let speed = bodies.speed(row, driver).max(bodies.speed(row + 1, driver));
            self.given[row] += WORK_MARGIN * impulse(contact) * speed;
        }
    }
}

fn impulse(contact: &Contact) -> f64 {
    vector(contact.impulse).length()
}

/// Which instances physics alone moves.
fn free_bodies(trajectory: &Trajectory, bodies: &Bodies) -> Vec<bool> {
    let instances = &trajectory.scene.instances;
    let mut free: Vec<bool> = instances
        .iter()
        .enumerate()
        .map(|(index, instance)| {
            let soft = matches!(instance.shape, Shape::Soft { .. });
            instance.moving && !soft && !bodies.driven[index] && bodies.mass[index].is_finite()
        })
        .collect();
    // Whatever is joined to something that is driven is driven.
    let index = |id: u16| instances.iter().position(|instance| instance.id == id);
    for _ in 0..trajectory.joints.len() {
        let before = free.clone();
        for joint in &trajectory.joints {
            let (Some(a), Some(b)) = (index(joint.a), index(joint.b)) else { continue };
            for (one, other) in [(a, b), (b, a)] {
                free[other] &= !bodies.driven[one] && (free[one] || !instances[one].moving);
            }
        }
        if free == before {
            break;
        }
    }
    free
}
