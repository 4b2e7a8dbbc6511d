use std::collections::BTreeMap;

use cubecl::prelude::CubeElement as _;
use thiserror::Error;

use super::context::{Context, Stored};
use super::exchange::{Inputs, NUMBERS, Outputs, bucket, put};
use super::frame_codec::FrameCodec;
use super::kernels::{
    Drawn, Factor, FrameTokens, KnownCodes, Logits, Product, Readout, Redraw, Ring, RowsOf, check_library,
    draw_codes, embed_frame, embed_known, mask_codes, peaks, product, read_out, redraw_codes, take_rows,
};
use super::memory::{ProductNumbers, check, needs_library, padded};
use super::profile::Profile;
use super::recording::Recording;
use super::rings::{Mark, RingSizes, Rings};
use super::stack::{Pass, Work};
use super::step_buffers::{DraftBuffers, StepBuffers, Views};
use super::weights::{Dynamics, Refiner};
use crate::cache::LaneCache;
use crate::config::{FRAME_TOKENS, ModelConfig, NOISE_LEVELS, READOUT_TOKEN, RefinerConfig, SPATIAL_TOKENS};
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::agreement::Moment;
use crate::engine::{FrameStep, MissingWeight, StepEngine, StepOutput};
use crate::model::Model;
use crate::on_card::Part;
#[cfg(feature = "cuda")]
use crate::on_card::{Card, CudaCard};
use crate::packing::FRAME_CODE_BYTES;
use crate::reward::REWARD_BINS;

/// Side of the product, and numbers of the copy, that tell what a processor and a GPU can do.
const PROBED: [(usize, usize); 2] = [(512, 1 << 24), (8192, 1 << 28)];

/// The token of a frame that is read out.
const READOUTS: RowsOf = RowsOf { first: READOUT_TOKEN, count: 1, of: FRAME_TOKENS };
/// The tokens of a frame that stand for its codes.
const SPATIAL: RowsOf = RowsOf { first: 0, count: SPATIAL_TOKENS, of: FRAME_TOKENS };

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The device cannot be used.
    #[error("no step engine on this device: {message}")]
    Device {
        /// What it says.
        message: String,
    },
    /// The model has something that the kernels do not know.
    #[error("no kernels for this model: {message}")]
    Model {
        /// What, and what there are kernels for.
        message: String,
    },
    /// The weights are not those of the configuration.
    #[error(transparent)]
    Weights(#[from] MissingWeight),
}

/// Steps a model on a device of CubeCL's. `S` is what operands of products and rings are stored as: f32 or bf16; sums are
/// 32 bits wide.
///
/// # Panics
/// Methods of [`StepEngine`] do if the device fails: nothing that was on it is known then.
pub struct CudaEngine<S: Stored> {
    context: Context,
    config: ModelConfig,
    dynamics: Dynamics<S>,
    codec: FrameCodec<S>,
    rings: Rings<S>,
    work: Work<S>,
    step: StepBuffers<S>,
    /// Steps by the number of their rows, each as the launches that it is made of.
    recordings: BTreeMap<usize, Recording>,
    /// Number of the CUDA card that it is on.
    #[cfg(feature = "cuda")]
    number: Option<usize>,
}

/// The lanes that a pass is about.
struct Live {
    /// In the order of the rows.
    lanes: Vec<usize>,
    views: Views,
}

impl<S: Stored> CudaEngine<S> {
    /// `lanes` lanes, at least one, that have seen nothing, on `device`.
    ///
    /// # Errors
    /// [`EngineError`] if the device cannot be used, there are no kernels for the model (one with widths that are no
    /// multiples of 4), or its weights are not those of its configuration.
    pub fn new(model: &Model, lanes: usize, device: &cubecl::Device) -> Result<Self, EngineError> {
        Self::with_products(model, lanes, (device, ProductNumbers::Wide))
    }

