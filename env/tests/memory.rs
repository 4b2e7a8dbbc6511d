//! Random steps leave memory as it is. `WORLDSTEP_STEPS` says how many each task takes: 4,000 by default, `make soak` asks
//! for a million.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Instant;

use rand::SeedableRng as _;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{AutoresetMode, Buffer, Rng, VectorEnv as _, make_truth};

const LANES: usize = 8;
/// What the allocator may keep more of than it did when it was warm, bytes.
const SLACK: u64 = 4 << 20;

/// Resident memory, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// How much more memory there is after `steps` than after a quarter of them.
fn growth(entry: &TaskEntry, steps: usize) -> u64 {
    let mut env = make_truth(entry.id, LANES, AutoresetMode::NextStep).unwrap();
    let space = env.spec().action_space.clone();
    let (mut rng, mut actions) = (Rng::seed_from_u64(1), Buffer::empty(space.dtype()));
    env.reset_all(Some(1)).unwrap();
    let mut warm = 0;
    for step in 0..steps / LANES {
        match &mut actions {
            Buffer::F32(values) => values.clear(),
            Buffer::I64(values) => values.clear(),
            Buffer::U8(_) | Buffer::U16(_) => {}
        }
        (0..LANES).for_each(|_| space.sample(&mut rng, &mut actions));
        env.step_all(&actions).unwrap();
        let batch = env.batch();
        let observations = batch.observations.as_f32().unwrap();
        assert!(observations.iter().chain(&batch.rewards).all(|value| value.is_finite()), "{}", entry.id);
        if step == steps / LANES / 4 {
            warm = resident();
        }
    }
    resident().saturating_sub(warm)
}

#[test]
fn random_steps_leave_memory_flat() {
    let steps = std::env::var("WORLDSTEP_STEPS").map_or(4_000, |steps| steps.parse().unwrap());
    let only = std::env::var("WORLDSTEP_TASK").unwrap_or_default();
    for entry in TASKS.iter().filter(|entry| only.is_empty() || entry.id == only) {
        let start = Instant::now();
        let grown = growth(entry, steps);
        let pace = steps as f64 / start.elapsed().as_secs_f64();
        println!("{:24} {steps} steps, {pace:7.0} a second, {} KiB more", entry.id, grown >> 10);
        assert!(grown <= SLACK, "{}: {grown} bytes more after {steps} steps", entry.id);
    }
}
