use std::sync::Arc;

use rand::RngExt as _;
use worldstep_env::Rng;

use super::physics::{Normalisation, PhysicsTargets};
use super::tasks::TaskRows;
use crate::config::{
    CODES_PER_TOKEN, FRAME_CODES, FRAME_SIDE, GRID_SIDE, NOISE_LEVELS, PATCH_SIDE, SPATIAL_TOKENS,
};
use crate::data::{ClipRange, Clips, PIXEL_MOVING, Split};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{self, CODE_VALUES, LOGIT_OFFSETS};
use crate::model::ModelCard;
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};
use crate::reward::{REWARD_BINS, two_hot};

/// Extra weight of a code that changes, of a code under a moving object, and of a reward that is not 0.
const CHANGED_WEIGHT: f32 = 15.0;
const MOVING_WEIGHT: f32 = 5.0;
const REWARD_WEIGHT: f32 = 9.0;
const TERMINATED_WEIGHT: f32 = 5.0;
/// Share of windows with clean context, and share of codes that each level replaces at random.
const CLEAN_SHARE: f64 = 0.4;
const CODE_NOISE: [f64; NOISE_LEVELS] = [0.0, 0.01, 0.03, 0.08];
/// Share of frames of each level in which the moving parts are stale or gone.
const MOVING_NOISE: [f64; NOISE_LEVELS] = [0.0, 0.06, 0.15, 0.3];

/// One batch of windows as plain arrays; `frames` is windows × window length.
#[derive(Default)]
pub struct Windows {
    pub frames: usize,
    /// `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`.
    pub codes: Vec<f32>,
    /// `[frames, action_values + NOISE_LEVELS]`.
    pub actions: Vec<f32>,
    /// One-hot next codes times their weight, as `codes`.
    pub next_weighted: Vec<f32>,
    /// `[frames * SPATIAL_TOKENS, CODES_PER_TOKEN * CODE_VALUES]`: the weight of each softmax.
    pub code_weights: Vec<f32>,
    /// `[frames, REWARD_BINS]`, times its weight.
    pub rewards: Vec<f32>,
    /// `[frames]`.
    pub reward_weights: Vec<f32>,
    /// `[frames]`, 0 or 1.
    pub terminated: Vec<f32>,
    /// `[frames]`.
    pub terminated_weights: Vec<f32>,
    /// `[frames, object_values]`, normalised.
    pub objects: Vec<f32>,
    /// As `objects`: 1 where there is such an object, 0 where there is none.
    pub object_weights: Vec<f32>,
    /// `[frames]`: 1 for a frame of a clip, 0 beyond its end.
    pub real: Vec<f32>,
    /// What truth says of the physics of the same windows.
    pub physics: PhysicsTargets,
}

/// One task's clips of one split as codes, ready to draw windows from.
pub struct CodedClips<'a> {
    clips: &'a Clips,
    /// Clips of at least two frames.
    ranges: Vec<ClipRange>,
    /// `rows × FRAME_CODE_BYTES`, those of other splits included.
    codes: Arc<[u8]>,
    /// Bit `i` of a row: patch `i` shows something that can move.
    moving: Vec<u64>,
    rows: TaskRows,
    normalisation: Normalisation,
}

impl<'a> CodedClips<'a> {
    /// `codes` are those of all rows. `None` if the card lacks their task, or `split` holds no clip of two frames.
    pub fn new(clips: &'a Clips, split: Split, codes: Arc<[u8]>, card: &ModelCard) -> Option<Self> {
        let rows = TaskRows::new(card, clips)?;
        let ranges: Vec<_> = clips.split(split).filter(|clip| clip.len > 1).cloned().collect();
        let moving = |row| patches_of_class(clips.classes(row), PIXEL_MOVING);
        let moving = (0..clips.rows()).map(moving).collect();
        let normalisation = rows.normalisation();
        (!ranges.is_empty()).then_some(Self { clips, ranges, codes, moving, rows, normalisation })
    }

    /// Draws one window of `length` frames. It may start anywhere, so that short contexts are learned too.
    pub fn push_window(&self, length: usize, rng: &mut Rng, out: &mut Windows) {
        let clip = &self.ranges[rng.random_range(0..self.ranges.len())];
        // Ends are as likely as anything else: what ends an episode is rare enough.
        let latest = clip.len.saturating_sub(length / 2).max(1);
        let offset = rng.random_range(0..latest);
        out.physics.push_window(self.clips, clip, (offset, length), &self.normalisation);
        let level = if rng.random_bool(CLEAN_SHARE) { 0 } else { rng.random_range(1..NOISE_LEVELS) };
        for frame in offset..offset + length {
            out.frames += 1;
            if frame < clip.len {
                self.push(clip, frame, level, rng, out);
            } else {
                self.push_padding(out);
            }
        }
    }

    fn push(&self, clip: &ClipRange, frame: usize, level: usize, rng: &mut Rng, out: &mut Windows) {
        let row = clip.start + frame;
        let seen = self.corrupted(clip, frame, level, rng);
        let at = out.codes.len();
        out.codes.resize(at + SPATIAL_TOKENS * TOKEN_LOGITS, 0.0);
        one_hot_tokens(&seen, &mut out.codes[at..]);
        self.rows.push_action(self.clips, row, out);
        out.actions.extend((0..NOISE_LEVELS).map(|i| if i == level { 1.0 } else { 0.0 }));
        if frame + 1 < clip.len {
            self.push_next(row, out)
        } else {
            push_no_next(out)
        }
        self.push_outcome(row, out);
        self.rows.push_objects(self.clips, row, out);
        out.real.push(1.0);
    }

