//! A model goes on with new clips: it begins with what it knows, and says what that cost.
#![allow(clippy::unwrap_used, missing_docs)]

mod toy;

use std::path::Path;

use burn::tensor::Device;
use worldstep_model::config::{Preset, RefinerConfig};
use worldstep_model::data::{Clips, Corpus, MixWeight};
use worldstep_model::model::{Model, TaskLosses};
use worldstep_model::train::{Budget, Stage, Stages, TrainOptions, TrainSummary, train_on};

fn clips(id: &str, seed: u64) -> Clips {
    let mut clips = toy::clips(8, 20, seed);
    clips.scenario.id = id.to_owned();
    clips.path = id.into();
    clips
}

fn options(out: &Path, steps: u64) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer: steps, dynamics: steps };
    options.batch = 2;
    options
}

/// Trains a model of task A.
fn learned(dir: &Path) -> Model {
    train_on(&clips("A", 1), &options(&dir.join("old"), 2), &mut |_| ()).unwrap();
    Model::load(&dir.join("old"), &Device::flex()).unwrap()
}

/// Fine-tunes that model on B, with A beside it as `mix` says, into folder `name`.
fn fine_tuned(dir: &Path, name: &str, steps: u64, mix: &[&str]) -> TrainSummary {
    let mix: Vec<MixWeight> = mix.iter().map(|weight| weight.parse().unwrap()).collect();
    let all = [clips("B", 2), clips("A", 1)];
    let mut tuning = options(&dir.join(name), steps);
    tuning.from = Some(dir.join("old"));
    tuning.preset = Preset::S;
    train_on(Corpus::new(&all, &mix).unwrap(), &tuning, &mut |_| ()).unwrap()
}

#[test]
fn what_is_not_trained_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let old = learned(dir.path());
    let summary = fine_tuned(dir.path(), "new", 0, &[]);
    let new = Model::load(&dir.path().join("new"), &Device::flex()).unwrap();
    assert_eq!(new.card.task_names(), "A, B", "what it knew comes first");
    assert_eq!(new.card.config.preset, Preset::Nano, "its sizes are those it began with");
    assert_eq!(summary.record.from, format!("{:016x}", old.weights_hash()));
    assert_eq!(new.card.tasks[0], old.card.tasks[0]);
    let rows: Vec<(&str, bool)> =
        summary.record.forgetting.iter().map(|row| (row.task.as_str(), row.known)).collect();
    assert_eq!(rows, [("B", false), ("A", true)]);
    for row in &summary.record.forgetting {
        assert_eq!(row.after, Some(row.before), "{}", row.task);
    }
}

/// Tokens of a known task are worth less after other clips were learned: the measure must see it.
#[test]
fn forgetting_is_measured_on_clips_that_are_not_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    learned(dir.path());
    let tuned = |name: &str, mix: &[&str]| -> Vec<TaskLosses> {
        fine_tuned(dir.path(), name, 3, mix).record.forgetting
    };
    let alone = tuned("alone", &["A=0"]);
    let known = alone.iter().find(|row| row.known).unwrap();
    let after = known.after.unwrap();
    assert_eq!(known.task, "A");
    assert_ne!(known.before, after, "weights have changed, and so must what they lose");
    assert!(after.dynamics.is_finite() && after.tokenizer.is_finite());
    let mixed = tuned("mixed", &["A=4"]);
    let also = mixed.iter().find(|row| row.known).unwrap();
    assert_eq!(also.before, known.before, "what was before does not depend on what follows");
    assert_ne!(also.after, known.after);
}

#[test]
fn a_stopped_fine_tuning_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    learned(dir.path());
    fine_tuned(dir.path(), "new", 1, &[]);
    let all = [clips("B", 2), clips("A", 1)];
    let mut resumed = options(&dir.path().join("new"), 2);
    resumed.from = Some(dir.path().join("old"));
    resumed.resume = true;
    let summary = train_on(Corpus::new(&all, &[]).unwrap(), &resumed, &mut |_| ()).unwrap();
    assert_eq!((summary.record.tokenizer_steps, summary.record.dynamics_steps), (1, 2));
    assert!(!summary.record.from.is_empty() && summary.record.forgetting.len() == 2);
}

#[test]
fn the_dynamics_alone_can_be_fine_tuned() {
    let dir = tempfile::tempdir().unwrap();
    let old = learned(dir.path());
    let mut tuning = options(&dir.path().join("new"), 3);
    (tuning.from, tuning.stages) = (Some(dir.path().join("old")), Stages::Only(Stage::Dynamics));
    let record = train_on(&clips("A", 2), &tuning, &mut |_| ()).unwrap().record;
    assert_eq!((record.tokenizer_steps, record.dynamics_steps), (0, 3));
    let new = Model::load(&dir.path().join("new"), &Device::flex()).unwrap();
    let bits =
        |model: &Model| worldstep_model::codec::encode_frames(&model.tokenizer, clips("A", 2).frame(3));
    assert!(bits(&new) == bits(&old), "the tokenizer has changed");
    assert_ne!(new.weights_hash(), old.weights_hash());
}

/// What a record says was learned must have been.
#[test]
fn a_refiner_of_another_kind_is_refused_and_the_models_own_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = options(&dir.path().join("old"), 2);
    begun.objective.refiner = Some(RefinerConfig::default());
    train_on(&clips("A", 1), &begun, &mut |_| ()).unwrap();
    let tuned = |name: &str, refiner: Option<RefinerConfig>| {
        let mut tuning = options(&dir.path().join(name), 2);
        (tuning.from, tuning.objective.refiner) = (Some(dir.path().join("old")), refiner);
        train_on(&clips("A", 2), &tuning, &mut |_| ())
    };
    let record = tuned("new", None).unwrap().record;
    assert_eq!(record.objective.unwrap().refiner, Some(RefinerConfig::default()));
    let other = RefinerConfig { layers: 2, ..RefinerConfig::default() };
    let message = tuned("other", Some(other)).unwrap_err().to_string();
    assert!(message.contains("one of 1 layers") && message.contains("leave it out"), "{message}");
    assert!(!dir.path().join("other").exists());
}
