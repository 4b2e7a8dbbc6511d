use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::ClipRange;

/// dB of whole frames and of foreground pixels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizerPsnr {
    /// All pixels.
    pub frame: Option<f64>,
    /// Pixels of what moves.
    pub foreground: Option<f64>,
}

/// dB of one horizon; null where there were no such pixels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Psnr {
    /// All pixels.
    pub frame: Option<f64>,
    /// Pixels of moving objects, in the true frame or in the last frame seen.
    pub foreground: Option<f64>,
    /// Pixels of what the action moves, likewise.
    pub actuated: Option<f64>,
}

impl From<[Option<f64>; 3]> for Psnr {
    fn from([frame, foreground, actuated]: [Option<f64>; 3]) -> Self {
        Self { frame, foreground, actuated }
    }
}

/// dB by horizon in frames.
pub type ByHorizon = BTreeMap<usize, Psnr>;

/// Peak signal-to-noise ratios, from errors pooled over the pixels of all clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PsnrTable {
    /// Frames encoded and decoded again.
    pub tokenizer: TokenizerPsnr,
    /// The model, open loop.
    pub model: ByHorizon,
    /// The last frame seen, repeated.
    pub copy_last: ByHorizon,
    /// The model under another clip's actions.
    pub shuffled_actions: ByHorizon,
    /// The same three at every horizon: model, copy-last, shuffled actions.
    pub curves: Vec<ByHorizon>,
}

/// How well a rare event is foretold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Share of foretold events that happened.
    pub precision: f64,
    /// Share of events that were foretold.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Events that happened.
    pub events: u64,
}

/// What `worldstep eval` prints and writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Clips evaluated.
    pub clips: usize,
    /// True frames seen before dreaming.
    pub context_frames: usize,
    /// Clips long enough for each horizon.
    pub clips_at_horizon: BTreeMap<usize, usize>,
    /// Pictures.
    pub psnr_db: PsnrTable,
    /// Mean absolute error of the reward, one step ahead of the true frames.
    pub reward_mae: f64,
    /// Termination at probability 0.5, one step ahead of the true frames.
    pub termination: Accuracy,
    /// Frames for pictures; not part of the written report.
    #[serde(skip)]
    pub rollouts: Vec<Rollout>,
}

/// One clip, true and dreamt, HWC `uint8` frames in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Seed of the clip's episode.
    pub seed: i64,
    /// True frames that the model was shown.
    pub context_frames: usize,
    /// Number of frames.
    pub frames: usize,
    /// What happened.
    pub truth: Vec<u8>,
    /// What was dreamt; the context is the truth.
    pub dream: Vec<u8>,
}

impl Rollout {
    pub(super) fn new(range: &ClipRange, context_frames: usize, truth: &[u8], dreamt: &[u8]) -> Self {
        let frame = truth.len() / range.len;
        let frames = range.len.min(context_frames + dreamt.len() / frame);
        let dream = [&truth[..context_frames * frame], &dreamt[..(frames - context_frames) * frame]].concat();
        Self { seed: range.seed, context_frames, frames, truth: truth[..frames * frame].to_vec(), dream }
    }
}

/// Rewards and terminations, counted.
#[derive(Default)]
pub struct Flags {
    reward_error: f64,
    steps: u64,
    foretold: u64,
    happened: u64,
    both: u64,
}

impl Flags {
    pub fn add(&mut self, reward_error: f32, foretold: bool, happened: bool) {
        self.reward_error += f64::from(reward_error.abs());
        self.steps += 1;
        self.foretold += u64::from(foretold);
        self.happened += u64::from(happened);
        self.both += u64::from(foretold && happened);
    }

    pub fn write(&self, report: &mut EvalReport) {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let (precision, recall) = (share(self.both, self.foretold), share(self.both, self.happened));
        let f1 = share(2 * self.both, self.foretold + self.happened);
        report.reward_mae = self.reward_error / self.steps.max(1) as f64;
        report.termination = Accuracy { precision, recall, f1, events: self.happened };
    }
}
