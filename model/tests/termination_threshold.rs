//! The threshold of termination is chosen when training ends, kept in the card, and what an evaluation goes by.
#![allow(clippy::unwrap_used, missing_docs)]

mod toy;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use worldstep_model::eval::{EvalOptions, evaluate};
use worldstep_model::model::{Model, ModelCard};
use worldstep_model::train::{Budget, Stage, Stages, TrainOptions, train_on};

struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.zeros_like())
    }
}

/// A network of zeros calls every step an end with probability 0.5. Of clips of two rows every other step is one, so it is
/// best believed (F1 2/3), which a threshold of 0.5 does not do.
#[test]
fn it_is_chosen_on_validation_clips_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let (from, out) = (dir.path().join("zeros"), dir.path().join("out"));
    let mut options = TrainOptions::new("unused", dir.path().join("begun"));
    options.budget = Budget::Steps { tokenizer: 1, dynamics: 1 };
    (options.batch, options.validation_batches) = (2, 1);
    let clips = toy::clips(40, 2, 1);
    train_on(&clips, &options, &mut |_| ()).unwrap();
    let begun = Model::load(&options.out, &Device::flex()).unwrap();
    let mut card: ModelCard = begun.card.clone();
    card.tasks[0].termination_threshold = None;
    let zeros = Model {
        card,
        tokenizer: begun.tokenizer.map(&mut Zeros),
        dynamics: begun.dynamics.map(&mut Zeros),
        ..begun
    };
    zeros.save(&from).unwrap();

    options.budget = Budget::Steps { tokenizer: 0, dynamics: 0 };
    options.stages = Stages::Only(Stage::Dynamics);
    (options.from, options.out) = (Some(from), out);
    train_on(&clips, &options, &mut |_| ()).unwrap();
    let model = Model::load(&options.out, &Device::flex()).unwrap();
    assert_eq!(model.card.tasks[0].termination_threshold, Some(0.25));
    let readme = std::fs::read_to_string(options.out.join("README.md")).unwrap();
    assert!(readme.contains("is taken to end the episode above a probability of 0.25"), "{readme}");

    let asked = EvalOptions { context_frames: 1, drift_steps: 0, temperature: 0.5, ..EvalOptions::default() };
    let report = evaluate(&model, &clips, &asked).unwrap();
    let simulator = &report.sets["val"].simulator;
    assert_eq!((report.temperature, simulator.termination_threshold), (0.5, 0.25));
    assert_eq!(simulator.termination_one_step.unwrap().f1, Some(2.0 / 3.0), "every step is called an end");
}
