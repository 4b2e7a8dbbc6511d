//! A batch that is gathered on the device is the one that the host puts together, to the bit.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/toy/mod.rs"]
mod toy;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use worldstep_env::{Rng, Space};

use super::coded_corpus::CodedCorpus;
use super::coded_rows::{CodedRows, NO_CODE, Targets};
use super::device_frames::DeviceFrames;
use super::dynamics_batch::Windows;
use super::gradients::{Draw, Objective};
use super::objective::{ObjectiveOptions, ShortStarts};
use super::tasks::task_cards;
use super::tokenizer_stage::TokenizerObjective;
use super::window_plan::WindowSizes;
use crate::action::ActionCoding;
use crate::codec::plain;
use crate::config::{FSQ_LEVELS, Preset};
use crate::data::{Clips, Corpus, Split};
use crate::dynamics::FrameInput;
use crate::model::ModelCard;
use crate::packing::FRAME_CODE_BYTES;

/// Clips are shorter than a window, so that every window runs over an end.
const CLIP_FRAMES: usize = 20;
const SIZES: WindowSizes = WindowSizes { length: 32, horizon: 4 };

/// Two tasks of different actions; the second one tells no rewards.
fn tasks() -> Vec<Clips> {
    let mut other = toy::clips(4, CLIP_FRAMES, 2);
    other.scenario.id = "Other-v0".to_owned();
    let space = Space::Discrete { n: 5, start: 0 };
    let padded = other.actions.chunks(3).flat_map(|action| [action, &[0.0; 2]].concat());
    other.actions = padded.collect();
    other.coding = ActionCoding::new(&space);
    other.scenario.action_space = space;
    other.targets.rewards = false;
    other.object_known.iter_mut().step_by(3).for_each(|known| *known = false);
    vec![toy::clips(4, CLIP_FRAMES, 1), other]
}

/// Codes that change here and there.
fn codes(clips: &Clips, salt: usize) -> Arc<[u8]> {
    let code = |i: usize| {
        let (row, byte) = (i / FRAME_CODE_BYTES, i % FRAME_CODE_BYTES);
        ((row / 3 * byte + salt) % FSQ_LEVELS[byte % 4]) as u8
    };
    (0..clips.rows() * FRAME_CODE_BYTES).map(code).collect()
}

fn input_bits(input: FrameInput) -> Vec<Vec<u32>> {
    [input.codes, input.actions].into_iter().map(bits).collect()
}

fn target_bits(targets: Targets) -> Vec<Vec<u32>> {
    let mut all = vec![bits(targets.codes.next_weighted), bits(targets.codes.weights)];
    targets.facts.map(|column| all.push(bits(column.clone())));
    all
}

/// Shape and values.
fn bits(tensor: Tensor<2>) -> Vec<u32> {
    let shape = tensor.dims().map(|size| size as u32);
    shape.into_iter().chain(plain(tensor).into_iter().map(f32::to_bits)).collect()
}

#[test]
fn gathered_is_what_the_host_puts_together() {
    let clips = tasks();
    let corpus = Corpus::new(&clips, &[]).unwrap();
    let card = ModelCard::new(Preset::Nano, task_cards(&corpus, &[]).unwrap());
    let options = ObjectiveOptions {
        short_starts: ShortStarts { share: 0.3, true_frames: 4 },
        ..ObjectiveOptions::default()
    };
    let codes: Vec<_> = clips.iter().enumerate().map(|(salt, clips)| codes(clips, salt)).collect();
    let rows = || CodedRows::new(&corpus, &codes, &card, &options);
    let device = Device::flex().autodiff();
    let (host, gathered) = (Arc::new(rows()), rows().on_device(&device));
    assert!(gathered.are_on_device() && !host.are_on_device());
    let drawn = CodedCorpus::new(&corpus, Split::Train, (&host, &options), &card).unwrap();
    let windows = drawn.windows(24, SIZES, &mut Rng::seed_from_u64(9));
    check_that_it_says_something(&host, &windows);
    let frames = &windows.frames;
    assert_eq!(
        input_bits(gathered.input(frames, &device)),
        input_bits(host.host_input(frames).tensors(&device))
    );
    assert_eq!(
        target_bits(gathered.targets(&frames.rows, &device)),
        target_bits(host.host_targets(&frames.rows).tensors(&device))
    );
    // Another batch is another one: what is compared depends on what was drawn.
    let other = drawn.windows(24, SIZES, &mut Rng::seed_from_u64(10)).frames;
    assert_ne!(input_bits(gathered.input(&other, &device)), input_bits(host.input(frames, &device)));
    assert_ne!(
        target_bits(gathered.targets(&other.rows, &device)),
        target_bits(host.targets(&frames.rows, &device))
    );
}

