use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};

use super::checkpoint::{Checkpoint, TrainState};
use super::gradients::{Objective, Shards};
use super::options::{Budget, Progress, Stage, TrainError, TrainOptions};
use crate::model::Model;

/// Seconds between two checkpoints.
const CHECKPOINT_S: f64 = 60.0;
/// Share of a stage in which the learning rate rises.
const WARMUP: f64 = 0.03;
/// The learning rate at the end, as a share of its peak.
const FLOOR: f64 = 0.03;
const GRADIENT_NORM_MAX: f32 = 1.0;

/// How much of a stage, and of the whole, is done.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    stage: Stage,
    budget: Budget,
    /// Seconds of the stage before this session, and of the other stage.
    seconds_before: f64,
    other_seconds: f64,
    start: Instant,
}

impl Clock {
    pub fn new(options: &TrainOptions, stage: Stage, state: &TrainState) -> Self {
        let (seconds_before, other_seconds) = match stage {
            Stage::Tokenizer => (state.record.tokenizer_seconds, state.record.dynamics_seconds),
            Stage::Dynamics => (state.record.dynamics_seconds, state.record.tokenizer_seconds),
        };
        Self { stage, budget: options.budget, seconds_before, other_seconds, start: Instant::now() }
    }

    /// To the millisecond, so that the record reads back from JSON as it was written.
    fn stage_seconds(&self) -> f64 {
        ((self.seconds_before + self.start.elapsed().as_secs_f64()) * 1e3).round() / 1e3
    }

    fn stage_fraction(&self, steps: u64) -> f64 {
        let done = match (self.budget, self.stage) {
            (Budget::Minutes { minutes, tokenizer_share }, Stage::Tokenizer) => {
                self.stage_seconds() / (minutes * 60.0 * tokenizer_share)
            }
            (Budget::Minutes { minutes, .. }, Stage::Dynamics) => {
                self.stage_seconds() / (minutes * 60.0 - self.other_seconds)
            }
            (Budget::Steps { tokenizer, .. }, Stage::Tokenizer) => steps as f64 / tokenizer as f64,
            (Budget::Steps { dynamics, .. }, Stage::Dynamics) => steps as f64 / dynamics as f64,
        };
        if done.is_nan() || done < 0.0 { 1.0 } else { done.min(1.0) }
    }

    fn fraction(&self, stage_fraction: f64) -> f64 {
        let share = match self.budget {
            Budget::Minutes { tokenizer_share, .. } => tokenizer_share,
            Budget::Steps { tokenizer, dynamics } => tokenizer as f64 / (tokenizer + dynamics).max(1) as f64,
        };
        match self.stage {
            Stage::Tokenizer => share * stage_fraction,
            Stage::Dynamics => share + (1.0 - share) * stage_fraction,
        }
    }
}

/// Warm-up, then half a cosine down to [`FLOOR`].
fn learning_rate(peak: f64, fraction: f64) -> f64 {
    if fraction < WARMUP {
        return peak * (fraction / WARMUP).max(0.02);
    }
    let phase = (fraction - WARMUP) / (1.0 - WARMUP) * std::f64::consts::PI;
    peak * (FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + phase.cos()))
}

/// A fresh optimiser.
pub fn optimizer() -> ModuleOptimizer {
    AdamWConfig::new()
        .with_beta_2(0.99)
        .with_epsilon(1e-8)
        .with_weight_decay(0.02)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(GRADIENT_NORM_MAX)))
        .init()
}

/// One stage in the making.
pub struct Run<'a> {
    pub options: &'a TrainOptions,
    pub clock: Clock,
    pub checkpoint: &'a Checkpoint,
    pub model: &'a mut Model,
    pub state: &'a mut TrainState,
}

impl Run<'_> {
    /// Trains `module` until its budget is spent (true) or training is stopped (false). `put` puts it into the model.
    pub fn stage<M: Module + Sync + Clone>(
        &mut self,
        mut module: M,
        objective: &impl Objective<M>,
        put: impl Fn(&mut Model, M),
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<bool, TrainError> {
        let shards = Shards::new(self.options.device.shares(), &self.options.device.burn().autodiff())
            .map_err(TrainError::Threads)?;
        let mut optimizer = self.state.optimizer.take().unwrap_or_else(optimizer);
        let peak_rate = objective.peak_rate() * self.options.rate;
        let mut saved_s = 0.0;
        loop {
            let steps = self.steps();
            let fraction = self.clock.stage_fraction(steps);
            let stopped = self.options.stopped();
            let session_s = self.clock.start.elapsed().as_secs_f64();
            if fraction >= 1.0 || stopped || session_s - saved_s > CHECKPOINT_S {
                saved_s = session_s;
                put(self.model, module.clone());
                self.checkpoint.save(self.model, self.state, Some(&optimizer))?;
            }
            if fraction >= 1.0 || stopped {
                return Ok(fraction >= 1.0);
            }
            let seed = self.options.seed.wrapping_mul(1_000_003).wrapping_add(steps);
            let (loss, gradients) = shards.gradients(&module, objective, (seed, fraction));
            module = optimizer.step_multi(learning_rate(peak_rate, fraction), module, gradients);
            self.count(steps + 1);
            progress(&Progress {
                stage: self.clock.stage,
                step: steps + 1,
                loss,
                stage_fraction: self.clock.stage_fraction(steps + 1),
                fraction: self.clock.fraction(self.clock.stage_fraction(steps + 1)),
                seconds: self.clock.stage_seconds() + self.clock.other_seconds,
            });
        }
    }

    fn steps(&self) -> u64 {
        match self.clock.stage {
            Stage::Tokenizer => self.state.record.tokenizer_steps,
            Stage::Dynamics => self.state.record.dynamics_steps,
        }
    }

    fn count(&mut self, steps: u64) {
        let seconds = self.clock.stage_seconds();
        let record = &mut self.state.record;
        match self.clock.stage {
            Stage::Tokenizer => (record.tokenizer_steps, record.tokenizer_seconds) = (steps, seconds),
            Stage::Dynamics => (record.dynamics_steps, record.dynamics_seconds) = (steps, seconds),
        }
        self.model.card.training = record.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls() {
        assert!(learning_rate(1.0, 0.0) < 0.05);
        assert!((learning_rate(1.0, WARMUP) - 1.0).abs() < 1e-6);
        assert!(learning_rate(1.0, 0.5) > learning_rate(1.0, 0.9));
        assert!((learning_rate(1.0, 1.0) - FLOOR).abs() < 1e-6);
    }
}
