use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::refinement::{Foretold, refine};
use super::{EngineMemory, FrameStep, LaneOutput, Said, Sampling, StepEngine, StepOutput};
use crate::cache::{Cache, LaneCache};
use crate::codec::{decode_frames, encode_frames, plain};
use crate::config::{FRAME_TOKENS, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::device::shares;
use crate::dynamics::{Dynamics, FrameInput, TOKEN_LOGITS};
use crate::model::Model;
use crate::packing::{FRAME_CODE_BYTES, one_hot_tokens};
use crate::reward::REWARD_BINS;

/// Lanes below which a share of its own costs more than it gains.
const SHARE_MIN: usize = 8;

/// Steps the network as burn computes it, on any device.
///
/// burn's processor backend runs element-wise operations on one core, so the lanes' caches are in one share a core; on a
/// GPU there is one share.
pub struct BurnEngine {
    model: Model,
    caches: Vec<Cache>,
    /// Lanes in each share but the last.
    share_lanes: usize,
    lanes: usize,
}

impl BurnEngine {
    /// `lanes` lanes, at least one, that have seen nothing.
    pub fn new(model: &Model, lanes: usize) -> Self {
        let share_lanes = lanes.div_ceil(shares(&model.device)).max(SHARE_MIN).min(lanes.max(1));
        let cache = |from| Cache::new(&model.card.config, share_lanes.min(lanes - from), &model.device);
        let caches = (0..lanes).step_by(share_lanes).map(cache).collect();
        Self { model: model.clone(), caches, share_lanes, lanes }
    }

    /// What an engine will take, lane by lane: the ring, and as much again while a layer's turned ring is read.
    pub fn memory(model: &Model) -> EngineMemory {
        let logits = SPATIAL_TOKENS * TOKEN_LOGITS * size_of::<f32>();
        EngineMemory { lane_bytes: (2 * ring_bytes(model) + 4 * logits) as u64, shared_bytes: 0 }
    }

    /// Refines what was drawn for the lanes of the mask.
    fn refine(&self, frame: &FrameStep<'_>, said: &[Option<Predicted>], codes: &mut [u8]) {
        let Some(config) = &self.model.card.config.refiner else { return };
        let shares = codes.par_chunks_mut(self.share_lanes * FRAME_CODE_BYTES).zip(said).enumerate();
        shares.for_each(|(i, (codes, said))| {
            let Some(said) = said else { return };
            let lanes = i * self.share_lanes..i * self.share_lanes + codes.len() / FRAME_CODE_BYTES;
            let sampling = Sampling { draws: &frame.sampling.draws[lanes.clone()], ..frame.sampling };
            let mut refined = codes.to_vec();
            refine(&self.model.dynamics, config, &said.foretold, sampling, &mut refined);
            let lanes_codes =
                codes.chunks_exact_mut(FRAME_CODE_BYTES).zip(refined.chunks_exact(FRAME_CODE_BYTES));
            for ((codes, refined), _) in lanes_codes.zip(&frame.mask[lanes]).filter(|(_, masked)| **masked) {
                codes.copy_from_slice(refined);
            }
        });
    }

    /// Sees the present frames of the lanes of the mask, copies what `pick` finds of each lane of a share to its place in
    /// `out`, and forgets them.
    fn read(&mut self, frame: &FrameStep<'_>, out: &mut [f32], pick: impl Fn(&Predicted, usize) -> Vec<f32>) {
        let before = self.caches.clone();
        let said = self.pass(frame);
        self.caches = before;
        let values = out.len() / self.lanes;
        for (lane, out) in out.chunks_exact_mut(values).enumerate().filter(|(lane, _)| frame.mask[*lane]) {
            if let Some(said) = &said[lane / self.share_lanes] {
                out.copy_from_slice(&pick(said, lane % self.share_lanes));
            }
        }
    }

    /// Appends a frame and gives what each share says, if any of its lanes is stepped.
    fn pass(&mut self, frame: &FrameStep<'_>) -> Vec<Option<Predicted>> {
        let (dynamics, per_share) = (&self.model.dynamics, self.share_lanes);
        self.caches
            .par_iter_mut()
            .enumerate()
            .map(|(i, cache)| {
                let lanes = i * per_share..i * per_share + cache.lanes();
                let actions = frame.actions.len() / frame.mask.len();
                let share = FrameStep {
                    codes: &frame.codes[lanes.start * FRAME_CODE_BYTES..lanes.end * FRAME_CODE_BYTES],
                    actions: &frame.actions[lanes.start * actions..lanes.end * actions],
                    levels: &frame.levels[lanes.clone()],
                    mask: &frame.mask[lanes],
                    sampling: frame.sampling,
                };
                share.mask.contains(&true).then(|| predict(dynamics, &share, cache))
            })
            .collect()
    }
}

impl StepEngine for BurnEngine {
    fn lanes(&self) -> usize {
        self.lanes
    }

    fn name(&self) -> &'static str {
        "burn"
    }

    fn step(&mut self, frame: &FrameStep<'_>, output: &mut StepOutput) {
        let per_share = self.share_lanes;
        let said = self.pass(frame);
        let objects = output.objects.len() / self.lanes;
        let rows =
            output.codes.chunks_exact_mut(FRAME_CODE_BYTES).zip(output.objects.chunks_exact_mut(objects));
        let scalars = output.rewards.iter_mut().zip(&mut output.terminated).zip(&mut output.uncertainty);
        for (lane, ((codes, objects), ((reward, terminated), uncertainty))) in rows.zip(scalars).enumerate() {
            if let (true, Some(Predicted { code_logits, readouts, .. })) =
                (frame.mask[lane], &said[lane / per_share])
            {
                let out = LaneOutput { codes, reward, terminated, objects, uncertainty };
                let draw = (frame.sampling.draws[lane], frame.sampling.temperature);
                out.write(&Said { code_logits, readouts }, lane % per_share, draw);
            }
        }
        self.refine(frame, &said, &mut output.codes);
    }

    fn read_objects(&mut self, frame: &FrameStep<'_>, objects: &mut [f32]) {
        let values = objects.len() / self.lanes;
        self.read(frame, objects, |said, lane| {
            let end = (lane + 1) * (REWARD_BINS + 1 + values);
            said.readouts[end - values..end].to_vec()
        });
    }

    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]) {
        let width = self.model.card.config.dynamics.width;
        self.read(frame, latents, |said, lane| {
            plain(said.latents.clone().narrow(0, lane, 1).reshape([width]))
        });
    }

    fn encode(&mut self, frames: &[u8], codes: &mut [u8]) {
        codes.copy_from_slice(&encode_frames(&self.model.tokenizer, frames));
    }

    fn decode(&mut self, codes: &[u8], frames: &mut [u8]) {
        frames.copy_from_slice(&decode_frames(&self.model.tokenizer, codes));
    }

    /// In caches of their own, which are then copied: a pass over all lanes for the sake of a few would hold the rest.
    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], action: &[f32]) {
        let frames = codes.len() / FRAME_CODE_BYTES / lanes.len().max(1);
        let mut warm = Self::new(&self.model, lanes.len());
        let mut unheard = StepOutput::new(&self.model, lanes.len());
        for t in 0..frames {
            let now = |i: usize| &codes[(i * frames + t) * FRAME_CODE_BYTES..][..FRAME_CODE_BYTES];
            let now: Vec<u8> = (0..lanes.len()).flat_map(now).copied().collect();
            let (draws, mask) = (vec![0; lanes.len()], vec![true; lanes.len()]);
            let step = FrameStep {
                codes: &now,
                actions: &action.repeat(lanes.len()),
                levels: &vec![0; lanes.len()],
                mask: &mask,
                sampling: Sampling { draws: &draws, temperature: 0.0 },
            };
            warm.step(&step, &mut unheard);
        }
        for (i, lane) in lanes.iter().enumerate() {
            self.set_lane(*lane, &warm.lane(i));
        }
    }

    fn lane(&self, lane: usize) -> LaneCache {
        self.caches[lane / self.share_lanes].lane(lane % self.share_lanes)
    }

    fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        self.caches[lane / self.share_lanes].set_lane(lane % self.share_lanes, saved)
    }

    fn lane_bytes(&self) -> usize {
        ring_bytes(&self.model)
    }
}