    /// As [`new`](Self::new), with the products of blocks made of `numbers`.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`EngineError::Device`] too if a GPU cannot multiply numbers of eight bits.
    pub fn with_products(
        model: &Model,
        lanes: usize,
        (device, numbers): (&cubecl::Device, ProductNumbers),
    ) -> Result<Self, EngineError> {
        let is_narrow = numbers == ProductNumbers::Fp8;
        let config = model.card.config.clone();
        check(&config, numbers).map_err(|message| EngineError::Model { message })?;
        let context = Context::new(device).map_err(|message| EngineError::Device { message })?;
        let made = context.shared().do_on_stream(|| {
            if needs_library(lanes, numbers) {
                context.take_library(device);
                check_library::<S>(&context, is_narrow);
            }
            if is_narrow && !context.is_processor() && !context.has_library() {
                let message = format!("fp8 products need cuBLASLt: {}", context.products());
                return Err(EngineError::Device { message });
            }
            Ok::<_, EngineError>((
                Dynamics::new(&context, &model.dynamics, (&config, is_narrow))?,
                FrameCodec::new(&context, &model.tokenizer, (&config, is_narrow), lanes)?,
                Rings::new(&context, RingSizes::new(&config), lanes),
                Work::new(&context, &config.dynamics, (lanes * FRAME_TOKENS, is_narrow)),
                StepBuffers::new(&context, &config, lanes),
            ))
        });
        let (dynamics, codec, rings, work, step) = made?;
        Ok(Self {
            context,
            config,
            dynamics,
            codec,
            rings,
            work,
            step,
            recordings: BTreeMap::new(),
            #[cfg(feature = "cuda")]
            number: super::index_of(model),
        })
    }

    /// Bytes of the device's memory that it has asked for.
    pub fn device_bytes(&self) -> u64 {
        self.context.bytes()
    }

    /// What makes its products: `cuBLASLt`, or `cubek` and perhaps why.
    pub fn products(&self) -> String {
        self.context.products()
    }

    /// Whether a step of all lanes is one call, recorded before: a device must know how to.
    pub fn is_recorded(&self) -> bool {
        self.recordings.get(&self.rings.lanes()).is_some_and(Recording::is_made)
    }

    /// Where the time of a step of all lanes goes, and of decoding what follows, when their rings are full. Each launch is
    /// waited for, and the median of `runs` steps counts. What the lanes saw before is lost.
    pub fn profile(&mut self, runs: usize) -> Profile {
        let (lanes, frames) = (self.rings.lanes(), self.rings.frames());
        let nothing = Moment {
            codes: vec![0; lanes * FRAME_CODE_BYTES],
            actions: vec![0.0; lanes * self.config.action_values],
            levels: vec![0; lanes],
            mask: vec![true; lanes],
            draws: vec![0; lanes],
        };
        self.context.shared().do_on_stream(|| {
            (0..frames).for_each(|_| drop(self.append(&nothing.frame(1.0))));
            let views = self.step.views(&self.config, lanes);
            self.codec.decode(&self.context, &nothing.codes, &mut vec![0; lanes * self.config.frame.bytes()]);
            let kernels = self.context.metered(runs.max(1), || {
                self.launch(&views);
                self.codec.rehearse(&self.context, lanes);
            });
            let (side, numbers) = if self.context.is_processor() { PROBED[0] } else { PROBED[1] };
            let (flops_per_s, bytes_per_s) = self
                .context
                .not_counting(|| peaks::<S>(&self.context, (side, self.work.is_narrow()), numbers));
            (0..lanes).for_each(|lane| self.rings.reset(lane));
            Profile { kernels, flops_per_s, bytes_per_s, products: self.products() }
        })
    }

    /// Whether the next step of `lanes` lanes records its launches.
    fn is_recording_due(&self, lanes: usize) -> bool {
        self.recordings.get(&bucket(lanes, self.rings.lanes())).is_some_and(Recording::is_due)
    }

    /// Makes room for the present frames of the lanes of the mask and copies them to the device; `None` if there is no
    /// lane.
    fn send_live(&mut self, frame: &FrameStep<'_>) -> Option<Live> {
        let lanes: Vec<usize> = (0..self.rings.lanes()).filter(|lane| frame.mask[*lane]).collect();
        if lanes.is_empty() {
            return None;
        }
        lanes.iter().for_each(|lane| self.rings.advance(*lane));
        let views = self.step.views(&self.config, bucket(lanes.len(), self.rings.lanes()));
        let live = Live { lanes, views };
        self.send(frame, &live);
        Some(live)
    }

    /// Appends the present frames of the lanes of the mask, and leaves the last normalised rows on the device.
    fn append(&mut self, frame: &FrameStep<'_>) -> Option<Live> {
        let live = self.send_live(frame)?;
        self.predict(&live.views);
        Some(live)
    }

