use std::sync::Arc;

use rand::RngExt as _;
use worldstep_env::Rng;

use super::coded_rows::{CodedRows, NO_CODE};
use super::objective::ObjectiveOptions;
use super::physics::{Normalisation, PhysicsTargets};
use super::tasks::TaskRows;
use super::window_plan::{OwnFrames, WindowPlan, WindowSizes};
use crate::config::FRAME_CODES;
use crate::data::{ClipRange, Clips, Split};
use crate::fsq::CODE_VALUES;
use crate::model::ModelCard;
use crate::packing::FRAME_CODE_BYTES;

/// The level of corruption of what is no frame: none of those that there are.
const NO_LEVEL: u8 = u8::MAX;

/// A window in which the model's own frames take the place of true ones.
#[derive(Clone, Debug, PartialEq)]
pub struct RollOut {
    /// The window's first frame in the batch.
    pub first_frame: usize,
    pub own: OwnFrames,
}

/// Frames as they were drawn: which rows they are, and all that chance has done to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnFrames {
    /// The row of [`CodedRows`] that each is; its padding beyond a clip's end.
    pub rows: Vec<u32>,
    /// `frames × FRAME_CODE_BYTES`: codes as the model is to see them.
    pub seen: Vec<u8>,
    /// Level of corruption of each.
    pub levels: Vec<u8>,
}

impl DrawnFrames {
    /// Frames in all.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Appends some of the frames of `other`.
    pub fn extend(&mut self, other: &Self, frames: std::ops::Range<usize>) {
        let codes = frames.start * FRAME_CODE_BYTES..frames.end * FRAME_CODE_BYTES;
        self.seen.extend_from_slice(&other.seen[codes]);
        self.rows.extend_from_slice(&other.rows[frames.clone()]);
        self.levels.extend_from_slice(&other.levels[frames]);
    }

    /// Appends a frame.
    pub fn push(&mut self, row: u32, seen: &[u8], level: u8) {
        self.rows.push(row);
        self.seen.extend_from_slice(seen);
        self.levels.push(level);
    }
}

/// One batch of windows, as it was drawn.
#[derive(Default)]
pub struct Windows {
    /// All frames, those of a window adjacent.
    pub frames: DrawnFrames,
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
    rows: Arc<CodedRows>,
    /// Place of the clips' first row among `rows`.
    first: usize,
    normalisation: Normalisation,
    options: ObjectiveOptions,
}

impl<'a> CodedClips<'a> {
    /// Those that begin at `first` of `rows`. `None` if the card lacks their task, or `split` holds no clip of two frames.
    pub fn new(
        clips: &'a Clips,
        split: Split,
        (rows, first): (&Arc<CodedRows>, usize),
        card: &ModelCard,
        options: &ObjectiveOptions,
    ) -> Option<Self> {
        let normalisation = TaskRows::new(card, clips)?.normalisation();
        let ranges: Vec<_> = clips.split(split).filter(|clip| clip.len > 1).cloned().collect();
        let (rows, options) = (Arc::clone(rows), options.clone());
        (!ranges.is_empty()).then_some(Self { clips, ranges, rows, first, normalisation, options })
    }

    /// Draws one window as [`WindowPlan`] says.
    pub fn push_window(&self, sizes: WindowSizes, rng: &mut Rng, out: &mut Windows) {
        let clip = &self.ranges[rng.random_range(0..self.ranges.len())];
        let plan = WindowPlan::draw(&self.options, clip.len, sizes, rng);
        let first_frame = out.frames.len();
        out.roll_outs.extend(plan.own.clone().map(|own| RollOut { first_frame, own }));
        out.physics.push_window(self.clips, clip, (plan.offset, sizes.length), &self.normalisation);
        for frame in plan.offset..plan.offset + sizes.length {
            if frame < clip.len {
                let level = plan.level(frame);
                let seen = self.corrupted(clip, frame, level, rng);
                out.frames.push((self.first + clip.start + frame) as u32, &seen, level as u8);
            } else {
                out.frames.push(self.rows.padding(), &[NO_CODE; FRAME_CODE_BYTES], NO_LEVEL);
            }
        }
    }

    /// A frame's codes with the faults of the model's own predictions: single codes off, moving parts stale or gone.
    fn corrupted(&self, clip: &ClipRange, frame: usize, level: usize, rng: &mut Rng) -> Vec<u8> {
        let (first, row) = (self.first + clip.start, self.first + clip.start + frame);
        let mut codes = self.rows.codes(row).to_vec();
        let Some(fault) = level.checked_sub(1) else { return codes };
        let (code_noise, moving_noise) =
            (self.options.corruption.code_noise[fault], self.options.corruption.moving_noise[fault]);
        if rng.random_bool(moving_noise) {
            let stale = rng.random_bool(0.5) && frame > 0;
            let from = if stale { row - 1 } else { first + rng.random_range(0..clip.len) };
            let moving = self.rows.moving(row) | if stale { self.rows.moving(from) } else { 0 };
            let kept: u64 = if rng.random_bool(0.5) { u64::MAX } else { rng.random() };
            for patch in (0..FRAME_CODES).filter(|patch| (moving & kept) >> patch & 1 == 1) {
                let code = patch * CODE_VALUES..(patch + 1) * CODE_VALUES;
                codes[code.clone()].copy_from_slice(&self.rows.codes(from)[code]);
            }
        }
        for patch in 0..FRAME_CODES {
            let under = self.rows.moving(row) >> patch & 1 == 1;
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
