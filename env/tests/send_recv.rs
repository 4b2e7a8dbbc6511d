//! Sent and received environments do what a vector's lanes do, in whatever order they come.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use worldstep_env::registry::find;
use worldstep_env::{AutoresetMode, Buffer, EnvError, Rng, SendRecvEnv, Space, VectorEnv as _, make_truth};

const ENVS: usize = 7;
const BATCH: usize = 3;
const STEPS: usize = 60;

/// What environment `i` is told at its step `k`, whoever else is told something.
fn action(space: &Space, i: usize, k: usize) -> Buffer {
    let mut action = Buffer::empty(space.dtype());
    space.sample(&mut Rng::seed_from_u64((i * 1_000 + k) as u64), &mut action);
    action
}

/// Observation and reward of each environment after each of its steps, as a vector does it.
fn expected(task: &str, mode: AutoresetMode) -> Vec<Vec<(Vec<f32>, f32, bool)>> {
    let mut env = make_truth(task, ENVS, mode).unwrap();
    env.reset_all(Some(40)).unwrap();
    let space = env.spec().action_space.clone();
    let width = env.spec().observation_space.flat_len();
    let mut seen = vec![Vec::new(); ENVS];
    for k in 0..=STEPS {
        let batch = env.batch();
        for (i, seen) in seen.iter_mut().enumerate() {
            let row = batch.observations.as_f32().unwrap()[i * width..(i + 1) * width].to_vec();
            seen.push((row, batch.rewards[i], batch.done(i)));
        }
        let mut actions = Buffer::empty(space.dtype());
        (0..ENVS).for_each(|i| actions.append(&action(&space, i, k)));
        env.step_all(&actions).unwrap();
    }
    seen
}

#[test]
fn each_environment_does_what_its_lane_does() {
    for task in ["CartPole-v0", "CatchBehindScreen-v0", "Ant-v0"] {
        let expected = expected(task, AutoresetMode::NextStep);
        let mut env = SendRecvEnv::new(find(task).unwrap(), ENVS, BATCH, 2, AutoresetMode::NextStep).unwrap();
        let space = env.spec().action_space.clone();
        let width = env.spec().observation_space.flat_len();
        env.reset(Some(40)).unwrap();
        assert_eq!(env.under_way(), ENVS);
        let mut steps = [0; ENVS];
        let mut chance = Rng::seed_from_u64(9);
        while env.under_way() > 0 {
            let received = env.recv().unwrap();
            let ids = received.env_ids.to_vec();
            assert!(ids.is_sorted() && ids.len() <= BATCH);
            for (row, i) in ids.iter().enumerate() {
                let observation =
                    &received.batch.observations.as_f32().unwrap()[row * width..(row + 1) * width];
                let (seen, reward, done) = &expected[*i][steps[*i]];
                assert_eq!(observation, seen, "{task} environment {i} step {}", steps[*i]);
                assert_eq!((received.batch.rewards[row], received.batch.done(row)), (*reward, *done));
            }
            // One after the other or together, and never the one that is through.
            let mut together = (Vec::new(), Buffer::empty(space.dtype()));
            for i in ids {
                if steps[i] == STEPS {
                    continue;
                }
                together.1.append(&action(&space, i, steps[i]));
                together.0.push(i);
                steps[i] += 1;
                if chance.random_bool(0.5) {
                    env.send(&together.1, &together.0).unwrap();
                    together = (Vec::new(), Buffer::empty(space.dtype()));
                }
            }
            env.send(&together.1, &together.0).unwrap();
        }
        assert_eq!(steps, [STEPS; ENVS]);
    }
}

