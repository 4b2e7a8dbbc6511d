//! How far the dream is from the truth: open-loop predictions on clips that were never learned from.

mod horizon;
mod pooled;
mod report;

pub use report::{Accuracy, ByHorizon, EvalReport, Psnr, PsnrTable, Rollout, TokenizerPsnr};

use crate::cache::Cache;
use crate::codec::{decode_frames, encode_frames};
use crate::config::FRAME_BYTES;
use crate::data::{ClipRange, Clips, Split};
use crate::model::Model;
use crate::packing::FRAME_CODE_BYTES;
use crate::rollout::{self, DREAMT_LEVEL};
use horizon::Horizons;
use report::Flags;

/// Frames predicted in each clip at most.
const HORIZON_MAX: usize = 32;

/// What to evaluate on.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// True frames that the model sees before it dreams on.
    pub context_frames: usize,
    /// Clips evaluated at most.
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

/// Evaluates `model` on the validation clips.
pub fn evaluate(model: &Model, clips: &Clips, options: &EvalOptions) -> EvalReport {
    let ranges: Vec<ClipRange> = clips
        .split(Split::Val)
        .filter(|clip| clip.len > options.context_frames)
        .take(options.clips_max)
        .cloned()
        .collect();
    let mut report = EvalReport { clips: ranges.len(), context_frames: options.context_frames, ..Default::default() };
    let mut horizons = Horizons::default();
    let mut flags = Flags::default();
    let mut tokenizer = pooled::Pooled::default();
    for (first, batch) in ranges.chunks(options.batch.max(1)).enumerate() {
        let batch = Batch::new(model, clips, batch, options);
        for lane in 0..batch.ranges.len() {
            batch.pool_tokenizer(lane, &mut tokenizer);
        }
        let dreamt = batch.dream(false, &mut flags);
        // The control's rewards and flags belong to no one's actions.
        let shuffled = batch.dream(true, &mut Flags::default());
        for (lane, range) in batch.ranges.iter().enumerate() {
            horizons.add(clips, range, options.context_frames, [&dreamt[lane], &shuffled[lane]]);
            if first * options.batch + lane < options.rollouts {
                let seen = &clips.frames[range.start * FRAME_BYTES..(range.start + range.len) * FRAME_BYTES];
                report.rollouts.push(Rollout::new(range, options.context_frames, seen, &dreamt[lane]));
            }
        }
    }
    report.psnr_db = horizons.table(&tokenizer);
    report.clips_at_horizon = horizons.counts();
    flags.write(&mut report);
    report
}

/// Clips that are dreamt side by side.
struct Batch<'a> {
    model: &'a Model,
    clips: &'a Clips,
    ranges: &'a [ClipRange],
    options: &'a EvalOptions,
    /// Codes of each clip's true frames.
    codes: Vec<Vec<u8>>,
}

impl<'a> Batch<'a> {
    fn new(model: &'a Model, clips: &'a Clips, ranges: &'a [ClipRange], options: &'a EvalOptions) -> Self {
        let encode = |clip: &ClipRange| {
            let frames = &clips.frames[clip.start * FRAME_BYTES..(clip.start + clip.len) * FRAME_BYTES];
            encode_frames(&model.tokenizer, frames)
        };
        Self { model, clips, ranges, options, codes: ranges.iter().map(encode).collect() }
    }

    fn pool_tokenizer(&self, lane: usize, pooled: &mut pooled::Pooled) {
        let range = &self.ranges[lane];
        let decoded = decode_frames(&self.model.tokenizer, &self.codes[lane]);
        for (i, frame) in decoded.chunks_exact(FRAME_BYTES).enumerate() {
            let row = range.start + i;
            pooled.add(self.clips.frame(row), frame, self.clips.classes(row), self.clips.classes(row));
        }
    }

    /// Frames that follow the context in each clip, dreamt with the clip's own actions or (`shuffled`) with those of the
    /// next clip of the batch.
    fn dream(&self, shuffled: bool, flags: &mut Flags) -> Vec<Vec<u8>> {
        let (lanes, context) = (self.ranges.len(), self.options.context_frames);
        let mut cache = Cache::new(&self.model.card.config, lanes, &self.model.device);
        let mut dreamt: Vec<Vec<u8>> = vec![Vec::new(); lanes];
        let mut codes = vec![0; lanes * FRAME_CODE_BYTES];
        let mut next = vec![0; lanes * FRAME_CODE_BYTES];
        for t in 0..context + HORIZON_MAX {
            for (lane, codes) in codes.chunks_exact_mut(FRAME_CODE_BYTES).enumerate() {
                let row = lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES;
                let seen = t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES;
                codes.copy_from_slice(if t < context { &self.codes[lane][seen] } else { &next[row] });
            }
            if t >= context {
                for (dreamt, codes) in dreamt.iter_mut().zip(codes.chunks_exact(FRAME_CODE_BYTES)) {
                    dreamt.extend_from_slice(codes);
                }
            }
            let actions: Vec<f32> = (0..lanes).flat_map(|lane| self.action(lane, t, shuffled)).copied().collect();
            let levels = vec![if t < context { 0 } else { DREAMT_LEVEL }; lanes];
            let mask = vec![true; lanes];
            let said = rollout::step(&self.model.dynamics, &codes, (&actions, &levels), &mask, &mut cache);
            let logits = said.code_logits.chunks_exact(said.code_logits.len() / lanes);
            for (lane, (logits, next)) in logits.zip(next.chunks_exact_mut(FRAME_CODE_BYTES)).enumerate() {
                let draw = (self.ranges[lane].start as u64) << 20 | t as u64;
                rollout::sample_codes(logits, self.options.temperature, draw, next);
                if t < self.ranges[lane].len {
                    let row = self.ranges[lane].start + t;
                    let (reward, ended) = (self.clips.rewards[row], self.clips.terminated[row]);
                    flags.add(said.rewards[lane] - reward, said.terminated[lane] > 0.5, ended);
                }
            }
        }
        dreamt.iter().map(|codes| decode_frames(&self.model.tokenizer, codes)).collect()
    }

    fn action(&self, lane: usize, t: usize, shuffled: bool) -> &[f32] {
        // The context is the clip's own in both cases: only the dream's actions differ.
        let other = shuffled && t + 1 >= self.options.context_frames;
        let range = &self.ranges[if other { (lane + 1) % self.ranges.len() } else { lane }];
        self.clips.action(range.start + t.min(range.len - 1))
    }
}
