//! The scalar form is the vector form of one lane.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use worldstep_env::{AutoresetMode, Buffer, Env as _, EnvError, SingleEnv, VectorEnv as _, make_truth};

const TASK: &str = "CatchBehindScreen-v0";

fn single() -> SingleEnv<worldstep_env::TruthVectorEnv> {
    SingleEnv::new(make_truth(TASK, 1, AutoresetMode::Disabled).unwrap()).unwrap()
}

#[test]
fn lane_of_a_vector_equals_the_single_environment_with_its_seed() {
    let mut vector = make_truth(TASK, 3, AutoresetMode::NextStep).unwrap();
    let mut single = single();
    vector.reset_all(Some(10)).unwrap();
    let first = single.reset(Some(12)).unwrap();
    let width = first.len();
    let lane_2 = |batch: &worldstep_env::Batch| batch.observations.as_f32().unwrap()[2 * width..].to_vec();
    assert_eq!(first.as_f32().unwrap(), lane_2(vector.batch()));
    for t in 0..30 {
        let action = i64::from(t % 3);
        vector.step_all(&Buffer::I64(vec![0, 1, action])).unwrap();
        let step = single.step(&Buffer::I64(vec![action])).unwrap();
        assert_eq!(step.observation.as_f32().unwrap(), lane_2(vector.batch()));
        assert_eq!(step.reward, vector.batch().rewards[2]);
    }
}

#[test]
fn a_step_after_the_end_asks_for_a_reset_and_a_loaded_state_remembers_the_end() {
    let mut env = single();
    env.reset(Some(0)).unwrap();
    let mut last = None;
    while last.as_ref().is_none_or(|step: &worldstep_env::Step| !step.terminated && !step.truncated) {
        last = Some(env.step(&Buffer::I64(vec![0])).unwrap());
    }
    let ended = env.save_state().unwrap();
    assert!(matches!(env.step(&Buffer::I64(vec![0])), Err(EnvError::NeedsReset { .. })));
    env.reset(Some(1)).unwrap();
    env.step(&Buffer::I64(vec![0])).unwrap();
    env.load_state(&ended).unwrap();
    assert!(matches!(env.step(&Buffer::I64(vec![0])), Err(EnvError::NeedsReset { .. })));
}

#[test]
fn more_than_one_lane_is_refused() {
    assert!(SingleEnv::new(make_truth(TASK, 2, AutoresetMode::Disabled).unwrap()).is_err());
}
