//! How far the dream is from the truth: open-loop predictions on clips that were never learned from.

mod error;
mod horizon;
mod pooled;
mod report;

pub use error::EvalError;
pub use report::{Accuracy, ByHorizon, EvalReport, Psnr, PsnrTable, Rollout, TokenizerPsnr};

use crate::codec::{decode_frames, encode_frames};
use crate::config::FRAME_BYTES;
use crate::data::{ClipRange, Clips, Split};
use crate::engine::{DREAMT_LEVEL, FrameStep, Sampling, StepEngine, StepOutput, engine};
use crate::model::{Model, ModelError};
use crate::packing::FRAME_CODE_BYTES;
use horizon::Horizons;
use report::Flags;

/// Frames predicted in each clip at most.
const HORIZON_MAX: usize = 32;
/// Clips needed at least: a clip under the actions of another is the control.
const CLIPS_MIN: usize = 2;

/// What to evaluate on.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// True frames that the model sees before it dreams on.
    pub context_frames: usize,
    /// Clips evaluated at most; 2 even if it is less.
    pub clips_max: usize,
    /// Clips whose frames are kept for pictures.
    pub rollouts: usize,
    /// Sampling temperature; 0 takes the likeliest codes.
    pub temperature: f32,
    /// Clips stepped together.
    pub batch: usize,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { context_frames: 8, clips_max: 128, rollouts: 4, temperature: 0.0, batch: 32 }
    }
}

/// Evaluates `model` on the validation clips that are longer than the context.
///
/// # Errors
/// [`EvalError::TooFewClips`] if there are fewer than 2, [`EvalError::OtherTask`] if the model does not dream their task.
pub fn evaluate(model: &Model, clips: &Clips, options: &EvalOptions) -> Result<EvalReport, EvalError> {
    let Some(task) = model.card.task_index(&clips.scenario.id) else {
        let (found, dreams) = (clips.scenario.id.clone(), model.card.task_names());
        return Err(EvalError::OtherTask { path: clips.path.clone(), found, dreams });
    };
    let ranges: Vec<ClipRange> = clips
        .split(Split::Val)
        .filter(|clip| clip.len > options.context_frames)
        .take(options.clips_max.max(CLIPS_MIN))
        .cloned()
        .collect();
    if ranges.len() < CLIPS_MIN {
        let (path, context_frames) = (clips.path.clone(), options.context_frames);
        return Err(EvalError::TooFewClips { path, found: ranges.len(), context_frames });
    }
    let mut report =
        EvalReport { clips: ranges.len(), context_frames: options.context_frames, ..Default::default() };
    let mut horizons = Horizons::default();
    let mut flags = Flags::default();
    let mut tokenizer = pooled::Pooled::default();
    let batch_len = options.batch.max(1);
    for (first, batch) in ranges.chunks(batch_len).enumerate() {
        let batch = Batch::new((model, task), clips, batch, options);
        for lane in 0..batch.ranges.len() {
            batch.pool_tokenizer(lane, &mut tokenizer);
        }
        batch.watch(&mut flags)?;
        let dreamt = batch.dream(|lane| &batch.ranges[lane])?;
        let shuffled = batch.dream(|lane| &ranges[(first * batch_len + lane + 1) % ranges.len()])?;
        for (lane, range) in batch.ranges.iter().enumerate() {
            horizons.add(clips, range, options.context_frames, [&dreamt[lane], &shuffled[lane]]);
            if first * batch_len + lane < options.rollouts {
                let seen = &clips.frames[range.start * FRAME_BYTES..(range.start + range.len) * FRAME_BYTES];
                report.rollouts.push(Rollout::new(range, options.context_frames, seen, &dreamt[lane]));
            }
        }
    }
    report.psnr_db = horizons.table(&tokenizer);
    report.clips_at_horizon = horizons.counts();
    flags.write(&mut report);
    Ok(report)
}

/// Clips that are dreamt side by side.
struct Batch<'a> {
    model: &'a Model,
    /// Which of the model's tasks the clips are of.
    task: usize,
    clips: &'a Clips,
    ranges: &'a [ClipRange],
    options: &'a EvalOptions,
    /// Codes of each clip's true frames.
    codes: Vec<Vec<u8>>,
}

