//! What bodies in touch gain together is what truth gave them.
//!
//! For each step and each group of tracked bodies that touch, directly or through each other
//! ([`PhysicsFacts::touch_group`](crate::data::PhysicsFacts::touch_group)), the change of momentum that the
//! head tells, `Δp = Σ m·(v′ − v)`, is compared with truth's. What they do to each other cancels in the sum:
//! with nothing else in touch truth's change is `Σ m·g·dt`, which is conservation; with a floor or an actuator
//! in touch it has their impulse too. Masses are the record's, kg; what cannot be moved is in no group.
//!
//! The loss is the mean over groups and axes of `(Δp − Δp_true)² / (Σ m·σ_v)²`, σ_v being the readout's
//! standard deviation.

use burn::tensor::Tensor;

use super::seen::Seen;
use super::tensor;
use super::told::{Told, steps};

/// Groups of bodies in touch, each in the row of its first member.
#[derive(Default)]
pub struct Target {
    /// `[windows * (frames - 1), groups = slots, members = slots]`, kg; 0 for what is not in the group.
    mass: Vec<f32>,
    /// `[windows * (frames - 1), groups, 3]`, N·s.
    change: Vec<f32>,
    /// As `change`: 1 over the unit it is measured in, 0 where there is no group.
    per_unit: Vec<f32>,
    /// Groups in all.
    groups: f32,
}

impl Target {
    pub fn push(&mut self, seen: &Seen<'_>) {
        for frame in 0..seen.steps() {
            (1..=seen.slots()).for_each(|group| self.push_group(seen, frame, group));
        }
    }

    fn push_group(&mut self, seen: &Seen<'_>, frame: usize, group: usize) {
        let (mut change, mut unit) = ([0.0; 3], [0.0; 3]);
        for slot in 0..seen.slots() {
            let here = seen.touch_group(frame, slot) == Some(group);
            let velocities = seen.velocity(frame, slot).zip(seen.velocity(frame + 1, slot));
            let Some((before, after)) = velocities.filter(|_| here) else {
                self.mass.push(0.0);
                continue;
            };
            let mass = seen.body(slot).mass_kg;
            for axis in 0..3 {
                change[axis] += mass * (after[axis] - before[axis]);
                unit[axis] += mass * seen.velocity_scale(slot, axis);
            }
            self.mass.push(mass);
        }
        self.groups += f32::from(unit[0] > 0.0);
        self.change.extend(change);
        self.per_unit.extend(unit.map(|unit| if unit > 0.0 { 1.0 / unit } else { 0.0 }));
    }
}

/// `None` if nothing that can be moved touches anything.
pub fn loss(told: &Told, target: &Target) -> Option<Tensor<1>> {
    if target.groups == 0.0 {
        return None;
    }
    let ([windows, frames, slots], device) = (told.sizes(), told.device());
    let steps_in_all = windows * (frames - 1);
    let mass = tensor(&target.mass, [steps_in_all, slots, slots, 1], &device);
    let true_change = tensor(&target.change, [steps_in_all, slots, 1, 3], &device);
    let per_unit = tensor(&target.per_unit, [steps_in_all, slots, 1, 3], &device);
    let (before, after) = steps(&told.velocity);
    let gained = (after - before).reshape([steps_in_all, 1, slots, 3]);
    let change = (gained * mass).sum_dim(2);
    let error = (change - true_change) * per_unit;
    Some(error.square().sum() / (target.groups * 3.0))
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{Window, gradient, value};
    use super::*;

    /// 1 kg at 3 m/s runs into 2 kg at rest and gives it everything that an elastic impact gives: −1 and 2 m/s.
    fn impact() -> (Window, Target) {
        let mut window = Window::new(2, 2);
        window.put(0, 0, [0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
        window.put(0, 1, [0.0; 6]);
        window.put(1, 0, [0.0, 0.0, 0.0, -1.0, 0.0, 0.0]);
        window.put(1, 1, [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
        let target = Target {
            mass: vec![1.0, 2.0, 0.0, 0.0],
            change: vec![0.0; 6],
            per_unit: vec![1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0],
            groups: 1.0,
        };
        (window, target)
    }

    #[test]
    fn an_impact_that_keeps_momentum_costs_nothing() {
        let (window, target) = impact();
        assert!(value(loss(&window.told(window.truth()), &target)) < 1e-10);
    }

    #[test]
    fn momentum_from_nowhere_costs_its_square() {
        let (mut window, target) = impact();
        window.put(1, 1, [0.0, 0.0, 0.0, 3.5, 0.0, 0.0]);
        // 2 kg · 1.5 m/s = 3 N·s too much, in units of 3 N·s, on one axis of three.
        assert!((value(loss(&window.told(window.truth()), &target)) - 1.0 / 3.0).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_takes_from_each_body_by_its_mass() {
        let (mut window, target) = impact();
        window.put(1, 1, [0.0, 0.0, 0.0, 3.5, 0.0, 0.0]);
        let slope = gradient(&window, |told| loss(told, &target));
        let vx = |frame: usize, slot: usize| slope[(frame * 2 + slot) * 6 + 3];
        assert!(vx(1, 0) > 0.0 && (vx(1, 1) - 2.0 * vx(1, 0)).abs() < 1e-6, "{slope:?}");
        assert!((vx(0, 1) + vx(1, 1)).abs() < 1e-6, "what is lost before is gained after");
    }
}
