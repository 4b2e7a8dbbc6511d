//! The GPU's step engine on CubeCL's processor runtime, kernel for kernel the code that a GPU runs, against the engine for the
//! processor. `make test-kernels` runs it.
#![cfg(feature = "kernels-on-cpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod moments;

use moments::{ACTIONS, Tolerance, model, moment, small};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;
use worldstep_model::config::{
    FRAME_CODES, FRAME_TOKENS, FrameSize, ModelConfig, Preset, RefinerConfig, StackConfig,
};
use worldstep_model::cuda::{CudaEngine, DeviceMemory, ProductNumbers};
use worldstep_model::dynamics::TOKEN_LOGITS;
use worldstep_model::engine::agreement::{Moment, agreement};
use worldstep_model::engine::{CpuEngine, FrameStep, Sampling, StepEngine, StepOutput};
use worldstep_model::model::Model;
use worldstep_model::on_card::Part;
use worldstep_model::packing::FRAME_CODE_BYTES;
use worldstep_model::precision::Precision;
use worldstep_model::reward::REWARD_BINS;

/// Sums of a few hundred products in another order, through eight layers: single precision keeps five digits of them.
const EXACT: Tolerance = Tolerance { numbers: 2e-4, features: 1e-3, codes: 1e-4, pixels: (1, 1e-3) };

fn engine(model: &Model, lanes: usize) -> CudaEngine<f32> {
    CudaEngine::new(model, lanes, &cubecl::Device::default()).unwrap()
}

#[test]
fn the_engine_says_what_the_processors_says_through_64_frames_with_resets() {
    let model = small();
    let mut engines = (CpuEngine::new(&model, 5).unwrap(), engine(&model, 5));
    moments::compare(&model, (&mut engines.0, &mut engines.1), 64, &EXACT);
}

#[test]
fn so_it_does_at_other_sizes() {
    let model = model(ModelConfig { context_frames: 20, ..ModelConfig::new(Preset::S, ACTIONS, 0) });
    let mut engines = (CpuEngine::new(&model, 2).unwrap(), engine(&model, 2));
    moments::compare(&model, (&mut engines.0, &mut engines.1), 24, &EXACT);
}

#[test]
fn codes_are_drawn_as_the_processor_draws_them() {
    let (model, lanes) = (small(), 5);
    let (mut cpu, mut cuda) = (CpuEngine::new(&model, lanes).unwrap(), engine(&model, lanes));
    let (mut expected, mut said) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
    let (mut rng, mut other, mut all) = (Rng::seed_from_u64(4), 0, 0);
    for _ in 0..12 {
        let moment = moment(lanes, &mut rng);
        moment.step(&mut cpu, 0.9, &mut expected);
        moment.step(&mut cuda, 0.9, &mut said);
        other += said.codes.iter().zip(&expected.codes).filter(|(a, b)| a != b).count();
        all += said.codes.len();
    }
    // A number can fall on the edge between two levels to the last digit; then rounding decides.
    assert!(other * 2_000 < all, "{other} of {all} codes differ");
}

#[test]
fn a_batch_is_so_many_batches_of_one() {
    let model = small();
    moments::each_lane_is_alone(&model, 7, 6, |lanes| engine(&model, lanes));
}

#[test]
fn reading_out_appends_nothing_and_says_what_the_processors_engine_says() {
    let (model, lanes) = (small(), 5);
    let width = model.card.config.dynamics.width;
    let (mut cpu, mut cuda, mut left) =
        (CpuEngine::new(&model, lanes).unwrap(), engine(&model, lanes), engine(&model, lanes));
    let mut rng = Rng::seed_from_u64(8);
    let (mut said, mut expected) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
    let (mut ours, mut theirs) = (vec![0.0; lanes * width], vec![0.0; lanes * width]);
    for t in 0..11 {
        let moment = moment(lanes, &mut rng);
        let sampling = Sampling { draws: &moment.draws, temperature: 0.0 };
        let (codes, actions) = (&moment.codes, &moment.actions);
        let (levels, mask) = (&moment.levels, &moment.mask);
        let frame = FrameStep { codes, actions, levels, mask, sampling };
        cpu.read_latents(&frame, &mut theirs);
        cuda.read_latents(&frame, &mut ours);
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "step {t}: off by {worst}");
        let mut objects = said.objects.clone();
        cuda.read_objects(&frame, &mut objects);
        moment.step(&mut cuda, 0.5, &mut said);
        moment.step(&mut left, 0.5, &mut expected);
        moment.step(&mut cpu, 0.5, &mut StepOutput::new(&model, lanes));
        assert_eq!(said, expected, "step {t}");
        assert_eq!(objects, said.objects, "step {t}");
    }
    assert!(ours.iter().any(|value| value.abs() > 0.1), "normalised features are not all small");
}

