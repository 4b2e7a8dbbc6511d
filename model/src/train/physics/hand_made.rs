//! Windows of states written by hand, for the losses' tests.

use burn::tensor::{Device, Tensor};

use super::tensor;
use super::told::{Readout, Told, Units};
use crate::dynamics::OBJECT_VALUES;

/// One window of what a head may say, in SI units.
pub struct Window {
    pub frames: usize,
    pub slots: usize,
    pub scale: Vec<f32>,
    pub gravity: [f32; 3],
    pub drag: Vec<f32>,
    states: Vec<f32>,
}

impl Window {
    /// Ten frames a second under 10 m/s², in units of 1.
    pub fn new(frames: usize, slots: usize) -> Self {
        Self {
            frames,
            slots,
            scale: vec![1.0; slots * OBJECT_VALUES],
            gravity: [0.0, 0.0, -10.0],
            drag: vec![0.0; slots],
            states: vec![0.0; frames * slots * OBJECT_VALUES],
        }
    }

    pub fn put(&mut self, frame: usize, slot: usize, state: [f32; OBJECT_VALUES]) {
        let first = (frame * self.slots + slot) * OBJECT_VALUES;
        self.states[first..first + OBJECT_VALUES].copy_from_slice(&state);
    }

    /// The states as a readout gives them: normalised.
    pub fn truth(&self) -> Tensor<2> {
        let values = self.slots * OBJECT_VALUES;
        let scaled: Vec<f32> =
            self.states.iter().enumerate().map(|(i, state)| state / self.scale[i % values]).collect();
        tensor(&scaled, [self.frames, values], &Device::flex())
    }

    pub fn told(&self, objects: Tensor<2>) -> Told {
        let units = Units {
            frames: self.frames,
            slots: self.slots,
            dt_s: vec![0.1],
            gravity: self.gravity.to_vec(),
            drag: self.drag.clone(),
            mean: vec![0.0; self.slots * OBJECT_VALUES],
            scale: self.scale.clone(),
        };
        Told::new(&Readout { objects, presence: None }, &units)
    }
}

/// What a loss comes to; 0 where there is none.
pub fn value(loss: Option<Tensor<1>>) -> f32 {
    loss.map_or(0.0, Tensor::into_scalar)
}

/// Slope of a loss by each value of the readout.
pub fn gradient(window: &Window, loss: impl Fn(&Told) -> Option<Tensor<1>>) -> Vec<f32> {
    let device = Device::flex().autodiff();
    let objects = Tensor::from_data(window.truth().into_data(), &device).require_grad();
    let slope = loss(&window.told(objects.clone())).map(|loss| loss.backward());
    let slope = slope.and_then(|gradients| objects.grad(&gradients));
    slope.and_then(|slope| slope.into_data().try_to_vec().ok()).unwrap_or_default()
}
