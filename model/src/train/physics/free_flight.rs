//! What nothing touches falls as gravity and drag make it.
//!
//! Between the states that the head tells of two consecutive frames, `dt` apart, with `a = g − k·(v + v′)/2` for
//! gravity `g` and linear drag `k` (both from the record), the residuals
//!
//! ```text
//! r_x = x′ − x − v·dt − ½·a·dt²      metres
//! r_v = v′ − v − a·dt                m/s
//! ```
//!
//! are 0. The loss is the mean of `(r_x/σ_x)² + (r_v/σ_v)²` over the axes of all objects that truly fly freely
//! in that step ([`PhysicsFacts::free`](crate::data::PhysicsFacts::free)), halved, with σ the readout's
//! standard deviations. Truth itself is off by `½·g·dt²/n` along z, as it integrates in `n` substeps with the
//! velocity after each: 2.5 mm at 20 frames a second and 5 substeps.

use burn::tensor::Tensor;

use super::seen::Seen;
use super::tensor;
use super::told::{Told, steps};

/// Which objects fly freely in which steps.
#[derive(Default)]
pub struct Target {
    /// `[windows, frames - 1, slots]`, 0 or 1.
    free: Vec<f32>,
}

impl Target {
    pub fn push(&mut self, seen: &Seen<'_>) {
        for frame in 0..seen.steps() {
            self.free.extend((0..seen.slots()).map(|slot| f32::from(seen.is_free(frame, slot))));
        }
    }
}

/// `None` if nothing flies freely.
pub fn loss(told: &Told, target: &Target) -> Option<Tensor<1>> {
    let count: f32 = target.free.iter().sum();
    if count == 0.0 {
        return None;
    }
    let [windows, frames, slots] = told.sizes();
    let free = tensor(&target.free, [windows, frames - 1, slots, 1], &told.device());
    let (position, next_position) = steps(&told.position);
    let (velocity, next_velocity) = steps(&told.velocity);
    let mean_velocity = (velocity.clone() + next_velocity.clone()) * 0.5;
    let gained = (told.gravity.clone() - mean_velocity * told.drag.clone()) * told.dt_s.clone();
    let way = (velocity.clone() + gained.clone() * 0.5) * told.dt_s.clone();
    let position_error = (next_position - position - way) / told.position_scale.clone();
    let velocity_error = (next_velocity - velocity - gained) / told.velocity_scale.clone();
    let squares = position_error.square() + velocity_error.square();
    Some((squares * free).sum() / (count * 6.0))
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{Window, gradient, value};
    use super::*;

    /// A ball thrown at 2 m/s along x, 10 frames a second; exact parabola.
    fn thrown() -> Window {
        let mut window = Window::new(4, 1);
        window.scale = vec![2.0, 2.0, 2.0, 4.0, 4.0, 4.0];
        for frame in 0..4 {
            let t = frame as f32 * 0.1;
            window.put(frame, 0, [1.0 + 2.0 * t, 0.0, 3.0 - 5.0 * t * t, 2.0, 0.0, -10.0 * t]);
        }
        window
    }

    fn told(window: &Window) -> Told {
        window.told(window.truth())
    }

    #[test]
    fn a_true_parabola_has_no_residual() {
        let window = thrown();
        let target = Target { free: vec![1.0; 3] };
        assert!(value(loss(&told(&window), &target)) < 1e-10);
    }

    #[test]
    fn a_frame_out_of_place_costs_what_it_is_off() {
        let mut window = thrown();
        let target = Target { free: vec![1.0; 3] };
        window.put(3, 0, [1.6 + 0.4, 0.0, 3.0 - 0.45, 2.0, 0.0, -3.0]);
        // One step of three: 0.4 m in units of 2 m, squared, of 18 values.
        let expected = 0.04 / 18.0;
        assert!((value(loss(&told(&window), &target)) - expected).abs() < 1e-6);
        // Not where something touches it.
        let touched = Target { free: vec![1.0, 1.0, 0.0] };
        assert!(value(loss(&told(&window), &touched)) < 1e-10);
    }

    #[test]
    fn a_ball_that_hovers_misses_gravity() {
        let mut window = thrown();
        (0..4).for_each(|frame| window.put(frame, 0, [1.0, 0.0, 3.0, 0.0, 0.0, 0.0]));
        let target = Target { free: vec![1.0; 3] };
        // r_x = ½·10·0.01 = 0.05 m of 2 m, r_v = 1 m/s of 4 m/s, on one axis of three.
        let expected = (0.025f32.powi(2) + 0.25f32.powi(2)) / 6.0;
        assert!((value(loss(&told(&window), &target)) - expected).abs() < 1e-6);
    }

    #[test]
    fn drag_slows_what_flies() {
        let mut window = thrown();
        window.gravity = [0.0; 3];
        window.drag = vec![1.0];
        // v′ = v·(1 − k·dt/2)/(1 + k·dt/2) with k·dt = 0.1, and x′ = x + (v + v′)/2·dt.
        let (mut x, mut v) = (0.0, 2.0);
        for frame in 0..4 {
            window.put(frame, 0, [x, 0.0, 0.0, v, 0.0, 0.0]);
            let next = v * 0.95 / 1.05;
            x += (v + next) * 0.05;
            v = next;
        }
        let target = Target { free: vec![1.0; 3] };
        assert!(value(loss(&told(&window), &target)) < 1e-10);
        window.drag = vec![0.0];
        assert!(value(loss(&told(&window), &target)) > 1e-4);
    }

    #[test]
    fn the_gradient_leads_back_to_the_parabola() {
        let mut window = thrown();
        window.put(2, 0, [1.4, 0.0, 3.0 - 0.2 + 0.5, 2.0, 0.0, -2.0]);
        let target = Target { free: vec![1.0; 3] };
        let slope = gradient(&window, |told| loss(told, &target));
        // Half a metre too high in frame 2: descending the loss lowers it and lifts its neighbours.
        let z = |frame: usize| slope[frame * 6 + 2];
        assert!(z(2) > 0.0 && z(1) < 0.0 && z(3) < 0.0, "{slope:?}");
        assert!(slope[6 * 2].abs() < 1e-6);
    }
}
