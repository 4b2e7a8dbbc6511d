use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::physics::PhysicsReport;
use super::pictures::{PictureReport, Region};
use super::simulator::{Accuracy, SimulatorReport};
use crate::data::ClipRange;

/// dB of whole frames and of foreground pixels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenizerPsnr {
    /// All pixels.
    pub frame: Option<f64>,
    /// Pixels of what moves.
    pub foreground: Option<f64>,
}

/// dB by horizon in frames.
pub type ByHorizon = BTreeMap<usize, Region>;

/// Peak signal-to-noise ratios, from errors pooled over the pixels of all clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PsnrTable {
    /// Frames encoded and decoded again, at all steps ahead together.
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

/// What `worldstep eval` prints and writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Clips evaluated.
    pub clips: usize,
    /// True frames seen before dreaming.
    pub context_frames: usize,
    /// Sampling temperature of the dreams; 0 takes the likeliest codes.
    #[serde(default)]
    pub temperature: f32,
    /// Clips long enough for each horizon.
    pub clips_at_horizon: BTreeMap<usize, usize>,
    /// Pictures.
    pub psnr_db: PsnrTable,
    /// Mean absolute error of the reward, one step ahead of the true frames; null where the clips tell none.
    pub reward_mae: Option<f64>,
    /// Termination above the task's threshold, one step ahead of the true frames; null where the clips tell none.
    pub termination: Option<Accuracy>,
    /// The set that the fields above are of: `val` where there is one.
    pub summarised: String,
    /// Everything that is measured, by set of clips: `val`, and where the data set has such, `test_combination` and
    /// `test_horizon`.
    pub sets: BTreeMap<String, SetReport>,
    /// Frames for pictures; not part of the written report.
    #[serde(skip)]
    pub rollouts: Vec<Rollout>,
}

/// All measures over one set of clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// Clips evaluated.
    pub clips: usize,
    /// Frames beside the true ones.
    pub pictures: PictureReport,
    /// Objects beside the true ones; null if the data set's annotations are not at hand.
    pub physics: Option<PhysicsReport>,
    /// What a policy would get.
    pub simulator: SimulatorReport,
    /// Why there is no truth from slightly other starts, if it was to be run.
    pub without_perturbed_truth: Option<String>,
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
