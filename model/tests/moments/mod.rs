//! Models with random weights, and what happens to engines in tests.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use burn::tensor::Device;
use worldstep_env::{Rng, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::{ModelConfig, Preset};
use worldstep_model::dynamics::OBJECT_VALUES;
use worldstep_model::engine::StepEngine;
use worldstep_model::engine::agreement::{Moment, agreement};
use worldstep_model::model::{Model, ModelCard, TaskCard};

/// Values of an action.
pub const ACTIONS: usize = 3;
pub fn model(config: ModelConfig) -> Model {
    let device = Device::flex();
    device.seed(7);
    let objects = config.tracked_objects;
    let task = TaskCard {
        id: "Toy-v0".to_owned(),
        actions: ActionCoding::new(&Space::Discrete { n: ACTIONS as i64, start: 0 }),
        objects: (0..objects).map(|i| format!("object {i}")).collect(),
        object_mean: vec![0.0; objects * OBJECT_VALUES],
        object_scale: vec![1.0; objects * OBJECT_VALUES],
    };
    let card = ModelCard { config, ..ModelCard::new(Preset::Nano, vec![task]) };
    Model::random(card, &device)
}

/// A ring of four frames, so that the tests go around it.
pub fn small() -> Model {
    model(ModelConfig { context_frames: 4, ..ModelConfig::new(Preset::Nano, ACTIONS, 2) })
}

/// Anything that can happen to so many lanes in one step.
pub fn moment(lanes: usize, rng: &mut Rng) -> Moment {
    Moment::random(lanes, ACTIONS, rng)
}

/// How far two engines may be apart.
pub struct Tolerance {
    /// Of each number.
    pub numbers: f32,
    /// Share of codes that may be others: two levels can be equally likely to the last digit, and then rounding decides.
    pub codes: f64,
    /// Of a byte of a decoded frame, and the share of those that may be others.
    pub pixels: (u8, f64),
}

/// Two engines through the same moments.
pub fn compare(
    model: &Model,
    engines: (&mut dyn StepEngine, &mut dyn StepEngine),
    moments: usize,
    tolerance: &Tolerance,
) {
    let found = agreement(model, engines, moments);
    assert!(found.numbers() < tolerance.numbers, "{found:?}");
    assert!(found.other_codes < tolerance.codes, "{found:?}");
    let (pixels, other) = tolerance.pixels;
    assert!(found.pixels <= pixels && found.other_pixels < other, "{found:?}");
}