impl<'a> Batch<'a> {
    fn new(
        (model, task): (&'a Model, usize),
        clips: &'a Clips,
        ranges: &'a [ClipRange],
        options: &'a EvalOptions,
    ) -> Self {
        let encode = |clip: &ClipRange| {
            let frames = &clips.frames[clip.start * FRAME_BYTES..(clip.start + clip.len) * FRAME_BYTES];
            encode_frames(&model.tokenizer, frames)
        };
        Self { model, task, clips, ranges, options, codes: ranges.iter().map(encode).collect() }
    }

    fn pool_tokenizer(&self, lane: usize, pooled: &mut pooled::Pooled) {
        let range = &self.ranges[lane];
        let decoded = decode_frames(&self.model.tokenizer, &self.codes[lane]);
        for (i, frame) in decoded.chunks_exact(FRAME_BYTES).enumerate() {
            let row = range.start + i;
            pooled.add(self.clips.frame(row), frame, self.clips.classes(row), self.clips.classes(row));
        }
    }

    /// Rewards and terminations foretold along the whole of each clip, one step ahead of its true frames.
    fn watch(&self, flags: &mut Flags) -> Result<(), ModelError> {
        let lanes = self.ranges.len();
        let mut engine = engine(self.model, lanes)?;
        let mut said = StepOutput::new(self.model, lanes);
        let longest = self.ranges.iter().map(|range| range.len).max().unwrap_or(0);
        for t in 0..longest {
            let seen = |lane: usize| {
                let t = t.min(self.ranges[lane].len - 1);
                self.codes[lane][t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES].iter().copied()
            };
            let codes: Vec<u8> = (0..lanes).flat_map(seen).collect();
            self.step((&codes, 0), t, |lane| &self.ranges[lane], engine.as_mut(), &mut said);
            for (lane, range) in self.ranges.iter().enumerate().filter(|(_, range)| t < range.len) {
                let row = range.start + t;
                let reward_error = said.rewards[lane] - self.clips.rewards[row];
                flags.add(reward_error, said.terminated[lane] > 0.5, self.clips.terminated[row]);
            }
        }
        Ok(())
    }

    /// Frames that follow the context in each clip, dreamt with the actions of `actor(lane)`; the context has the clip's
    /// own.
    fn dream<'r>(&'r self, actor: impl Fn(usize) -> &'r ClipRange) -> Result<Vec<Vec<u8>>, ModelError> {
        let (lanes, context) = (self.ranges.len(), self.options.context_frames);
        let mut engine = engine(self.model, lanes)?;
        let mut said = StepOutput::new(self.model, lanes);
        let mut dreamt: Vec<Vec<u8>> = vec![Vec::new(); lanes];
        let mut codes = vec![0; lanes * FRAME_CODE_BYTES];
        for t in 0..context + HORIZON_MAX - 1 {
            if t < context {
                for (lane, codes) in codes.chunks_exact_mut(FRAME_CODE_BYTES).enumerate() {
                    codes
                        .copy_from_slice(&self.codes[lane][t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES]);
                }
            }
            // The last context frame's action is the first to shape the dream.
            let own = |lane: usize| if t + 1 < context { &self.ranges[lane] } else { actor(lane) };
            let level = if t < context { 0 } else { DREAMT_LEVEL };
            self.step((&codes, level), t, own, engine.as_mut(), &mut said);
            codes.copy_from_slice(&said.codes);
            if t + 1 >= context {
                for (dreamt, next) in dreamt.iter_mut().zip(codes.chunks_exact(FRAME_CODE_BYTES)) {
                    dreamt.extend_from_slice(next);
                }
            }
        }
        let decode = |codes: &Vec<u8>| {
            let mut frames = vec![0; codes.len() / FRAME_CODE_BYTES * FRAME_BYTES];
            engine.decode(codes, &mut frames);
            frames
        };
        Ok(dreamt.iter().map(decode).collect())
    }

    /// Appends one frame to every lane, with the action that `actor(lane)` took at time `t` (its last one, if over).
    fn step<'r>(
        &self,
        (codes, level): (&[u8], usize),
        t: usize,
        actor: impl Fn(usize) -> &'r ClipRange,
        engine: &mut dyn StepEngine,
        said: &mut StepOutput,
    ) {
        let lanes = self.ranges.len();
        let mut actions = Vec::with_capacity(lanes * self.model.card.config.action_values);
        for lane in 0..lanes {
            let range = actor(lane);
            let coded = self.clips.action(range.start + t.min(range.len - 1));
            self.model.card.pad_action(self.task, coded, &mut actions);
        }
        let draws: Vec<u64> = self.ranges.iter().map(|range| (range.start as u64) << 20 | t as u64).collect();
        let sampling = Sampling { draws: &draws, temperature: self.options.temperature };
        let (levels, mask) = (vec![level; lanes], vec![true; lanes]);
        let frame = FrameStep { codes, actions: &actions, levels: &levels, mask: &mask, sampling };
        engine.step(&frame, said);
    }
}
