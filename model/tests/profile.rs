//! The profile of a training step tells all of its time, by part.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
mod toy;

use std::time::Duration;

use worldstep_model::config::{ModelConfig, Preset};
use worldstep_model::train::{Feed, StepFlop, TrainError, TrainOptions, profile};

const PARTS: [&str; 12] = [
    "batch",
    "rounding",
    "roll_out",
    "embed",
    "attention_within_frame",
    "attention_over_time",
    "feed_forward",
    "heads",
    "loss",
    "backward",
    "clipping",
    "optimizer",
];

#[test]
fn the_parts_of_a_step_are_the_whole_of_it_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("model"));
    disk::write(&toy::clips(4, 20, 1), &data);
    for feed in [Feed::Host, Feed::Device] {
        let options = TrainOptions { batch: 2, feed, ..TrainOptions::new(&data, &out) };
        let found = profile(&options, Duration::ZERO).unwrap();
        assert_eq!((found.steps, found.frames), (1, 2 * 32));
        assert_eq!(found.parts.iter().map(|part| part.part).collect::<Vec<_>>(), PARTS);
        // Of a single step, medians are the times themselves.
        let all: f64 = found.parts.iter().map(|part| part.seconds).sum();
        assert!((all - found.seconds).abs() < 1e-9 * found.seconds, "{all} of {}", found.seconds);
        let flop: u64 = found.parts.iter().filter_map(|part| part.flop).sum();
        let expected = StepFlop::new(&ModelConfig::new(Preset::Nano, 3, 2), 2, 32);
        assert_eq!(flop, expected.forward() + expected.backward());
        assert!(found.batch_share() > 0.0 && found.batch_share() < 1.0);
        // What computes takes time; a lap that was forgotten would have none.
        let busy = |name: &&str| !["rounding", "roll_out"].contains(name);
        for name in PARTS.iter().filter(|name| busy(name)) {
            assert!(found.parts.iter().any(|part| part.part == *name && part.seconds > 0.0), "{name}");
        }
    }
    assert!(!out.exists());
    let options = TrainOptions { batch: 0, ..TrainOptions::new(&data, &out) };
    let refusal = profile(&options, Duration::ZERO).unwrap_err();
    assert!(matches!(refusal, TrainError::Option { .. }), "{refusal}");
}
