use worldstep_env::AutoresetMode;

use super::observation::DreamObservation;
use crate::cuda::ProductNumbers;

/// How the dream is stepped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuralOptions {
    /// Lanes.
    pub num_envs: usize,
    /// When a lane whose episode has ended starts the next one.
    pub autoreset_mode: AutoresetMode,
    /// What is observed; frames by default.
    pub observation: DreamObservation,
    /// Sampling temperature; 0 takes the likeliest codes.
    pub temperature: f32,
    /// Probability above which a predicted termination ends the episode; the [task's own](crate::model::TaskCard::ends_above)
    /// if none is given.
    pub termination_threshold: Option<f32>,
    /// Bytes that the dream may take in all; more environments than fit are refused. `None` allows a share
    /// ([`MEMORY_SHARE`](super::MEMORY_SHARE)) of what is free on this machine, or 0.9 of what is free on its GPUs.
    pub memory_bytes_max: Option<u64>,
    /// Devices that the lanes are divided over: GPUs from the model's on; on the processor so many engines stand in for them.
    pub devices: usize,
    /// What the products of blocks are made of on GPUs.
    pub products: ProductNumbers,
}

/// More GPUs than machines have.
const DEVICES_MAX: usize = 16;

impl NeuralOptions {
    /// Defaults: NEXT_STEP, frames, likeliest codes, the task's threshold, half of the free memory (0.9 of it on
    /// GPUs).
    pub fn new(num_envs: usize) -> Self {
        Self {
            num_envs,
            autoreset_mode: AutoresetMode::NextStep,
            observation: DreamObservation::Rgb,
            temperature: 0.0,
            termination_threshold: None,
            memory_bytes_max: None,
            devices: 1,
            products: ProductNumbers::default(),
        }
    }

    /// Whether a dream can be stepped this way.
    ///
    /// # Errors
    /// A line that names the value and what would be right.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.num_envs == 0 {
            return Err("num_envs is 0, expected at least 1".to_owned());
        }
        if !(1..=DEVICES_MAX.min(self.num_envs)).contains(&self.devices) {
            let most = DEVICES_MAX.min(self.num_envs);
            return Err(format!(
                "devices is {}, expected 1 to {most} for {} lanes",
                self.devices, self.num_envs
            ));
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(format!("temperature is {}, expected a number from 0 on", self.temperature));
        }
        if self.termination_threshold.is_some_and(f32::is_nan) {
            return Err("termination_threshold is NaN, expected a probability".to_owned());
        }
        Ok(())
    }
}
