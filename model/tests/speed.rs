//! How fast the network trains and steps here: `cargo test -p worldstep-model --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use worldstep_model::cache::Cache;
use worldstep_model::config::{CODE_LOGITS, FRAME_CODES, ModelConfig, NOISE_LEVELS, Preset, SPATIAL_TOKENS};
use worldstep_model::dynamics::{Dynamics, FrameInput, TOKEN_LOGITS};
use worldstep_model::tokenizer::Tokenizer;

fn input(frames: usize, config: &ModelConfig, device: &Device) -> FrameInput {
    FrameInput {
        codes: Tensor::random(
            [frames * SPATIAL_TOKENS, TOKEN_LOGITS],
            Distribution::Uniform(0.0, 0.3),
            device,
        ),
        actions: Tensor::zeros([frames, config.action_values + NOISE_LEVELS], device),
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let config = ModelConfig::new(Preset::Nano, 3, 2);
    let plain = Device::flex();
    let device = Device::flex().autodiff();
    let dynamics = Dynamics::new(&config, &device);
    let tokenizer = Tokenizer::new(&config, &device);
    println!("parameters {} + {} ({CODE_LOGITS})", dynamics.num_params(), tokenizer.num_params());
    for shards in [1usize, 2] {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..shards {
                scope.spawn(|| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(2 / shards).build().unwrap();
                    pool.install(|| {
                        for _ in 0..2 {
                            let lanes = 8 / shards;
                            let out = dynamics.forward(input(lanes * 32, &config, &plain), 32);
                            let loss =
                                (out.codes.exp().mean() + out.reward.mean() + out.objects.mean()).sum();
                            std::hint::black_box(loss.backward());
                        }
                    });
                });
            }
        });
        let s = start.elapsed().as_secs_f64() / 2.0;
        println!("dynamics shards {shards}: 8x32 frames {s:.3} s, {:.0} frames/s", 256.0 / s);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..shards {
                scope.spawn(|| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(2 / shards).build().unwrap();
                    pool.install(|| {
                        for _ in 0..2 {
                            let x = Tensor::<2>::random(
                                [64 / shards * FRAME_CODES, 192],
                                Distribution::Default,
                                &plain,
                            );
                            let y = tokenizer.decode(tokenizer.encode(x.clone()));
                            std::hint::black_box((y - x).square().mean().backward());
                        }
                    });
                });
            }
        });
        let s = start.elapsed().as_secs_f64() / 2.0;
        println!("tokenizer shards {shards}: 64 frames {s:.3} s, {:.0} frames/s", 64.0 / s);
    }
    let (dynamics, tokenizer) = (dynamics.valid(), tokenizer.valid());
    let mut cache = Cache::new(&config, 64, &plain);
    for _ in 0..3 {
        let start = Instant::now();
        let out = dynamics.step(input(64, &config, &plain), &[true; 64], &mut cache);
        std::hint::black_box(out.codes.into_data());
        let stepped = start.elapsed().as_secs_f64();
        let codes = Tensor::<2>::random([64 * FRAME_CODES, 4], Distribution::Default, &plain);
        std::hint::black_box(tokenizer.decode(codes).into_data());
        println!("64 lanes: step {stepped:.3} s, decode {:.3} s", start.elapsed().as_secs_f64() - stepped);
    }
}
