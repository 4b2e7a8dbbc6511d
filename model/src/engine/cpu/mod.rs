//! The dream on the processor: packed weights, one fused pass over a few lanes a task, no allocation once it is warm.

mod attention;
mod elementwise;
mod network;
mod product;
mod refiner;
mod ring;
mod scratch;
mod vector;
mod weights;

pub use elementwise::add_entropies;

use std::sync::{Mutex, PoisonError};

use pulp::Arch;
use rayon::prelude::*;
use smallvec::SmallVec;

use super::tensors::MissingWeight;
use super::{EngineMemory, FrameStep, LaneOutput, Said, StepEngine, StepOutput};
use crate::cache::LaneCache;
use crate::config::{FRAME_TOKENS, ModelConfig, READOUT_TOKEN};
use crate::model::{Model, ModelError};
use crate::packing::FRAME_CODE_BYTES;
use crate::reward::REWARD_BINS;
use network::LaneInput;
use refiner::{DraftLane, RefinerPass};
use ring::{Mark, Ring, RingSizes};
use scratch::{Scratch, ScratchSizes};
use weights::{DecoderWeights, DynamicsWeights, EncoderWeights};

/// Lanes in one pass at most: their activations stay in a core's own cache.
const GROUP_MAX: usize = 8;
/// Frames encoded or decoded in one pass at most.
const FRAMES_MAX: usize = 4;

/// The lanes of one pass.
type LaneInputs<'a> = SmallVec<[LaneInput<'a>; GROUP_MAX]>;

/// Steps a model on all cores of the processor.
pub struct CpuEngine {
    arch: Arch,
    config: ModelConfig,
    dynamics: DynamicsWeights,
    encoder: EncoderWeights,
    decoder: DecoderWeights,
    rings: Vec<Ring>,
    /// One for each thread.
    scratch: Vec<Mutex<Scratch>>,
}

/// Bytes of one lane's ring cache.
pub fn ring_bytes(config: &ModelConfig) -> u64 {
    RingSizes::new(config).bytes() as u64
}

impl CpuEngine {
    /// `lanes` lanes that have seen nothing.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] if the weights are not those of the configuration.
    pub fn new(model: &Model, lanes: usize) -> Result<Self, ModelError> {
        let config = model.card.config.clone();
        let damaged = |error: MissingWeight| super::damaged(model, &error);
        let ring = Ring::new(RingSizes::new(&config));
        let threads = rayon::current_num_threads();
        let sizes = ScratchSizes::new(&config, group(lanes, threads), FRAMES_MAX);
        Ok(Self {
            arch: Arch::new(),
            dynamics: DynamicsWeights::new(&model.dynamics, &config).map_err(damaged)?,
            encoder: EncoderWeights::new(&model.tokenizer, &config).map_err(damaged)?,
            decoder: DecoderWeights::new(&model.tokenizer, &config).map_err(damaged)?,
            rings: vec![ring; lanes],
            scratch: (0..threads).map(|_| Mutex::new(Scratch::new(&sizes))).collect(),
            config,
        })
    }

    /// What an engine of `lanes` lanes will take.
    pub fn memory(model: &Model, lanes: usize) -> EngineMemory {
        let (config, threads) = (&model.card.config, rayon::current_num_threads());
        let scratch = ScratchSizes::new(config, group(lanes, threads), FRAMES_MAX).bytes();
        EngineMemory {
            lane_bytes: ring_bytes(config),
            shared_bytes: (threads * scratch + model.parameters() * size_of::<f32>()) as u64,
        }
    }

    /// Frames of one task.
    fn frame_group(&self, frames: usize) -> usize {
        frames.div_ceil(self.scratch.len()).clamp(1, FRAMES_MAX)
    }

    /// Lanes of one task.
    fn group(&self) -> usize {
        group(self.rings.len(), self.scratch.len())
    }
}

