use thiserror::Error;

use super::context::{Buffer, Context, Stored};
use super::frame_codec::FrameCodec;
use super::kernels::{
    Drawn, FrameTokens, Logits, Product, Readout, Ring, RowsOf, draw_codes, embed_frame, product, read_out,
    take_rows,
};
use super::memory::{check, padded, tile_rows};
use super::recording::Recording;
use super::rings::{Mark, RingSizes, Rings};
use super::stack::{Pass, Work};
use super::weights::Dynamics;
use crate::cache::LaneCache;
use crate::config::{FRAME_CODES, FRAME_TOKENS, ModelConfig, NOISE_LEVELS, READOUT_TOKEN};
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::{FrameStep, MissingWeight, StepEngine, StepOutput};
use crate::model::Model;
use crate::on_card::Part;
#[cfg(feature = "cuda")]
use crate::on_card::{Card, CudaCard};
use crate::packing::FRAME_CODE_BYTES;
use crate::reward::REWARD_BINS;

/// Expected reward, probability of termination and uncertainty stand before the objects.
const NUMBERS: usize = 3;

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
    step: StepBuffers,
    /// The launches of a step of all lanes.
    all_lanes: Recording,
    /// Number of the CUDA card that it is on.
    #[cfg(feature = "cuda")]
    number: Option<usize>,
}

/// What goes to the device and comes from it in a step, and what is made of the last normalised rows.
struct StepBuffers {
    codes: Buffer<u8>,
    actions: Buffer<f32>,
    levels: Buffer<u32>,
    lanes: Buffer<u32>,
    newest: Buffer<u32>,
    ages: Buffer<u32>,
    draws: Buffer<u64>,
    temperature: Buffer<f32>,
    logits: Buffer<f32>,
    readouts: Buffer<f32>,
    entropies: Buffer<f32>,
    latents: Buffer<f32>,
    next_codes: Buffer<u8>,
    numbers: Buffer<f32>,
}

impl StepBuffers {
    fn new(context: &Context, config: &ModelConfig, lanes: usize) -> Self {
        let objects = config.object_values();
        Self {
            codes: Buffer::empty(context, lanes * FRAME_CODE_BYTES),
            actions: Buffer::empty(context, lanes * config.action_values),
            levels: Buffer::empty(context, lanes),
            lanes: Buffer::empty(context, lanes),
            newest: Buffer::empty(context, lanes),
            ages: Buffer::empty(context, lanes),
            draws: Buffer::empty(context, lanes),
            temperature: Buffer::empty(context, 1),
            logits: Buffer::empty(context, tile_rows(lanes * FRAME_TOKENS) * padded(TOKEN_LOGITS)),
            readouts: Buffer::empty(context, lanes * padded(REWARD_BINS + 1 + objects)),
            entropies: Buffer::empty(context, lanes * FRAME_CODES),
            latents: Buffer::empty(context, lanes * config.dynamics.width),
            next_codes: Buffer::empty(context, lanes * FRAME_CODE_BYTES),
            numbers: Buffer::empty(context, lanes * (NUMBERS + objects)),
        }
    }
}

impl<S: Stored> CudaEngine<S> {
    /// `lanes` lanes, at least one, that have seen nothing, on `device`.
    ///
    /// # Errors
    /// [`EngineError`] if the device cannot be used, there are no kernels for the model (one with a refiner, or with widths
    /// that are no multiples of 4), or its weights are not those of its configuration.
    pub fn new(model: &Model, lanes: usize, device: &cubecl::Device) -> Result<Self, EngineError> {
        let config = model.card.config.clone();
        check(&config).map_err(|message| EngineError::Model { message })?;
        let context = Context::new(device).map_err(|message| EngineError::Device { message })?;
        let made = context.shared().do_on_stream(|| {
            Ok::<_, EngineError>((
                Dynamics::new(&context, &model.dynamics, &config)?,
                FrameCodec::new(&context, &model.tokenizer, &config, lanes)?,
                Rings::new(&context, RingSizes::new(&config), lanes),
                Work::new(&context, &config.dynamics, lanes * FRAME_TOKENS),
                StepBuffers::new(&context, &config, lanes),
            ))
        });
        let (dynamics, codec, rings, work, step) = made?;
        let all_lanes = Recording::default();
        Ok(Self {
            context,
            config,
            dynamics,
            codec,
            rings,
            work,
            step,
            all_lanes,
            #[cfg(feature = "cuda")]
            number: super::index_of(model),
        })
    }

