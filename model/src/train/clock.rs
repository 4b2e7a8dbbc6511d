use std::time::Instant;

use super::options::{Budget, Stage, Stages, TrainOptions};
use crate::model::TrainingRecord;

/// Seconds of a budget of minutes, and steps of one of steps, that lie between two validations at least: they must not
/// eat up a short training.
const VALIDATION_EVERY_S: f64 = 10.0;
const VALIDATION_EVERY_STEPS: u64 = 20;

/// How much of a stage, and of the whole, is done.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    stage: Stage,
    stages: Stages,
    budget: Budget,
    /// Seconds of the stage before this session, and of the other stage.
    seconds_before: f64,
    other_seconds: f64,
    /// Validations in a stage that is long enough for them.
    validations_max: u64,
    start: Instant,
}

impl Clock {
    pub fn new(options: &TrainOptions, stage: Stage, record: &TrainingRecord) -> Self {
        let (seconds_before, other_seconds) = match stage {
            Stage::Tokenizer => (record.tokenizer_seconds, record.dynamics_seconds),
            Stage::Dynamics => (record.dynamics_seconds, record.tokenizer_seconds),
        };
        Self {
            stage,
            stages: options.stages,
            budget: options.budget,
            seconds_before,
            other_seconds,
            validations_max: options.validations.max(1),
            start: Instant::now(),
        }
    }

    /// Seconds since this session began the stage.
    pub fn session_s(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds of the stage, earlier sessions included; to the millisecond, so that a record reads back from JSON as it was
    /// written.
    pub fn stage_s(&self) -> f64 {
        ((self.seconds_before + self.session_s()) * 1e3).round() / 1e3
    }

    /// Seconds of both stages.
    pub fn total_s(&self) -> f64 {
        self.stage_s() + self.other_seconds
    }

    /// Share of the stage that is done after `steps` of it and until now.
    pub fn done(&self, steps: u64) -> f64 {
        self.done_at(steps, self.stage_s())
    }

    fn done_at(&self, steps: u64, seconds: f64) -> f64 {
        let done = match self.budget {
            Budget::Minutes { .. } => seconds / self.stage_budget_s(),
            Budget::Steps { .. } => steps as f64 / self.stage_budget_steps() as f64,
        };
        if done.is_nan() || done < 0.0 { 1.0 } else { done.min(1.0) }
    }

    fn stage_budget_s(&self) -> f64 {
        let Budget::Minutes { minutes, tokenizer_share } = self.budget else { return 0.0 };
        match (self.stages, self.stage) {
            (Stages::All, Stage::Tokenizer) => minutes * 60.0 * tokenizer_share,
            (Stages::All, Stage::Dynamics) => minutes * 60.0 - self.other_seconds,
            (Stages::Only(_), _) => minutes * 60.0,
        }
    }

    fn stage_budget_steps(&self) -> u64 {
        match (self.budget, self.stage) {
            (Budget::Steps { tokenizer, .. }, Stage::Tokenizer) => tokenizer,
            (Budget::Steps { dynamics, .. }, Stage::Dynamics) => dynamics,
            (Budget::Minutes { .. }, _) => 0,
        }
    }

    /// Share of the whole training that is done when `done` of the stage is.
    pub fn done_of_all(&self, done: f64) -> f64 {
        let share = match (self.stages, self.budget) {
            (Stages::Only(_), _) => return done,
            (Stages::All, Budget::Minutes { tokenizer_share, .. }) => tokenizer_share,
            (Stages::All, Budget::Steps { tokenizer, dynamics }) => {
                tokenizer as f64 / (tokenizer + dynamics).max(1) as f64
            }
        };
        match self.stage {
            Stage::Tokenizer => share * done,
            Stage::Dynamics => share + (1.0 - share) * done,
        }
    }

    /// Seconds until the stage is done, judged by `step_s`, the seconds of one step.
    pub fn stage_left_s(&self, steps: u64, step_s: f64) -> f64 {
        let left = match self.budget {
            Budget::Minutes { .. } => self.stage_budget_s() - self.stage_s(),
            Budget::Steps { .. } => self.stage_budget_steps().saturating_sub(steps) as f64 * step_s,
        };
        left.max(0.0)
    }

    /// Whether it is time to validate after `steps`, when `done` of the stage is, and the last time was after `last` steps and
    /// seconds of it.
    pub fn validation_due(&self, steps: u64, done: f64, last: Option<(u64, f64)>) -> bool {
        let (last_steps, last_s) = last.unwrap_or_default();
        let spans = self.validations() as f64;
        let span = |done: f64| (done * spans) as u64;
        steps > last_steps && (done >= 1.0 || span(done) > span(self.done_at(last_steps, last_s)))
    }

    fn validations(&self) -> u64 {
        let room = match self.budget {
            Budget::Minutes { .. } => (self.stage_budget_s() / VALIDATION_EVERY_S) as u64,
            Budget::Steps { .. } => self.stage_budget_steps() / VALIDATION_EVERY_STEPS,
        };
        room.clamp(1, self.validations_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(stages: Stages, stage: Stage, budget: Budget) -> Clock {
        let mut options = TrainOptions::new("unused", "unused");
        (options.stages, options.budget) = (stages, budget);
        let record =
            TrainingRecord { tokenizer_seconds: 20.0, dynamics_seconds: 30.0, ..TrainingRecord::default() };
        Clock::new(&options, stage, &record)
    }

    fn about(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.01, "{found} is not about {expected}");
    }

    #[test]
    fn minutes_are_shared_and_counted_across_sessions() {
        let budget = Budget::Minutes { minutes: 2.0, tokenizer_share: 0.5 };
        about(clock(Stages::All, Stage::Tokenizer, budget).done(9), 20.0 / 60.0);
        about(clock(Stages::All, Stage::Dynamics, budget).done(9), 30.0 / 100.0);
        about(clock(Stages::Only(Stage::Dynamics), Stage::Dynamics, budget).done(9), 30.0 / 120.0);
    }

    #[test]
    fn steps_are_counted_whatever_time_they_take() {
        let budget = Budget::Steps { tokenizer: 100, dynamics: 300 };
        let clock = clock(Stages::All, Stage::Dynamics, budget);
        about(clock.done(150), 0.5);
        about(clock.done_of_all(0.5), 0.625);
        about(clock.stage_left_s(150, 0.2), 30.0);
        assert_eq!(clock.done(400), 1.0);
    }

    #[test]
    fn no_budget_is_spent_at_once() {
        let clock = clock(Stages::All, Stage::Dynamics, Budget::Steps { tokenizer: 4, dynamics: 0 });
        assert_eq!(clock.done(0), 1.0);
        assert!(!clock.validation_due(0, 1.0, None), "nothing was learned");
    }

    #[test]
    fn validations_are_spread_and_the_end_has_one() {
        let clock = clock(Stages::All, Stage::Dynamics, Budget::Steps { tokenizer: 0, dynamics: 90 });
        let mut last = None;
        let mut steps = Vec::new();
        for step in 0..=90 {
            if clock.validation_due(step, clock.done(step), last) {
                last = Some((step, 0.0));
                steps.push(step);
            }
        }
        assert_eq!(steps, [23, 45, 68, 90]);
        assert!(!clock.validation_due(90, 1.0, last), "a resumed training validates the same weights again");
    }
}
