//! How far two engines are apart that step the same model.

use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use worldstep_env::Rng;

use super::{FrameStep, Sampling, StepEngine, StepOutput};
use crate::config::{FSQ_LEVELS, NOISE_LEVELS};
use crate::model::Model;
use crate::packing::FRAME_CODE_BYTES;

/// Every so many steps a lane starts anew, and every so many one is given what another has seen.
const RESET_EVERY: usize = 9;
const MOVE_EVERY: usize = 13;
/// Frames that a lane starts on.
const FILM_FRAMES: usize = 3;
/// Every so many steps all lanes are stepped, and every so many one reads what is not drawn.
const ALL_EVERY: usize = 3;
const READ_EVERY: usize = 5;
/// Of every other step; the likeliest codes are taken in the others.
const TEMPERATURE: f32 = 0.7;

/// What happens to some lanes in one step: anything.
#[derive(Clone, Debug)]
pub struct Moment {
    /// `lanes × FRAME_CODE_BYTES` level indices.
    pub codes: Vec<u8>,
    /// `lanes × action_values`.
    pub actions: Vec<f32>,
    /// Of each lane.
    pub levels: Vec<usize>,
    /// Lanes that are stepped.
    pub mask: Vec<bool>,
    /// Names of the lanes' randomness.
    pub draws: Vec<u64>,
}

impl Moment {
    /// Random codes, actions between 0 and 1, and a mask of 7 lanes in 10.
    pub fn random(lanes: usize, action_values: usize, rng: &mut Rng) -> Self {
        let mut code = |i: usize| rng.random_range(0..FSQ_LEVELS[i % FSQ_LEVELS.len()] as u8);
        let codes = (0..lanes * FRAME_CODE_BYTES).map(&mut code).collect();
        Self {
            codes,
            actions: (0..lanes * action_values).map(|_| rng.random_range(0.0..1.0)).collect(),
            levels: (0..lanes).map(|_| rng.random_range(0..NOISE_LEVELS)).collect(),
            mask: (0..lanes).map(|_| rng.random_bool(0.7)).collect(),
            draws: (0..lanes).map(|_| rng.random()).collect(),
        }
    }

    /// As an engine takes it.
    pub fn frame(&self, temperature: f32) -> FrameStep<'_> {
        FrameStep {
            codes: &self.codes,
            actions: &self.actions,
            levels: &self.levels,
            mask: &self.mask,
            sampling: Sampling { draws: &self.draws, temperature },
        }
    }

    /// Steps `engine` through it.
    pub fn step(&self, engine: &mut dyn StepEngine, temperature: f32, output: &mut StepOutput) {
        engine.step(&self.frame(temperature), output);
    }

    /// What happens to one lane.
    pub fn lane(&self, lane: usize) -> Self {
        let values = self.actions.len() / self.mask.len();
        Self {
            codes: self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES].to_vec(),
            actions: self.actions[lane * values..(lane + 1) * values].to_vec(),
            levels: vec![self.levels[lane]],
            mask: vec![self.mask[lane]],
            draws: vec![self.draws[lane]],
        }
    }
}

/// The largest differences between what two engines say, and how many codes and bytes are others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Of expected rewards.
    pub rewards: f32,
    /// Of probabilities of termination.
    pub terminated: f32,
    /// Of normalised positions and velocities.
    pub objects: f32,
    /// Of mean entropies, nats.
    pub uncertainty: f32,
    /// Of the readout token's normalised features.
    pub latents: f32,
    /// Share of drawn level indices that differ.
    pub other_codes: f64,
    /// Share of level indices of encoded frames that differ.
    pub other_encoded: f64,
    /// Largest difference of a byte of decoded frames.
    pub pixels: u8,
    /// Share of bytes of decoded frames that differ.
    pub other_pixels: f64,
}

impl Agreement {
    /// The largest difference of a number that is read out.
    pub fn numbers(&self) -> f32 {
        [self.rewards, self.terminated, self.objects, self.uncertainty].into_iter().fold(0.0, f32::max)
    }
}