impl CpuEngine {
    /// Sees the present frames of the lanes of the mask, copies what `pick` finds of the row of each to its place in `out`,
    /// and forgets them.
    fn read(
        &mut self,
        frame: &FrameStep<'_>,
        out: &mut [f32],
        pick: impl Fn(&Scratch, usize) -> &[f32] + Sync,
    ) {
        let (values, group) = (out.len() / self.rings.len(), self.group());
        let (arch, scratch) = (self.arch, &self.scratch);
        let network = (&self.dynamics, &self.config.dynamics);
        let groups = self.rings.par_chunks_mut(group).zip(out.par_chunks_mut(group * values));
        groups.enumerate().for_each(|(i, (rings, out))| {
            let mut inputs = inputs(rings, i * group, frame);
            if inputs.is_empty() {
                return;
            }
            let marks: SmallVec<[Mark; GROUP_MAX]> = inputs.iter().map(|lane| lane.ring.mark()).collect();
            with_scratch(scratch, |scratch| {
                network::dynamics(arch, network, &mut inputs, scratch);
                let live = out.chunks_exact_mut(values).enumerate();
                let live = live.filter(|(lane, _)| frame.mask[i * group + lane]);
                for (row, (_, out)) in live.enumerate() {
                    out.copy_from_slice(pick(scratch, row));
                }
            });
            inputs.iter_mut().zip(marks).for_each(|(lane, mark)| lane.ring.rewind(mark));
        });
    }
}

/// Lanes of one task: few enough for all threads to have some.
fn group(lanes: usize, threads: usize) -> usize {
    lanes.div_ceil(threads).clamp(1, GROUP_MAX)
}

/// Lanes of one task, of which `rings[0]` is lane `first`.
fn inputs<'a>(rings: &'a mut [Ring], first: usize, frame: &FrameStep<'a>) -> LaneInputs<'a> {
    let width = frame.actions.len() / frame.mask.len();
    let live = rings.iter_mut().enumerate().filter(|(lane, _)| frame.mask[first + lane]);
    live.map(|(lane, ring)| {
        let lane = first + lane;
        LaneInput {
            codes: &frame.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES],
            action: &frame.actions[lane * width..(lane + 1) * width],
            level: frame.levels[lane],
            ring,
        }
    })
    .collect()
}

/// Calls `work` with the scratch memory of this thread.
fn with_scratch<R>(scratch: &[Mutex<Scratch>], work: impl FnOnce(&mut Scratch) -> R) -> R {
    let mine = rayon::current_thread_index().unwrap_or(0) % scratch.len();
    work(&mut scratch[mine].lock().unwrap_or_else(PoisonError::into_inner))
}

impl StepEngine for CpuEngine {
    fn lanes(&self) -> usize {
        self.rings.len()
    }

