use std::sync::Arc;

use rand::RngExt as _;
use worldstep_env::Rng;

use super::objective::ObjectiveOptions;
use super::physics::{Normalisation, PhysicsTargets};
use super::tasks::TaskRows;
use super::window_plan::{OwnFrames, WindowPlan, WindowSizes};
use crate::config::{CODES_PER_TOKEN, FRAME_CODES, FrameSize, GRID_SIDE, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::data::{ClipRange, Clips, PIXEL_MOVING, Split};
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::{self, CODE_VALUES, LOGIT_OFFSETS};
use crate::model::ModelCard;
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};
use crate::reward::{REWARD_BINS, two_hot};

/// A window in which the model's own frames take the place of true ones.
#[derive(Clone, Debug, PartialEq)]
pub struct RollOut {
    /// The window's first frame in the batch.
    pub first_frame: usize,
    pub own: OwnFrames,
}

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
    /// Windows that are to have own frames.
    pub roll_outs: Vec<RollOut>,
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
    options: ObjectiveOptions,
}

impl<'a> CodedClips<'a> {
    /// `codes` are those of all rows. `None` if the card lacks their task, or `split` holds no clip of two frames.
    pub fn new(
        clips: &'a Clips,
        split: Split,
        codes: Arc<[u8]>,
        card: &ModelCard,
        options: &ObjectiveOptions,
    ) -> Option<Self> {
        let rows = TaskRows::new(card, clips)?;
        let ranges: Vec<_> = clips.split(split).filter(|clip| clip.len > 1).cloned().collect();
        let moving = |row| patches_of_class(clips.classes(row), clips.frame_size, PIXEL_MOVING);
        let moving = (0..clips.rows()).map(moving).collect();
        let (normalisation, options) = (rows.normalisation(), options.clone());
        (!ranges.is_empty()).then_some(Self { clips, ranges, codes, moving, rows, normalisation, options })
    }

    /// Draws one window as [`WindowPlan`] says.
    pub fn push_window(&self, sizes: WindowSizes, rng: &mut Rng, out: &mut Windows) {
        let clip = &self.ranges[rng.random_range(0..self.ranges.len())];
        let plan = WindowPlan::draw(&self.options, clip.len, sizes, rng);
        let first_frame = out.frames;
        out.roll_outs.extend(plan.own.clone().map(|own| RollOut { first_frame, own }));
        out.physics.push_window(self.clips, clip, (plan.offset, sizes.length), &self.normalisation);
        for frame in plan.offset..plan.offset + sizes.length {
            out.frames += 1;
            if frame < clip.len {
                self.push(clip, frame, plan.level(frame), rng, out);
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
        let weight = f32::from(told.rewards) * (1.0 + f32::from(reward != 0.0) * self.options.reward_weight);
        let mut bins = [0.0; REWARD_BINS];
        two_hot(reward, &mut bins);
        out.rewards.extend(bins.map(|share| share * weight));
        out.reward_weights.push(weight);
        let terminated = f32::from(self.clips.terminated[row]);
        out.terminated.push(terminated);
        let weight = 1.0 + terminated * self.options.terminated_weight;
        out.terminated_weights.push(f32::from(told.terminated) * weight);
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
                let ObjectiveOptions { changed_weight, moving_weight, .. } = self.options;
                let weight = 1.0 + f32::from(changed) * changed_weight + f32::from(under) * moving_weight;
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
        let Some(fault) = level.checked_sub(1) else { return codes };
        let (code_noise, moving_noise) =
            (self.options.corruption.code_noise[fault], self.options.corruption.moving_noise[fault]);
        if rng.random_bool(moving_noise) {
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
            let chance = code_noise * if under { 3.0 } else { 1.0 };
            if rng.random_bool(chance.min(1.0)) {
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
fn patches_of_class(classes: &[u8], size: FrameSize, class: u8) -> u64 {
    let (side, patch) = (size.side(), size.patch_side());
    let mut bits = 0;
    for (pixel, bit) in classes.iter().enumerate() {
        if bit & class != 0 {
            let (y, x) = (pixel / side, pixel % side);
            bits |= 1 << (y / patch * GRID_SIDE + x / patch);
        }
    }
    bits
}
