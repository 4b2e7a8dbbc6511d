//! The engine for the processor against burn's own forward pass: the same weights say the same, whatever happens to
//! lanes on the way, and a lane never feels its neighbours.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod moments;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use moments::{ACTIONS, Tolerance, model, moment, small};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;
use worldstep_model::codec::{decode_frames, encode_frames};
use worldstep_model::config::{FrameSize, ModelConfig, Preset, RefinerConfig};
use worldstep_model::engine::agreement::{Agreement, Moment, agreement};
use worldstep_model::engine::{
    BurnEngine, CpuEngine, FrameStep, Sampling, ShardedEngine, StepEngine, StepOutput, shares,
};
use worldstep_model::model::Model;
use worldstep_model::packing::FRAME_CODE_BYTES;

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

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
    let moment = Moment { mask: vec![true; 5], ..moment(5, &mut Rng::seed_from_u64(6)) };
    let codes = |model: &Model| {
        let mut said = StepOutput::new(model, 5);
        moment.step(&mut CpuEngine::new(model, 5).unwrap(), 0.0, &mut said);
        said.codes
    };
    codes(model) != codes(&without)
}

/// Both engines through the same moments.
fn compare(model: &Model, lanes: usize, count: usize) {
    let mut engines = (BurnEngine::new(model, lanes), CpuEngine::new(model, lanes).unwrap());
    // Sums of a few hundred products in another order, through eight layers: single precision keeps five digits of them.
    let tolerance = Tolerance { numbers: 2e-4, features: 1e-3, codes: 1e-4, pixels: (1, 1e-3) };
    moments::compare(model, (&mut engines.0, &mut engines.1), count, &tolerance);
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
    moments::each_lane_is_alone(model, 13, 10, |lanes| CpuEngine::new(model, lanes).unwrap());
}

/// Two engines stand in for two devices.
#[test]
fn lanes_divided_over_devices_say_what_they_say_together() {
    let (model, lanes) = (small(), 7);
    assert_eq!(shares(lanes, 3).collect::<Vec<_>>(), [3, 2, 2]);
    let sharded = |count: usize| {
        let engine = |lanes| -> Box<dyn StepEngine> { Box::new(CpuEngine::new(&model, lanes).unwrap()) };
        ShardedEngine::new(&model, shares(lanes, count).map(engine).collect())
    };
    for count in [1, 2, 3] {
        let (mut one, mut several) = (CpuEngine::new(&model, lanes).unwrap(), sharded(count));
        let found = agreement(&model, (&mut one, &mut several), 40);
        assert_eq!(found, Agreement::default(), "to the last bit on {count}");
        let mut rng = Rng::seed_from_u64(9);
        let moment = moment(lanes, &mut rng);
        let width = model.card.config.dynamics.width;
        let (mut together, mut apart) = (vec![0.0; lanes * width], vec![0.0; lanes * width]);
        one.read_latents(&moment.frame(0.0), &mut together);
        several.read_latents(&moment.frame(0.0), &mut apart);
        assert_eq!(together, apart);
        let (mut objects, mut others) = (vec![0.0; lanes * 12], vec![0.0; lanes * 12]);
        one.read_objects(&moment.frame(0.0), &mut objects);
        several.read_objects(&moment.frame(0.0), &mut others);
        assert_eq!(objects, others);
        let frames: Vec<u8> = (0..5 * FRAME_BYTES).map(|i| (i / 24 * 37 % 251) as u8).collect();
        let (mut codes, mut other_codes) = (vec![0; 5 * FRAME_CODE_BYTES], vec![9; 5 * FRAME_CODE_BYTES]);
        one.encode(&frames, &mut codes);
        several.encode(&frames, &mut other_codes);
        assert_eq!(codes, other_codes);
    }
}

#[test]
fn a_saved_lane_goes_on_bit_for_bit_wherever_it_is_put() {
    let model = small();
    let mut rng = Rng::seed_from_u64(3);
    let mut engine = CpuEngine::new(&model, 3).unwrap();
    let mut said = StepOutput::new(&model, 3);
    for _ in 0..7 {
        let moment = Moment { mask: vec![true, true, false], ..moment(3, &mut rng) };
        moment.step(&mut engine, 0.0, &mut said);
    }
    let saved = engine.lane(0);
    assert!(engine.set_lane(2, &saved));
    for _ in 0..7 {
        let mut moment = Moment { mask: vec![true, false, true], ..moment(3, &mut rng) };
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
            let moment = moment(lanes, &mut rng);
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
        let moment = moment(lanes, &mut rng);
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
    let codes = moment(11, &mut Rng::seed_from_u64(4)).codes;
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
                let mut moment = moment(lanes, &mut Rng::seed_from_u64(5));
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
