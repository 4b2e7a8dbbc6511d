//! Where the time of a training step goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use rand::SeedableRng;
use worldstep_env::Rng;

use super::begin::begin;
use super::clipping::clip;
use super::coded_corpus::encode_parts;
use super::coded_rows::CodedRows;
use super::dynamics_stage::DynamicsObjective;
use super::error::TrainError;
use super::flop::StepFlop;
use super::gradients::{Draw, GRADIENT_NORM_MAX, Objective};
use super::learner::{Learner, numbered};
use super::options::TrainOptions;
use crate::data::{Corpus, Split, load_all};
use crate::dynamics::Dynamics;
use crate::watch::{PassPart, Watch};

/// Steps that are not counted: memory grows, kernels are tuned.
const WARM_UP_STEPS: u64 = 2;
/// Steps that are counted at most.
const STEPS_MAX: u64 = 1000;

/// Drawing windows and putting them together as tensors.
const BATCH: &str = "batch";
const BACKWARD: &str = "backward";
/// All parts beside those of the forward pass, in the order of a step.
const BEFORE: [&str; 3] = [BATCH, "rounding", "roll_out"];
const AFTER: [&str; 4] = ["loss", BACKWARD, "clipping", "optimizer"];

/// The time of one part of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct PartTime {
    /// In the order of a step: `batch`, windows drawn and put together on the device; `rounding` of weights to the precision
    /// of products; `roll_out` of the model's own frames; of the forward pass `embed`, `attention_within_frame`,
    /// `attention_over_time`, `feed_forward` and `heads`; `loss`, with that of the refiner and of physics; `backward`;
    /// `clipping` of gradients; `optimizer`, the moving average included.
    pub part: &'static str,
    /// Median over the steps, seconds.
    pub seconds: f64,
    /// Floating-point operations of its products, as [`StepFlop`] counts them; `None` where they are not counted.
    pub flop: Option<u64>,
}

/// The times of a dynamics step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProfile {
    /// Times by part.
    pub parts: Vec<PartTime>,
    /// Median of whole steps, seconds.
    pub seconds: f64,
    /// Steps that were measured.
    pub steps: usize,
    /// Frames in one step.
    pub frames: usize,
}

impl StepProfile {
    /// Share of a step's time that goes into its batch, 0 to 1, if nothing is computed meanwhile.
    pub fn batch_share(&self) -> f64 {
        let batch = self.parts.iter().find(|part| part.part == BATCH).map_or(0.0, |part| part.seconds);
        batch / self.seconds
    }
}

/// Takes the time of each part of the dynamics' steps on a fresh model, for `time` but at least one step: in one thread, a
/// whole batch at once, with self-forcing as at the end of a training. The device is waited for after each part, so that
/// its time is its own: a step of a training is faster than all of them together. Nothing is written.
///
/// # Errors
/// As [`train`](super::train).
pub fn profile(options: &TrainOptions, time: Duration) -> Result<StepProfile, TrainError> {
    options.check()?;
    options.objective.check()?;
    let clips = load_all(&options.data, options.task.as_deref(), options.lerobot.as_deref())?;
    let corpus = Corpus::new(&clips, &options.mix)?;
    if !corpus.is_learnable() {
        return Err(TrainError::NoClips { path: corpus.path().to_owned() });
    }
    let device = options.device.burn().autodiff();
    device.seed(options.seed);
    let model = begin(&corpus, options, &device)?;
    let codes = encode_parts(&corpus, &model.tokenizer.valid());
    let rows = CodedRows::new(&corpus, &codes, &model.card, &options.objective);
    let rows = Arc::new(rows.put(options.feed, options.device)?);
    let objective = DynamicsObjective::new(&corpus, Split::Train, &rows, &model.card, options)
        .ok_or_else(|| TrainError::NoClips { path: corpus.path().to_owned() })?;
    let flop = StepFlop::new(&model.card.config, options.batch, objective.window());
    let mut learner = Learner::new(numbered(model.dynamics), options.optimizer);
    let profiled = Profiled { objective, options, device };
    let mut steps = Vec::new();
    let begun = Instant::now();
    for step in 0..WARM_UP_STEPS + STEPS_MAX {
        let mut laps = Laps::begin(&profiled.device);
        learner = profiled.step(learner, step, &mut laps);
        if step >= WARM_UP_STEPS {
            steps.push(laps);
            if begun.elapsed() >= time {
                break;
            }
        }
    }
    Ok(summary(&steps, flop, profiled.objective.frames()))
}

