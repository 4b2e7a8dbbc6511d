//! What the network says of some inputs, by every road that it has.

use std::error::Error;

use burn::tensor::{Tensor, TensorData};
use worldstep_model::cache::{Cache, LaneCache};
use worldstep_model::codec::{decode_frames, plain};
use worldstep_model::config::{NOISE_LEVELS, SPATIAL_TOKENS};
use worldstep_model::dynamics::{FrameInput, FrameOutput, TOKEN_LOGITS};
use worldstep_model::engine::{CpuEngine, FrameStep, Sampling, StepEngine, StepOutput};
use worldstep_model::fsq;
use worldstep_model::model::Model;
use worldstep_model::packing::{FRAME_CODE_BYTES, one_hot_tokens};
use worldstep_model::tokenizer::patches;

use crate::arrays::{Arrays, Values};

/// Frames of some lanes over time, read from the inputs: arrays of `steps × lanes` rows.
struct Film<'a> {
    steps: usize,
    lanes: usize,
    /// `[steps, lanes, 64, 4]` level indices.
    codes: &'a [u8],
    /// `[steps, lanes, action_values]`.
    actions: &'a [f32],
    /// `[steps, lanes]`: corruption level told, 1 to step a lane, 1 to reset it before the step.
    levels: &'a [u8],
    mask: &'a [u8],
    reset: &'a [u8],
}

impl<'a> Film<'a> {
    fn new(inputs: &'a Arrays) -> Result<Self, Box<dyn Error>> {
        let &[steps, lanes] = inputs.shape("mask")? else { return Err("mask is not [steps, lanes]".into()) };
        Ok(Self {
            steps,
            lanes,
            codes: inputs.bytes("codes")?,
            actions: inputs.floats("actions")?,
            levels: inputs.bytes("levels")?,
            mask: inputs.bytes("mask")?,
            reset: inputs.bytes("reset")?,
        })
    }

    /// What the network reads of some rows.
    fn input(&self, model: &Model, rows: &[usize]) -> FrameInput {
        let values = self.actions.len() / (self.steps * self.lanes);
        let mut codes = vec![0.0; rows.len() * SPATIAL_TOKENS * TOKEN_LOGITS];
        let mut actions = Vec::with_capacity(rows.len() * (values + NOISE_LEVELS));
        for (row, out) in rows.iter().zip(codes.chunks_exact_mut(SPATIAL_TOKENS * TOKEN_LOGITS)) {
            one_hot_tokens(&self.codes[row * FRAME_CODE_BYTES..][..FRAME_CODE_BYTES], out);
            actions.extend_from_slice(&self.actions[row * values..][..values]);
            let level = usize::from(self.levels[*row]);
            actions.extend((0..NOISE_LEVELS).map(|i| if i == level { 1.0 } else { 0.0 }));
        }
        let tensor =
            |values, shape: [usize; 2]| Tensor::from_data(TensorData::new(values, shape), &model.device);
        FrameInput {
            codes: tensor(codes, [rows.len() * SPATIAL_TOKENS, TOKEN_LOGITS]),
            actions: tensor(actions, [rows.len(), values + NOISE_LEVELS]),
        }
    }

    fn stepped(&self, step: usize) -> Vec<bool> {
        self.mask[step * self.lanes..(step + 1) * self.lanes].iter().map(|mask| *mask != 0).collect()
    }

    fn restarted(&self, step: usize) -> impl Iterator<Item = usize> {
        (0..self.lanes).filter(move |lane| self.reset[step * self.lanes + lane] != 0)
    }
}

/// The rows of all roads, those of held lanes set to 0.
pub fn answers(model: &Model, inputs: &Arrays) -> Result<Arrays, Box<dyn Error>> {
    let film = Film::new(inputs)?;
    let mut out = Arrays::default();
    causal(model, &film, &mut out);
    cached(model, &film, &mut out);
    engine(model, &film, &mut out)?;
    frames(model, inputs.bytes("frames")?, &mut out);
    Ok(out)
}

/// All frames of each lane in one pass, lane after lane.
fn causal(model: &Model, film: &Film<'_>, out: &mut Arrays) {
    let rows: Vec<usize> =
        (0..film.lanes).flat_map(|lane| (0..film.steps).map(move |step| step * film.lanes + lane)).collect();
    let said = model.dynamics.forward(film.input(model, &rows), film.steps);
    put(out, "causal", &[film.lanes, film.steps], rows_of(said));
}