    /// Bytes of the device's memory that it has asked for.
    pub fn device_bytes(&self) -> u64 {
        self.context.bytes()
    }

    /// Whether a step of all lanes is one call, recorded before: a device must know how to.
    pub fn is_recorded(&self) -> bool {
        self.all_lanes.is_made()
    }

    /// Makes room for the present frames of the lanes of the mask and copies them to the device; gives the lanes, in the
    /// order of its rows.
    fn send_live(&mut self, frame: &FrameStep<'_>) -> Vec<usize> {
        let live: Vec<usize> = (0..self.rings.lanes()).filter(|lane| frame.mask[*lane]).collect();
        if !live.is_empty() {
            live.iter().for_each(|lane| self.rings.advance(*lane));
            self.send(frame, &live);
        }
        live
    }

    /// Appends the present frames of the lanes of the mask, and leaves the last normalised rows on the device; gives the
    /// lanes, in the order of these.
    fn append(&mut self, frame: &FrameStep<'_>) -> Vec<usize> {
        let live = self.send_live(frame);
        if !live.is_empty() {
            self.predict(live.len());
        }
        live
    }

    /// Appends frames that were sent, and draws what follows.
    fn predict_and_draw(&mut self, lanes: usize) {
        let work = |engine: &Self| {
            engine.predict(lanes);
            engine.draw(lanes);
        };
        if lanes < self.rings.lanes() {
            return work(self);
        }
        let mut recording = std::mem::take(&mut self.all_lanes);
        recording.run(&self.context, || work(self));
        self.all_lanes = recording;
    }

