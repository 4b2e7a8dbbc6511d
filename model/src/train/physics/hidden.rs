//! A hidden object is where it is.
//!
//! The mean over the axes of hidden objects of `((x − x_true)/σ_x)²`: the squared error that every object has
//! already, once more for those of whose silhouette the camera sees at most [`HIDDEN_SHARE_MAX`]. They are few,
//! and only memory can tell them.

use burn::tensor::Tensor;

use super::seen::Seen;
use super::tensor;
use super::told::Told;
use crate::data::physics::HIDDEN_SHARE_MAX;

/// Where hidden objects are.
#[derive(Default)]
pub struct Target {
    /// `[windows, frames, slots, 3]`, m.
    position: Vec<f32>,
    /// `[windows, frames, slots]`, 0 or 1.
    hidden: Vec<f32>,
}

impl Target {
    pub fn push(&mut self, seen: &Seen<'_>) {
        for frame in 0..seen.length {
            for slot in 0..seen.slots() {
                let share = seen.visible_share(frame, slot);
                let hidden = share.is_some_and(|share| share <= HIDDEN_SHARE_MAX);
                self.hidden.push(f32::from(hidden));
                self.position.extend(seen.position(frame, slot).unwrap_or_default());
            }
        }
    }
}

/// `None` if nothing is hidden.
pub fn loss(told: &Told, target: &Target) -> Option<Tensor<1>> {
    let count: f32 = target.hidden.iter().sum();
    if count == 0.0 {
        return None;
    }
    let ([windows, frames, slots], device) = (told.sizes(), told.device());
    let position = tensor(&target.position, [windows, frames, slots, 3], &device);
    let hidden = tensor(&target.hidden, [windows, frames, slots, 1], &device);
    let error = (told.position.clone() - position) / told.position_scale.clone();
    Some((error.square() * hidden).sum() / (count * 3.0))
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{Window, gradient, value};
    use super::*;

    fn behind_a_screen() -> (Window, Target) {
        let mut window = Window::new(2, 1);
        window.scale = vec![0.5; 6];
        window.put(0, 0, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]);
        window.put(1, 0, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]);
        let target = Target { position: vec![1.0, 2.0, 3.0, 1.0, 2.0, 3.0], hidden: vec![0.0, 1.0] };
        (window, target)
    }

    #[test]
    fn only_the_hidden_frame_counts() {
        let (mut window, target) = behind_a_screen();
        window.put(0, 0, [9.0, 9.0, 9.0, 0.0, 0.0, 0.0]);
        assert!(value(loss(&window.told(window.truth()), &target)) < 1e-10);
        window.put(1, 0, [1.0, 2.0, 4.0, 0.0, 0.0, 0.0]);
        // 1 m in units of 0.5 m, squared, on one axis of three.
        assert!((value(loss(&window.told(window.truth()), &target)) - 4.0 / 3.0).abs() < 1e-5);
        let slope = gradient(&window, |told| loss(told, &target));
        assert!(slope[6 + 2] > 0.0 && slope[2] == 0.0, "{slope:?}");
    }
}
