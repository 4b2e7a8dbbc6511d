//! The targets' code without libFuzzer: random inputs from a fixed seed.
#![allow(clippy::unwrap_used)]

use arbitrary::{Arbitrary, Unstructured};
use rand::{RngExt as _, SeedableRng as _};
use worldstep_env::Rng;
use worldstep_env_fuzz::{File, Life, build, live};

/// As many inputs as there are bytes for.
fn inputs<T: for<'a> Arbitrary<'a>>(seed: u64, count: usize) -> Vec<T> {
    let mut rng = Rng::seed_from_u64(seed);
    let made = (0..count).filter_map(|_| {
        let bytes: Vec<u8> = (0..rng.random_range(20..400)).map(|_| rng.random_range(0..=255)).collect();
        T::arbitrary(&mut Unstructured::new(&bytes)).ok()
    });
    made.collect()
}

#[test]
fn random_lives_keep_every_promise() {
    let lives: Vec<Life> = inputs(3, 2_600);
    let operations: usize = lives.iter().map(|life| life.operations.len()).sum();
    assert!(operations > 2_000, "{operations}");
    lives.iter().for_each(live);
}

#[test]
fn random_files_are_robots_or_refused() {
    let files: Vec<File> = inputs(4, 2_000);
    assert!(files.len() > 500, "{}", files.len());
    files.iter().for_each(build);
}
