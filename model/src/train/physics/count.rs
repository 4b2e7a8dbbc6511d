//! As many objects as there are, also while some are hidden.
//!
//! The presence readout has two logits an object: that it exists, `e`, and the share of its silhouette that is
//! seen, `s`. The loss is the sum of
//!
//! - their binary cross-entropies against the record, a mean over all slots of all frames in which the weight
//!   of a hidden object is [`HIDDEN_WEIGHT`] times that of a seen one, and
//! - `(Σ σ(e) − n)²`, a mean over the frames with a hidden object, `n` being how many objects there are: what
//!   leaves the picture has not left the world.
//!
//! An object is hidden if the camera sees at most [`HIDDEN_SHARE_MAX`] of its silhouette. Without the readout
//! there is no loss.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::seen::Seen;
use super::tensor;
use super::told::Told;
use crate::data::physics::HIDDEN_SHARE_MAX;
use crate::train::loss::{LOGIT_MAX, binary_cross_entropy};

/// What a hidden object weighs more than a seen one.
const HIDDEN_WEIGHT: f32 = 4.0;

/// Which objects there are, and what is seen of them.
#[derive(Default)]
pub struct Target {
    /// `[windows, frames, slots, 2]`: existence and visible share.
    presence: Vec<f32>,
    /// `[windows, frames, slots]`: weight of each object; 0 beyond the end of a clip.
    weight: Vec<f32>,
    /// `[windows, frames]`: objects there are.
    number: Vec<f32>,
    /// `[windows, frames]`: 1 if one of them is hidden.
    hides: Vec<f32>,
}

impl Target {
    pub fn push(&mut self, seen: &Seen<'_>) {
        for frame in 0..seen.length {
            let known = f32::from(seen.is_known(frame));
            let (mut number, mut hides) = (0.0, 0.0f32);
            for slot in 0..seen.slots() {
                let share = seen.visible_share(frame, slot);
                let hidden = f32::from(share.is_some_and(|share| share <= HIDDEN_SHARE_MAX));
                self.presence.extend([f32::from(share.is_some()), share.unwrap_or(0.0)]);
                self.weight.push(known * (1.0 + hidden * (HIDDEN_WEIGHT - 1.0)));
                number += f32::from(share.is_some());
                hides = hides.max(hidden);
            }
            self.number.push(number);
            self.hides.push(hides);
        }
    }
}

/// `None` if the model has no such readout, or nothing is known of the objects.
pub fn loss(told: &Told, target: &Target) -> Option<Tensor<1>> {
    let (weights, hiding): (f32, f32) = (target.weight.iter().sum(), target.hides.iter().sum());
    if weights == 0.0 {
        return None;
    }
    let ([windows, frames, slots], device) = (told.sizes(), told.device());
    let logits = told.presence.clone()?;
    let presence = tensor(&target.presence, [windows, frames, slots, 2], &device);
    let weight = tensor(&target.weight, [windows, frames, slots, 1], &device);
    let surprise = binary_cross_entropy(logits.clone(), presence);
    let told_apart = (surprise * weight).sum() / (weights * 2.0);
    let number = tensor(&target.number, [windows, frames, 1, 1], &device);
    let hides = tensor(&target.hides, [windows, frames, 1, 1], &device);
    let missing = sigmoid(logits.clamp(-LOGIT_MAX, LOGIT_MAX).narrow(3, 0, 1)).sum_dim(2) - number;
    Some(told_apart + (missing.square() * hides).sum() / hiding.max(1.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::super::hand_made::{Window, value};
    use super::*;

    /// Two objects; the second is seen in the first frame and hidden in the second.
    fn target() -> Target {
        Target {
            presence: vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
            weight: vec![1.0, 1.0, 1.0, 4.0],
            number: vec![2.0, 2.0],
            hides: vec![0.0, 1.0],
        }
    }

    fn loss_of(logits: [f32; 8]) -> Option<Tensor<1>> {
        let window = Window::new(2, 2);
        let mut told = window.told(window.truth());
        told.presence = Some(tensor(&logits, [1, 2, 2, 2], &told.device()));
        loss(&told, &target())
    }

    #[test]
    fn what_is_known_for_sure_costs_nothing() {
        assert!(value(loss_of([20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, -20.0])) < 1e-5);
    }

    #[test]
    fn an_object_forgotten_while_hidden_costs_more_than_one_denied_in_sight() {
        // σ(−20) = 0: its surprise is 20 with weight 4, and one object of two is missing.
        let forgotten = value(loss_of([20.0, 20.0, 20.0, 20.0, 20.0, 20.0, -20.0, -20.0]));
        assert!((forgotten - (4.0 * 20.0 / 14.0 + 1.0)).abs() < 1e-3, "{forgotten}");
        let denied = value(loss_of([20.0, 20.0, -20.0, 20.0, 20.0, 20.0, 20.0, -20.0]));
        assert!((denied - 20.0 / 14.0).abs() < 1e-3, "{denied}");
    }

    #[test]
    fn without_the_readout_there_is_no_loss() {
        let window = Window::new(2, 2);
        assert!(loss(&window.told(window.truth()), &target()).is_none());
    }

    #[test]
    fn the_gradient_brings_the_forgotten_object_back() {
        let window = Window::new(2, 2);
        let device = Device::flex().autodiff();
        let logits = tensor(&[2.0, 2.0, 2.0, 2.0, 2.0, 2.0, -2.0, 2.0], [1, 2, 2, 2], &device).require_grad();
        let truth = Tensor::from_data(window.truth().into_data(), &device);
        let mut told = window.told(truth);
        told.presence = Some(logits.clone());
        let slope = logits.grad(&loss(&told, &target()).unwrap().backward()).unwrap();
        let slope: Vec<f32> = slope.into_data().try_to_vec().unwrap();
        assert!(slope[6] < 0.0, "it exists: {slope:?}");
        assert!(slope[7] > 0.0, "it is not seen: {slope:?}");
    }
}
