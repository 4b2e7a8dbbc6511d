//! A dream of nobody's world: random weights, and first frames drawn from the seed.
#![allow(dead_code, clippy::unwrap_used)]

use burn::tensor::Device;
use worldstep_env::{EnvError, EnvSpec, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::{FrameSize, Preset};
use worldstep_model::model::{Model, ModelCard, TaskCard};
use worldstep_model::neural_env::{NeuralOptions, NeuralVectorEnv, StartSource};

pub const STEPS_MAX: u32 = 9;
/// Frames in a start.
pub const CONTEXT_FRAMES: usize = 4;
/// Steps from a reset to the end of the episode.
pub const STEPS_LEFT: u32 = STEPS_MAX - (CONTEXT_FRAMES as u32 - 1);

pub fn spec() -> EnvSpec {
    spec_of(FrameSize::Px64)
}

/// The same world, seen in frames of `size`.
pub fn spec_of(size: FrameSize) -> EnvSpec {
    EnvSpec {
        id: "Toy-v0".to_owned(),
        observation_space: Space::image(size.side(), size.side(), 3),
        action_space: Space::Discrete { n: 3, start: 0 },
        max_episode_steps: STEPS_MAX,
        fps: 20,
    }
}

/// Starts whose frames depend on the seed alone.
pub struct Stripes(pub EnvSpec);

impl StartSource for Stripes {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }

    fn context_frames(&self) -> usize {
        CONTEXT_FRAMES
    }

    fn neutral_action(&self) -> &[f32] {
        &[1.0]
    }

    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        for seed in seeds {
            let bytes = 0..(CONTEXT_FRAMES * self.0.observation_space.flat_len()) as u64;
            out.extend(bytes.map(|i| (i.wrapping_mul(seed % 97 + 3) >> 4) as u8));
        }
        Ok(())
    }
}

pub fn model() -> Model {
    model_of(FrameSize::Px64)
}

/// A model of frames of `size`.
pub fn model_of(size: FrameSize) -> Model {
    let task = TaskCard {
        id: spec().id,
        actions: ActionCoding::new(&spec().action_space),
        objects: vec!["ball".to_owned()],
        object_mean: vec![0.0; 6],
        object_scale: vec![1.0; 6],
        termination_threshold: None,
    };
    let mut card = ModelCard::new(Preset::Nano, vec![task]);
    card.config.context_frames = 8;
    card.config.frame = size;
    let device = Device::flex();
    device.seed(5);
    Model::random(card, &device)
}

pub fn env(model: &Model, num_envs: usize, change: impl Fn(&mut NeuralOptions)) -> NeuralVectorEnv {
    let mut options = NeuralOptions::new(num_envs);
    // An untrained model says anything; these tests are not about when it ends an episode.
    options.termination_threshold = Some(1.0);
    options.temperature = 1.0;
    change(&mut options);
    NeuralVectorEnv::new(model.clone(), Box::new(Stripes(spec_of(model.card.config.frame))), options).unwrap()
}