#[test]
fn frames_are_encoded_and_decoded_as_on_the_processor() {
    for frame in FrameSize::ALL {
        codes_frames(&model(ModelConfig { frame, ..small().card.config }));
    }
}

fn codes_frames(model: &Model) {
    let bytes = 11 * model.card.config.frame.bytes();
    let (mut cpu, mut cuda) = (CpuEngine::new(model, 3).unwrap(), engine(model, 3));
    let mut rng = Rng::seed_from_u64(8);
    // Flat patches with some noise: pixels of a random frame are all alike to an encoder. More frames than one pass takes.
    let frames: Vec<u8> = (0..bytes).map(|i| (i / 24 * 37 % 200) as u8 + rng.random_range(0..50u8)).collect();
    let (mut codes, mut expected) = (vec![0; 11 * FRAME_CODE_BYTES], vec![0; 11 * FRAME_CODE_BYTES]);
    cuda.encode(&frames, &mut codes);
    cpu.encode(&frames, &mut expected);
    let other = codes.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(other * 1_000 < codes.len(), "{other} of {} levels differ", codes.len());
    let codes = moment(11, &mut rng).codes;
    let (mut ours, mut theirs) = (vec![0; bytes], vec![0; bytes]);
    cuda.decode(&codes, &mut ours);
    cpu.decode(&codes, &mut theirs);
    let worst = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    let other = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    assert!(worst <= 1 && other * 1_000 < ours.len(), "{other} bytes differ, by up to {worst}");
}

/// Where there is no card, the frames are handed over in host memory: all of them, in order, once.
#[test]
fn frames_are_handed_over_pass_by_pass() {
    let model = small();
    let (frame, count) = (model.card.config.frame.bytes(), 8);
    let mut engine = engine(&model, 3);
    let codes = moment(count, &mut Rng::seed_from_u64(5)).codes;
    let (mut whole, mut handed) = (vec![0; count * frame], Vec::new());
    engine.decode(&codes, &mut whole);
    engine.decode_on_card(&codes, &mut vec![0; count * frame], &mut |first, part| {
        assert_eq!(first * frame, handed.len());
        let Part::Host(frames) = part else { panic!("there is no card") };
        handed.extend_from_slice(frames);
    });
    assert!(handed == whole);
}

#[test]
fn an_engine_goes_on_in_another_thread() {
    let model = small();
    let mut engines = [engine(&model, 2), engine(&model, 2)];
    let mut rng = Rng::seed_from_u64(3);
    let mut said = [StepOutput::new(&model, 2), StepOutput::new(&model, 2)];
    for _ in 0..6 {
        let moment = Moment { mask: vec![true; 2], ..moment(2, &mut rng) };
        moment.step(&mut engines[0], 0.5, &mut said[0]);
        std::thread::scope(|scope| {
            scope.spawn(|| moment.step(&mut engines[1], 0.5, &mut said[1]));
        });
        assert_eq!(said[0], said[1]);
    }
}

/// The model of memory is what the engine asks for, to the byte.
#[test]
fn it_takes_the_memory_that_it_was_said_to_take() {
    let large = model(ModelConfig { frame: FrameSize::Px128, ..small().card.config });
    let refined = model(ModelConfig { refiner: Some(RefinerConfig::default()), ..small().card.config });
    for (model, lanes) in
        [(small(), 1), (small(), 5), (large, 3), (refined, 7), (model(ModelConfig::new(Preset::S, 7, 3)), 2)]
    {
        let memory = DeviceMemory::new(&model.card.config, Precision::F32);
        assert_eq!(engine(&model, lanes).device_bytes(), memory.total(lanes));
        let narrow = DeviceMemory::new(&model.card.config, Precision::Bf16);
        let device = cubecl::Device::default();
        let engine = CudaEngine::<half::bf16>::new(&model, lanes, &device).unwrap();
        assert_eq!(engine.device_bytes(), narrow.total(lanes));
    }
}

