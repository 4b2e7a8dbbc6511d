//! A training that was stopped and resumed, at any point, ends with the very bits of one that was not.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/bits.rs"]
mod bits;
mod toy;

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bits::{learned, timeless, without_notes};
use burn::tensor::Device;
use worldstep_model::data::{Clips, Split};
use worldstep_model::model::Model;
use worldstep_model::train::{
    Budget, Optimizer, Stage, Stages, TrainError, TrainOptions, TrainSummary, train_on,
};

/// Random weights come from the device's one generator, which two trainings at a time would share.
static DEVICE: Mutex<()> = Mutex::new(());

fn device() -> MutexGuard<'static, ()> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

const STEPS: [u64; 2] = [44, 42];

fn options(out: &Path) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer: STEPS[0], dynamics: STEPS[1] };
    options.batch = 2;
    options.validation_batches = 1;
    options.resume = true;
    options
}

/// Trains until `stop` of (stage, step), if it comes to that.
fn train_until(clips: &Clips, options: &TrainOptions, stop: Option<(Stage, u64)>) -> TrainSummary {
    options.stop.store(false, Relaxed);
    let raise = options.stop.clone();
    train_on(clips, options, &mut |at| raise.store(Some((at.stage, at.step)) == stop, Relaxed)).unwrap()
}

#[test]
fn a_resumed_training_ends_with_the_same_bits() {
    resumes_to_the_bit(Optimizer::AdamW);
}

#[test]
fn a_resumed_training_with_muon_ends_with_the_same_bits() {
    resumes_to_the_bit(Optimizer::Muon);
}

fn resumes_to_the_bit(optimizer: Optimizer) {
    let _device = device();
    let options = |out: &Path| TrainOptions { optimizer, ..options(out) };
    let clips = toy::clips(8, 20, 1);
    let (straight, halting) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun = train_until(&clips, &options(straight.path()), Some((Stage::Tokenizer, STEPS[0])));
    assert!(begun.stopped, "both stages went through");
    let after_tokenizer = learned(straight.path());
    let whole = tempfile::tempdir().unwrap();
    let summary = train_until(&clips, &options(whole.path()), None);

    let stops = [
        // In the middle of a stage, between two validations and right at one.
        Some((Stage::Tokenizer, 9)),
        Some((Stage::Tokenizer, 22)),
        // Between the stages.
        Some((Stage::Tokenizer, STEPS[0])),
        Some((Stage::Dynamics, 1)),
        Some((Stage::Dynamics, 30)),
        None,
    ];
    for stop in stops {
        let resumed = train_until(&clips, &options(halting.path()), stop);
        assert_eq!(resumed.stopped, stop.is_some());
        if stop == Some((Stage::Tokenizer, STEPS[0])) {
            assert!(learned(halting.path()) == after_tokenizer, "the tokenizer differs");
        }
        if stop.is_none() {
            assert_eq!(timeless(&resumed.record), timeless(&summary.record));
        }
    }
    let (expected, found) = (learned(whole.path()), learned(halting.path()));
    assert!(
        expected.keys().any(|name| name.contains("dynamics-0000042/moments.bpk")),
        "{:?}",
        expected.keys()
    );
    assert_eq!(expected.len(), 7, "{:?}", expected.keys());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let trained = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        (options.seed, options.budget) = (seed, Budget::Steps { tokenizer: 6, dynamics: 6 });
        train_until(&clips, &options, None);
        learned(dir.path())
    };
    let first = trained(3);
    assert!(first == trained(3));
    assert!(first["dynamics.safetensors"] != trained(4)["dynamics.safetensors"]);
}