#[test]
fn what_cannot_be_is_refused_and_steps_nothing() {
    let entry = find("CartPole-v0").unwrap();
    let new = |envs, batch, mode| SendRecvEnv::new(entry, envs, batch, 1, mode);
    assert!(new(2, 3, AutoresetMode::NextStep).is_err() && new(2, 0, AutoresetMode::NextStep).is_err());
    assert!(new(2, 1, AutoresetMode::SameStep).is_err());
    let mut env = new(3, 3, AutoresetMode::Disabled).unwrap();
    let says = |error: EnvError, what: &str| assert!(error.to_string().contains(what), "{error}");
    says(env.recv().unwrap_err(), "no environment is under way");
    says(env.send(&Buffer::F32(vec![0.0]), &[0]).unwrap_err(), "needs a reset");
    env.reset(Some(1)).unwrap();
    says(env.send(&Buffer::F32(vec![0.0]), &[0]).unwrap_err(), "under way");
    says(env.reset(None).unwrap_err(), "3 environments are under way");
    env.recv().unwrap();
    says(env.send(&Buffer::F32(vec![0.0; 2]), &[1, 1]).unwrap_err(), "twice");
    says(env.send(&Buffer::F32(vec![0.0]), &[3]).unwrap_err(), "0..3");
    says(env.send(&Buffer::F32(vec![2.0]), &[0]).unwrap_err(), "outside");
    assert_eq!(env.under_way(), 0);
    // One that has ended waits for its reset.
    while {
        env.send(&Buffer::F32(vec![1.0]), &[0]).unwrap();
        !env.recv().unwrap().batch.done(0)
    } {}
    says(env.send(&Buffer::F32(vec![0.0; 2]), &[1, 0]).unwrap_err(), "environment 0 needs a reset");
    env.send_reset(&[0]).unwrap();
    env.recv().unwrap();
    env.send(&Buffer::F32(vec![0.0]), &[0]).unwrap();
}

/// Steps environment `i` alone and gives what it sees.
fn step_alone(env: &mut SendRecvEnv, i: usize, k: usize) -> Vec<f32> {
    let space = env.spec().action_space.clone();
    env.send(&action(&space, i, k), &[i]).unwrap();
    let received = env.recv().unwrap();
    assert_eq!(received.env_ids, [i]);
    let observations = received.batch.observations.as_f32().unwrap();
    observations[..observations.len() / BATCH].to_vec()
}

#[test]
fn a_saved_environment_goes_on_here_and_in_a_vector() {
    let entry = find("PushCube-v0").unwrap();
    let mut env = SendRecvEnv::new(entry, ENVS, BATCH, 2, AutoresetMode::NextStep).unwrap();
    assert!(matches!(env.save(1), Err(EnvError::NeedsReset { lane: 1 })));
    env.reset(Some(40)).unwrap();
    assert!(env.save(1).unwrap_err().to_string().contains("under way"));
    while env.under_way() > 0 {
        env.recv().unwrap();
    }
    (0..5).for_each(|k| drop(step_alone(&mut env, 1, k)));
    let state = env.save(1).unwrap();
    let expected: Vec<_> = (5..9).map(|k| step_alone(&mut env, 1, k)).collect();
    env.load(1, &state).unwrap();
    assert_eq!((5..9).map(|k| step_alone(&mut env, 1, k)).collect::<Vec<_>>(), expected);
    let mut vector = make_truth("PushCube-v0", 1, AutoresetMode::NextStep).unwrap();
    vector.load_lane(0, &state).unwrap();
    for (k, expected) in (5..9).zip(&expected) {
        vector.step_all(&action(&entry.spec().action_space, 1, k)).unwrap();
        assert_eq!(vector.batch().observations.as_f32().unwrap(), expected);
    }
    assert!(matches!(env.load(1, &state[1..]), Err(EnvError::State { .. })));
    assert!(env.load(ENVS, &state).unwrap_err().to_string().contains("expected 0..7"));
}

#[test]
fn options_are_those_of_a_vector() {
    let entry = find("PushCube-v0").unwrap();
    let mut env = SendRecvEnv::new(entry, ENVS, BATCH, 2, AutoresetMode::NextStep).unwrap();
    let easy = BTreeMap::from([("difficulty".to_owned(), 0.0)]);
    env.set_options(&easy, &[2, 3]).unwrap();
    env.reset(Some(40)).unwrap();
    let mut vector = make_truth("PushCube-v0", ENVS, AutoresetMode::NextStep).unwrap();
    vector.set_options(&easy, &std::array::from_fn::<_, ENVS, _>(|i| i == 2 || i == 3)).unwrap();
    vector.reset_all(Some(40)).unwrap();
    let expected = vector.batch().observations.as_f32().unwrap().to_vec();
    let width = expected.len() / ENVS;
    while env.under_way() > 0 {
        let received = env.recv().unwrap();
        for (row, i) in received.env_ids.iter().enumerate() {
            let seen = &received.batch.observations.as_f32().unwrap()[row * width..(row + 1) * width];
            assert_eq!(seen, &expected[i * width..(i + 1) * width]);
        }
    }
    let error = env.set_options(&BTreeMap::from([("ease".to_owned(), 1.0)]), &[0]).unwrap_err();
    assert!(error.to_string().contains("expected difficulty"), "{error}");
}