/// Whether kernels on this processor can round to bfloat16: LLVM makes an instruction of it, or else a call of the
/// compiler's library (`__truncsfbf2`) that CubeCL's processor runtime does not find.
fn rounds_to_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Operands of products keep 8 bits: numbers agree to a few hundredths of what a random network says, codes in all but a few
/// places.
#[test]
fn operands_half_as_wide_say_nearly_the_same() {
    if !rounds_to_bf16() {
        eprintln!(
            "skipped: this processor has no AVX512-BF16, and the one that compiles kernels for it no other way"
        );
        return;
    }
    let model = small();
    let device = cubecl::Device::default();
    let narrow = CudaEngine::<half::bf16>::new(&model, 5, &device).unwrap();
    let mut engines = (CpuEngine::new(&model, 5).unwrap(), narrow);
    let tolerance = Tolerance { numbers: 0.05, features: 0.2, codes: 0.03, pixels: (6, 0.5) };
    moments::compare(&model, (&mut engines.0, &mut engines.1), 24, &tolerance);
}

/// Codes that are drawn again, with the rest shown to a second network.
#[test]
fn a_refiner_says_what_the_processors_says() {
    let refiner = Some(RefinerConfig { steps: 2, masked_codes: 24, ..RefinerConfig::default() });
    let (refined, plain, lanes) = (model(ModelConfig { refiner, ..small().card.config }), small(), 5);
    let mut engines = (CpuEngine::new(&refined, lanes).unwrap(), engine(&refined, lanes));
    moments::compare(&refined, (&mut engines.0, &mut engines.1), 24, &EXACT);
    let mut outputs = [StepOutput::new(&refined, lanes), StepOutput::new(&refined, lanes)];
    let mut unrefined = StepOutput::new(&plain, lanes);
    let (mut rng, mut other, mut changed, mut all) = (Rng::seed_from_u64(4), 0, 0, 0);
    let mut without = engine(&plain, lanes);
    for _ in 0..8 {
        let moment = moment(lanes, &mut rng);
        moment.step(&mut engines.0, 0.9, &mut outputs[0]);
        moment.step(&mut engines.1, 0.9, &mut outputs[1]);
        moment.step(&mut without, 0.9, &mut unrefined);
        let apart =
            |a: &StepOutput, b: &StepOutput| a.codes.iter().zip(&b.codes).filter(|(a, b)| a != b).count();
        other += apart(&outputs[0], &outputs[1]);
        changed += apart(&outputs[1], &unrefined);
        all += outputs[0].codes.len();
    }
    // One level on an edge changes what the second network sees, and so some of its frame.
    assert!(other * 200 < all, "{other} of {all} codes differ");
    assert!(changed * 20 > all, "only {changed} of {all} codes were drawn again");
}

/// Rows that fill a bucket up write to a ring that nobody reads.
#[test]
fn how_many_lanes_step_changes_none_of_them() {
    let (model, lanes) = (small(), 11);
    let (mut some, mut each) = (engine(&model, lanes), engine(&model, lanes));
    let (mut said, mut expected) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
    let mut rng = Rng::seed_from_u64(6);
    for live in [11, 3, 5, 1, 9, 8, 11, 2] {
        let moment = Moment { mask: (0..lanes).map(|lane| lane < live).collect(), ..moment(lanes, &mut rng) };
        moment.step(&mut some, 0.5, &mut said);
        for lane in 0..live {
            let mask = (0..lanes).map(|other| other == lane).collect();
            Moment { mask, ..moment.clone() }.step(&mut each, 0.5, &mut expected);
        }
        assert_eq!(said, expected, "{live} lanes");
    }
}

