//! The targets' code without libFuzzer: golden messages, and random inputs from a fixed seed.
#![allow(clippy::unwrap_used)]

use arbitrary::{Arbitrary as _, Unstructured};
use rand::{RngExt as _, SeedableRng as _};
use worldstep_bridge_fuzz::{Scenario, decode, play};

#[test]
fn golden_messages_are_decoded_and_written_again() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 16);
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        decode(&bytes);
        (0..bytes.len()).for_each(|end| decode(&bytes[..end]));
    }
}

#[test]
fn random_scenarios_are_answered_as_the_model_answers_them() {
    let mut rng = worldstep_env::Rng::seed_from_u64(5);
    let mut played = 0;
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..rng.random_range(1..2000)).map(|_| rng.random_range(0..=255)).collect();
        // Too few bytes for the last operation, and there is no scenario.
        if let Ok(scenario) = Scenario::arbitrary(&mut Unstructured::new(&bytes)) {
            played += scenario.operations.len();
            play(&scenario);
        }
    }
    assert!(played > 50_000, "{played}");
}
