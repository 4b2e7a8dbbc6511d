//! A truth that is the dream itself, with faults on demand.
#![allow(dead_code, clippy::unwrap_used)]

use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, VectorEnv};
use worldstep_model::config::FrameSize;
use worldstep_model::model::Model;
use worldstep_model::neural_env::{AuditTruth, DreamObservation, NeuralOptions, NeuralVectorEnv};

use super::dream::{CONTEXT_FRAMES, env};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

/// Where truth is to differ from the dream, from so many steps after the reset on.
#[derive(Clone, Copy, Default)]
pub struct Fault {
    pub from_step: usize,
    /// Added to every byte of the frame.
    pub brightness: u8,
    /// Added to the first object's x, metres.
    pub offset_m: f32,
    /// Added to the reward.
    pub reward: f32,
    /// Truth ends the episode.
    pub ends: bool,
    /// Truth can no longer be stepped.
    pub breaks: bool,
}

/// The dream as truth: frames and state of the same dream, whose resets stand on truth's frame 0 until the neutral actions
/// are through.
pub struct Replica {
    frames: NeuralVectorEnv,
    states: NeuralVectorEnv,
    batch: Batch,
    /// Steps of each lane since its reset, the neutral ones included.
    steps: Vec<usize>,
    fault: Fault,
}

impl Replica {
    pub fn new(model: &Model, lanes: usize, fault: Fault) -> Self {
        let dream = |observation| {
            env(model, lanes, |options: &mut NeuralOptions| {
                *options = NeuralOptions {
                    autoreset_mode: AutoresetMode::Disabled,
                    observation,
                    temperature: 0.0,
                    ..*options
                };
            })
        };
        let (frames, states) = (dream(DreamObservation::Rgb), dream(DreamObservation::State));
        let batch = frames.batch().clone();
        Self { frames, states, batch, steps: vec![0; lanes], fault }
    }

    fn has_fault(&self, lane: usize) -> bool {
        self.steps[lane] + 1 >= CONTEXT_FRAMES + self.fault.from_step
    }

    fn copy_batch(&mut self) {
        self.batch = self.frames.batch().clone();
        let faulty: Vec<usize> = (0..self.steps.len()).filter(|lane| self.has_fault(*lane)).collect();
        for lane in faulty {
            if let Buffer::U8(frames) = &mut self.batch.observations {
                for byte in &mut frames[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES] {
                    *byte = byte.wrapping_add(self.fault.brightness);
                }
            }
            self.batch.rewards[lane] += self.fault.reward;
            self.batch.terminated[lane] |= self.fault.ends;
        }
    }
}

impl AuditTruth for Replica {
    fn env(&self) -> &dyn VectorEnv {
        self
    }

    fn env_mut(&mut self) -> &mut dyn VectorEnv {
        self
    }

    fn objects(&self, lane: usize, out: &mut Vec<f32>) {
        let values = self.states.spec().observation_space.flat_len();
        let from = out.len();
        out.extend_from_slice(
            &self.states.batch().observations.as_f32().unwrap()[lane * values..(lane + 1) * values],
        );
        if self.has_fault(lane) {
            out[from] += self.fault.offset_m;
        }
    }
}

impl VectorEnv for Replica {
    fn num_envs(&self) -> usize {
        self.steps.len()
    }

    fn spec(&self) -> &EnvSpec {
        self.frames.spec()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        AutoresetMode::Disabled
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.frames.reset(seeds, mask)?;
        self.states.reset(seeds, mask)?;
        self.steps.iter_mut().zip(mask).filter(|(_, masked)| **masked).for_each(|(steps, _)| *steps = 0);
        self.copy_batch();
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        let neutral = |lane: usize| self.steps[lane] + 1 < CONTEXT_FRAMES;
        let dreamt: Vec<bool> = (0..mask.len()).map(|lane| mask[lane] && !neutral(lane)).collect();
        self.steps.iter_mut().zip(mask).for_each(|(steps, masked)| *steps += usize::from(*masked));
        if self.fault.breaks && (0..mask.len()).any(|lane| mask[lane] && self.has_fault(lane)) {
            return Err(EnvError::Engine { message: "the driver has gone".to_owned() });
        }
        self.frames.step(actions, &dreamt)?;
        self.states.step(actions, &dreamt)?;
        self.copy_batch();
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.frames.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.frames.load_lane(lane, bytes)
    }
}