    /// Copies what the lanes of a pass are told to the device.
    fn send(&self, frame: &FrameStep<'_>, live: &[usize]) {
        let (context, step) = (&self.context, &self.step);
        let values = self.config.action_values;
        let part = |lane: &usize| &frame.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES];
        let codes: Vec<u8> = live.iter().flat_map(part).copied().collect();
        let action = |lane: &usize| &frame.actions[lane * values..(lane + 1) * values];
        let actions: Vec<f32> = live.iter().flat_map(action).copied().collect();
        let of = |number: &dyn Fn(usize) -> usize| {
            live.iter().map(|lane| number(*lane) as u32).collect::<Vec<_>>()
        };
        step.codes.write(context, &codes);
        step.actions.write(context, &actions);
        step.levels.write(context, &of(&|lane| frame.levels[lane].min(NOISE_LEVELS - 1)));
        step.lanes.write(context, &of(&|lane| lane));
        step.newest.write(context, &of(&|lane| self.rings.mark(lane).newest));
        step.ages.write(context, &of(&|lane| self.rings.mark(lane).age));
        let draws: Vec<u64> = live.iter().map(|lane| frame.sampling.draws[*lane]).collect();
        step.draws.write(context, &draws);
        step.temperature.write(context, &[frame.sampling.temperature]);
    }

    /// The network on the first `lanes` rows of what was sent.
    fn predict(&self, lanes: usize) {
        let (context, step, weights) = (&self.context, &self.step, &self.dynamics);
        let stack = &self.config.dynamics;
        let tokens = FrameTokens {
            codes: &step.codes,
            actions: &step.actions,
            levels: &step.levels,
            code_rows: &weights.code_rows,
            code_bias: &weights.code_bias,
            action_rows: &weights.action_rows,
            action_bias: &weights.action_bias,
            position: &weights.position,
        };
        embed_frame(context, &tokens, &self.work.stream, [lanes, stack.width, self.config.action_values]);
        let rows = lanes * FRAME_TOKENS;
        let pass = Pass { context, work: &self.work, stack, tokens: FRAME_TOKENS, rows };
        let mut layers = 0;
        for block in &weights.blocks {
            let ring = block.temporal.as_ref().map(|_| self.ring(layers));
            layers += usize::from(ring.is_some());
            pass.block(block, ring.as_ref());
        }
        pass.norm();
    }

    fn ring(&self, layer: usize) -> Ring<'_, S> {
        let ([keys, values], step) = (self.rings.layer(layer), &self.step);
        let (lanes, newest, ages) = (&step.lanes, &step.newest, &step.ages);
        Ring { keys, values, lanes, newest, ages, frames: self.rings.frames() }
    }

    /// Draws the next codes, and reads out the numbers, of the first `lanes` rows.
    fn draw(&self, lanes: usize) {
        let (context, step, weights) = (&self.context, &self.step, &self.dynamics);
        let (width, objects) = (self.config.dynamics.width, self.config.object_values());
        let (a, columns) = (&self.work.normed, padded(REWARD_BINS + 1 + objects));
        let (b, bias) = &weights.to_codes;
        // All tokens, though four in twenty carry no codes: so the product takes whole tiles.
        let size = [lanes * FRAME_TOKENS, width, padded(TOKEN_LOGITS)];
        let (c, bias) = (&step.logits, Some(bias));
        product(context, &Product { a, rows_of: RowsOf::ALL, b, bias, c, size, adds: false, room: None });
        let (b, bias) = &weights.to_readout;
        let readout = RowsOf { first: READOUT_TOKEN, count: 1, of: FRAME_TOKENS };
        let (c, bias) = (&step.readouts, Some(bias));
        let size = [lanes, width, columns];
        product(context, &Product { a, rows_of: readout, b, bias, c, size, adds: false, room: None });
        let logits = Logits {
            logits: &step.logits,
            tokens: FRAME_TOKENS,
            columns: padded(TOKEN_LOGITS),
            persistence: &weights.persistence,
            present: &step.codes,
            draws: &step.draws,
            temperature: &step.temperature,
        };
        draw_codes(context, &logits, &Drawn { codes: &step.next_codes, entropies: &step.entropies }, lanes);
        let (rows, entropies, numbers) = (&step.readouts, &step.entropies, &step.numbers);
        read_out(context, &Readout { rows, entropies, numbers, columns, objects }, lanes);
    }

    /// Sees the present frames of the lanes of the mask, lets `look` read what it wants, and forgets them.
    fn peek(&mut self, frame: &FrameStep<'_>, look: impl FnOnce(&Self, &[usize])) {
        let marks: Vec<Mark> = (0..self.rings.lanes()).map(|lane| self.rings.mark(lane)).collect();
        let live = self.append(frame);
        if !live.is_empty() {
            look(self, &live);
        }
        live.iter().for_each(|lane| self.rings.rewind(*lane, marks[*lane]));
    }

    /// What was read out of the lanes of a pass, [`NUMBERS`] and the objects of each.
    fn numbers(&self, lanes: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; lanes * (NUMBERS + self.config.object_values())];
        self.step.numbers.read(&self.context, &mut numbers);
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
        let all = frame.mask.iter().all(|stepped| *stepped);
        let turn = if all && self.all_lanes.is_due() { self.context.alone() } else { self.context.shared() };
        turn.do_on_stream(|| {
            let live = self.send_live(frame);
            if live.is_empty() {
                return;
            }
            self.predict_and_draw(live.len());
            let mut codes = vec![0; live.len() * FRAME_CODE_BYTES];
            self.step.next_codes.read(&self.context, &mut codes);
            let objects = self.config.object_values();
            let numbers = self.numbers(live.len());
            let rows = codes.chunks_exact(FRAME_CODE_BYTES).zip(numbers.chunks_exact(NUMBERS + objects));
            for (lane, (codes, numbers)) in live.into_iter().zip(rows) {
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
                engine.draw(live.len());
                let numbers = engine.numbers(live.len());
                for (lane, numbers) in live.iter().zip(numbers.chunks_exact(NUMBERS + values)) {
                    objects[lane * values..(lane + 1) * values].copy_from_slice(&numbers[NUMBERS..]);
                }
            });
        });
    }

    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]) {
        let width = self.config.dynamics.width;
        self.context.shared().do_on_stream(|| {
            self.peek(frame, |engine, live| {
                let (context, to) = (&engine.context, &engine.step.latents);
                let rows = (READOUT_TOKEN, FRAME_TOKENS);
                take_rows(context, &engine.work.normed, to, (live.len(), width), rows);
                let mut found = vec![0.0; live.len() * width];
                to.read(context, &mut found);
                for (lane, found) in live.iter().zip(found.chunks_exact(width)) {
                    latents[lane * width..(lane + 1) * width].copy_from_slice(found);
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
