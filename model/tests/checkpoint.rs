//! A model in training survives being stopped; a damaged one is named.
#![allow(clippy::unwrap_used, missing_docs)]

mod toy;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use worldstep_model::codec::plain;
use worldstep_model::config::{FrameSize, Preset};
use worldstep_model::data::Clips;
use worldstep_model::model::Model;
use worldstep_model::tokenizer;
use worldstep_model::train::{Budget, TrainError, TrainOptions, train, train_on};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

fn options(out: &Path, tokenizer: u64, dynamics: u64) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer, dynamics };
    options.batch = 2;
    options
}

/// Every file of a folder and its folders, with its name.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| contents(folder));
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).chain(below).collect()
}

fn refusal(dir: &Path) -> String {
    let message = Model::load(dir, &Device::flex()).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn training_learns_and_its_model_loads() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(4, 20, 1);
    let mut losses = Vec::new();
    let summary =
        train_on(&clips, &options(dir.path(), 12, 3), &mut |progress| losses.push(progress.loss)).unwrap();
    assert_eq!(losses.len(), 15);
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    let model = Model::load(dir.path(), &Device::flex()).unwrap();
    assert_eq!(model.card.training, summary.record);
    assert_eq!(model.card.training.clips, 3);
    assert_eq!(model.parameters(), summary.parameters);
    assert!(model.parameters() < 900_000);
}

#[test]
fn a_resumed_training_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(4, 20, 1);
    train_on(&clips, &options(dir.path(), 4, 0), &mut |_| ()).unwrap();
    let frame = tokenizer::patches(&clips.frames[..FRAME_BYTES], FrameSize::Px64, &Device::flex());
    let code = |dir: &Path| plain(Model::load(dir, &Device::flex()).unwrap().tokenizer.encode(frame.clone()));
    let before = code(dir.path());
    let mut resumed = options(dir.path(), 4, 3);
    resumed.resume = true;
    let mut steps = Vec::new();
    let summary =
        train_on(&clips, &resumed, &mut |progress| steps.push((progress.stage, progress.step))).unwrap();
    assert_eq!(steps.len(), 3, "the tokenizer was finished: {steps:?}");
    assert_eq!((summary.record.tokenizer_steps, summary.record.dynamics_steps), (4, 3));
    assert_eq!(code(dir.path()), before, "codes must not change under the dynamics");
    resumed.budget = Budget::Steps { tokenizer: 4, dynamics: 5 };
    let summary = train_on(&clips, &resumed, &mut |_| ()).unwrap();
    assert_eq!(summary.record.dynamics_steps, 5);
}

#[test]
fn stopping_keeps_what_was_learned() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(4, 20, 1);
    let options = options(dir.path(), 50, 50);
    let stop = options.stop.clone();
    let summary = train_on(&clips, &options, &mut |progress| {
        stop.store(progress.step >= 3, std::sync::atomic::Ordering::Relaxed);
    });
    let summary = summary.unwrap();
    assert!(summary.stopped);
    assert_eq!(Model::load(dir.path(), &Device::flex()).unwrap().card.training.tokenizer_steps, 3);
}

#[test]
fn another_tasks_model_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let mut clips = toy::clips(4, 20, 1);
    train_on(&clips, &options(dir.path(), 1, 0), &mut |_| ()).unwrap();
    clips.scenario.id = "Chess-v0".to_owned();
    let mut resumed = options(dir.path(), 2, 0);
    resumed.resume = true;
    let error = train_on(&clips, &resumed, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::OtherTask { .. }), "{error}");
}

#[test]
fn another_run_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(4, 20, 1);
    train_on(&clips, &options(dir.path(), 1, 0), &mut |_| ()).unwrap();
    let before = contents(dir.path());
    let refused = |clips: &Clips, change: fn(&mut TrainOptions), what: &str, values: [&str; 2]| {
        let mut resumed = options(dir.path(), 2, 0);
        resumed.resume = true;
        change(&mut resumed);
        let error = train_on(clips, &resumed, &mut |_| ()).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, TrainError::OtherRun { what: differs, .. } if differs == what), "{message}");
        assert!(values.iter().all(|value| message.contains(value)), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    };
    let other = Clips { hash: "f".repeat(16), ..toy::clips(4, 20, 1) };
    refused(&other, |_| (), "dataset", ["0000000000000000", "ffffffffffffffff"]);
    refused(&clips, |options| options.preset = Preset::S, "preset", ["nano", "not s"]);
    refused(&clips, |options| options.seed = 9, "seed", ["0", "not 9"]);
    assert_eq!(contents(dir.path()), before);
}

/// One command both begins and goes on, as for datasets.
#[test]
fn to_resume_where_nothing_is_means_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = options(&dir.path().join("new"), 1, 0);
    begun.resume = true;
    let summary = train_on(&toy::clips(4, 20, 1), &begun, &mut |_| ()).unwrap();
    assert_eq!(summary.record.tokenizer_steps, 1);
}

#[test]
fn a_model_is_never_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(4, 20, 1);
    train_on(&clips, &options(dir.path(), 1, 0), &mut |_| ()).unwrap();
    let before = contents(dir.path());
    let error = train_on(&clips, &options(dir.path(), 2, 0), &mut |_| ()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TrainError::Occupied { .. }), "{message}");
    assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    assert!(message.contains("--resume") && message.contains("--out"), "{message}");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn the_systems_reason_is_told_once() {
    let model: Box<dyn Error> = Model::load(Path::new("/nowhere/model"), &Device::flex()).unwrap_err().into();
    let data: Box<dyn Error> = Clips::load(Path::new("/nowhere/clips"), None).unwrap_err().into();
    let train = train(&TrainOptions::new("/nowhere/clips", "/nowhere/model"), &mut |_| ()).unwrap_err();
    for error in [model, data, train.into()] {
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            told += &error.to_string();
            cause = error.source();
        }
        assert_eq!(told.matches("No such file").count(), 1, "{told}");
    }
}

#[test]
fn a_missing_model_is_named() {
    let message = refusal(Path::new("/nowhere/model"));
    assert!(message.contains("/nowhere/model") && message.contains("worldstep train"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("occupied");
    std::fs::write(&file, "not a folder").unwrap();
    let error = train_on(&toy::clips(4, 20, 1), &options(&file, 1, 0), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("occupied") && error.contains("cannot write"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a folder");
}

#[test]
fn a_truncated_or_foreign_model_is_named() {
    let dir = tempfile::tempdir().unwrap();
    train_on(&toy::clips(4, 20, 1), &options(dir.path(), 1, 0), &mut |_| ()).unwrap();
    let weights = dir.path().join("dynamics.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for kept in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..kept]).unwrap();
        let message = refusal(dir.path());
        assert!(message.contains("dynamics.safetensors") && message.contains("damaged"), "{kept}: {message}");
    }
    std::fs::remove_file(&weights).unwrap();
    assert!(refusal(dir.path()).contains("dynamics.safetensors"));
    let card = dir.path().join("model.json");
    let text = std::fs::read_to_string(&card).unwrap();
    std::fs::write(&card, text.replace("\"format\": 2", "\"format\": 7")).unwrap();
    assert!(refusal(dir.path()).contains("format 7"), "{}", refusal(dir.path()));
    std::fs::write(&card, text.replace("\"heads\": 4", "\"heads\": 0")).unwrap();
    assert!(refusal(dir.path()).contains("config"), "{}", refusal(dir.path()));
    std::fs::write(&card, &text[..text.len() / 2]).unwrap();
    assert!(refusal(dir.path()).contains("model.json"));
}