/// Weights, and what they are multiplied with, keep three bits of mantissa in the products of blocks. What that comes to with
/// trained weights is printed: see `docs/gpu.md`, which has it of `WORLDSTEP_STEPS=64` steps.
#[test]
#[allow(clippy::print_stdout, reason = "what is published")]
fn products_of_eight_bits_say_nearly_the_same() {
    let device = cubecl::Device::default();
    let steps = std::env::var("WORLDSTEP_STEPS").map_or(12, |steps| steps.parse().unwrap());
    for task in ["CatchBehindScreen-v0", "CartPole-v0", "PushCube-v0"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nano").join(task);
        let model = Model::load(&folder, &burn::tensor::Device::flex()).unwrap();
        let mut cpu = CpuEngine::new(&model, 5).unwrap();
        let mut exact = engine(&model, 5);
        let mut fp8 = CudaEngine::<f32>::with_products(&model, 5, (&device, ProductNumbers::Fp8)).unwrap();
        let memory = DeviceMemory::with_products(&model.card.config, Precision::F32, ProductNumbers::Fp8);
        // The library, and what it works in, are for GPUs.
        assert_eq!(fp8.device_bytes(), memory.total(5) - memory.workspace(5));
        let apart = agreement(&model, (&mut cpu, &mut fp8), steps);
        println!("{task}: fp8 beside f32: {apart:?}");
        let rounding = agreement(&model, (&mut CpuEngine::new(&model, 5).unwrap(), &mut exact), steps);
        assert!(apart.numbers() > 10.0 * rounding.numbers(), "eight bits are not thirty-two: {apart:?}");
        assert!(apart.numbers() < 1.0 && apart.other_codes < 0.2, "{apart:?}");
    }
}

#[test]
fn a_steps_time_is_told_kernel_by_kernel() {
    let (model, lanes) = (small(), 3);
    let mut profiled = engine(&model, lanes);
    let profile = profiled.profile(3);
    let config = &model.card.config;
    let (dynamics, decoder) = (&config.dynamics, &config.decoder);
    let launches = |kernel: &str| -> usize {
        profile.kernels.iter().filter(|time| time.kernel == kernel).map(|time| time.launches).sum()
    };
    assert_eq!(launches("attention within the frame"), dynamics.layers + decoder.layers);
    assert_eq!(launches("attention over time"), dynamics.layers.div_ceil(config.temporal_every));
    assert_eq!((launches("draw codes"), launches("frames of patches")), (1, 1));
    // Two operations for each weight that a row meets; heads are filled up to whole tiles.
    let attention = |stack: &StackConfig| {
        stack.width * (stack.width + (stack.heads + 2 * stack.kv_heads) * stack.head_dim())
    };
    let blocks = |stack: &StackConfig| stack.layers * (attention(stack) + 3 * stack.width * stack.hidden);
    let temporal = dynamics.layers.div_ceil(config.temporal_every) * attention(dynamics);
    let logits = dynamics.width * TOKEN_LOGITS.next_multiple_of(16);
    let readout = dynamics.width * (REWARD_BINS + 1 + config.object_values()).next_multiple_of(16);
    let patches = decoder.width * config.frame.patch_values();
    let weights = FRAME_TOKENS * (blocks(dynamics) + temporal + logits) + readout;
    let expected = 2 * lanes * (weights + FRAME_CODES * (blocks(decoder) + patches));
    let products = profile.kernels.iter().filter(|time| time.kernel.starts_with("product"));
    assert_eq!(products.map(|time| time.flops).sum::<f64>(), expected as f64);
    assert!(profile.kernels.iter().all(|time| time.seconds > 0.0 && time.bytes > 0.0));
    assert!(profile.kernels.is_sorted_by(|a, b| a.seconds >= b.seconds));
    let shares = |time| [profile.arithmetic_share(time), profile.bandwidth_share(time)];
    assert!(
        profile.kernels.iter().flat_map(shares).all(|share| share.is_finite() && share >= 0.0),
        "{profile:?}"
    );
    // It leaves lanes that have seen nothing.
    let (mut said, mut expected) = (StepOutput::new(&model, lanes), StepOutput::new(&model, lanes));
    let first = moment(lanes, &mut Rng::seed_from_u64(1));
    first.step(&mut profiled, 0.5, &mut said);
    first.step(&mut engine(&model, lanes), 0.5, &mut expected);
    assert_eq!(said, expected);
}

#[test]
fn models_without_kernels_are_refused() {
    let mut config = small().card.config;
    config.dynamics.hidden += 2;
    let device = cubecl::Device::default();
    let refused = CudaEngine::<f32>::new(&model(config.clone()), 1, &device).err().unwrap();
    assert!(refused.to_string().contains("expected a multiple of 4"), "{refused}");
    config.dynamics.hidden += 2;
    CudaEngine::<f32>::new(&model(config.clone()), 1, &device).unwrap();
    let narrow = CudaEngine::<f32>::with_products(&model(config), 1, (&device, ProductNumbers::Fp8));
    assert!(narrow.err().unwrap().to_string().contains("expected a multiple of 16"));
}
