//! One step of the dream behind one interface: **append a frame → predict → sample the next → decode it**.
//!
//! [`CpuEngine`] is written for the processor, [`BurnEngine`] runs wherever burn does. Both have the same weights and say
//! the same, to rounding.

pub mod agreement;
mod burn_engine;
mod cpu;
mod refinement;
mod sampling;
mod sharded;
pub(crate) mod tensors;

pub use burn_engine::BurnEngine;
pub use cpu::CpuEngine;
#[cfg(all(test, feature = "kernels-on-cpu"))]
pub(crate) use refinement::Draft;
#[cfg(feature = "kernels")]
pub(crate) use refinement::redraw_salt;
pub(crate) use refinement::{Foretold, refine};
pub use sampling::{entropy, sample_codes, uniform};
pub use sharded::{ShardedEngine, shares};
pub use tensors::MissingWeight;

use std::path::PathBuf;

use burn::tensor::Device;

use crate::cache::LaneCache;
use crate::config::{ModelConfig, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::cuda::DeviceMemory;
use crate::device::ComputeDevice;
use crate::dynamics::TOKEN_LOGITS;
use crate::model::{Model, ModelError};
use crate::on_card::{Card, Part};
use crate::packing::FRAME_CODE_BYTES;
use crate::precision::Precision;
use crate::reward::{REWARD_BINS, expected};

/// Corruption level that the model is told of for frames that it made itself: they carry small faults.
pub const DREAMT_LEVEL: usize = 1;
const _: () = assert!(DREAMT_LEVEL < NOISE_LEVELS);

/// What one step appends, lane after lane.
#[derive(Clone, Copy, Debug)]
pub struct FrameStep<'a> {
    /// `lanes × FRAME_CODE_BYTES` level indices of the present frames.
    pub codes: &'a [u8],
    /// `lanes × action_values`: the actions taken on seeing them.
    pub actions: &'a [f32],
    /// The corruption level of each frame that the model is told of; 0 for a true one.
    pub levels: &'a [usize],
    /// Lanes to step; the others stay as they are.
    pub mask: &'a [bool],
    /// How the next frames are drawn.
    pub sampling: Sampling<'a>,
}

/// How codes are drawn from their logits.
#[derive(Clone, Copy, Debug)]
pub struct Sampling<'a> {
    /// Names the randomness of each lane: the same draw gives the same frame, whatever the neighbours do.
    pub draws: &'a [u64],
    /// 0 takes the likeliest codes.
    pub temperature: f32,
}

/// What one step says, lane after lane. Lanes that are not stepped keep what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutput {
    /// `lanes × FRAME_CODE_BYTES` level indices of the next frames.
    pub codes: Vec<u8>,
    /// Expected rewards.
    pub rewards: Vec<f32>,
    /// Probabilities that the episode ends.
    pub terminated: Vec<f32>,
    /// `lanes × objects × OBJECT_VALUES`: normalised positions and velocities in the present frame.
    pub objects: Vec<f32>,
    /// Mean [`entropy`] of the next frame's codes, in nats: how unsure the model is, before any refinement.
    pub uncertainty: Vec<f32>,
}

impl StepOutput {
    /// Room for what `lanes` lanes of `model` say.
    pub fn new(model: &Model, lanes: usize) -> Self {
        let objects = model.card.config.object_values();
        Self {
            codes: vec![0; lanes * FRAME_CODE_BYTES],
            rewards: vec![0.0; lanes],
            terminated: vec![0.0; lanes],
            objects: vec![0.0; lanes * objects],
            uncertainty: vec![0.0; lanes],
        }
    }
}

/// A batch of dreams that can be stepped, each with what it has seen so far.
pub trait StepEngine: Send {
    /// Dreams stepped side by side.
    fn lanes(&self) -> usize;

    /// What steps them: `processor`, `kernels` or `burn`.
    fn name(&self) -> &'static str;

    /// Appends a frame to each lane of the mask and draws the frames that follow.
    fn step(&mut self, frame: &FrameStep<'_>, output: &mut StepOutput);

    /// What the model reads out of the present frames of the lanes of the mask themselves, where a step tells it of the
    /// frames before: `lanes × objects × OBJECT_VALUES`, normalised. Nothing is appended.
    fn read_objects(&mut self, frame: &FrameStep<'_>, objects: &mut [f32]);

    /// What the model makes of the present frames of the lanes of the mask and of those before: the readout token's
    /// normalised features, `lanes × width`. Nothing is appended.
    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]);

    /// Codes of frames (HWC `uint8`), any number of them.
    fn encode(&mut self, frames: &[u8], codes: &mut [u8]);

    /// Frames (HWC `uint8`) of codes, any number of them.
    fn decode(&mut self, codes: &[u8], frames: &mut [u8]);

    /// The card that [`decode_on_card`](Self::decode_on_card) leaves frames on.
    ///
    /// # Errors
    /// Why it leaves them in host memory, and what would not.
    fn card(&self) -> Result<Box<dyn Card>, String> {
        Err(format!(
            "the dream is stepped by {:?}, which decodes into host memory: \"kernels\", on one GPU, would not",
            self.name()
        ))
    }

    /// As [`decode`](Self::decode), with `put` given runs of the frames where they are, in their order, and the number of the
    /// first: they are there until it returns. `room` is for those of engines that decode into host memory.
    fn decode_on_card(&mut self, codes: &[u8], room: &mut [u8], put: &mut dyn FnMut(usize, Part<'_>)) {
        self.decode(codes, room);
        put(0, Part::Host(room));
    }

    /// Starts `lanes` anew on true frames, `codes` holding as many of each lane, one lane after the other. On all of them
    /// `action` was taken.
    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], action: &[f32]);

    /// What `lane` has seen.
    fn lane(&self, lane: usize) -> LaneCache;

    /// Puts back what [`lane`](Self::lane) gave; false, and nothing is changed, if it does not fit.
    fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool;

    /// Bytes of memory that one more lane takes.
    fn lane_bytes(&self) -> usize;
}

