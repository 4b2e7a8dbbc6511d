//! The dream keeps the promises of every `VectorEnv`.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;
#[path = "toy/watched.rs"]
mod watched;

use dream::{CONTEXT_FRAMES, STEPS_LEFT, STEPS_MAX, Stripes, env, model, spec};
use watched::{Watch, Watched};
use worldstep_env::check::{CheckConfig, check_env_with};
use worldstep_env::{AutoresetMode, Buffer, EnvError, EnvSpec, VectorEnv};
use worldstep_model::codec::decode_frames;
use worldstep_model::config::FrameSize;
use worldstep_model::fsq::code_of;
use worldstep_model::neural_env::{
    DreamObservation, NeuralOptions, NeuralVectorEnv, StartSource, UNCERTAINTY,
};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

fn frame(env: &NeuralVectorEnv, lane: usize) -> Vec<u8> {
    env.batch().observations.as_u8().unwrap()[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES].to_vec()
}

fn actions(values: &[i64]) -> Buffer {
    Buffer::I64(values.to_vec())
}

/// Two engines stand in for two GPUs; the toy's dreams restart on the way.
#[test]
fn lanes_over_several_devices_are_those_of_one() {
    let model = model();
    let (mut one, mut two) = (env(&model, 5, |_| ()), env(&model, 5, |options| options.devices = 2));
    for env in [&mut one, &mut two] {
        env.reset_all(Some(7)).unwrap();
    }
    for t in 0..2 * STEPS_LEFT as i64 {
        for env in [&mut one, &mut two] {
            env.step_all(&actions(&[0, t % 3, 2, 1, 1])).unwrap();
        }
        assert_eq!(one.batch(), two.batch(), "step {t}");
    }
    let state = two.save_lane(4).unwrap();
    one.load_lane(0, &state).unwrap();
    assert_eq!(frame(&one, 0), frame(&two, 4));
    let refused = NeuralVectorEnv::new(
        model,
        Box::new(Stripes(spec())),
        NeuralOptions { devices: 6, ..NeuralOptions::new(5) },
    );
    assert!(refused.err().unwrap().to_string().contains("devices is 6, expected 1 to 5 for 5 lanes"));
}