/// Two engines of `model` through the same `steps` random moments, with lanes held, started anew on frames, and given what
/// another lane has seen.
///
/// # Panics
/// If they have not as many lanes, or one does not take the other's state.
pub fn agreement(
    model: &Model,
    (first, other): (&mut dyn StepEngine, &mut dyn StepEngine),
    steps: usize,
) -> Agreement {
    let lanes = first.lanes();
    assert_eq!(lanes, other.lanes(), "engines of as many lanes");
    let values = model.card.config.action_values;
    let mut rng = Rng::seed_from_u64(1);
    let (mut expected, mut said) = (StepOutput::new(model, lanes), StepOutput::new(model, lanes));
    let mut found = Agreement::default();
    for t in 0..steps {
        let mut moment = Moment::random(lanes, values, &mut rng);
        if t % ALL_EVERY == 0 {
            moment.mask.fill(true);
        }
        if t % READ_EVERY == READ_EVERY - 1 {
            found.read(model, &moment, (&mut *first, &mut *other));
        }
        let temperature = if t % 2 == 0 { 0.0 } else { TEMPERATURE };
        moment.step(first, temperature, &mut expected);
        moment.step(other, temperature, &mut said);
        found.take_in(&said, &expected, steps);
        if t % RESET_EVERY == RESET_EVERY - 1 {
            let film = Moment::random(FILM_FRAMES, values, &mut rng);
            let (codes, action) = (&film.codes, &film.actions[..values]);
            first.warm_up(&[t % lanes], codes, action);
            other.warm_up(&[t % lanes], codes, action);
        }
        if t % MOVE_EVERY == MOVE_EVERY - 1 {
            let (from, to) = (t % lanes, (t + 1) % lanes);
            let seen = other.lane(from);
            let taken = other.set_lane(to, &seen) && first.set_lane(to, &seen);
            assert!(taken, "both engines take the state of one");
        }
    }
    let codes = Moment::random(lanes, values, &mut rng).codes;
    let pixels = lanes * model.card.config.frame.bytes();
    let (mut ours, mut theirs) = (vec![0; pixels], vec![0; pixels]);
    first.decode(&codes, &mut theirs);
    other.decode(&codes, &mut ours);
    found.pixels = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    found.other_pixels = share_of_others(&ours, &theirs);
    // Patches flat but for some noise: those of a frame that is nothing but noise are all alike to an encoder.
    let mut byte = |i: usize| (i / 24 * 37 % 200) as u8 + rng.random_range(0..50u8);
    let frames: Vec<u8> = (0..pixels).map(&mut byte).collect();
    let (mut ours, mut theirs) = (vec![0; codes.len()], vec![0; codes.len()]);
    first.encode(&frames, &mut theirs);
    other.encode(&frames, &mut ours);
    found.other_encoded = share_of_others(&ours, &theirs);
    found
}

impl Agreement {
    /// Reads what both make of the present frames of `moment`, which neither appends.
    fn read(
        &mut self,
        model: &Model,
        moment: &Moment,
        (first, other): (&mut dyn StepEngine, &mut dyn StepEngine),
    ) {
        let (frame, config) = (moment.frame(0.0), &model.card.config);
        let numbers = |each: usize| vec![0.0; moment.mask.len() * each];
        let mut pair = (numbers(config.dynamics.width), numbers(config.dynamics.width));
        first.read_latents(&frame, &mut pair.0);
        other.read_latents(&frame, &mut pair.1);
        self.latents = self.latents.max(apart(&pair.1, &pair.0));
        pair = (numbers(config.object_values()), numbers(config.object_values()));
        first.read_objects(&frame, &mut pair.0);
        other.read_objects(&frame, &mut pair.1);
        self.objects = self.objects.max(apart(&pair.1, &pair.0));
    }

    /// Takes in what was said in one of `steps` steps.
    fn take_in(&mut self, said: &StepOutput, expected: &StepOutput, steps: usize) {
        for (worst, ours, theirs) in [
            (&mut self.rewards, &said.rewards, &expected.rewards),
            (&mut self.terminated, &said.terminated, &expected.terminated),
            (&mut self.objects, &said.objects, &expected.objects),
            (&mut self.uncertainty, &said.uncertainty, &expected.uncertainty),
        ] {
            *worst = worst.max(apart(ours, theirs));
        }
        self.other_codes += share_of_others(&said.codes, &expected.codes) / steps as f64;
    }
}

/// The largest difference; a number that is none is as far off as can be.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    let apart = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    ours.iter().zip(theirs).map(apart).fold(0.0, f32::max)
}

fn share_of_others(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / a.len().max(1) as f64
}
