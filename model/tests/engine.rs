//! The engine for the processor against burn's own forward pass: the same weights say the same, whatever happens to
//! lanes on the way, and a lane never feels its neighbours.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::{Rng, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::codec::{decode_frames, encode_frames};
use worldstep_model::config::{FRAME_BYTES, FSQ_LEVELS, ModelConfig, Preset, RefinerConfig};
use worldstep_model::dynamics::OBJECT_VALUES;
use worldstep_model::engine::{BurnEngine, CpuEngine, FrameStep, Sampling, StepEngine, StepOutput};
use worldstep_model::model::{Model, ModelCard, TaskCard};
use worldstep_model::packing::FRAME_CODE_BYTES;

const ACTIONS: usize = 3;
/// Sums of a few hundred products in another order, through eight layers: single precision keeps five digits of them.
const TOLERANCE: f32 = 2e-4;

fn model(config: ModelConfig) -> Model {
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
fn small() -> Model {
    model(ModelConfig { context_frames: 4, ..ModelConfig::new(Preset::Nano, ACTIONS, 2) })
}

/// A random model whose refiner has something to say: what ends a branch starts small, and what a code's present value
/// speaks for itself (a vector, as gains and biases are) starts large.
fn refined(config: ModelConfig) -> Model {
    struct Louder;
    impl ModuleMapper for Louder {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|values| values * if D == 1 { 0.1 } else { 2.0 })
        }
    }
    let mut model = model(config);
    model.dynamics = model.dynamics.map(&mut Louder);
    model
}

/// Whether frames of `model` are others than those of the same model without its refiner.
fn differs(model: &Model) -> bool {
    let mut without = model.clone();
    without.card.config.refiner = None;
    let moment = Moment { mask: vec![true; 5], ..Moment::random(5, &mut Rng::seed_from_u64(6)) };
    let codes = |model: &Model| {
        let mut said = StepOutput::new(model, 5);
        moment.step(&mut CpuEngine::new(model, 5).unwrap(), 0.0, &mut said);
        said.codes
    };
    codes(model) != codes(&without)
}

/// What happens to some lanes in one step.
#[derive(Clone)]
struct Moment {
    codes: Vec<u8>,
    actions: Vec<f32>,
    levels: Vec<usize>,
    mask: Vec<bool>,
    draws: Vec<u64>,
}

impl Moment {
    fn random(lanes: usize, rng: &mut Rng) -> Self {
        let mut code = |i: usize| rng.random_range(0..FSQ_LEVELS[i % 4] as u8);
        let codes = (0..lanes * FRAME_CODE_BYTES).map(&mut code).collect();
        Self {
            codes,
            actions: (0..lanes * ACTIONS).map(|_| rng.random_range(0.0..1.0)).collect(),
            levels: (0..lanes).map(|_| rng.random_range(0..4)).collect(),
            mask: (0..lanes).map(|_| rng.random_bool(0.7)).collect(),
            draws: (0..lanes).map(|_| rng.random()).collect(),
        }
    }

    fn step(&self, engine: &mut dyn StepEngine, temperature: f32, output: &mut StepOutput) {
        let sampling = Sampling { draws: &self.draws, temperature };
        let (codes, actions) = (&self.codes, &self.actions);
        engine.step(&FrameStep { codes, actions, levels: &self.levels, mask: &self.mask, sampling }, output);
    }

    fn lane(&self, lane: usize) -> Self {
        Self {
            codes: self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].to_vec(),
            actions: self.actions[lane * ACTIONS..(lane + 1) * ACTIONS].to_vec(),
            levels: vec![self.levels[lane]],
            mask: vec![self.mask[lane]],
            draws: vec![self.draws[lane]],
        }
    }
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < TOLERANCE, "{what}: off by {worst}");
}

/// Both engines through the same 64 moments, with lanes held, reset to true frames and moved to another lane.
fn compare(model: &Model, lanes: usize, moments: usize) {
    let mut rng = Rng::seed_from_u64(1);
    let (mut burn, mut cpu) = (BurnEngine::new(model, lanes), CpuEngine::new(model, lanes).unwrap());
    let (mut expected, mut said) = (StepOutput::new(model, lanes), StepOutput::new(model, lanes));
    let mut other_codes = 0;
    for t in 0..moments {
        let moment = Moment::random(lanes, &mut rng);
        moment.step(&mut burn, 0.0, &mut expected);
        moment.step(&mut cpu, 0.0, &mut said);
        assert_close(&said.rewards, &expected.rewards, &format!("rewards at {t}"));
        assert_close(&said.terminated, &expected.terminated, &format!("terminations at {t}"));
        assert_close(&said.objects, &expected.objects, &format!("objects at {t}"));
        assert_close(&said.uncertainty, &expected.uncertainty, &format!("uncertainty at {t}"));
        other_codes += said.codes.iter().zip(&expected.codes).filter(|(a, b)| a != b).count();
        if t % 9 == 8 {
            let lane = t % lanes;
            let film = Moment::random(3, &mut rng).codes;
            let action = [0.0, 1.0, 0.0];
            burn.warm_up(&[lane], &film, &action);
            cpu.warm_up(&[lane], &film, &action);
        }
        if t % 13 == 12 {
            let (from, to) = (t % lanes, (t + 1) % lanes);
            let seen = cpu.lane(from);
            assert!(
                cpu.set_lane(to, &seen) && burn.set_lane(to, &seen),
                "both engines take the state of one"
            );
        }
    }
    // Two levels can be equally likely to the last digit; then rounding decides.
    let all = moments * lanes * FRAME_CODE_BYTES;
    assert!(other_codes * 10_000 < all, "{other_codes} of {all} codes differ");
}