#[test]
fn a_lane_is_what_a_single_environment_would_be() {
    let model = model();
    let (mut many, mut one) = (env(&model, 3, |_| ()), env(&model, 1, |_| ()));
    many.reset(&[Some(7), Some(8), Some(9)], &[true; 3]).unwrap();
    one.reset(&[Some(8)], &[true]).unwrap();
    for t in 0..2 * STEPS_LEFT as i64 {
        assert_eq!(frame(&many, 1), frame(&one, 0), "step {t}");
        assert_eq!(many.batch().rewards[1].to_bits(), one.batch().rewards[0].to_bits());
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
    for step in 1..=STEPS_LEFT {
        env.step_all(&actions(&[0])).unwrap();
        assert_eq!(env.batch().truncated[0], step == STEPS_LEFT);
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
    (0..STEPS_LEFT).for_each(|_| env.step_all(&actions(&[0, 0])).unwrap());
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
    for _ in 0..STEPS_LEFT + 2 {
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
    assert_eq!(frame(&env, 0), before);
}

#[test]
fn a_model_of_another_task_is_refused() {
    let mut model = model();
    model.card.tasks[0].id = "Chess-v0".to_owned();
    let error = NeuralVectorEnv::new(model, Box::new(Stripes(spec())), NeuralOptions::new(1)).err().unwrap();
    assert!(error.to_string().contains("Chess-v0"), "{error}");
}

#[test]
fn the_checker_finds_nothing_whatever_is_observed() {
    let model = model();
    for observation in
        [DreamObservation::Rgb, DreamObservation::Codes, DreamObservation::Latent, DreamObservation::State]
    {
        let make = &mut |lanes, mode| {
            let dream = env(&model, lanes, |options| {
                (options.autoreset_mode, options.observation) = (mode, observation);
            });
            Ok(Box::new(dream) as Box<dyn VectorEnv>)
        };
        // A lane is the same to the bit, whatever the number of its neighbours.
        let config = CheckConfig { lanes: 3, steps: 16, seed: 7, lane_tolerance: 0.0 };
        check_env_with(make, &config).unwrap();
    }
}

#[test]
fn codes_and_states_are_those_of_the_frames() {
    let model = model();
    let dream_of = |observation| env(&model, 3, |options| options.observation = observation);
    let [mut frames, mut codes, mut states] =
        [DreamObservation::Rgb, DreamObservation::Codes, DreamObservation::State].map(dream_of);
    let mut all = [&mut frames, &mut codes, &mut states];
    all.iter_mut().for_each(|env| env.reset_all(Some(7)).unwrap());
    let mut seen = Vec::new();
    for t in 0..2 * STEPS_LEFT as i64 {
        all.iter_mut().for_each(|env| env.step_all(&actions(&[t % 3, 1, 2])).unwrap());
        let [frames, codes, states] = [&all[0], &all[1], &all[2]].map(|env| env.batch());
        assert_eq!((&frames.rewards, &frames.truncated), (&codes.rewards, &codes.truncated));
        assert_eq!((&frames.rewards, &frames.truncated), (&states.rewards, &states.truncated));
        assert_eq!(frames.info, codes.info);
        // The step after the end restarts, and shows truth's frame.
        if t != STEPS_LEFT as i64 {
            let indices = codes.observations.as_u16().unwrap();
            let codes: Vec<u8> = indices.iter().flat_map(|index| code_of(*index)).collect();
            let decoded = decode_frames(&model.tokenizer, &codes);
            let shown = frames.observations.as_u8().unwrap();
            let worst = shown.iter().zip(&decoded).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "step {t}: off by {worst}");
        }
        seen.push(states.observations.as_f32().unwrap()[..6].to_vec());
    }
    seen.dedup();
    assert!(seen.len() > 4, "states change: {seen:?}");
}

#[test]
fn a_state_is_told_in_the_units_of_the_card() {
    let plain = model();
    let mut scaled = plain.clone();
    scaled.card.tasks[0].object_mean = vec![1.0; 6];
    scaled.card.tasks[0].object_scale = vec![2.0; 6];
    let state = |model| {
        let mut env = env(model, 1, |options| options.observation = DreamObservation::State);
        env.reset_all(Some(1)).unwrap();
        env.step_all(&actions(&[2])).unwrap();
        env.batch().observations.as_f32().unwrap().to_vec()
    };
    let expected: Vec<_> = state(&plain).into_iter().map(|value| value * 2.0 + 1.0).collect();
    assert_eq!(state(&scaled), expected);
}

#[test]
fn a_model_without_objects_has_no_state() {
    let mut model = model();
    model.card.tasks[0].objects.clear();
    let options = NeuralOptions { observation: DreamObservation::State, ..NeuralOptions::new(1) };
    let error = NeuralVectorEnv::new(model, Box::new(Stripes(spec())), options).err().unwrap();
    assert!(error.to_string().contains("tracks no objects"), "{error}");
}

#[test]
fn uncertainty_is_told_of_what_was_dreamt() {
    let model = model();
    let mut env = env(&model, 2, |_| ());
    env.reset_all(Some(0)).unwrap();
    assert_eq!(env.batch().info(UNCERTAINTY).unwrap().mask, [false; 2]);
    env.step(&actions(&[0, 0]), &[false, true]).unwrap();
    let column = env.batch().info(UNCERTAINTY).unwrap();
    assert_eq!(column.mask, [false, true]);
    assert!(column.values[1] > 0.0 && column.values[1] < 8f32.ln(), "{column:?}");
    env.reset(&[None; 2], &[false, true]).unwrap();
    assert_eq!(env.batch().info(UNCERTAINTY).unwrap().mask, [false; 2]);
}

#[test]
fn a_state_goes_on_with_the_observation_that_it_was_saved_with() {
    let model = model();
    let mut codes = env(&model, 1, |options| options.observation = DreamObservation::Codes);
    let mut frames = env(&model, 1, |_| ());
    codes.reset_all(Some(1)).unwrap();
    let error = frames.load_lane(0, &codes.save_lane(0).unwrap()).unwrap_err();
    assert!(matches!(error, EnvError::State { .. }) && error.to_string().contains("observation"), "{error}");
}

#[test]
fn more_lanes_than_fit_are_refused_with_how_many_do() {
    let model = model();
    let make = |lanes, bytes| {
        let options = NeuralOptions { memory_bytes_max: Some(bytes), ..NeuralOptions::new(lanes) };
        NeuralVectorEnv::new(model.clone(), Box::new(Stripes(spec())), options)
    };
    let memory = make(3, u64::MAX).unwrap().memory();
    let allowed = memory.shared + 3 * memory.env.total();
    make(3, allowed).unwrap();
    let error = make(3, allowed - 1).err().unwrap();
    assert!(matches!(error, EnvError::Limit { .. }), "{error}");
    assert!(error.to_string().contains(": 2 fit") && error.to_string().contains("--memory-mb"), "{error}");
    // Not even tried: this many would take petabytes.
    let error = make(1 << 40, allowed).err().unwrap();
    assert!(matches!(error, EnvError::Limit { .. }), "{error}");
    let options = NeuralOptions::new(1 << 40);
    let error = NeuralVectorEnv::new(model.clone(), Box::new(Stripes(spec())), options).err().unwrap();
    assert!(matches!(error, EnvError::Limit { .. }), "{error}");
}

#[test]
fn an_episode_ends_above_the_tasks_threshold_unless_another_is_given() {
    let ends = |card: Option<f32>, given: Option<f32>| {
        let mut model = model();
        model.card.tasks[0].termination_threshold = card;
        let options = NeuralOptions { termination_threshold: given, ..NeuralOptions::new(1) };
        let mut env = NeuralVectorEnv::new(model, Box::new(Stripes(spec())), options).unwrap();
        env.reset_all(Some(1)).unwrap();
        env.step_all(&actions(&[1])).unwrap();
        env.batch().terminated[0]
    };
    assert!(ends(Some(0.0), None) && !ends(Some(1.0), None), "by the card");
    assert!(!ends(Some(0.0), Some(1.0)) && ends(Some(1.0), Some(0.0)), "by the option");
}

#[test]
fn impossible_options_are_refused() {
    let refused = |change: fn(&mut NeuralOptions)| {
        let mut options = NeuralOptions::new(1);
        change(&mut options);
        NeuralVectorEnv::new(model(), Box::new(Stripes(spec())), options).err().unwrap().to_string()
    };
    assert!(refused(|options| options.temperature = -0.5).contains("temperature is -0.5"));
    assert!(refused(|options| options.temperature = f32::NAN).contains("temperature is NaN"));
    assert!(refused(|options| options.termination_threshold = Some(f32::NAN)).contains("threshold"));
    assert!(refused(|options| options.num_envs = 0).contains("num_envs is 0"));
}

/// Truth under the neutral action: its frames tell their own number, and its episode ends after so many steps.
fn truths_frame(seed: u64, number: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    Stripes(spec()).starts(&[seed], &mut frames).unwrap();
    frames[number * FRAME_BYTES..(number + 1) * FRAME_BYTES].to_vec()
}

#[test]
fn the_clock_is_truths_clock() {
    let model = model();
    let mut env = env(&model, 2, |_| ());
    env.reset_all(Some(5)).unwrap();
    let shown = CONTEXT_FRAMES - 1;
    assert_eq!(frame(&env, 0), truths_frame(5, shown), "a reset shows the last start frame");
    assert_eq!(frame(&env, 1), truths_frame(6, shown));
    // Truth has taken `shown` steps by then, and is truncated by its step number STEPS_MAX.
    for step in shown as u32 + 1..=STEPS_MAX {
        env.step_all(&actions(&[0, 0])).unwrap();
        assert_eq!(env.batch().truncated, [step == STEPS_MAX; 2], "step {step}");
    }
}

#[test]
fn starts_as_long_as_an_episode_are_refused() {
    let spec = EnvSpec { max_episode_steps: CONTEXT_FRAMES as u32 - 1, ..spec() };
    let error = NeuralVectorEnv::new(model(), Box::new(Stripes(spec)), NeuralOptions::new(1)).err().unwrap();
    assert!(error.to_string().contains("expected 1..=3"), "{error}");
}

#[test]
fn a_reset_without_first_frames_changes_nothing() {
    let watch = Watch::default();
    let mut env =
        NeuralVectorEnv::new(model(), Box::new(Watched::new(&watch)), NeuralOptions::new(1)).unwrap();
    env.reset_all(Some(1)).unwrap();
    let before = env.save_lane(0).unwrap();
    watch.set_fails(true);
    assert!(matches!(env.reset_all(Some(2)), Err(EnvError::Engine { .. })));
    assert_eq!(env.save_lane(0).unwrap(), before);
}

#[test]
fn a_step_whose_restart_fails_has_moved_nothing() {
    let model = model();
    let watch = Watch::default();
    let options = NeuralOptions { termination_threshold: Some(1.0), ..NeuralOptions::new(2) };
    let starts: [Box<dyn StartSource>; 2] = [Box::new(Watched::new(&watch)), Box::new(Stripes(spec()))];
    let [mut failing, mut sound] =
        starts.map(|starts| NeuralVectorEnv::new(model.clone(), starts, options).unwrap());
    for env in [&mut failing, &mut sound] {
        env.reset_all(Some(1)).unwrap();
        (0..STEPS_LEFT).for_each(|t| env.step(&actions(&[2, 0]), &[true, t > 1]).unwrap());
        assert_eq!(env.batch().truncated, [true, false], "one lane is to restart, the other to go on");
    }
    let state =
        |env: &NeuralVectorEnv| (env.batch().clone(), [0, 1].map(|lane| env.save_lane(lane).unwrap()));
    let before = state(&failing);
    watch.set_fails(true);
    assert!(matches!(failing.step_all(&actions(&[1, 2])), Err(EnvError::Engine { .. })));
    assert!(state(&failing) == before);
    watch.set_fails(false);
    for env in [&mut failing, &mut sound] {
        env.step_all(&actions(&[1, 2])).unwrap();
    }
    assert!(state(&failing) == state(&sound), "tried again, it steps once");
}
