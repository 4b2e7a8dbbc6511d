//! What one pass may depend on: the past of its own lane, and nothing else.
#![allow(clippy::unwrap_used, missing_docs, clippy::needless_range_loop)]

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;
use worldstep_model::cache::Cache;
use worldstep_model::codec::plain;
use worldstep_model::config::{FSQ_LEVELS, ModelConfig, NOISE_LEVELS, Preset, SPATIAL_TOKENS};
use worldstep_model::dynamics::{Dynamics, FrameInput, TOKEN_LOGITS};
use worldstep_model::packing::{FRAME_CODE_BYTES, one_hot_tokens};

const FRAMES: usize = 9;
const ACTIONS: usize = 3;
const TOLERANCE: f32 = 1e-4;

/// A small ring, so that the tests go around it.
fn config() -> ModelConfig {
    ModelConfig { context_frames: 4, ..ModelConfig::new(Preset::Nano, ACTIONS, 1) }
}

/// One lane's frames and actions.
#[derive(Clone)]
struct Clip {
    codes: Vec<Vec<u8>>,
    actions: Vec<Vec<f32>>,
}

impl Clip {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::seed_from_u64(seed);
        let mut frame = || {
            (0..FRAME_CODE_BYTES).map(|i| rng.random_range(0..FSQ_LEVELS[i % 4] as u8)).collect::<Vec<u8>>()
        };
        let codes = (0..FRAMES).map(|_| frame()).collect();
        let mut row =
            || (0..ACTIONS + NOISE_LEVELS).map(|_| rng.random_range(0.0..1.0)).collect::<Vec<f32>>();
        Self { codes, actions: (0..FRAMES).map(|_| row()).collect() }
    }
}

fn input(frames: &[(&Vec<u8>, &Vec<f32>)]) -> FrameInput {
    let device = Device::flex();
    let mut codes = vec![0.0; frames.len() * SPATIAL_TOKENS * TOKEN_LOGITS];
    for ((frame, _), out) in frames.iter().zip(codes.chunks_exact_mut(SPATIAL_TOKENS * TOKEN_LOGITS)) {
        one_hot_tokens(frame, out);
    }
    let actions: Vec<f32> = frames.iter().flat_map(|(_, action)| action.iter().copied()).collect();
    let tensor = |values, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), &device);
    FrameInput {
        codes: tensor(codes, [frames.len() * SPATIAL_TOKENS, TOKEN_LOGITS]),
        actions: tensor(actions, [frames.len(), ACTIONS + NOISE_LEVELS]),
    }
}

/// Everything said after each frame of each lane: `[lane][frame]`.
fn uncached(dynamics: &Dynamics, lanes: &[Clip]) -> Vec<Vec<Vec<f32>>> {
    let frames: Vec<_> = lanes.iter().flat_map(|clip| clip.codes.iter().zip(&clip.actions)).collect();
    let out = dynamics.forward(input(&frames), FRAMES);
    let all: Vec<Vec<f32>> =
        [plain(out.codes), plain(out.reward), plain(out.terminated), plain(out.objects)].into();
    let said = |i: usize| {
        let part =
            |values: &Vec<f32>| values.chunks_exact(values.len() / frames.len()).nth(i).unwrap().to_vec();
        all.iter().flat_map(part).collect::<Vec<f32>>()
    };
    (0..lanes.len()).map(|lane| (0..FRAMES).map(|t| said(lane * FRAMES + t)).collect()).collect()
}

/// One cached step of the lanes' frames `at[lane]`.
fn step(
    dynamics: &Dynamics,
    lanes: &[Clip],
    at: &[usize],
    mask: &[bool],
    cache: &mut Cache,
) -> Vec<Vec<f32>> {
    let frames: Vec<_> = lanes.iter().zip(at).map(|(clip, t)| (&clip.codes[*t], &clip.actions[*t])).collect();
    let out = dynamics.step(input(&frames), mask, cache);
    let all: Vec<Vec<f32>> =
        [plain(out.codes), plain(out.reward), plain(out.terminated), plain(out.objects)].into();
    let part = |values: &Vec<f32>, i: usize| {
        values.chunks_exact(values.len() / lanes.len()).nth(i).unwrap().to_vec()
    };
    (0..lanes.len()).map(|i| all.iter().flat_map(|values| part(values, i)).collect()).collect()
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < TOLERANCE, "{what}: off by {worst}");
}

