//! Frames of 128 × 128 pixels go every way that frames of 64 × 64 do, and the two are never mixed.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;
mod toy;

use dream::{Stripes, model_of, spec_of};
use worldstep_env::{Space, VectorEnv as _};
use worldstep_model::config::FrameSize;
use worldstep_model::data::Corpus;
use worldstep_model::engine::agreement::agreement;
use worldstep_model::engine::{BurnEngine, CpuEngine};
use worldstep_model::eval::{EvalOptions, evaluate};
use worldstep_model::model::Model;
use worldstep_model::neural_env::{NeuralOptions, NeuralVectorEnv};
use worldstep_model::train::{Budget, TrainOptions, train_on};

const LARGE: FrameSize = FrameSize::Px128;

#[test]
fn a_model_of_large_frames_is_trained_evaluated_and_dreams() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips_of(LARGE, 12, 20, 1);
    let mut options = TrainOptions::new("unused", dir.path());
    options.budget = Budget::Steps { tokenizer: 60, dynamics: 8 };
    (options.batch, options.validation_batches) = (2, 1);
    train_on(&clips, &options, &mut |_| ()).unwrap();

    let model = Model::load(dir.path(), &burn::tensor::Device::flex()).unwrap();
    assert_eq!((model.card.config.frame, model.tokenizer.frame_size()), (LARGE, LARGE));
    let asked = EvalOptions { clips_max: 3, context_frames: 4, drift_steps: 8, ..EvalOptions::default() };
    let report = evaluate(&model, &clips, &asked).unwrap();
    // Sixty steps are enough to know the still world; what they make of it is no noise.
    assert!(report.psnr_db.tokenizer.frame.unwrap() > 14.0, "{:?}", report.psnr_db.tokenizer);
    assert_eq!(report.rollouts[0].truth.len(), 20 * LARGE.bytes());

    let mut card = spec_of(LARGE);
    card.id = "Toy-v0".to_owned();
    let mut env = NeuralVectorEnv::new(model, Box::new(Stripes(card)), NeuralOptions::new(3)).unwrap();
    assert_eq!(env.spec().observation_space, Space::image(128, 128, 3));
    env.reset_all(Some(1)).unwrap();
    env.step(&env.spec().action_space.neutral(3), &[true, false, true]).unwrap();
    let seen = env.batch().observations.as_u8().unwrap();
    assert_eq!(seen.len(), 3 * LARGE.bytes());
    let state = env.save_lane(2).unwrap();
    env.load_lane(1, &state).unwrap();
    let seen = env.batch().observations.as_u8().unwrap();
    assert_eq!(seen[LARGE.bytes()..2 * LARGE.bytes()], seen[2 * LARGE.bytes()..]);
}

#[test]
fn the_processors_engine_codes_large_frames_as_burn_does() {
    let model = model_of(LARGE);
    let (mut burn, mut own) = (BurnEngine::new(&model, 5), CpuEngine::new(&model, 5).unwrap());
    let found = agreement(&model, (&mut burn, &mut own), 12);
    assert!(found.pixels <= 1 && found.other_pixels < 1e-3, "{found:?}");
    assert!(found.other_encoded < 1e-2 && found.numbers() < 1e-3, "{found:?}");
}

#[test]
fn frames_of_two_sizes_are_told_apart_by_name() {
    let (small, large) = (toy::clips(8, 20, 1), toy::clips_of(LARGE, 8, 20, 1));
    let both = [small, large];
    let message = Corpus::new(&both, &[]).unwrap_err().to_string();
    assert!(message.contains("its frames are 128 × 128") && message.contains("64 × 64"), "{message}");

    let [small, large] = both;
    let dir = tempfile::tempdir().unwrap();
    let mut options = TrainOptions::new("unused", dir.path().join("small"));
    options.budget = Budget::Steps { tokenizer: 2, dynamics: 2 };
    (options.batch, options.validation_batches) = (2, 1);
    train_on(&small, &options, &mut |_| ()).unwrap();
    options.resume = true;
    options.budget = Budget::Steps { tokenizer: 3, dynamics: 3 };
    let message = train_on(&large, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains("frames 64 × 64, not 128 × 128"), "{message}");

    let model = Model::load(&options.out, &burn::tensor::Device::flex()).unwrap();
    let expected = "frames are 128 × 128 pixels, the model takes 64 × 64";
    let message = evaluate(&model, &large, &EvalOptions::default()).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
    options.from = Some(options.out.clone());
    options.out = dir.path().join("large");
    let message = train_on(&large, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");

    let starts = Box::new(Stripes(spec_of(LARGE)));
    let message = NeuralVectorEnv::new(model, starts, NeuralOptions::new(2)).err().unwrap().to_string();
    assert!(message.contains("the model's frames are 64 × 64, its starts show [128, 128, 3]"), "{message}");
}
