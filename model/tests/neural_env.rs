//! The dream keeps the promises of every `VectorEnv`.
#![allow(clippy::unwrap_used, missing_docs)]

use burn::tensor::Device;
use worldstep_env::{AutoresetMode, Buffer, EnvError, EnvSpec, Space, VectorEnv};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::{FRAME_BYTES, ModelConfig, Preset};
use worldstep_model::model::{MODEL_FORMAT, Model, ModelCard, TrainingRecord};
use worldstep_model::neural_env::{NeuralOptions, NeuralVectorEnv, StartSource};

const STEPS_MAX: u32 = 6;

fn spec() -> EnvSpec {
    EnvSpec {
        id: "Toy-v0".to_owned(),
        observation_space: Space::image(64, 64, 3),
        action_space: Space::Discrete { n: 3, start: 0 },
        max_episode_steps: STEPS_MAX,
        fps: 20,
    }
}

/// Starts whose frames depend on the seed alone.
struct Stripes(EnvSpec);

impl StartSource for Stripes {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }

    fn context_frames(&self) -> usize {
        4
    }

    fn neutral_action(&self) -> &[f32] {
        &[1.0]
    }

    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        for seed in seeds {
            out.extend((0..4 * FRAME_BYTES as u64).map(|i| (i.wrapping_mul(seed % 97 + 3) >> 4) as u8));
        }
        Ok(())
    }
}

fn model() -> Model {
    let actions = ActionCoding::new(&spec().action_space);
    let card = ModelCard {
        format: MODEL_FORMAT,
        task: spec().id,
        config: ModelConfig { context_frames: 8, ..ModelConfig::new(Preset::Nano, actions.values(), 1) },
        actions,
        objects: vec!["ball".to_owned()],
        object_mean: vec![0.0; 6],
        object_scale: vec![1.0; 6],
        training: TrainingRecord::default(),
    };
    let device = Device::flex();
    device.seed(5);
    Model::random(card, &device)
}

fn env(model: &Model, num_envs: usize, change: impl Fn(&mut NeuralOptions)) -> NeuralVectorEnv {
    let mut options = NeuralOptions::new(num_envs);
    // An untrained model says anything; these tests are not about when it ends an episode.
    options.termination_threshold = 1.0;
    options.temperature = 1.0;
    change(&mut options);
    NeuralVectorEnv::new(model.clone(), Box::new(Stripes(spec())), options).unwrap()
}

fn frame(env: &NeuralVectorEnv, lane: usize) -> Vec<u8> {
    env.batch().observations.as_u8().unwrap()[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES].to_vec()
}

fn actions(values: &[i64]) -> Buffer {
    Buffer::I64(values.to_vec())
}

#[test]
fn a_lane_is_what_a_single_environment_would_be() {
    let model = model();
    let (mut many, mut one) = (env(&model, 3, |_| ()), env(&model, 1, |_| ()));
    many.reset(&[Some(7), Some(8), Some(9)], &[true; 3]).unwrap();
    one.reset(&[Some(8)], &[true]).unwrap();
    for t in 0..2 * STEPS_MAX as i64 {
        assert_eq!(frame(&many, 1), frame(&one, 0), "step {t}");
        assert!((many.batch().rewards[1] - one.batch().rewards[0]).abs() < 1e-4);
        assert_eq!(many.batch().truncated[1], one.batch().truncated[0]);
        many.step_all(&actions(&[0, t % 3, 2])).unwrap();
        one.step_all(&actions(&[t % 3])).unwrap();
    }
}

#[test]
fn the_same_seed_dreams_the_same() {
    let model = model();
    let mut env = env(&model, 2, |_| ());
    let mut run = || {
        env.reset_all(Some(3)).unwrap();
        (0..5).for_each(|_| env.step_all(&actions(&[0, 2])).unwrap());
        frame(&env, 1)
    };
    assert_eq!(run(), run());
}

#[test]
fn an_episode_is_truncated_then_restarts_on_the_next_step() {
    let model = model();
    let mut env = env(&model, 1, |_| ());
    env.reset_all(Some(0)).unwrap();
    let start = frame(&env, 0);
    for step in 1..=STEPS_MAX {
        env.step_all(&actions(&[0])).unwrap();
        assert_eq!(env.batch().truncated[0], step == STEPS_MAX);
    }
    env.step_all(&actions(&[0])).unwrap();
    assert!(!env.batch().done(0));
    assert_eq!(env.batch().rewards[0], 0.0);
    assert_ne!(frame(&env, 0), start, "the second episode has another seed");
}