fn ring_bytes(model: &Model) -> usize {
    let config = &model.card.config;
    let frame = FRAME_TOKENS * config.dynamics.kv_heads * config.dynamics.head_dim();
    let layers = config.dynamics.layers.div_ceil(config.temporal_every);
    2 * layers * config.context_frames * frame * size_of::<f32>()
}

/// What the network says of one share's lanes.
struct Predicted {
    foretold: Foretold,
    code_logits: Vec<f32>,
    /// Rewards, terminations and objects in a row for each lane.
    readouts: Vec<f32>,
    /// `[lanes, width]`.
    latents: Tensor<2>,
}

fn predict(dynamics: &Dynamics, frame: &FrameStep<'_>, cache: &mut Cache) -> Predicted {
    let lanes = frame.mask.len();
    let device: Device = dynamics.device();
    let mut one_hot = vec![0.0; lanes * SPATIAL_TOKENS * TOKEN_LOGITS];
    let tokens = one_hot.chunks_exact_mut(SPATIAL_TOKENS * TOKEN_LOGITS);
    for (codes, out) in frame.codes.chunks_exact(FRAME_CODE_BYTES).zip(tokens) {
        one_hot_tokens(codes, out);
    }
    let values = frame.actions.len() / lanes;
    let mut rows = Vec::with_capacity(lanes * (values + NOISE_LEVELS));
    for (lane, level) in frame.levels.iter().enumerate() {
        rows.extend_from_slice(&frame.actions[lane * values..(lane + 1) * values]);
        rows.extend((0..NOISE_LEVELS).map(|i| if i == *level { 1.0 } else { 0.0 }));
    }
    let tensor =
        |values: Vec<f32>, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), &device);
    let input = FrameInput {
        codes: tensor(one_hot, [lanes * SPATIAL_TOKENS, TOKEN_LOGITS]),
        actions: tensor(rows, [lanes, values + NOISE_LEVELS]),
    };
    let output = dynamics.step(input, frame.mask, cache);
    Predicted {
        code_logits: plain(output.codes.clone()),
        readouts: plain(Tensor::cat(vec![output.reward, output.terminated, output.objects], 1)),
        latents: output.readout,
        foretold: Foretold { spatial: output.spatial, codes: output.codes },
    }
}