#[test]
fn the_engine_says_what_burn_says_through_64_frames_with_resets() {
    compare(&small(), 5, 64);
}

#[test]
fn so_it_does_with_a_refiner() {
    for (steps, masked_codes) in [(1, 16), (2, 64)] {
        let refiner = Some(RefinerConfig { layers: 2, steps, masked_codes });
        let model = refined(ModelConfig { refiner, ..small().card.config });
        assert!(differs(&model), "this refiner changes nothing");
        compare(&model, 5, 40);
    }
}

#[test]
fn so_it_does_at_other_sizes() {
    compare(&model(ModelConfig { context_frames: 20, ..ModelConfig::new(Preset::S, ACTIONS, 0) }), 2, 24);
}

#[test]
fn a_batch_is_so_many_batches_of_one() {
    each_lane_is_alone(&small());
    let refiner = Some(RefinerConfig { steps: 2, ..RefinerConfig::default() });
    each_lane_is_alone(&refined(ModelConfig { refiner, ..small().card.config }));
}

fn each_lane_is_alone(model: &Model) {
    let lanes = 13;
    let mut rng = Rng::seed_from_u64(2);
    let mut all = CpuEngine::new(model, lanes).unwrap();
    let mut alone: Vec<_> = (0..lanes).map(|_| CpuEngine::new(model, 1).unwrap()).collect();
    let (mut said, mut one) = (StepOutput::new(model, lanes), StepOutput::new(model, 1));
    for _ in 0..10 {
        let moment = Moment::random(lanes, &mut rng);
        moment.step(&mut all, 0.8, &mut said);
        for (lane, engine) in alone.iter_mut().enumerate().filter(|(lane, _)| moment.mask[*lane]) {
            moment.lane(lane).step(engine, 0.8, &mut one);
            assert_eq!(said.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES], one.codes);
            assert_eq!([said.rewards[lane], said.terminated[lane]], [one.rewards[0], one.terminated[0]]);
            assert_eq!(said.uncertainty[lane], one.uncertainty[0]);
        }
    }
}

#[test]
fn a_saved_lane_goes_on_bit_for_bit_wherever_it_is_put() {
    let model = small();
    let mut rng = Rng::seed_from_u64(3);
    let mut engine = CpuEngine::new(&model, 3).unwrap();
    let mut said = StepOutput::new(&model, 3);
    for _ in 0..7 {
        let moment = Moment { mask: vec![true, true, false], ..Moment::random(3, &mut rng) };
        moment.step(&mut engine, 0.0, &mut said);
    }
    let saved = engine.lane(0);
    assert!(engine.set_lane(2, &saved));
    for _ in 0..7 {
        let mut moment = Moment { mask: vec![true, false, true], ..Moment::random(3, &mut rng) };
        moment.codes.copy_within(..FRAME_CODE_BYTES, 2 * FRAME_CODE_BYTES);
        moment.actions.copy_within(..ACTIONS, 2 * ACTIONS);
        (moment.levels[2], moment.draws[2]) = (moment.levels[0], moment.draws[0]);
        moment.step(&mut engine, 1.0, &mut said);
        assert_eq!(said.codes[..FRAME_CODE_BYTES], said.codes[2 * FRAME_CODE_BYTES..]);
        assert_eq!(said.rewards[0], said.rewards[2]);
    }
}

/// Through a ring that fills and turns: what is read out is what the next step says of the same frame, and no step after
/// it knows that anything was read.
#[test]
fn reading_objects_out_appends_nothing() {
    let model = small();
    let lanes = 5;
    let engines = || -> [Box<dyn StepEngine>; 2] {
        [Box::new(CpuEngine::new(&model, lanes).unwrap()), Box::new(BurnEngine::new(&model, lanes))]
    };
    for (mut read, mut left) in engines().into_iter().zip(engines()) {
        let mut rng = Rng::seed_from_u64(6);
        let (mut said, mut expected) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
        for t in 0..11 {
            let moment = Moment::random(lanes, &mut rng);
            let sampling = Sampling { draws: &moment.draws, temperature: 0.0 };
            let (codes, actions) = (&moment.codes, &moment.actions);
            let (levels, mask) = (&moment.levels, &moment.mask);
            let mut objects = said.objects.clone();
            read.read_objects(&FrameStep { codes, actions, levels, mask, sampling }, &mut objects);
            moment.step(read.as_mut(), 0.5, &mut said);
            moment.step(left.as_mut(), 0.5, &mut expected);
            assert_eq!(said, expected, "step {t}");
            assert_eq!(objects, said.objects, "step {t}");
        }
    }
}