    fn name(&self) -> &'static str {
        "processor"
    }

    fn step(&mut self, frame: &FrameStep<'_>, output: &mut StepOutput) {
        let (lanes, group) = (self.rings.len(), self.group());
        let objects = output.objects.len() / lanes;
        let (arch, scratch) = (self.arch, &self.scratch);
        let network = (&self.dynamics, &self.config.dynamics);
        let refiner = RefinerPass::of(&self.dynamics, &self.config, frame.sampling.temperature);
        let groups = (
            self.rings.par_chunks_mut(group),
            output.codes.par_chunks_mut(group * FRAME_CODE_BYTES),
            output.rewards.par_chunks_mut(group),
            output.terminated.par_chunks_mut(group),
            output.objects.par_chunks_mut(group * objects),
            output.uncertainty.par_chunks_mut(group),
        );
        groups.into_par_iter().enumerate().for_each(|(i, (rings, codes, rewards, ends, values, unsure))| {
            let first = i * group;
            let live = |lane: &usize| frame.mask[first + lane];
            let mut inputs = inputs(rings, first, frame);
            if inputs.is_empty() {
                return;
            }
            let rows = codes.chunks_exact_mut(FRAME_CODE_BYTES).zip(values.chunks_exact_mut(objects));
            let scalars = rewards.iter_mut().zip(ends).zip(unsure);
            let outputs = rows.zip(scalars).enumerate().filter(|(lane, _)| live(lane));
            with_scratch(scratch, |scratch| {
                network::dynamics(arch, network, &mut inputs, scratch);
                let said = &scratch.output;
                let said = Said { code_logits: &said.code_logits, readouts: &said.readouts };
                let mut drafts: SmallVec<[DraftLane<'_>; GROUP_MAX]> = SmallVec::new();
                for (row, (lane, ((codes, objects), ((reward, terminated), uncertainty)))) in
                    outputs.enumerate()
                {
                    let draw = frame.sampling.draws[first + lane];
                    let out = LaneOutput { codes: &mut *codes, reward, terminated, objects, uncertainty };
                    out.write(&said, row, (draw, frame.sampling.temperature));
                    drafts.push(DraftLane { codes, draw });
                }
                if let Some(pass) = refiner {
                    refiner::refine(arch, pass, &mut drafts, scratch);
                }
            });
        });
    }

    fn read_objects(&mut self, frame: &FrameStep<'_>, objects: &mut [f32]) {
        let values = objects.len() / self.rings.len();
        let readout = REWARD_BINS + 1 + values;
        self.read(frame, objects, |scratch, row| {
            &scratch.output.readouts[row * readout + REWARD_BINS + 1..(row + 1) * readout]
        });
    }

    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]) {
        let width = self.config.dynamics.width;
        self.read(frame, latents, |scratch, row| {
            let at = (row * FRAME_TOKENS + READOUT_TOKEN) * width;
            &scratch.normed[at..at + width]
        });
    }

    fn encode(&mut self, frames: &[u8], codes: &mut [u8]) {
        let size = self.config.frame;
        let group = self.frame_group(frames.len() / size.bytes());
        let (arch, scratch) = (self.arch, &self.scratch);
        let network = (&self.encoder, &self.config.encoder, size);
        let groups =
            frames.par_chunks(group * size.bytes()).zip(codes.par_chunks_mut(group * FRAME_CODE_BYTES));
        groups.for_each(|(frames, codes)| {
            with_scratch(scratch, |scratch| network::encode(arch, network, frames, codes, scratch));
        });
    }

    fn decode(&mut self, codes: &[u8], frames: &mut [u8]) {
        let size = self.config.frame;
        let group = self.frame_group(codes.len() / FRAME_CODE_BYTES);
        let (arch, scratch) = (self.arch, &self.scratch);
        let network = (&self.decoder, &self.config.decoder, size);
        let groups =
            codes.par_chunks(group * FRAME_CODE_BYTES).zip(frames.par_chunks_mut(group * size.bytes()));
        groups.for_each(|(codes, frames)| {
            with_scratch(scratch, |scratch| network::decode(arch, network, codes, frames, scratch));
        });
    }

    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], action: &[f32]) {
        let frames = codes.len() / FRAME_CODE_BYTES / lanes.len().max(1);
        let mut films: Vec<Option<&[u8]>> = vec![None; self.rings.len()];
        for (lane, film) in lanes.iter().zip(codes.chunks_exact((frames * FRAME_CODE_BYTES).max(1))) {
            films[*lane] = Some(film);
            self.rings[*lane].reset();
        }
        let (arch, scratch, group) = (self.arch, &self.scratch, self.group());
        let network = (&self.dynamics, &self.config.dynamics);
        self.rings.par_chunks_mut(group).zip(films.par_chunks(group)).for_each(|(rings, films)| {
            for t in 0..frames {
                let due = rings.iter_mut().zip(films).filter_map(|(ring, film)| Some((ring, (*film)?)));
                let mut inputs: LaneInputs<'_> = due
                    .map(|(ring, film)| {
                        let codes = &film[t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES];
                        LaneInput { codes, action, level: 0, ring }
                    })
                    .collect();
                if !inputs.is_empty() {
                    with_scratch(scratch, |scratch| network::dynamics(arch, network, &mut inputs, scratch));
                }
            }
        });
    }

    fn lane(&self, lane: usize) -> LaneCache {
        self.rings[lane].save()
    }

    fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        self.rings[lane].load(saved)
    }

    fn lane_bytes(&self) -> usize {
        RingSizes::new(&self.config).bytes()
    }
}
