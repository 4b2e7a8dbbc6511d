//! Where batches are put together changes nothing of what is learned from them.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/bits.rs"]
mod bits;
mod toy;

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use bits::{learned, timeless};
use worldstep_model::config::RefinerConfig;
use worldstep_model::data::{Clips, Corpus};
use worldstep_model::train::{
    Budget, Feed, ObjectiveOptions, SelfForcing, Stage, TrainOptions, TrainSummary, train_on,
};

const STEPS: [u64; 2] = [5, 8];

/// Own frames from the first step on, a refiner, and windows that run over the ends of their clips.
fn options(out: &Path, feed: Feed) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer: STEPS[0], dynamics: STEPS[1] };
    (options.batch, options.validation_batches, options.resume, options.feed) = (3, 1, true, feed);
    options.objective = ObjectiveOptions {
        self_forcing: SelfForcing { share: 0.4, begin: 0.0, full: 0.5, horizon: 3, ..SelfForcing::default() },
        refiner: Some(RefinerConfig::default()),
        ..ObjectiveOptions::default()
    };
    options
}

fn tasks() -> Vec<Clips> {
    let mut other = toy::clips(4, 27, 2);
    other.scenario.id = "Other-v0".to_owned();
    other.path = "other".into();
    vec![toy::clips(4, 20, 1), other]
}

/// Trains until `stop` of (stage, step), if it comes to that.
fn train_until(clips: &[Clips], options: &TrainOptions, stop: Option<(Stage, u64)>) -> TrainSummary {
    options.stop.store(false, Relaxed);
    let raise = options.stop.clone();
    let corpus = Corpus::new(clips, &[]).unwrap();
    train_on(corpus, options, &mut |at| raise.store(Some((at.stage, at.step)) == stop, Relaxed)).unwrap()
}

/// One test: random weights come from the device's one generator, which two trainings at a time would share.
#[test]
fn all_feeds_learn_the_same_bits_also_when_they_are_stopped_and_resumed() {
    let clips = tasks();
    let host = tempfile::tempdir().unwrap();
    let summary = train_until(&clips, &options(host.path(), Feed::Host), None);
    let expected = learned(host.path());
    assert_eq!(expected.len(), 7, "{:?}", expected.keys());
    for feed in [Feed::Ahead, Feed::Device] {
        let dir = tempfile::tempdir().unwrap();
        for stop in
            [Some((Stage::Tokenizer, 3)), Some((Stage::Dynamics, 2)), Some((Stage::Dynamics, 5)), None]
        {
            let resumed = train_until(&clips, &options(dir.path(), feed), stop);
            assert_eq!(resumed.stopped, stop.is_some());
            if stop.is_none() {
                assert_eq!(timeless(&resumed.record), timeless(&summary.record));
            }
        }
        let found = learned(dir.path());
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "{name} differs with {}", feed.name());
        }
    }
    let other = tempfile::tempdir().unwrap();
    let mut options = options(other.path(), Feed::Device);
    options.seed = 1;
    train_until(&clips, &options, None);
    assert!(learned(other.path())["dynamics.safetensors"] != expected["dynamics.safetensors"]);
}