/// What an engine takes, known before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineMemory {
    /// Bytes of one lane.
    pub lane_bytes: u64,
    /// Bytes of everything that the lanes share: weights and working memory.
    pub shared_bytes: u64,
}

/// What the engine that [`engine`] makes for `lanes` lanes of `model` will take.
pub fn memory(model: &Model, lanes: usize) -> EngineMemory {
    if runs_on_processor(model) {
        return CpuEngine::memory(model, lanes);
    }
    if cfg!(feature = "cuda") && crate::cuda::check(&model.card.config, model.products).is_ok() {
        let memory = DeviceMemory::with_products(&model.card.config, Precision::Bf16, model.products);
        return EngineMemory { lane_bytes: memory.lane(), shared_bytes: memory.shared(lanes) };
    }
    BurnEngine::memory(model)
}

/// Bytes of one lane's ring cache on the processor, which is most of what an environment takes.
pub fn ring_bytes(config: &ModelConfig) -> u64 {
    cpu::ring_bytes(config)
}

/// Whether `model` computes on this machine's processor.
pub fn runs_on_processor(model: &Model) -> bool {
    model.device.clone().inner() == Device::flex()
}

/// The fastest engine for where `model` computes: on a GPU our own kernels if there are such for the model, with operands
/// of products in bf16 (those of blocks in fp8 if the model [says so](Model::with_products)), or else burn.
///
/// # Errors
/// [`ModelError::Damaged`] if the weights are not those of the configuration, [`ModelError::Unsupported`] if fp8 products
/// cannot be made there.
pub fn engine(model: &Model, lanes: usize) -> Result<Box<dyn StepEngine>, ModelError> {
    if runs_on_processor(model) {
        let refused = |message| ModelError::Unsupported { message };
        model.products.check(ComputeDevice::Cpu).map_err(refused)?;
        return Ok(Box::new(CpuEngine::new(model, lanes)?));
    }
    #[cfg(feature = "cuda")]
    if let Some(device) = crate::cuda::device_of(model) {
        match crate::cuda::CudaEngine::<half::bf16>::with_products(model, lanes, (&device, model.products)) {
            Ok(engine) => return Ok(Box::new(engine)),
            Err(crate::cuda::EngineError::Weights(error)) => return Err(damaged(model, &error)),
            // What was asked for by name is not replaced in silence.
            Err(error) if model.products == crate::cuda::ProductNumbers::Fp8 => {
                return Err(ModelError::Unsupported { message: error.to_string() });
            }
            Err(crate::cuda::EngineError::Device { .. } | crate::cuda::EngineError::Model { .. }) => {}
        }
    }
    Ok(Box::new(BurnEngine::new(model, lanes)))
}

/// The fastest engine, with its lanes divided over `devices` GPUs from the one that `model` computes on; on the processor so
/// many engines stand in for them.
///
/// # Errors
/// As [`engine`].
pub fn engine_over(model: &Model, lanes: usize, devices: usize) -> Result<Box<dyn StepEngine>, ModelError> {
    if devices <= 1 {
        return engine(model, lanes);
    }
    let engines = shares(lanes, devices).enumerate().map(|(i, lanes)| engine(&on_device(model, i), lanes));
    Ok(Box::new(ShardedEngine::new(model, engines.collect::<Result<_, _>>()?)))
}

/// `model` on the `i`th GPU from its own on, or on the processor.
fn on_device(model: &Model, i: usize) -> Model {
    #[cfg(feature = "cuda")]
    if let Some(first) = crate::cuda::index_of(model) {
        return model.on(&Device::cuda(first + i));
    }
    let _ = i;
    model.clone()
}

/// The weights are not those of the configuration.
fn damaged(model: &Model, error: &MissingWeight) -> ModelError {
    ModelError::Damaged { path: PathBuf::from(model.card.task_names()), message: error.to_string() }
}

/// What the network says of some lanes, before anything is drawn.
struct Said<'a> {
    /// `lanes × SPATIAL_TOKENS × TOKEN_LOGITS`.
    code_logits: &'a [f32],
    /// `lanes × (REWARD_BINS + 1 + objects)`.
    readouts: &'a [f32],
}

/// One lane's share of a [`StepOutput`].
struct LaneOutput<'a> {
    codes: &'a mut [u8],
    reward: &'a mut f32,
    terminated: &'a mut f32,
    objects: &'a mut [f32],
    uncertainty: &'a mut f32,
}

impl LaneOutput<'_> {
    /// Draws and reads out what was said of lane `lane`.
    fn write(self, said: &Said<'_>, lane: usize, (draw, temperature): (u64, f32)) {
        let len = SPATIAL_TOKENS * TOKEN_LOGITS;
        let logits = &said.code_logits[lane * len..(lane + 1) * len];
        sample_codes(logits, temperature, draw, self.codes);
        *self.uncertainty = entropy(logits);
        let values = REWARD_BINS + 1 + self.objects.len();
        let readout = &said.readouts[lane * values..(lane + 1) * values];
        *self.reward = expected(&readout[..REWARD_BINS]);
        *self.terminated = 1.0 / (1.0 + (-readout[REWARD_BINS]).exp());
        self.objects.copy_from_slice(&readout[REWARD_BINS + 1..]);
    }
}