#[test]
fn the_best_validation_is_kept_and_it_is_of_the_average() {
    let _device = device();
    let clips = toy::clips(8, 20, 1);
    let dir = tempfile::tempdir().unwrap();
    let summary = train_until(&clips, &options(dir.path()), None);
    for (stage, steps) in [(Stage::Tokenizer, STEPS[0]), (Stage::Dynamics, STEPS[1])] {
        let of_stage: Vec<_> = summary.record.validation.iter().filter(|v| v.stage == stage).collect();
        assert_eq!(of_stage.len(), 2, "{of_stage:?}");
        assert_eq!(of_stage[1].step, steps);
    }
    let kept = learned(dir.path())["dynamics.safetensors"].clone();
    let best = summary.record.best(Stage::Dynamics).unwrap().step;
    let there = tempfile::tempdir().unwrap();
    train_until(&clips, &options(there.path()), Some((Stage::Dynamics, best)));
    let files = learned(there.path());
    let of_best = |end| files.iter().find(|(name, _)| name.ends_with(end)).unwrap().1;
    assert!(kept == *of_best("average.safetensors"), "not the average of step {best}, which was the best");
    assert!(kept != *of_best("weights.safetensors"), "the average is the weights themselves");
    assert_eq!(Model::load(dir.path(), &Device::flex()).unwrap().card.training, summary.record);

    // A better validation that is on record already is not replaced by a worse one.
    let state = dir.path().join("training.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    json["record"]["validation"][3]["loss"] = 1e-6.into();
    std::fs::write(&state, json.to_string()).unwrap();
    let mut longer = options(dir.path());
    longer.budget = Budget::Steps { tokenizer: STEPS[0], dynamics: STEPS[1] + 20 };
    let summary = train_until(&clips, &longer, None);
    assert_eq!(summary.record.dynamics_steps, STEPS[1] + 20);
    assert!(summary.record.validation.len() > 4);
    assert!(learned(dir.path())["dynamics.safetensors"] == kept, "the best weights were lost");
}

#[test]
fn without_validation_clips_the_last_weights_are_kept_and_it_is_said_once() {
    let _device = device();
    let mut clips = toy::clips(4, 20, 1);
    clips.ranges.iter_mut().for_each(|range| range.split = Split::Train);
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let summary = train_on(&clips, &options(dir.path()), &mut |at| told.extend(at.notice.clone())).unwrap();
    assert!(summary.record.validation.is_empty());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("split val") && told == summary.notices, "{told:?}");
    let files = learned(dir.path());
    let last = files.iter().find(|(name, _)| name.ends_with("average.safetensors")).unwrap().1;
    assert!(files["dynamics.safetensors"] == *last);
}

#[test]
fn stages_can_be_trained_apart() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let dir = tempfile::tempdir().unwrap();
    let only = |stage| {
        let mut options = options(dir.path());
        options.stages = Stages::Only(stage);
        options.budget = Budget::Steps { tokenizer: 5, dynamics: 4 };
        options
    };
    let error = train_on(&clips, &only(Stage::Dynamics), &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::NoTokenizer { .. }), "{error}");
    assert!(error.to_string().contains("--stage tokenizer"), "{error}");
    assert!(!dir.path().join("config.json").exists(), "a refused training leaves files");
    let record = train_until(&clips, &only(Stage::Tokenizer), None).record;
    assert_eq!((record.tokenizer_steps, record.dynamics_steps), (5, 0));
    let record = train_until(&clips, &only(Stage::Dynamics), None).record;
    assert_eq!((record.tokenizer_steps, record.dynamics_steps), (5, 4));
    let again = train_until(&clips, &only(Stage::Tokenizer), None).record;
    assert_eq!(again, record, "a finished stage has nothing left to do");
}

