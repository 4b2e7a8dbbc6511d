use std::time::Instant;

use super::ahead::Ahead;
use super::checkpoint::{Checkpoint, TrainState};
use super::clock::Clock;
use super::curves::{Row, ValidationRow};
use super::error::TrainError;
use super::gradients::{Objective, Shards, Turn};
use super::learner::{Learner, Network};
use super::loss::TOTAL;
use super::measures::Measures;
use super::options::{Progress, TrainOptions};
use super::run_folder::RunFolder;
use crate::device::ComputeDevice;
use crate::model::{Model, Validation};

/// Validation draws the same windows and frames in every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x5eed;

/// What a stage learns from, and what it is validated on, if there is anything.
pub struct Objectives<O> {
    pub train: O,
    pub val: Option<O>,
}

/// One stage in the making.
pub struct Run<'a> {
    pub options: &'a TrainOptions,
    pub clock: Clock,
    pub folder: &'a mut RunFolder,
    pub model: &'a mut Model,
    pub state: &'a mut TrainState,
}

impl Run<'_> {
    /// Trains the stage's network until its budget is spent (true) or training is stopped (false); the model then holds what
    /// is to be shipped of it.
    pub fn stage<M: Network, O: Objective<M>>(
        &mut self,
        objectives: &Objectives<O>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<bool, TrainError> {
        let shards = Shards::new(self.options.device, self.options.precision).map_err(TrainError::Threads)?;
        let checkpoint = Checkpoint::new(&self.options.out);
        let mut learner: Learner<M> = checkpoint.learner(self.model, self.state, self.options.optimizer)?;
        let mut measures = Measures::new(objectives.train.frames());
        let mut saved_s = 0.0;
        let mut ahead = self.options.feed.is_ahead(self.options.device).then(Ahead::new);
        loop {
            let step = self.state.record.spent(M::STAGE).0;
            let done = self.clock.done(step);
            if let Some(val) = &objectives.val {
                self.validate(&mut learner, val, &shards, done)?;
            }
            let stopped = self.options.stopped();
            if done >= 1.0 || stopped || self.clock.session_s() - saved_s > self.options.checkpoint_s {
                self.count::<M>(step);
                // Weights that have diverged do not take the place of the last sound ones.
                self.read::<M>(&mut measures)?;
                if (done >= 1.0 || stopped) && measures.steps() > 0 {
                    self.push_row::<M>(&mut measures)?;
                }
                checkpoint.save(self.model, self.state, &learner)?;
                self.folder.publish(self.model, self.options)?;
                saved_s = self.clock.session_s();
            }
            if done >= 1.0 || stopped {
                return Ok(done >= 1.0);
            }
            let begun = Instant::now();
            let rate = self.options.schedule.rate(objectives.train.peak_rate() * self.options.rate, done);
            let now = self.turn(step, done);
            let learned = |drawn| shards.gradients(&learner.weights, &objectives.train, now, drawn);
            let (readings, gradients) = match &mut ahead {
                None => learned(None),
                Some(ahead) => ahead.during(
                    (now, self.turn_after(step)),
                    |turn| shards.draw(&objectives.train, turn),
                    |drawn| learned(Some(drawn)),
                ),
            };
            learner = learner.step(rate, gradients, self.options.ema_decay, step + 1);
            self.count::<M>(step + 1);
            measures.take(readings, rate);
            self.note::<M>(&mut measures, begun)?;
            progress(&self.progress::<M>(&measures));
        }
    }

    /// What the batch after `step` steps is drawn from, when `progress` of the stage is done.
    fn turn(&self, step: u64, progress: f64) -> Turn {
        Turn { seed: self.options.seed.wrapping_mul(1_000_003).wrapping_add(step), progress }
    }

    /// The same for the step after that, as far as it is known before it begins: a budget of minutes goes on meanwhile. None
    /// if that step is not going to be.
    fn turn_after(&self, step: u64) -> Option<Turn> {
        let progress = self.clock.done(step + 1);
        (progress < 1.0).then(|| self.turn(step + 1, progress))
    }

    /// Validates the average if it is time to, and keeps it if it is the best so far.
    fn validate<M: Network>(
        &mut self,
        learner: &mut Learner<M>,
        val: &impl Objective<M>,
        shards: &Shards,
        done: f64,
    ) -> Result<(), TrainError> {
        let record = &mut self.state.record;
        let (step, _) = record.spent(M::STAGE);
        let last = record.validation.iter().rev().find(|validation| validation.stage == M::STAGE);
        if !self.clock.validation_due(step, done, last.map(|last| (last.step, last.seconds))) {
            return Ok(());
        }
        let parts = shards.means(&learner.average, val, self.options.validation_batches, VALIDATION_SEED);
        let loss = parts.iter().find(|(name, _)| *name == TOTAL).map_or(f32::NAN, |(_, loss)| *loss);
        // A loss that is no number is none to keep, and JSON has no word for it.
        if !loss.is_finite() {
            return Err(TrainError::Diverged { stage: M::STAGE, step, what: TOTAL, value: loss });
        }
        let best = record.best(M::STAGE).is_none_or(|best| loss < best.loss);
        let seconds = self.clock.stage_s();
        record.validation.push(Validation { stage: M::STAGE, step, seconds, loss });
        if best {
            learner.best = Some(learner.average.clone());
        }
        let parts = parts.into_iter().filter(|(name, _)| *name != TOTAL);
        self.folder.curves.push(Row::Validation(ValidationRow {
            stage: M::STAGE,
            step,
            loss,
            parts: parts.map(|(name, value)| (name.to_owned(), value)).collect(),
            best,
            seconds: self.clock.total_s(),
        }))?;
        Ok(())
    }

    /// Reads what the device has measured, where that does not hold it up, and writes a row of the curves when it is time.
    fn note<M: Network>(&mut self, measures: &mut Measures, begun: Instant) -> Result<(), TrainError> {
        let row_due = self.state.record.spent(M::STAGE).0.is_multiple_of(self.options.log_every);
        // To read a value of a GPU is to wait for it.
        if row_due || self.options.device == ComputeDevice::Cpu {
            self.read::<M>(measures)?;
        }
        measures.took(begun.elapsed().as_secs_f64());
        if row_due { self.push_row::<M>(measures) } else { Ok(()) }
    }

    fn read<M: Network>(&self, measures: &mut Measures) -> Result<(), TrainError> {
        let (stage, (step, _)) = (M::STAGE, self.state.record.spent(M::STAGE));
        measures.read().map_err(|(what, value)| TrainError::Diverged { stage, step, what, value })
    }

    fn push_row<M: Network>(&mut self, measures: &mut Measures) -> Result<(), TrainError> {
        let (step, _) = self.state.record.spent(M::STAGE);
        let row = measures.row(M::STAGE, step, self.clock.total_s());
        Ok(self.folder.curves.push(Row::Step(row))?)
    }

    fn progress<M: Network>(&mut self, measures: &Measures) -> Progress {
        let (step, _) = self.state.record.spent(M::STAGE);
        let stage_fraction = self.clock.done(step);
        let of_stage = |validation: &&Validation| validation.stage == M::STAGE;
        Progress {
            stage: M::STAGE,
            step,
            loss: measures.latest(),
            validation: self.state.record.validation.iter().rev().find(of_stage).map(|last| last.loss),
            learning_rate: measures.rate(),
            frames_per_s: measures.frames_per_s(),
            stage_fraction,
            fraction: self.clock.done_of_all(stage_fraction),
            seconds: self.clock.total_s(),
            stage_left_s: self.clock.stage_left_s(step, measures.step_s()),
            notice: self.folder.notices.next(),
        }
    }

    fn count<M: Network>(&mut self, step: u64) {
        self.state.record.spend(M::STAGE, step, self.clock.stage_s());
        self.model.card.training = self.state.record.clone();
    }
}
