//! Seeded rollouts of every task are what they were when `golden/rollouts.json` was written.
//! `WORLDSTEP_BLESS=1 cargo test -p worldstep-env --test golden_rollouts` writes it anew after a deliberate change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;

use rand::SeedableRng as _;
use serde::{Deserialize, Serialize};
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{AutoresetMode, Buffer, Rng, VectorEnv as _, make_truth};

const LANES: usize = 2;
const STEPS: usize = 40;
/// Steps after which processors that round the last bit of a sine otherwise must still agree, and how well.
const EARLY: usize = 5;
const TOLERANCE: f32 = 1e-3;

/// One task's rollout.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    /// CRC-32 of all observations, rewards and flags.
    hash: u32,
    /// Observations of lane 0 early on.
    early: Vec<f32>,
}

/// What `golden/rollouts.json` holds.
#[derive(Serialize, Deserialize)]
struct File {
    /// On which it was written: elsewhere, sines and products may be rounded otherwise.
    processor: String,
    tasks: BTreeMap<String, Golden>,
}

fn rollout(entry: &TaskEntry) -> Golden {
    let mut env = make_truth(entry.id, LANES, AutoresetMode::NextStep).unwrap();
    let (space, width) = (env.spec().action_space.clone(), env.spec().observation_space.flat_len());
    let mut rng = Rng::seed_from_u64(20);
    let (mut hash, mut early) = (crc32fast::Hasher::new(), Vec::new());
    env.reset_all(Some(100)).unwrap();
    for step in 0..STEPS {
        let mut actions = Buffer::empty(space.dtype());
        (0..LANES).for_each(|_| space.sample(&mut rng, &mut actions));
        env.step_all(&actions).unwrap();
        let batch = env.batch();
        let observations = batch.observations.as_f32().unwrap();
        observations.iter().chain(&batch.rewards).for_each(|value| hash.update(&value.to_le_bytes()));
        let flags = batch.terminated.iter().chain(&batch.truncated);
        flags.for_each(|flag| hash.update(&[u8::from(*flag)]));
        if step + 1 == EARLY {
            early = observations[..width].to_vec();
        }
    }
    Golden { hash: hash.finalize(), early }
}

/// What decides how the last bit is rounded, where the system tells: the processor's name, and a sum of what it can do.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(key)?.split_once(": "));
        line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.to_owned())
    };
    format!("{}, {:08x}", value("model name"), crc32fast::hash(value("flags").as_bytes()))
}

#[test]
fn rollouts_are_those_of_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rollouts.json");
    let tasks = TASKS.iter().map(|entry| (entry.id.to_owned(), rollout(entry))).collect();
    let found = File { processor: processor(), tasks };
    if std::env::var_os("WORLDSTEP_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let golden: File = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(golden.tasks.keys().eq(found.tasks.keys()), "the golden file has other tasks: bless it");
    let mut other_bits = Vec::new();
    for (id, found) in &found.tasks {
        let known = &golden.tasks[id];
        let apart = found.early.iter().zip(&known.early).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!(found.early.len(), known.early.len(), "{id}");
        assert!(
            apart <= TOLERANCE,
            "{id} is {apart} off after {EARLY} steps: a change that others must know of"
        );
        if found.hash != known.hash {
            other_bits.push(id);
        }
    }
    println!("other bits on {} than on {}: {other_bits:?}", found.processor, golden.processor);
    let same = found.processor == golden.processor;
    assert!(!same || other_bits.is_empty(), "other bits on the same processor: {other_bits:?}");
}