    /// Reward and termination; what the dataset does not tell weighs nothing.
    fn push_outcome(&self, row: usize, out: &mut Windows) {
        let told = self.clips.targets;
        let reward = self.clips.rewards[row];
        let weight = f32::from(told.rewards) * (1.0 + f32::from(reward != 0.0) * REWARD_WEIGHT);
        let mut bins = [0.0; REWARD_BINS];
        two_hot(reward, &mut bins);
        out.rewards.extend(bins.map(|share| share * weight));
        out.reward_weights.push(weight);
        let terminated = f32::from(self.clips.terminated[row]);
        out.terminated.push(terminated);
        out.terminated_weights.push(f32::from(told.terminated) * (1.0 + terminated * TERMINATED_WEIGHT));
    }

    fn push_next(&self, row: usize, out: &mut Windows) {
        let codes = |row: usize| &self.codes[row * FRAME_CODE_BYTES..(row + 1) * FRAME_CODE_BYTES];
        let (now, next) = (codes(row), codes(row + 1));
        let moving = self.moving[row] | self.moving[row + 1];
        let at = out.next_weighted.len();
        out.next_weighted.resize(at + SPATIAL_TOKENS * TOKEN_LOGITS, 0.0);
        for token in 0..SPATIAL_TOKENS {
            for part in 0..CODES_PER_TOKEN {
                let patch = grid_index(token, part);
                let code = patch * CODE_VALUES..(patch + 1) * CODE_VALUES;
                let changed = now[code.clone()] != next[code.clone()];
                let under = moving >> patch & 1 == 1;
                let weight = 1.0 + f32::from(changed) * CHANGED_WEIGHT + f32::from(under) * MOVING_WEIGHT;
                let first = at + token * TOKEN_LOGITS + part * crate::config::CODE_LOGITS;
                for (dim, level) in next[code].iter().enumerate() {
                    out.next_weighted[first + LOGIT_OFFSETS[dim] + usize::from(*level)] = weight;
                }
                out.code_weights.extend([weight; CODE_VALUES]);
            }
        }
    }

    fn push_padding(&self, out: &mut Windows) {
        let resize = |values: &mut Vec<f32>, more: usize| values.resize(values.len() + more, 0.0);
        resize(&mut out.codes, SPATIAL_TOKENS * TOKEN_LOGITS);
        resize(&mut out.actions, self.rows.action_values() + NOISE_LEVELS);
        push_no_next(out);
        resize(&mut out.rewards, REWARD_BINS);
        resize(&mut out.reward_weights, 1);
        resize(&mut out.terminated, 1);
        resize(&mut out.terminated_weights, 1);
        self.rows.push_no_objects(out);
        resize(&mut out.real, 1);
    }

    /// A frame's codes with the faults of the model's own predictions: single codes off, moving parts stale or gone.
    fn corrupted(&self, clip: &ClipRange, frame: usize, level: usize, rng: &mut Rng) -> Vec<u8> {
        let row = clip.start + frame;
        let mut codes = self.codes[row * FRAME_CODE_BYTES..(row + 1) * FRAME_CODE_BYTES].to_vec();
        if level == 0 {
            return codes;
        }
        if rng.random_bool(MOVING_NOISE[level]) {
            let stale = rng.random_bool(0.5) && frame > 0;
            let from = if stale { row - 1 } else { clip.start + rng.random_range(0..clip.len) };
            let moving = self.moving[row] | if stale { self.moving[from] } else { 0 };
            let kept: u64 = if rng.random_bool(0.5) { u64::MAX } else { rng.random() };
            for patch in (0..FRAME_CODES).filter(|patch| (moving & kept) >> patch & 1 == 1) {
                let code = patch * CODE_VALUES..(patch + 1) * CODE_VALUES;
                let source = from * FRAME_CODE_BYTES;
                codes[code.clone()].copy_from_slice(&self.codes[source + code.start..source + code.end]);
            }
        }
        for patch in 0..FRAME_CODES {
            let under = self.moving[row] >> patch & 1 == 1;
            let chance = CODE_NOISE[level] * if under { 3.0 } else { 1.0 };
            if rng.random_bool(chance) {
                let dim = rng.random_range(0..CODE_VALUES);
                let levels = crate::config::FSQ_LEVELS[dim] as u8;
                codes[patch * CODE_VALUES + dim] = rng.random_range(0..levels);
            }
        }
        codes
    }
}

fn push_no_next(out: &mut Windows) {
    out.next_weighted.resize(out.next_weighted.len() + SPATIAL_TOKENS * TOKEN_LOGITS, 0.0);
    out.code_weights.resize(out.code_weights.len() + FRAME_CODES * fsq::CODE_VALUES, 0.0);
}

/// One bit for each patch that holds a pixel of `class`.
fn patches_of_class(classes: &[u8], class: u8) -> u64 {
    let mut bits = 0;
    for (pixel, bit) in classes.iter().enumerate() {
        if bit & class != 0 {
            let (y, x) = (pixel / FRAME_SIDE, pixel % FRAME_SIDE);
            bits |= 1 << (y / PATCH_SIDE * GRID_SIDE + x / PATCH_SIDE);
        }
    }
    bits
}
