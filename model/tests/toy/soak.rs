//! Many steps with random resets, watched from outside.
#![allow(dead_code, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng};
use worldstep_env::{Buffer, Rng, VectorEnv};

/// What a run looked like in one tenth of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Tenth {
    /// Middle one of the times that steps took in which no lane restarted, milliseconds.
    pub step_ms: f64,
    /// Resident memory of this process at the end of it, bytes.
    pub resident_bytes: u64,
}

/// Steps `env` so often under random actions, with resets of random lanes in between, and checks every row. Gives the
/// second tenth, in which everything is warm, and the last one.
pub fn soak(env: &mut dyn VectorEnv, steps: usize) -> (Tenth, Tenth) {
    let (n, space) = (env.num_envs(), env.spec().action_space.clone());
    let mut rng = Rng::seed_from_u64(17);
    let mask = vec![true; n];
    env.reset_all(Some(0)).unwrap();
    let mut tenths = Vec::new();
    for _ in 0..10 {
        let mut times = Vec::new();
        for _ in 0..steps / 10 {
            if rng.random_bool(0.1) {
                let seeds: Vec<_> = (0..n).map(|_| rng.random_bool(0.5).then(|| rng.random())).collect();
                let some: Vec<_> = (0..n).map(|_| rng.random_bool(0.3)).collect();
                env.reset(&seeds, &some).unwrap();
            }
            let restarts = (0..n).any(|lane| env.batch().done(lane));
            let mut actions = space.buffer(0);
            (0..n).for_each(|_| space.sample(&mut rng, &mut actions));
            let begun = Instant::now();
            env.step(&actions, &mask).unwrap();
            if !restarts {
                times.push(begun.elapsed());
            }
            check(env);
        }
        tenths.push(Tenth { step_ms: middle_ms(&mut times), resident_bytes: resident_bytes() });
    }
    (tenths[1], tenths[9])
}

fn check(env: &dyn VectorEnv) {
    let batch = env.batch();
    assert!(batch.rewards.iter().all(|reward| reward.is_finite()));
    assert!(batch.info.iter().flat_map(|column| &column.values).all(|value| value.is_finite()));
    if let Buffer::F32(values) = &batch.observations {
        assert!(values.iter().all(|value| value.is_finite()));
    }
}

fn middle_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// Memory of this process that is in the machine's.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