/// Step after step with a cache.
fn cached(model: &Model, film: &Film<'_>, out: &mut Arrays) {
    let mut cache = Cache::new(&model.card.config, film.lanes, &model.device);
    let mut all: [Vec<f32>; HEADS.len()] = Default::default();
    for step in 0..film.steps {
        film.restarted(step).for_each(|lane| cache.reset(lane));
        let rows: Vec<usize> = (step * film.lanes..(step + 1) * film.lanes).collect();
        let stepped = film.stepped(step);
        let said = rows_of(model.dynamics.step(film.input(model, &rows), &stepped, &mut cache));
        for (all, mut said) in all.iter_mut().zip(said) {
            silence(&mut said, &stepped);
            all.extend(said);
        }
    }
    put(out, "cached", &[film.steps, film.lanes], all);
}

/// The same steps by the engine for the processor, the likeliest codes drawn and decoded.
fn engine(model: &Model, film: &Film<'_>, out: &mut Arrays) -> Result<(), Box<dyn Error>> {
    let (lanes, values) = (film.lanes, film.actions.len() / film.steps);
    let mut engine = CpuEngine::new(model, lanes)?;
    let mut codes = Vec::new();
    let mut all: [Vec<f32>; 4] = Default::default();
    for step in 0..film.steps {
        film.restarted(step).for_each(|lane| {
            engine.set_lane(lane, &LaneCache::default());
        });
        let stepped = film.stepped(step);
        let levels: Vec<usize> =
            film.levels[step * lanes..(step + 1) * lanes].iter().map(|level| usize::from(*level)).collect();
        let mut said = StepOutput::new(model, lanes);
        let frame = FrameStep {
            codes: &film.codes[step * lanes * FRAME_CODE_BYTES..(step + 1) * lanes * FRAME_CODE_BYTES],
            actions: &film.actions[step * values..(step + 1) * values],
            levels: &levels,
            mask: &stepped,
            sampling: Sampling { draws: &vec![0; lanes], temperature: 0.0 },
        };
        engine.step(&frame, &mut said);
        codes.extend(said.codes);
        for (all, said) in all.iter_mut().zip([said.rewards, said.terminated, said.objects, said.uncertainty])
        {
            all.extend(said);
        }
    }
    let shape = [film.steps, lanes];
    out.put("engine.codes", &[film.steps, lanes, FRAME_CODE_BYTES], Values::U8(codes));
    for (name, values) in ["rewards", "terminated", "objects", "uncertainty"].into_iter().zip(all) {
        put_rows(out, &format!("engine.{name}"), &shape, values);
    }
    Ok(())
}

/// Pictures to codes and back. What is decoded are the given pictures' codes, by both decoders that there are.
fn frames(model: &Model, frames: &[u8], out: &mut Arrays) {
    let quantized = plain(model.tokenizer.encode(patches(frames, model.card.config.frame, &model.device)));
    let codes = fsq::codes(&quantized);
    let count = codes.len() / FRAME_CODE_BYTES;
    let decoded = decode_frames(&model.tokenizer, &codes);
    out.put("encode.codes", &[count, FRAME_CODE_BYTES], Values::U8(codes.clone()));
    let values = TensorData::new(fsq::values(&codes), [count * FRAME_CODE_BYTES / 4, 4]);
    let pixels = plain(model.tokenizer.decode(Tensor::from_data(values, &model.device)));
    put_rows(out, "decode.patches", &[count], pixels);
    out.put("decode.frames", &[count, model.card.config.frame.bytes()], Values::U8(decoded));
}

/// The heads of the dynamics. A model need not have the last one.
const HEADS: [&str; 5] = ["codes", "reward", "terminated", "objects", "presence"];

fn rows_of(said: FrameOutput) -> [Vec<f32>; HEADS.len()] {
    let presence = said.presence.map(plain).unwrap_or_default();
    [plain(said.codes), plain(said.reward), plain(said.terminated), plain(said.objects), presence]
}

fn put(out: &mut Arrays, road: &str, shape: &[usize], values: [Vec<f32>; HEADS.len()]) {
    for (name, values) in HEADS.into_iter().zip(values).filter(|(_, values)| !values.is_empty()) {
        put_rows(out, &format!("{road}.{name}"), shape, values);
    }
}

/// Puts `values` as rows of what is left of their number after `shape`.
fn put_rows(out: &mut Arrays, name: &str, shape: &[usize], values: Vec<f32>) {
    let rows: usize = shape.iter().product();
    out.put(name, &[shape, &[values.len() / rows]].concat(), Values::F32(values));
}

/// What a pass says of held lanes means nothing.
fn silence(rows: &mut [f32], stepped: &[bool]) {
    let width = (rows.len() / stepped.len()).max(1);
    for (row, _) in rows.chunks_exact_mut(width).zip(stepped).filter(|(_, stepped)| !**stepped) {
        row.fill(0.0);
    }
}
