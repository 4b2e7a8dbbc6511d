//! An evaluation says what it needs, and compares a clip with another one.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;
mod toy;

use worldstep_model::config::ModelConfig;
use worldstep_model::data::{Split, Targets};
use worldstep_model::eval::{EvalOptions, evaluate};
use worldstep_model::model::Model;

/// A model whose actions and objects are those of the toy clips.
fn model() -> Model {
    let mut card = dream::model().card;
    card.config = ModelConfig { tracked_objects: 2, ..card.config };
    card.tasks[0].objects = vec!["ball".to_owned(), "paddle".to_owned()];
    card.tasks[0].object_mean = vec![0.5; 12];
    card.tasks[0].object_scale = vec![0.1; 12];
    Model::random(card, &burn::tensor::Device::flex())
}

#[test]
fn too_few_validation_clips_are_counted_and_the_way_out_is_named() {
    let (model, mut clips) = (model(), toy::clips(4, 20, 1));
    clips.path = "out/clips".into();
    for found in [1, 0] {
        let message = evaluate(&model, &clips, &EvalOptions::default()).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        let start = format!("out/clips holds {found} validation clips");
        assert!(message.starts_with(&start) && message.contains("at least 2"), "{message}");
        assert!(message.contains("`worldstep synth --clips`"), "{message}");
        clips.ranges.iter_mut().for_each(|range| range.split = Split::Train);
    }
}

#[test]
fn clips_no_longer_than_the_context_do_not_count() {
    let clips = toy::clips(8, EvalOptions::default().context_frames, 1);
    let message = evaluate(&model(), &clips, &EvalOptions::default()).unwrap_err().to_string();
    assert!(message.contains("holds 0 validation clips of more than 8 frames"), "{message}");
}

#[test]
fn what_the_readout_was_not_taught_and_a_dream_of_nothing_are_refused() {
    let clips = toy::clips(8, 20, 1);
    let mut other = model();
    other.card.tasks[0].objects.swap(0, 1);
    let message = evaluate(&other, &clips, &EvalOptions::default()).unwrap_err().to_string();
    assert!(message.contains("[\"ball\", \"paddle\"]") && message.contains("same order"), "{message}");
    let options = EvalOptions { context_frames: 0, ..EvalOptions::default() };
    let message = evaluate(&model(), &clips, &options).unwrap_err().to_string();
    assert!(message.contains("context_frames is 0"), "{message}");
}

/// What the clips do not tell is no number, least of all a good one.
#[test]
fn rewards_and_ends_that_are_not_told_are_not_judged() {
    let mut clips = toy::clips(8, 20, 1);
    clips.targets = Targets { rewards: false, terminated: false };
    let report = evaluate(&model(), &clips, &EvalOptions::default()).unwrap();
    let simulator = &report.sets["val"].simulator;
    assert_eq!((&simulator.reward, simulator.termination_one_step), (&None, None));
    assert_eq!((simulator.termination_dreamt, report.reward_mae, report.termination), (None, None, None));
}

#[test]
fn two_clips_are_each_others_control() {
    let (model, mut clips) = (model(), toy::clips(8, 30, 1));
    // The second validation clip does nothing but move up, all others nothing but move down.
    clips.actions = clips
        .ranges
        .iter()
        .enumerate()
        .flat_map(|(i, range)| [f32::from(i == 7), 0.0, f32::from(i != 7)].repeat(range.len))
        .collect();
    for clips_max in [1, 2] {
        let options = EvalOptions { clips_max, rollouts: 0, temperature: 1.0, ..EvalOptions::default() };
        let report = evaluate(&model, &clips, &options).unwrap();
        assert_eq!(report.clips, 2);
        assert_ne!(report.psnr_db.curves[0], report.psnr_db.curves[2], "a clip is its own control");
    }
}
