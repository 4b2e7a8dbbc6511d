//! The dynamics' objective is a value: it is learned from, recorded with the model, and kept through a resumption.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod toy;

use std::path::Path;

use burn::tensor::Device;
use worldstep_model::config::RefinerConfig;
use worldstep_model::engine::{BurnEngine, CpuEngine, StepEngine};
use worldstep_model::model::Model;
use worldstep_model::train::{
    Budget, Corruption, ObjectiveOptions, SelfForcing, ShortStarts, TrainError, TrainOptions, TrainSummary,
    train_on,
};

fn options(out: &Path, dynamics: u64, objective: ObjectiveOptions) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer: 2, dynamics };
    options.batch = 2;
    options.objective = objective;
    options
}

fn learn(options: &TrainOptions) -> (TrainSummary, Vec<f32>) {
    let mut losses = Vec::new();
    let summary = train_on(&toy::clips(4, 40, 1), options, &mut |at| losses.push(at.loss)).unwrap();
    (summary, losses.split_off(2))
}

/// Everything on from the first step on.
fn everything() -> ObjectiveOptions {
    ObjectiveOptions {
        self_forcing: SelfForcing { share: 1.0, begin: 0.0, full: 0.5, horizon: 3, ..SelfForcing::default() },
        refiner: Some(RefinerConfig::default()),
        ..ObjectiveOptions::default()
    }
}

#[test]
fn every_trick_changes_what_is_learned_and_none_spoils_it() {
    let plain = ObjectiveOptions {
        corruption: Corruption::off(),
        changed_weight: 0.0,
        moving_weight: 0.0,
        short_starts: ShortStarts::off(),
        self_forcing: SelfForcing::off(),
        ..ObjectiveOptions::default()
    };
    let all = everything();
    let variants = [
        plain.clone(),
        ObjectiveOptions {
            corruption: Corruption { clean_share: 0.0, ..all.corruption.clone() },
            ..plain.clone()
        },
        ObjectiveOptions { changed_weight: 15.0, ..plain.clone() },
        ObjectiveOptions { moving_weight: 5.0, ..plain.clone() },
        ObjectiveOptions { short_starts: ShortStarts { share: 1.0, true_frames: 4 }, ..plain.clone() },
        ObjectiveOptions { self_forcing: all.self_forcing.clone(), ..plain.clone() },
        ObjectiveOptions { refiner: all.refiner.clone(), ..plain },
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for (i, objective) in variants.into_iter().enumerate() {
        let out = dir.path().join(i.to_string());
        let (_, losses) = learn(&options(&out, 2, objective.clone()));
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        assert!(!seen.contains(&losses), "variant {i} learns what another one does");
        seen.push(losses);
        let model = Model::load(&out, &Device::flex()).unwrap();
        assert_eq!(model.card.training.objective, Some(objective));
    }
}

#[test]
fn a_trained_refiner_is_saved_and_steps() {
    let dir = tempfile::tempdir().unwrap();
    learn(&options(dir.path(), 2, everything()));
    let model = Model::load(dir.path(), &Device::flex()).unwrap();
    assert_eq!(model.card.config.refiner, Some(RefinerConfig::default()));
    assert_eq!(CpuEngine::new(&model, 3).unwrap().lanes(), 3);
    assert_eq!(BurnEngine::new(&model, 3).lanes(), 3);
}

#[test]
fn another_objective_is_not_resumed_and_a_wrong_one_is_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    learn(&options(dir.path(), 1, everything()));
    let mut resumed = options(dir.path(), 2, ObjectiveOptions::default());
    resumed.resume = true;
    let clips = toy::clips(4, 40, 1);
    let error = train_on(&clips, &resumed, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { what: "objective", .. }), "{error}");
    resumed.objective = everything();
    assert_eq!(train_on(&clips, &resumed, &mut |_| ()).unwrap().record.dynamics_steps, 2);
    let wrong = ObjectiveOptions { changed_weight: -1.0, ..ObjectiveOptions::default() };
    let error = train_on(&clips, &options(&dir.path().join("new"), 1, wrong), &mut |_| ()).unwrap_err();
    assert!(matches!(error, TrainError::Objective(_)), "{error}");
}

/// Steps a second of each trick alone, beside a plain objective.
#[test]
#[ignore = "a measurement, which wants an idle machine"]
fn what_each_trick_costs() {
    const STEPS: u64 = 20;
    let off = ObjectiveOptions { self_forcing: SelfForcing::off(), ..ObjectiveOptions::default() };
    let forcing = |horizon| SelfForcing { begin: 0.0, full: 0.0, horizon, ..SelfForcing::default() };
    let variants = [
        ("no self-forcing, no refiner".to_owned(), off.clone()),
        (
            "refiner of one layer".to_owned(),
            ObjectiveOptions { refiner: Some(RefinerConfig::default()), ..off.clone() },
        ),
    ];
    let forced = [1, 4, 8, 16].map(|horizon| {
        let options = ObjectiveOptions { self_forcing: forcing(horizon), ..off.clone() };
        (format!("self-forcing, {horizon} frames in a quarter of the windows"), options)
    });
    for round in 0..2 {
        for (name, objective) in variants.iter().chain(&forced) {
            let dir = tempfile::tempdir().unwrap();
            let mut options = options(dir.path(), STEPS, objective.clone());
            options.batch = 8;
            let (summary, _) = learn(&options);
            let speed = STEPS as f64 / summary.record.dynamics_seconds;
            println!("round {round}: {speed:6.2} steps/s with {name}");
        }
    }
}
