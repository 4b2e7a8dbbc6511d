use burn::tensor::{Device, Tensor};

use super::seen::Seen;
use super::tensor;
use crate::config::PRESENCE_VALUES;
use crate::dynamics::{FrameOutput, OBJECT_VALUES};

/// What the privileged head says of a batch of windows, as the network gives it.
#[derive(Clone, Debug)]
pub struct Readout {
    /// [`FrameOutput::objects`].
    pub objects: Tensor<2>,
    /// [`FrameOutput::presence`].
    pub presence: Option<Tensor<2>>,
}

impl From<&FrameOutput> for Readout {
    fn from(output: &FrameOutput) -> Self {
        Self { objects: output.objects.clone(), presence: output.presence.clone() }
    }
}

/// Constants of each window of a batch.
#[derive(Default)]
pub struct Units {
    /// Frames of a window, and objects of a frame.
    pub frames: usize,
    pub slots: usize,
    /// `[windows]`, s.
    pub dt_s: Vec<f32>,
    /// `[windows, 3]`, m/s².
    pub gravity: Vec<f32>,
    /// `[windows, slots]`, 1/s.
    pub drag: Vec<f32>,
    /// `[windows, slots, OBJECT_VALUES]`.
    pub mean: Vec<f32>,
    pub scale: Vec<f32>,
}

impl Units {
    pub fn push(&mut self, seen: &Seen<'_>) {
        (self.frames, self.slots) = (seen.length, seen.slots());
        self.dt_s.push(seen.clip().map_or(0.0, |clip| clip.dt_s));
        self.gravity.extend(seen.clip().map_or([0.0; 3], |clip| clip.gravity));
        self.drag.extend((0..self.slots).map(|slot| seen.body(slot).drag_per_s));
        let padded = |values: &[f32], rest: f32, out: &mut Vec<f32>| {
            let end = out.len() + self.slots * OBJECT_VALUES;
            out.extend_from_slice(values);
            out.resize(end, rest);
        };
        padded(&seen.normalisation.mean, 0.0, &mut self.mean);
        padded(&seen.normalisation.scale, 1.0, &mut self.scale);
    }
}

/// What the privileged head says of a batch of windows, in SI units.
///
/// Shapes are `[windows, frames, slots, …]`; constants have 1 where they do not vary.
pub struct Told {
    /// `[windows, frames, slots, 3]`, m.
    pub position: Tensor<4>,
    /// `[windows, frames, slots, 3]`, m/s.
    pub velocity: Tensor<4>,
    /// `[windows, frames, slots, 2]`: logits of existence and of being seen, where the model has them.
    pub presence: Option<Tensor<4>>,
    /// `[windows, 1, slots, 3]`: standard deviations of position and velocity.
    pub position_scale: Tensor<4>,
    pub velocity_scale: Tensor<4>,
    /// `[windows, 1, 1, 1]`, s.
    pub dt_s: Tensor<4>,
    /// `[windows, 1, 1, 3]`, m/s².
    pub gravity: Tensor<4>,
    /// `[windows, 1, slots, 1]`, 1/s.
    pub drag: Tensor<4>,
}

impl Told {
    pub fn new(readout: &Readout, units: &Units) -> Self {
        let device = &readout.objects.device();
        let (windows, frames, slots) = (units.dt_s.len(), units.frames, units.slots);
        let constant = |values: &[f32]| tensor(values, [windows, 1, slots, OBJECT_VALUES], device);
        let (mean, scale) = (constant(&units.mean), constant(&units.scale));
        let objects = readout.objects.clone().reshape([windows, frames, slots, OBJECT_VALUES]);
        let objects = objects * scale.clone() + mean;
        let presence = readout.presence.clone();
        Self {
            position: objects.clone().narrow(3, 0, 3),
            velocity: objects.narrow(3, 3, 3),
            presence: presence.map(|logits| logits.reshape([windows, frames, slots, PRESENCE_VALUES])),
            position_scale: scale.clone().narrow(3, 0, 3),
            velocity_scale: scale.narrow(3, 3, 3),
            dt_s: tensor(&units.dt_s, [windows, 1, 1, 1], device),
            gravity: tensor(&units.gravity, [windows, 1, 1, 3], device),
            drag: tensor(&units.drag, [windows, 1, slots, 1], device),
        }
    }

    /// `[windows, frames, slots]`.
    pub fn sizes(&self) -> [usize; 3] {
        let [windows, frames, slots, _] = self.position.dims();
        [windows, frames, slots]
    }

    pub fn device(&self) -> Device {
        self.position.device()
    }
}

/// A value of each frame but the last, and of the frame after it: `[windows, frames - 1, …]`.
pub fn steps(values: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let frames = values.dims()[1];
    (values.clone().narrow(1, 0, frames - 1), values.clone().narrow(1, 1, frames - 1))
}