#[test]
fn frames_are_encoded_once_and_a_damaged_cache_is_not_trusted() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("codes.bin");
    let trained_to = |dynamics| {
        let mut options = options(dir.path());
        options.budget = Budget::Steps { tokenizer: 5, dynamics };
        train_until(&clips, &options, None).notices
    };
    assert!(trained_to(2).is_empty());
    let codes = std::fs::read(&cache).unwrap();
    let written = std::fs::metadata(&cache).unwrap().modified().unwrap();
    assert!(trained_to(3).is_empty());
    assert_eq!(std::fs::metadata(&cache).unwrap().modified().unwrap(), written, "encoded again");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, &str); 4] = [
        (|bytes| *bytes.last_mut().unwrap() ^= 1, "checksum"),
        (|bytes| bytes.truncate(bytes.len() - 1), "cut off"),
        (|bytes| bytes[8] ^= 1, "another dataset or tokenizer"),
        (|bytes| bytes.clear(), "cut off"),
    ];
    for (step, (damage, because)) in damages.into_iter().enumerate() {
        let mut bytes = codes.clone();
        damage(&mut bytes);
        std::fs::write(&cache, bytes).unwrap();
        let notices = trained_to(4 + step as u64);
        assert!(notices.len() == 1 && notices[0].contains(because), "{because}: {notices:?}");
        assert!(std::fs::read(&cache).unwrap() == codes, "{because}: not as it was");
    }
}

#[test]
fn a_checkpoint_that_was_cut_short_leaves_the_one_before() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let (dir, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train_until(&clips, &options(dir.path()), Some((Stage::Tokenizer, 5)));
    // What a process leaves that dies while it writes the next one.
    let next = dir.path().join("checkpoint/tokenizer-0000009");
    std::fs::create_dir(&next).unwrap();
    std::fs::write(next.join("weights.safetensors"), "half").unwrap();
    train_until(&clips, &options(dir.path()), Some((Stage::Tokenizer, 12)));
    train_until(&clips, &options(straight.path()), Some((Stage::Tokenizer, 12)));
    assert!(learned(dir.path()) == learned(straight.path()));
    assert!(!next.exists(), "rubbish stays for ever");
}

/// The model's own files are written before `training.json`: a death between the two leaves a best network that the
/// record does not know of, and that one must not pass for the record's.
#[test]
fn the_best_weights_are_those_of_the_record() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let (dir, straight) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stop = Some((Stage::Tokenizer, 25));
    train_until(&clips, &options(dir.path()), stop);
    let kept = dir.path().join("tokenizer.safetensors");
    let best = std::fs::read(&kept).unwrap();
    let average = std::fs::read_dir(dir.path().join("checkpoint")).unwrap().next().unwrap().unwrap().path();
    let later = std::fs::read(average.join("average.safetensors")).unwrap();
    assert!(without_notes(&best) != without_notes(&later));
    std::fs::write(&kept, later).unwrap();
    // One more step: no validation that could bring better ones.
    train_until(&clips, &options(dir.path()), Some((Stage::Tokenizer, 26)));
    train_until(&clips, &options(straight.path()), Some((Stage::Tokenizer, 26)));
    assert!(learned(dir.path()) == learned(straight.path()));
}

#[test]
fn it_goes_on_only_as_it_began() {
    let _device = device();
    let clips = toy::clips(4, 20, 1);
    let dir = tempfile::tempdir().unwrap();
    let begun = |name: &str| {
        let mut options = options(&dir.path().join(name));
        options.budget = Budget::Steps { tokenizer: 2, dynamics: 2 };
        options
    };
    train_until(&clips, &begun("model"), None);
    let refusal = |change: &dyn Fn(&mut TrainOptions)| {
        let mut options = begun("model");
        change(&mut options);
        let error = train_on(&clips, &options, &mut |_| ()).unwrap_err();
        assert!(matches!(error, TrainError::OtherRun { .. }), "{error}");
        error.to_string()
    };
    assert!(refusal(&|options| options.rate = 0.5).contains("with rate 1, not 0.5"));
    assert!(refusal(&|options| options.schedule.decay = 0.5).contains("decay 0.2"));
    assert!(refusal(&|options| options.optimizer = Optimizer::AdamW).contains("optimizer muon, not adamw"));
    assert!(refusal(&|options| options.ema_decay = 0.5).contains("ema-decay 0.999, not 0.5"));
    train_until(&clips, &begun("other"), None);
    let message = refusal(&|options| options.from = Some(dir.path().join("other")));
    assert!(message.contains("from random weights, not "), "{message}");
}