    /// Appends frames that were sent, and draws what follows.
    fn predict_and_draw(&mut self, views: &Views) {
        let mut recording = self.recordings.remove(&views.lanes).unwrap_or_default();
        let work = || self.launch(views);
        if self.context.has_library() {
            work()
        } else {
            recording.run(&self.context, work)
        }
        self.recordings.insert(views.lanes, recording);
    }

    /// All launches of a step.
    fn launch(&self, views: &Views) {
        self.predict(views);
        self.draw(views);
        self.refine(views);
    }

    /// Copies what the lanes of a pass are told to the device, at once. Rows that fill a bucket up are a lane's first frame.
    fn send(&self, frame: &FrameStep<'_>, live: &Live) {
        let values = self.config.action_values;
        let inputs = Inputs::new(values, live.views.lanes);
        let mut told = vec![0; inputs.bytes];
        let spare = self.rings.spare() as u32;
        put(&mut told, inputs.lanes, std::iter::repeat_n(spare, live.views.lanes));
        put(&mut told, inputs.ages, std::iter::repeat_n(1, live.views.lanes));
        let lanes = || live.lanes.iter().copied();
        let codes = |lane: usize| &frame.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES];
        put(&mut told, inputs.codes, lanes().flat_map(codes).copied());
        let action = |lane: usize| &frame.actions[lane * values..(lane + 1) * values];
        put(&mut told, inputs.actions, lanes().flat_map(action).copied());
        let level = |lane: usize| frame.levels[lane].min(NOISE_LEVELS - 1) as u32;
        put(&mut told, inputs.levels, lanes().map(level));
        put(&mut told, inputs.lanes, lanes().map(|lane| lane as u32));
        put(&mut told, inputs.newest, lanes().map(|lane| self.rings.mark(lane).newest as u32));
        put(&mut told, inputs.ages, lanes().map(|lane| self.rings.mark(lane).age as u32));
        put(&mut told, inputs.draws, lanes().map(|lane| frame.sampling.draws[lane]));
        put(&mut told, inputs.temperature, [frame.sampling.temperature]);
        self.step.told.write(&self.context, told);
    }

    /// The network on what was sent.
    fn predict(&self, views: &Views) {
        let (context, weights, lanes) = (&self.context, &self.dynamics, views.lanes);
        let stack = &self.config.dynamics;
        let tokens = FrameTokens {
            codes: &views.codes,
            actions: &views.actions,
            levels: &views.levels,
            code_rows: &weights.code_rows,
            code_bias: &weights.code_bias,
            action_rows: &weights.action_rows,
            action_bias: &weights.action_bias,
            position: &weights.position,
        };
        embed_frame(context, &tokens, &self.work.stream, [lanes, stack.width, self.config.action_values]);
        let rows = lanes * FRAME_TOKENS;
        let pass = Pass { context, work: &self.work, stack, tokens: FRAME_TOKENS, rows };
        pass.norm();
        let mut layers = 0;
        for block in &weights.blocks {
            let ring = block.temporal.as_ref().map(|_| self.ring(views, layers));
            layers += usize::from(ring.is_some());
            pass.block(block, ring.as_ref());
        }
    }

    fn ring<'a>(&'a self, views: &'a Views, layer: usize) -> Ring<'a, S> {
        let [keys, values] = self.rings.layer(layer);
        let (lanes, newest, ages) = (&views.rings, &views.newest, &views.ages);
        Ring { keys, values, lanes, newest, ages, frames: self.rings.frames() }
    }

    /// Draws the next codes, and reads out the numbers.
    fn draw(&self, views: &Views) {
        let (context, step, weights, lanes) = (&self.context, &self.step, &self.dynamics, views.lanes);
        let (width, objects) = (self.config.dynamics.width, self.config.object_values());
        let (a, (b, bias)) = (&self.work.normed, &weights.to_codes);
        // All tokens, though four in twenty carry no codes: so the product takes whole tiles.
        let size = [lanes * FRAME_TOKENS, width, padded(TOKEN_LOGITS)];
        product(context, &Product { a, b: Factor::Wide(b), bias: Some(bias), c: &step.logits, size });
        draw_codes(context, &self.logits(views), &self.drawn(views), lanes);
        let (columns, rows) = (padded(REWARD_BINS + 1 + objects), &step.readout_rows);
        take_rows(context, [a, rows], (lanes, width), READOUTS);
        let ((b, bias), size) = (&weights.to_readout, [lanes, width, columns]);
        let b = Factor::Wide(b);
        product(context, &Product { a: rows, b, bias: Some(bias), c: &step.readouts, size });
        let (rows, entropies, numbers) = (&step.readouts, &step.entropies, &views.numbers);
        read_out(context, &Readout { rows, entropies, numbers, columns, objects }, lanes);
    }

    fn logits<'a>(&'a self, views: &'a Views) -> Logits<'a> {
        Logits {
            logits: &self.step.logits,
            tokens: FRAME_TOKENS,
            columns: padded(TOKEN_LOGITS),
            persistence: &self.dynamics.persistence,
            present: &views.codes,
            draws: &views.draws,
            temperature: &views.temperature,
        }
    }

    fn drawn<'a>(&'a self, views: &'a Views) -> Drawn<'a> {
        let confidence = self.step.draft.as_ref().map(|draft| &draft.confidence);
        Drawn { codes: &views.next_codes, entropies: &self.step.entropies, confidence }
    }

    /// Draws the codes again that the model is least sure of, if it has a refiner.
    fn refine(&self, views: &Views) {
        let (config, step) = (&self.config, &self.step);
        if let (Some(config), Some(refiner), Some(draft)) =
            (&config.refiner, &self.dynamics.refiner, &step.draft)
        {
            let size = (views.lanes, self.config.dynamics.width);
            take_rows(&self.context, [&self.work.normed, &draft.thoughts], size, SPATIAL);
            (0..config.steps).for_each(|step| self.refine_once(views, refiner, draft, (config, step)));
        }
    }

    fn refine_once(
        &self,
        views: &Views,
        refiner: &Refiner<S>,
        draft: &DraftBuffers<S>,
        (config, step): (&RefinerConfig, usize),
    ) {
        let (context, work, lanes) = (&self.context, &self.work, views.lanes);
        let (stack, masked) = (&self.config.dynamics, &draft.masked);
        mask_codes(context, &draft.confidence, masked, (lanes, config.masked_in(step)));
        let (thoughts, codes) = (&draft.thoughts, &views.next_codes);
        let known = KnownCodes { thoughts, codes, masked, rows: &refiner.known_rows, start: &refiner.start };
        embed_known(context, &known, &work.stream, (lanes, stack.width));
        let rows = lanes * SPATIAL_TOKENS;
        let pass = Pass { context, work, stack, tokens: SPATIAL_TOKENS, rows };
        pass.norm();
        refiner.blocks.iter().for_each(|block| pass.block(block, None));
        let size = [rows, stack.width, padded(TOKEN_LOGITS)];
        let (a, b, c) = (&work.normed, Factor::Wide(&refiner.to_codes), &draft.refined);
        product(context, &Product { a, b, bias: None, c, size });
        let redraw = Redraw { refined: &draft.refined, masked, step };
        redraw_codes(context, &self.logits(views), &self.drawn(views), &redraw, lanes);
    }

    /// Sees the present frames of the lanes of the mask, lets `look` read what it wants, and forgets them.
    fn peek(&mut self, frame: &FrameStep<'_>, look: impl FnOnce(&Self, &Live)) {
        let marks: Vec<Mark> = (0..self.rings.lanes()).map(|lane| self.rings.mark(lane)).collect();
        let Some(live) = self.append(frame) else { return };
        look(self, &live);
        live.lanes.iter().for_each(|lane| self.rings.rewind(*lane, marks[*lane]));
    }

    /// What was read out of the lanes of a pass, [`NUMBERS`] and the objects of each.
    fn numbers(&self, live: &Live) -> Vec<f32> {
        let mut numbers = vec![0.0; live.lanes.len() * (NUMBERS + self.config.object_values())];
        live.views.numbers.read(&self.context, &mut numbers);
        numbers
    }
}