#[test]
fn features_are_read_as_burn_does_and_nothing_is_appended() {
    let model = small();
    let (lanes, width) = (5, model.card.config.dynamics.width);
    let mut cpu = CpuEngine::new(&model, lanes).unwrap();
    let mut burn = BurnEngine::new(&model, lanes);
    let mut left = CpuEngine::new(&model, lanes).unwrap();
    let mut rng = Rng::seed_from_u64(8);
    let (mut said, mut expected) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
    let (mut ours, mut theirs) = (vec![0.0; lanes * width], vec![0.0; lanes * width]);
    for t in 0..11 {
        let moment = Moment::random(lanes, &mut rng);
        let sampling = Sampling { draws: &moment.draws, temperature: 0.0 };
        let (codes, actions) = (&moment.codes, &moment.actions);
        let (levels, mask) = (&moment.levels, &moment.mask);
        let frame = FrameStep { codes, actions, levels, mask, sampling };
        cpu.read_latents(&frame, &mut ours);
        burn.read_latents(&frame, &mut theirs);
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "step {t}: off by {worst}");
        moment.step(&mut cpu, 0.5, &mut said);
        moment.step(&mut burn, 0.5, &mut expected);
        moment.step(&mut left, 0.5, &mut expected);
        assert_eq!(said, expected, "step {t}");
    }
    assert!(ours.iter().any(|value| value.abs() > 0.1), "normalised features are not all small");
}

#[test]
fn frames_are_decoded_as_burn_does() {
    let model = small();
    let codes = Moment::random(11, &mut Rng::seed_from_u64(4)).codes;
    let mut engine = CpuEngine::new(&model, 1).unwrap();
    let mut frames = vec![0; 11 * FRAME_BYTES];
    engine.decode(&codes, &mut frames);
    let expected = decode_frames(&model.tokenizer, &codes);
    let worst = frames.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    let other = frames.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(worst <= 1 && other * 1000 < frames.len(), "{other} bytes differ, by up to {worst}");
}

#[test]
fn frames_are_encoded_as_burn_does() {
    let model = small();
    let mut rng = Rng::seed_from_u64(8);
    // Flat patches with some noise: pixels of a random frame are all alike to an encoder.
    let frames: Vec<u8> =
        (0..11 * FRAME_BYTES).map(|i| (i / 24 * 37 % 200) as u8 + rng.random_range(0..50u8)).collect();
    let mut codes = vec![0; 11 * FRAME_CODE_BYTES];
    CpuEngine::new(&model, 1).unwrap().encode(&frames, &mut codes);
    let expected = encode_frames(&model.tokenizer, &frames);
    let other = codes.iter().zip(&expected).filter(|(a, b)| a != b).count();
    // A value can lie between two levels to the last digit; then rounding decides.
    assert!(other * 1000 < codes.len(), "{other} of {} levels differ", codes.len());
    let distinct: std::collections::BTreeSet<_> = codes.chunks_exact(4).collect();
    assert!(distinct.len() > 20, "{} codes for all patches", distinct.len());
}

/// Both engines in turns, on the shipped sizes: codes only, and with frames.
#[test]
#[ignore = "a measurement, which wants an idle machine"]
fn steps_a_second() {
    let model = model(ModelConfig::new(Preset::Nano, ACTIONS, 2));
    for lanes in [1, 16, 64, 256] {
        let mut burn = BurnEngine::new(&model, lanes);
        let mut cpu = CpuEngine::new(&model, lanes).unwrap();
        println!("{lanes} lanes, {} bytes each", cpu.lane_bytes());
        for round in 0..2 {
            let speed = |engine: &mut dyn StepEngine, frames: bool| {
                let mut said = StepOutput::new(&model, lanes);
                let mut pixels = vec![0; lanes * FRAME_BYTES];
                let mut moment = Moment::random(lanes, &mut Rng::seed_from_u64(5));
                moment.mask = vec![true; lanes];
                let (mut steps, start) = (0, std::time::Instant::now());
                while start.elapsed().as_secs_f64() < 1.5 {
                    moment.step(engine, 0.0, &mut said);
                    moment.codes.copy_from_slice(&said.codes);
                    if frames {
                        engine.decode(&said.codes, &mut pixels);
                    }
                    steps += lanes;
                }
                steps as f64 / start.elapsed().as_secs_f64()
            };
            let [slow, fast] = [speed(&mut burn, true), speed(&mut cpu, true)];
            let codes = speed(&mut cpu, false);
            println!(
                "  round {round}: burn {slow:.0}, ours {fast:.0} env-steps/s ({:.1}x), codes only {codes:.0}",
                fast / slow
            );
        }
    }
}