#[test]
fn gathered_frames_are_what_the_host_puts_together() {
    let clips = tasks();
    let corpus = Corpus::new(&clips, &[]).unwrap();
    let device = Device::flex().autodiff();
    let on_device = Arc::new(DeviceFrames::new(&corpus, &device));
    let batch = |on_device: Option<&Arc<DeviceFrames>>, seed| {
        let objective = TokenizerObjective::new(&corpus, Split::Train, on_device.cloned()).unwrap();
        let mut draw = Draw { rng: Rng::seed_from_u64(seed), count: 12, progress: 0.0 };
        objective.draw(&mut draw).gather(&device).map(bits)
    };
    assert_eq!(batch(Some(&on_device), 3), batch(None, 3));
    assert_ne!(batch(Some(&on_device), 3), batch(None, 4));
    let [_, weights] = batch(None, 3);
    let moving = |weight: &&u32| **weight == 10f32.to_bits();
    assert!(weights.iter().filter(moving).count() > 100, "nothing moves");
    let rows: usize = clips.iter().map(Clips::rows).sum();
    assert_eq!(DeviceFrames::bytes(&corpus), (rows * (64 * 64 * 4)) as u64);
}

/// Both tasks, frames beyond an end, the last frames of clips, and corrupted ones.
fn check_that_it_says_something(rows: &CodedRows, windows: &Windows) {
    let frames = &windows.frames;
    let second = rows.first(1).unwrap() as u32;
    let count = |what: &dyn Fn(usize) -> bool| (0..frames.len()).filter(|frame| what(*frame)).count();
    let padding = |frame: usize| frames.rows[frame] == rows.padding();
    let seen = |frame: usize| &frames.seen[frame * FRAME_CODE_BYTES..(frame + 1) * FRAME_CODE_BYTES];
    assert!(count(&padding) > 100);
    assert!(count(&|frame| !padding(frame) && frames.rows[frame] >= second) > 20);
    assert!(count(&|frame| frames.rows[frame] < second) > 20);
    assert!(count(&|frame| frames.rows[frame] as usize % CLIP_FRAMES == CLIP_FRAMES - 1) > 10);
    let corrupted = |frame: usize| !padding(frame) && seen(frame) != rows.codes(frames.rows[frame] as usize);
    assert!(count(&corrupted) > 20);
    assert!((0..frames.len()).all(|frame| !padding(frame) || seen(frame) == [NO_CODE; FRAME_CODE_BYTES]));
    assert!(!windows.roll_outs.is_empty());
}

#[test]
fn beyond_an_end_nothing_is_shown_and_nothing_weighs() {
    let clips = tasks();
    let corpus = Corpus::new(&clips, &[]).unwrap();
    let card = ModelCard::new(Preset::Nano, task_cards(&corpus, &[]).unwrap());
    let codes: Vec<_> = clips.iter().map(|clips| codes(clips, 0)).collect();
    let rows = CodedRows::new(&corpus, &codes, &card, &ObjectiveOptions::default());
    let device = Device::flex();
    let rows = rows.on_device(&device);
    let last = rows.targets(&[CLIP_FRAMES as u32 - 1, rows.padding()], &device);
    assert!(bits(last.codes.weights)[2..].iter().all(|bits| *bits == 0), "nothing follows a last frame");
    assert_eq!(plain(last.facts.real), [1.0, 0.0]);
    assert_eq!(plain(last.facts.terminated), [1.0, 0.0]);
    assert_eq!(plain(last.facts.terminated_weights), [6.0, 0.0]);
    assert!(plain(rows.targets(&[0], &device).codes.weights).iter().all(|weight| *weight >= 1.0));
}