impl<S: Stored> StepEngine for CudaEngine<S> {
    fn lanes(&self) -> usize {
        self.rings.lanes()
    }

    fn name(&self) -> &'static str {
        "kernels"
    }

    fn step(&mut self, frame: &FrameStep<'_>, output: &mut StepOutput) {
        let stepped = frame.mask.iter().filter(|stepped| **stepped).count();
        let alone = self.is_recording_due(stepped);
        let turn = if alone { self.context.alone() } else { self.context.shared() };
        turn.do_on_stream(|| {
            let Some(live) = self.send_live(frame) else { return };
            self.predict_and_draw(&live.views);
            let objects = self.config.object_values();
            let outputs = Outputs::new(objects, live.views.lanes);
            let said = self.step.said.first(&self.context, outputs.bytes);
            let codes = said[outputs.codes.bytes()].chunks_exact(FRAME_CODE_BYTES);
            let numbers = f32::from_bytes(&said[outputs.numbers.bytes()]);
            let rows = codes.zip(numbers.chunks_exact(NUMBERS + objects));
            for (lane, (codes, numbers)) in live.lanes.into_iter().zip(rows) {
                output.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].copy_from_slice(codes);
                output.rewards[lane] = numbers[0];
                output.terminated[lane] = numbers[1];
                output.uncertainty[lane] = numbers[2];
                output.objects[lane * objects..(lane + 1) * objects].copy_from_slice(&numbers[NUMBERS..]);
            }
        });
    }

    fn read_objects(&mut self, frame: &FrameStep<'_>, objects: &mut [f32]) {
        let values = self.config.object_values();
        self.context.shared().do_on_stream(|| {
            self.peek(frame, |engine, live| {
                engine.draw(&live.views);
                let numbers = engine.numbers(live);
                for (lane, numbers) in live.lanes.iter().zip(numbers.chunks_exact(NUMBERS + values)) {
                    objects[lane * values..(lane + 1) * values].copy_from_slice(&numbers[NUMBERS..]);
                }
            });
        });
    }

    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]) {
        let width = self.config.dynamics.width;
        self.context.shared().do_on_stream(|| {
            self.peek(frame, |engine, live| {
                let (context, rows) = (&engine.context, &engine.step.readout_rows);
                take_rows(context, [&engine.work.normed, rows], (live.views.lanes, width), READOUTS);
                let mut found = vec![S::nearest(0.0); live.lanes.len() * width];
                rows.read(context, &mut found);
                for (lane, found) in live.lanes.iter().zip(found.chunks_exact(width)) {
                    let own = &mut latents[lane * width..(lane + 1) * width];
                    own.iter_mut().zip(found).for_each(|(own, found)| *own = found.wide());
                }
            });
        });
    }

    fn encode(&mut self, frames: &[u8], codes: &mut [u8]) {
        self.context.shared().do_on_stream(|| self.codec.encode(&self.context, frames, codes));
    }

    fn decode(&mut self, codes: &[u8], frames: &mut [u8]) {
        self.context.shared().do_on_stream(|| self.codec.decode(&self.context, codes, frames));
    }

    #[cfg(feature = "cuda")]
    fn card(&self) -> Result<Box<dyn Card>, String> {
        let number = self.number.ok_or("the dream is on no CUDA card: start it on one (--device cuda:0)")?;
        Ok(Box::new(CudaCard::new(number).map_err(|error| error.to_string())?))
    }

    fn decode_on_card(&mut self, codes: &[u8], room: &mut [u8], put: &mut dyn FnMut(usize, Part<'_>)) {
        self.context.shared().do_on_stream(|| self.codec.decode_on_card(&self.context, codes, room, put));
    }

    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], action: &[f32]) {
        let all = self.rings.lanes();
        let frames = codes.len() / FRAME_CODE_BYTES / lanes.len().max(1);
        let (mut mask, mut now) = (vec![false; all], vec![0; all * FRAME_CODE_BYTES]);
        for lane in lanes {
            mask[*lane] = true;
            self.rings.reset(*lane);
        }
        let (actions, levels, draws) = (action.repeat(all), vec![0; all], vec![0; all]);
        self.context.shared().do_on_stream(|| {
            for t in 0..frames {
                for (i, lane) in lanes.iter().enumerate() {
                    let film = &codes[(i * frames + t) * FRAME_CODE_BYTES..][..FRAME_CODE_BYTES];
                    now[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].copy_from_slice(film);
                }
                let sampling = crate::engine::Sampling { draws: &draws, temperature: 0.0 };
                let (codes, actions) = (&now, &actions);
                self.append(&FrameStep { codes, actions, levels: &levels, mask: &mask, sampling });
            }
        });
    }

    fn lane(&self, lane: usize) -> LaneCache {
        self.context.shared().do_on_stream(|| self.rings.save(&self.context, lane))
    }

    fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        self.context.shared().do_on_stream(|| self.rings.load(&self.context, lane, saved))
    }

    fn lane_bytes(&self) -> usize {
        RingSizes::new(&self.config).values() * size_of::<S>()
    }
}