/// A training that is looked at.
struct Profiled<'a> {
    objective: DynamicsObjective<'a>,
    options: &'a TrainOptions,
    device: Device,
}

impl Profiled<'_> {
    fn step(&self, learner: Learner<Dynamics>, step: u64, laps: &mut Laps) -> Learner<Dynamics> {
        let objective = &self.objective;
        let (rng, count) = (Rng::seed_from_u64(self.options.seed.wrapping_add(step)), objective.batch());
        let mut drawn = objective.draw(&mut Draw { rng, count, progress: 1.0 });
        laps.done(BATCH);
        let dynamics = self.options.precision.lowered(learner.weights.clone());
        laps.done("rounding");
        objective.roll_out(&dynamics, &mut drawn);
        laps.done("roll_out");
        let (input, answers) = objective.gather(drawn, &self.device).split();
        laps.done(BATCH);
        let output = dynamics.forward_watched(input, objective.window(), laps);
        let loss = objective.judge(&dynamics, output, answers);
        laps.done("loss");
        let mut gradients = GradientsParams::from_grads(loss.total.backward(), &learner.weights);
        laps.done(BACKWARD);
        clip(&learner.weights, &mut gradients, GRADIENT_NORM_MAX);
        laps.done("clipping");
        let rate = objective.peak_rate() * self.options.rate;
        let learner = learner.step(rate, gradients, self.options.ema_decay, step + 1);
        laps.done("optimizer");
        learner
    }
}

/// A stopwatch that waits for the device.
struct Laps {
    device: Device,
    last: Instant,
    /// Seconds by part.
    seconds: Vec<(&'static str, f64)>,
}

impl Laps {
    fn begin(device: &Device) -> Self {
        let device = device.clone().inner();
        wait(&device);
        Self { device, last: Instant::now(), seconds: Vec::new() }
    }

    /// What was done since the lap before counts for `part`.
    fn done(&mut self, part: &'static str) {
        wait(&self.device);
        let now = Instant::now();
        self.seconds.push((part, (now - self.last).as_secs_f64()));
        self.last = now;
    }

    fn of(&self, part: &str) -> f64 {
        self.seconds.iter().filter(|(name, _)| *name == part).map(|(_, seconds)| seconds).sum()
    }

    fn all(&self) -> f64 {
        self.seconds.iter().map(|(_, seconds)| seconds).sum()
    }
}

impl Watch for Laps {
    fn done(&mut self, part: PassPart) {
        Laps::done(self, part.name());
    }
}

/// What a device could not do shows where its numbers are read.
fn wait(device: &Device) {
    let _ = device.sync();
}

/// Medians over `steps`, of which there is at least one.
fn summary(steps: &[Laps], flop: StepFlop, frames: usize) -> StepProfile {
    let part = |name: &'static str, flop| PartTime {
        part: name,
        seconds: median(steps.iter().map(|laps| laps.of(name)).collect()),
        flop,
    };
    let before = BEFORE.map(|name| part(name, None)).into_iter();
    let pass = PassPart::ALL.map(|pass| part(pass.name(), Some(flop.part(pass))));
    let after = AFTER.map(|name| part(name, (name == BACKWARD).then_some(flop.backward())));
    StepProfile {
        parts: before.chain(pass).chain(after).collect(),
        seconds: median(steps.iter().map(Laps::all).collect()),
        steps: steps.len(),
        frames,
    }
}

/// The middle of some values, of which there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
