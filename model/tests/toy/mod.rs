//! A world small enough to be drawn by hand: a ball bounces behind a screen, a paddle obeys the action.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use rand::{RngExt as _, SeedableRng};
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, InstanceLabel, ScenarioInfo};
use worldstep_env::{Rng, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::FrameSize;
use worldstep_model::data::{ClipRange, Clips, PIXEL_ACTUATED, PIXEL_MOVING, Split, Targets};

pub const BALL: u8 = PIXEL_MOVING;
pub const PADDLE: u8 = PIXEL_MOVING | PIXEL_ACTUATED;

/// Clips of `length` rows; every fourth is for validation.
pub fn clips(count: usize, length: usize, seed: u64) -> Clips {
    clips_of(FrameSize::Px64, count, length, seed)
}

/// The same clips in frames of `frame_size`.
pub fn clips_of(frame_size: FrameSize, count: usize, length: usize, seed: u64) -> Clips {
    let action_space = Space::Discrete { n: 3, start: 0 };
    let label =
        |id, name: &str, actuated| InstanceLabel { id, name: name.to_owned(), moving: true, actuated };
    let scenario = ScenarioInfo {
        id: "Toy-v0".to_owned(),
        action_space: action_space.clone(),
        state_space: Space::bounded(&[0.0], &[1.0]),
        max_episode_steps: length as u32,
        instances: vec![label(1, "ball", false), label(2, "paddle", true)],
        outcomes: Vec::new(),
    };
    let info = DatasetInfo {
        format: FORMAT_VERSION,
        writer: "test".to_owned(),
        frame_size: frame_size.side() as u32,
        seed,
        scenarios: vec![scenario.clone()],
        ..DatasetInfo::default()
    };
    let mut clips = Clips {
        path: "toy".into(),
        info,
        scenario,
        coding: ActionCoding::new(&action_space),
        ranges: Vec::new(),
        frame_size,
        frames: Vec::new(),
        pixel_class: Vec::new(),
        actions: Vec::new(),
        rewards: Vec::new(),
        terminated: Vec::new(),
        objects: Vec::new(),
        physics: None,
        object_known: Vec::new(),
        targets: Targets { rewards: true, terminated: true },
        hash: "0".repeat(16),
    };
    let mut rng = Rng::seed_from_u64(seed);
    for clip in 0..count {
        let split = if clip % 4 == 3 { Split::Val } else { Split::Train };
        clips.ranges.push(ClipRange { start: clips.rewards.len(), len: length, split, seed: clip as i64 });
        episode(&mut clips, length, &mut rng);
    }
    clips
}

fn episode(clips: &mut Clips, length: usize, rng: &mut Rng) {
    let mut ball = [rng.random_range(6.0..14.0f32), rng.random_range(10.0..30.0f32)];
    let mut speed = [rng.random_range(0.8..1.6f32), rng.random_range(-1.0..1.0f32)];
    let (mut paddle, mut action) = (rng.random_range(10.0..54.0f32), 1i64);
    for t in 0..length {
        draw(clips, ball, paddle);
        if rng.random_bool(0.15) {
            action = rng.random_range(0..3);
        }
        clips.coding.encode(&[action as f32], &mut clips.actions).unwrap();
        let to = |p: [f32; 2], v: [f32; 2]| [p[0] / 64.0, p[1] / 64.0, 0.0, v[0], v[1], 0.0];
        clips.objects.extend(to(ball, speed));
        clips.objects.extend(to([58.0, paddle], [0.0, 0.0]));
        clips.object_known.extend([true, true]);
        paddle = (paddle + (action - 1) as f32 * 2.0).clamp(8.0, 56.0);
        speed[1] += 0.08;
        ball = [ball[0] + speed[0], ball[1] + speed[1]];
        if ball[1] > 56.0 {
            ball[1] = 112.0 - ball[1];
            speed[1] *= -0.85;
        }
        if ball[0] > 54.0 || ball[0] < 5.0 {
            speed[0] *= -1.0;
        }
        clips.rewards.push(f32::from((ball[1] - paddle).abs() < 6.0));
        clips.terminated.push(t + 1 == length);
    }
}

/// Appends one frame and its pixel classes.
pub fn draw(clips: &mut Clips, ball: [f32; 2], paddle: f32) {
    let size = clips.frame_size;
    let mut frame = vec![0u8; size.bytes()];
    let mut classes = vec![0u8; size.pixels()];
    let scale = size.side() / FrameSize::Px64.side();
    for row in 0..size.side() {
        for column in 0..size.side() {
            let (x, y) = (column / scale, row / scale);
            let distance = ((x as f32 - ball[0]).powi(2) + (y as f32 - ball[1]).powi(2)).sqrt();
            let (color, class) = if (24..36).contains(&x) && y > 6 {
                ([90, 90, 160], 0)
            } else if (x as f32 - 58.0).abs() < 2.0 && (y as f32 - paddle).abs() < 6.0 {
                ([60, 200, 90], PADDLE)
            } else if distance < 3.5 {
                ([230, 120, 40], BALL)
            } else if y > 58 {
                ([110, 100, 90], 0)
            } else {
                ([(140 + y) as u8, (160 + y / 2) as u8, 190], 0)
            };
            let pixel = row * size.side() + column;
            frame[pixel * 3..pixel * 3 + 3].copy_from_slice(&color);
            classes[pixel] = class;
        }
    }
    clips.frames.extend(frame);
    clips.pixel_class.extend(classes);
}
