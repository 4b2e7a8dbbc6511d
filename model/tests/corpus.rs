//! Several datasets and tasks in one training, each drawn as often as it is meant to be.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
mod toy;

use std::path::Path;

use burn::tensor::Device;
use worldstep_env::Space;
use worldstep_model::action::ActionCoding;
use worldstep_model::data::{Clips, Corpus, MixWeight, Split, load_all};
use worldstep_model::eval::{EvalOptions, evaluate};
use worldstep_model::model::Model;
use worldstep_model::train::{Budget, TrainError, TrainOptions, train, train_on};

/// Toy clips under another name, from a folder of their own.
fn clips(id: &str, folder: &str, count: usize) -> Clips {
    let mut clips = toy::clips(count, 20, count as u64);
    clips.scenario.id = id.to_owned();
    clips.path = folder.into();
    clips.hash = format!("{count:016x}");
    clips
}

/// The same, under two more actions.
fn wider(id: &str, folder: &str, count: usize) -> Clips {
    let mut clips = clips(id, folder, count);
    let space = Space::Discrete { n: 5, start: 0 };
    let padded = clips.actions.chunks(3).flat_map(|action| [action, &[0.0; 2]].concat());
    clips.actions = padded.collect();
    clips.coding = ActionCoding::new(&space);
    clips.scenario.action_space = space;
    clips
}

fn options(out: &Path, tokenizer: u64, dynamics: u64) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer, dynamics };
    options.batch = 2;
    options
}

fn weights(clips: &[Clips], mix: &[&str]) -> Vec<f64> {
    let mix: Vec<MixWeight> = mix.iter().map(|weight| weight.parse().unwrap()).collect();
    Corpus::new(clips, &mix).unwrap().parts().iter().map(|part| part.weight).collect()
}

#[test]
fn tasks_are_drawn_alike_and_clips_of_a_task_alike() {
    // 3, 6, 9 and 3 clips to learn from; the others are for validation.
    let all = [clips("A", "a", 4), clips("A", "a-more", 8), clips("B", "b", 12), clips("C", "c", 4)];
    assert_eq!(weights(&all, &[]), [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
    assert_eq!(weights(&all, &["A=3", "C=0"]), [1.0, 2.0, 1.0, 0.0]);
    assert_eq!(weights(&all, &["a-more=0.5"]), [1.0, 0.5, 1.0, 1.0], "a dataset stands beside its task");
    let wrong = |mix: &str| Corpus::new(&all, &[mix.parse().unwrap()]).unwrap_err().to_string();
    let message = wrong("D=1");
    assert!(message.contains("\"D\"") && message.contains("A, B, C"), "{message}");
}

#[test]
fn nothing_that_weighs_0_is_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let all = [clips("A", "a", 4)];
    let error = Corpus::new(&all, &["A=0".parse().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("nothing to learn from"), "{error}");
    let mut val = clips("A", "a", 4);
    val.ranges.iter_mut().for_each(|range| range.split = Split::Val);
    let error = train_on(&val, &options(dir.path(), 1, 1), &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::NoClips { .. }), "{error}");
}

#[test]
fn one_model_learns_two_tasks_and_is_weighed_on_each() {
    let dir = tempfile::tempdir().unwrap();
    let all = [clips("A", "a", 8), wider("B", "b", 8)];
    let mut losses = Vec::new();
    let corpus = Corpus::new(&all, &[]).unwrap();
    train_on(corpus, &options(dir.path(), 2, 2), &mut |progress| losses.push(progress.loss)).unwrap();
    assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let model = Model::load(dir.path(), &Device::flex()).unwrap();
    assert_eq!((model.card.task_names().as_str(), model.card.config.action_values), ("A, B", 5 + 2));
    assert_eq!(model.card.training.clips, 12);
    let options = EvalOptions { rollouts: 0, clips_max: 2, ..EvalOptions::default() };
    for clips in &all {
        assert_eq!(evaluate(&model, clips, &options).unwrap().clips, 2);
    }
    let message = evaluate(&model, &clips("C", "c", 8), &options).unwrap_err().to_string();
    assert!(message.contains("\"C\"") && message.contains("A, B"), "{message}");
}

#[test]
fn other_weights_are_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let all = [clips("A", "a", 4), clips("B", "b", 4)];
    let mix = ["B=2".parse().unwrap()];
    train_on(Corpus::new(&all, &mix).unwrap(), &options(dir.path(), 1, 0), &mut |_| ()).unwrap();
    let mut resumed = options(dir.path(), 2, 0);
    resumed.resume = true;
    let error = train_on(Corpus::new(&all, &[]).unwrap(), &resumed, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { what: "mix", .. }), "{error}");
    train_on(Corpus::new(&all, &mix).unwrap(), &resumed, &mut |_| ()).unwrap();
}

#[test]
fn clips_that_read_actions_otherwise_need_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let all = [clips("A", "a", 4), wider("A", "b", 4)];
    let error =
        train_on(Corpus::new(&all, &[]).unwrap(), &options(dir.path(), 1, 0), &mut |_| ()).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("b:") && message.contains("0..5") && message.contains("0..3"), "{message}");
}

/// A readout is known by its place, so the objects of a task must be in one order everywhere.
#[test]
fn clips_that_name_objects_otherwise_need_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = [clips("A", "a", 4), clips("A", "b", 4)];
    all[1].scenario.instances.swap(0, 1);
    let error =
        train_on(Corpus::new(&all, &[]).unwrap(), &options(dir.path(), 1, 0), &mut |_| ()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("b:") && message.contains("\"paddle\"") && message.contains("\"ball\""),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// As `worldstep synth --scenario all` leaves them behind.
#[test]
fn a_folder_of_datasets_is_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    for (id, count) in [("B", 5), ("A", 4)] {
        let mut clips = clips(id, "unused", count);
        clips.info.scenarios = vec![clips.scenario.clone()];
        disk::write(&clips, &dir.path().join(id));
    }
    let folders = [dir.path().to_owned()];
    let read = load_all(&folders, None, None).unwrap();
    let found: Vec<_> = read.iter().map(|clips| (clips.scenario.id.as_str(), clips.ranges.len())).collect();
    assert_eq!(found, [("A", 4), ("B", 5)]);
    let only = load_all(&folders, Some("B"), None).unwrap();
    assert_eq!(only.iter().map(|clips| clips.scenario.id.as_str()).collect::<Vec<_>>(), ["B"]);
    let message = load_all(&folders, Some("C"), None).unwrap_err().to_string();
    assert!(message.contains("\"C\"") && message.contains("A, B"), "{message}");
    let out = dir.path().join("model");
    let mut both = options(&out, 1, 1);
    both.data = vec![dir.path().join("A"), dir.path().join("B")];
    train(&both, &mut |_| ()).unwrap();
    assert_eq!(Model::load(&out, &Device::flex()).unwrap().card.task_names(), "A, B");
}