#[test]
fn cached_equals_uncached() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let lanes = [Clip::random(1), Clip::random(2)];
    let expected = uncached(&dynamics, &lanes);
    let mut cache = Cache::new(&config(), 2, &Device::flex());
    for t in 0..FRAMES {
        let said = step(&dynamics, &lanes, &[t, t], &[true, true], &mut cache);
        for lane in 0..2 {
            assert_close(&said[lane], &expected[lane][t], &format!("lane {lane}, frame {t}"));
        }
    }
}

#[test]
fn the_future_never_changes_the_past() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let clip = Clip::random(3);
    let mut other = clip.clone();
    other.codes[5] = Clip::random(4).codes[5].clone();
    other.actions[5] = Clip::random(4).actions[5].clone();
    let (before, after) = (uncached(&dynamics, &[clip]), uncached(&dynamics, &[other]));
    assert_eq!(before[0][..5], after[0][..5]);
    assert_ne!(before[0][5], after[0][5]);
    assert_ne!(before[0][6], after[0][6], "frame 6 must see frame 5");
}

#[test]
fn a_neighbour_never_changes_a_result() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let (clip, near, far) = (Clip::random(5), Clip::random(6), Clip::random(7));
    let a = uncached(&dynamics, &[clip.clone(), near]);
    let b = uncached(&dynamics, &[clip, far]);
    assert_eq!(a[0], b[0]);
}

#[test]
fn a_reset_lane_is_as_good_as_new() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let (old, new, neighbour) = (Clip::random(8), Clip::random(9), Clip::random(10));
    let expected = uncached(&dynamics, std::slice::from_ref(&new));
    let mut cache = Cache::new(&config(), 2, &Device::flex());
    for t in 0..6 {
        step(&dynamics, &[old.clone(), neighbour.clone()], &[t, t], &[true, true], &mut cache);
    }
    cache.reset(0);
    for t in 0..6 {
        let said = step(&dynamics, &[new.clone(), neighbour.clone()], &[t, t], &[true, true], &mut cache);
        assert_close(&said[0], &expected[0][t], &format!("frame {t} after the reset"));
    }
}

#[test]
fn a_held_lane_goes_on_as_if_nothing_had_happened() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let lanes = [Clip::random(11), Clip::random(12)];
    let expected = uncached(&dynamics, &lanes);
    let mut cache = Cache::new(&config(), 2, &Device::flex());
    let (mut first, mut second) = (0, 0);
    for turn in 0..12usize {
        let mask = [!turn.is_multiple_of(3) && first < FRAMES, turn % 4 != 1 && second < FRAMES];
        let said = step(&dynamics, &lanes, &[first.min(8), second.min(8)], &mask, &mut cache);
        if mask[0] {
            assert_close(&said[0], &expected[0][first], &format!("first lane, frame {first}"));
            first += 1;
        }
        if mask[1] {
            assert_close(&said[1], &expected[1][second], &format!("second lane, frame {second}"));
            second += 1;
        }
    }
    assert!(first > 6 && second > 6);
}

#[test]
fn a_saved_lane_goes_on_elsewhere() {
    let dynamics = Dynamics::new(&config(), &Device::flex());
    let clip = Clip::random(13);
    let expected = uncached(&dynamics, std::slice::from_ref(&clip));
    let mut cache = Cache::new(&config(), 1, &Device::flex());
    for saved_at in 0..FRAMES - 1 {
        step(&dynamics, std::slice::from_ref(&clip), &[saved_at], &[true], &mut cache);
        let mut other = Cache::new(&config(), 2, &Device::flex());
        step(&dynamics, &[Clip::random(14), Clip::random(15)], &[0, 0], &[true, true], &mut other);
        assert!(other.set_lane(1, &cache.lane(0)));
        let lanes = [Clip::random(14), clip.clone()];
        let said = step(&dynamics, &lanes, &[1, saved_at + 1], &[true, true], &mut other);
        assert_close(&said[1], &expected[0][saved_at + 1], &format!("saved after frame {saved_at}"));
    }
}