#[test]
fn a_disabled_lane_waits_for_its_reset() {
    let model = model();
    let mut env = env(&model, 2, |options| options.autoreset_mode = AutoresetMode::Disabled);
    assert!(matches!(env.step_all(&actions(&[0, 0])), Err(EnvError::NeedsReset { lane: 0 })));
    env.reset_all(Some(0)).unwrap();
    (0..STEPS_MAX).for_each(|_| env.step_all(&actions(&[0, 0])).unwrap());
    assert!(matches!(env.step_all(&actions(&[0, 0])), Err(EnvError::NeedsReset { lane: 0 })));
    env.reset(&[None, None], &[true, false]).unwrap();
    env.step(&actions(&[0, 0]), &[true, false]).unwrap();
    assert!(matches!(env.step_all(&actions(&[0, 0])), Err(EnvError::NeedsReset { lane: 1 })));
}

#[test]
fn a_masked_lane_is_left_untouched() {
    let model = model();
    let (mut masked, mut single) = (env(&model, 2, |_| ()), env(&model, 1, |_| ()));
    masked.reset(&[Some(1), Some(2)], &[true, true]).unwrap();
    single.reset(&[Some(2)], &[true]).unwrap();
    let waiting = frame(&masked, 1);
    for _ in 0..3 {
        masked.step(&actions(&[2, 0]), &[true, false]).unwrap();
        assert_eq!(frame(&masked, 1), waiting);
    }
    for _ in 0..3 {
        masked.step(&actions(&[2, 0]), &[false, true]).unwrap();
        single.step_all(&actions(&[0])).unwrap();
        assert_eq!(frame(&masked, 1), frame(&single, 0));
    }
}

#[test]
fn a_saved_lane_goes_on_in_another_place() {
    let model = model();
    let (mut from, mut to) = (env(&model, 1, |_| ()), env(&model, 3, |_| ()));
    assert!(matches!(from.save_lane(0), Err(EnvError::NeedsReset { .. })));
    from.reset_all(Some(4)).unwrap();
    to.reset_all(Some(11)).unwrap();
    (0..3).for_each(|_| from.step_all(&actions(&[2])).unwrap());
    (0..2).for_each(|_| to.step_all(&actions(&[2, 1, 0])).unwrap());
    to.load_lane(2, &from.save_lane(0).unwrap()).unwrap();
    for _ in 0..STEPS_MAX + 2 {
        assert_eq!(frame(&to, 2), frame(&from, 0));
        from.step_all(&actions(&[0])).unwrap();
        to.step_all(&actions(&[1, 1, 0])).unwrap();
    }
}

#[test]
fn wrong_input_changes_nothing() {
    let model = model();
    let mut env = env(&model, 2, |_| ());
    env.reset_all(Some(0)).unwrap();
    let before = frame(&env, 0);
    assert!(matches!(env.step_all(&actions(&[0, 3])), Err(EnvError::Action { .. })));
    assert!(matches!(env.step_all(&Buffer::F32(vec![0.0; 2])), Err(EnvError::Action { .. })));
    assert!(matches!(env.step(&actions(&[0, 0]), &[true]), Err(EnvError::Argument { .. })));
    assert!(matches!(env.reset(&[None], &[true, true]), Err(EnvError::Argument { .. })));
    assert!(matches!(env.load_lane(0, b"nonsense"), Err(EnvError::State { .. })));
    let mut bytes = env.save_lane(0).unwrap();
    bytes.truncate(bytes.len() / 2);
    assert!(matches!(env.load_lane(0, &bytes), Err(EnvError::State { .. })));
    assert_eq!(frame(&env, 0), before);
}

#[test]
fn a_model_of_another_task_is_refused() {
    let mut model = model();
    model.card.task = "Chess-v0".to_owned();
    let error = NeuralVectorEnv::new(model, Box::new(Stripes(spec())), NeuralOptions::new(1)).err().unwrap();
    assert!(error.to_string().contains("Chess-v0"), "{error}");
}
