//! Pixel observations behave as every environment does.
#![allow(clippy::unwrap_used)]

use worldstep_env::check::{CheckConfig, check_env_with};
use worldstep_env::registry::TASKS;
use worldstep_env::{
    AutoresetMode, Buffer, EnvError, TruthSource as _, TruthVectorEnv, VectorEnv, make_truth,
};
use worldstep_synth::RenderedVectorEnv;

fn rendered(id: &str, lanes: usize, mode: AutoresetMode) -> Result<Box<dyn VectorEnv>, EnvError> {
    let truth = make_truth(id, lanes, mode)?;
    let env = RenderedVectorEnv::new(truth, 64, 64)
        .map_err(|error| EnvError::Engine { message: error.to_string() })?;
    Ok(Box::new(env))
}

#[test]
fn every_task_passes_the_check_with_pixels() {
    for task in &TASKS {
        let config = CheckConfig { steps: 12, ..CheckConfig::default() };
        let checked = check_env_with(&mut |lanes, mode| rendered(task.id, lanes, mode), &config);
        if let Err(failure) = checked {
            panic!("{}: {failure}", task.id);
        }
    }
}

#[test]
fn only_masked_lanes_get_new_images() {
    let truth = make_truth("CatchBehindScreen-v0", 3, AutoresetMode::NextStep).unwrap();
    let mut env: RenderedVectorEnv<TruthVectorEnv> = RenderedVectorEnv::new(truth, 64, 64).unwrap();
    env.reset_all(Some(1)).unwrap();
    let before = env.batch().observations.clone();
    for _ in 0..4 {
        env.step(&Buffer::I64(vec![1; 3]), &[false, true, false]).unwrap();
    }
    let (before, after) = (before.as_u8().unwrap(), env.batch().observations.as_u8().unwrap());
    let image = 64 * 64 * 3;
    for lane in 0..3 {
        let same = before[lane * image..(lane + 1) * image] == after[lane * image..(lane + 1) * image];
        assert_eq!(same, lane != 1, "lane {lane}");
    }
    let mut state = Vec::new();
    env.state(0, &mut state);
    assert_eq!(state.len(), 8);
}
