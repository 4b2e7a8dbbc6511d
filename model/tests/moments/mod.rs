//! Models with random weights, and what happens to engines in tests.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use burn::tensor::Device;
use rand::SeedableRng;
use worldstep_env::{Rng, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::{ModelConfig, Preset};
use worldstep_model::dynamics::OBJECT_VALUES;
use worldstep_model::engine::agreement::{Moment, agreement};
use worldstep_model::engine::{StepEngine, StepOutput};
use worldstep_model::model::{Model, ModelCard, TaskCard};
use worldstep_model::packing::FRAME_CODE_BYTES;

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
        termination_threshold: None,
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
    /// Of each normalised feature, which nothing has averaged.
    pub features: f32,
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
    assert!(found.numbers() < tolerance.numbers && found.latents < tolerance.features, "{found:?}");
    assert!(found.other_codes < tolerance.codes && found.other_encoded < 10.0 * tolerance.codes, "{found:?}");
    let (pixels, other) = tolerance.pixels;
    assert!(found.pixels <= pixels && found.other_pixels < other, "{found:?}");
}

/// A batch says what so many batches of one say, to the bit.
pub fn each_lane_is_alone<E: StepEngine>(
    model: &Model,
    lanes: usize,
    steps: usize,
    make: impl Fn(usize) -> E,
) {
    let mut rng = Rng::seed_from_u64(2);
    let (mut all, mut alone) = (make(lanes), (0..lanes).map(|_| make(1)).collect::<Vec<_>>());
    let (mut said, mut one) = (StepOutput::new(model, lanes), StepOutput::new(model, 1));
    for _ in 0..steps {
        let moment = moment(lanes, &mut rng);
        moment.step(&mut all, 0.8, &mut said);
        for (lane, engine) in alone.iter_mut().enumerate().filter(|(lane, _)| moment.mask[*lane]) {
            moment.lane(lane).step(engine, 0.8, &mut one);
            assert_eq!(said.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES], one.codes);
            assert_eq!([said.rewards[lane], said.terminated[lane]], [one.rewards[0], one.terminated[0]]);
            assert_eq!(said.uncertainty[lane], one.uncertainty[0]);
        }
    }
}
