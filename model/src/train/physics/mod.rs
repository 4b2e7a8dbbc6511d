//! Losses that know physics: what the privileged head says of positions and velocities must move, touch and last as
//! bodies do.
//!
//! | Loss | Says | Weight |
//! |---|---|---|
//! | `free_flight` | what nothing touches falls as gravity and drag make it | [`PhysicsOptions::free_flight`] |
//! | `penetration` | bodies do not overlap deeper than in truth | [`PhysicsOptions::penetration`] |
//! | `momentum` | what bodies in touch gain together is what truth gave them | [`PhysicsOptions::momentum`] |
//! | `count` | there are as many objects as there are, also while some are hidden | [`PhysicsOptions::count`] |
//! | `hidden` | a hidden object is where it is | [`PhysicsOptions::hidden`] |
//!
//! All of them read the privileged head; none reads decoded frames. Each is in a file of its own, with its formula.

mod count;
mod free_flight;
#[cfg(test)]
mod hand_made;
mod hidden;
mod momentum;
mod options;
mod penetration;
mod seen;
mod told;

pub use options::PhysicsOptions;
pub use told::Readout;

use burn::tensor::{Device, Tensor, TensorData};

use super::loss::Means;
use crate::data::{ClipRange, Clips};
use crate::dynamics::OBJECT_VALUES;
use seen::Seen;
use told::{Told, Units};

/// How the readout's values become SI units.
#[derive(Clone, Debug, Default)]
pub struct Normalisation {
    /// Mean of each readout value.
    pub mean: Vec<f32>,
    /// Standard deviation of each readout value.
    pub scale: Vec<f32>,
    /// Objects that the readout has room for; those beyond the clip's own do not exist.
    pub slots: usize,
}

/// What truth says of the physics of a batch of windows, as plain arrays.
#[derive(Default)]
pub struct PhysicsTargets {
    units: Units,
    free_flight: free_flight::Target,
    penetration: penetration::Target,
    momentum: momentum::Target,
    count: count::Target,
    hidden: hidden::Target,
}

impl PhysicsTargets {
    /// Appends the window of `length` frames from frame `offset` of `range` on. Frames beyond its end weigh
    /// nothing, nor do clips without [physics](Clips::physics).
    pub fn push_window(
        &mut self,
        clips: &Clips,
        range: &ClipRange,
        (offset, length): (usize, usize),
        normalisation: &Normalisation,
    ) {
        let seen = Seen::new(clips, range, (offset, length), normalisation);
        self.units.push(&seen);
        self.free_flight.push(&seen);
        self.penetration.push(&seen);
        self.momentum.push(&seen);
        self.count.push(&seen);
        self.hidden.push(&seen);
    }

    /// Each loss that is switched on; `readout` is of the windows that were pushed, in order.
    pub fn losses(&self, readout: &Readout, options: &PhysicsOptions) -> Vec<Part> {
        let mut parts = Vec::new();
        if options.is_off() {
            return parts;
        }
        let told = Told::new(readout, &self.units);
        let mut add = |name, weight: f32, loss: &dyn Fn() -> Option<Tensor<1>>| {
            if weight > 0.0 {
                parts.push(Part { name, weight, loss: loss() });
            }
        };
        add("free_flight", options.free_flight, &|| free_flight::loss(&told, &self.free_flight));
        add("penetration", options.penetration, &|| penetration::loss(&told, &self.penetration));
        add("momentum", options.momentum, &|| momentum::loss(&told, &self.momentum));
        add("count", options.count, &|| count::loss(&told, &self.count));
        add("hidden", options.hidden, &|| hidden::loss(&told, &self.hidden));
        parts
    }
}

/// One loss on one batch.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in [`PhysicsOptions`].
    pub name: &'static str,
    /// Its weight, above 0.
    pub weight: f32,
    /// The loss itself; `None` if the batch, or the model, has nothing that it weighs.
    pub loss: Option<Tensor<1>>,
}

/// What each loss that is switched on, unweighed, makes of a head that says `states` of the rows of `clips`
/// (`rows × tracked × 6`, as [`Clips::objects`]): of truth itself, if it says those. A mean over the clips that
/// have what the loss weighs.
pub fn losses_of_states(clips: &Clips, states: &[f32], options: &PhysicsOptions) -> Vec<(&'static str, f32)> {
    let mut means = Means::default();
    let values = clips.tracked_objects() * OBJECT_VALUES;
    let slots = clips.tracked_objects().max(1);
    let normalisation = Normalisation { mean: vec![0.0; values], scale: vec![1.0; values], slots };
    for range in clips.ranges.iter().filter(|_| values > 0) {
        let mut targets = PhysicsTargets::default();
        targets.push_window(clips, range, (0, range.len), &normalisation);
        let said = &states[range.start * values..(range.start + range.len) * values];
        let readout = Readout { objects: tensor(said, [range.len, values], &Device::flex()), presence: None };
        for part in targets.losses(&readout, options) {
            if let Some(loss) = part.loss {
                means.add(part.name, loss.into_scalar(), 1.0);
            }
        }
    }
    means.take()
}

/// `values` on the device.
fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}
