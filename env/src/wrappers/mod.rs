//! Environments around environments, after Gymnasium's wrappers: each takes a [`VectorEnv`] and is one, so
//! that they nest; [`SameStep`] goes outermost.
//!
//! Physics is drawn by the engine itself, at each start of an episode; [`DomainRandomisation`] asks it to.

mod action_repeat;
mod clip_action;
mod domain_randomisation;
mod frame_stack;
mod normalize_observation;
mod record_episode_statistics;
mod rescale_action;
mod same_step;
mod time_limit;

pub use action_repeat::ActionRepeat;
pub use clip_action::ClipAction;
pub use domain_randomisation::DomainRandomisation;
pub use frame_stack::FrameStack;
pub use normalize_observation::{NormalizeObservation, Statistics};
pub use record_episode_statistics::RecordEpisodeStatistics;
pub use rescale_action::RescaleAction;
pub use same_step::{Finals, SameStep};
pub use time_limit::TimeLimit;

use crate::{AutoresetMode, Batch, EnvError, VectorEnv};

/// The methods of [`VectorEnv`](crate::VectorEnv) that a wrapper leaves to the environment inside.
macro_rules! forward {
    ($($method:ident),+ $(,)?) => { $($crate::wrappers::forward_one! { $method })+ };
}

macro_rules! forward_one {
    (num_envs) => {
        fn num_envs(&self) -> usize {
            self.inner.num_envs()
        }
    };
    (autoreset_mode) => {
        fn autoreset_mode(&self) -> crate::AutoresetMode {
            self.inner.autoreset_mode()
        }
    };
    (episode_options) => {
        fn set_options(
            &mut self,
            options: &std::collections::BTreeMap<String, f32>,
            mask: &[bool],
        ) -> Result<(), crate::EnvError> {
            self.inner.set_options(options, mask)
        }

        fn randomise(&mut self, ranges: Option<crate::Randomisation>) -> Result<(), crate::EnvError> {
            self.inner.randomise(ranges)
        }
    };
    (own_spec) => {
        fn spec(&self) -> &crate::EnvSpec {
            &self.spec
        }
    };
    (spec) => {
        fn spec(&self) -> &crate::EnvSpec {
            self.inner.spec()
        }
    };
    (own_batch) => {
        fn batch(&self) -> &crate::Batch {
            &self.batch
        }
    };
    (batch) => {
        fn batch(&self) -> &crate::Batch {
            self.inner.batch()
        }
    };
    (reset) => {
        fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), crate::EnvError> {
            self.inner.reset(seeds, mask)
        }
    };
    (save_lane) => {
        fn save_lane(&self, lane: usize) -> Result<Vec<u8>, crate::EnvError> {
            self.inner.save_lane(lane)
        }
    };
    (load_lane) => {
        fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), crate::EnvError> {
            self.inner.load_lane(lane, bytes)
        }
    };
}
use {forward, forward_one};

/// A state of the environment inside, and the `tail` bytes that a wrapper put behind it.
fn split_state(bytes: &[u8], tail: usize) -> Result<(&[u8], &[u8]), EnvError> {
    let short = || EnvError::State { message: format!("{} bytes are too few for a state", bytes.len()) };
    bytes.len().checked_sub(tail).map(|at| bytes.split_at(at)).ok_or_else(short)
}

/// Copies rewards, flags and infos; observations are a wrapper's own affair.
fn copy_outcomes(to: &mut Batch, from: &Batch) {
    to.rewards.copy_from_slice(&from.rewards);
    to.terminated.copy_from_slice(&from.terminated);
    to.truncated.copy_from_slice(&from.truncated);
    for (to, from) in to.info.iter_mut().zip(&from.info) {
        to.values.copy_from_slice(&from.values);
        to.mask.copy_from_slice(&from.mask);
    }
}

/// As [`copy_outcomes`], observations too; they must be of one size.
fn copy_batch(to: &mut Batch, from: &Batch) {
    copy_outcomes(to, from);
    let rows = to.rewards.len();
    let width = from.observations.len() / rows.max(1);
    to.observations.copy_rows(0, &from.observations, 0, rows, width);
}

/// Copies everything of lane `i`; the batches must be of one shape.
fn copy_row(to: &mut Batch, from: &Batch, i: usize) {
    let width = from.observations.len() / from.rewards.len().max(1);
    to.observations.copy_rows(i, &from.observations, i, 1, width);
    to.rewards[i] = from.rewards[i];
    (to.terminated[i], to.truncated[i]) = (from.terminated[i], from.truncated[i]);
    for (to, from) in to.info.iter_mut().zip(&from.info) {
        (to.values[i], to.mask[i]) = (from.values[i], from.mask[i]);
    }
}

/// Takes note of which lanes of `mask` have ended.
fn note_ends(ended: &mut [bool], batch: &Batch, mask: &[bool]) {
    for (i, (ended, _)) in ended.iter_mut().zip(mask).enumerate().filter(|(_, (_, masked))| **masked) {
        *ended = batch.done(i);
    }
}

/// Refuses an environment that starts the next episode in the step that ends one: what a wrapper keeps of an episode would
/// be of two. [`SameStep`] goes outermost.
fn check_mode(inner: &dyn VectorEnv) -> Result<(), EnvError> {
    if inner.autoreset_mode() == AutoresetMode::SameStep {
        let message = "SameStep goes around this wrapper, not into it".to_owned();
        return Err(EnvError::Argument { message });
    }
    Ok(())
}

fn check_lane(lane: usize, num_envs: usize) -> Result<(), EnvError> {
    if lane < num_envs {
        return Ok(());
    }
    Err(EnvError::Argument { message: format!("lane {lane} is not there, expected 0..{num_envs}") })
}

fn check_len(what: &str, len: usize, num_envs: usize) -> Result<(), EnvError> {
    if len == num_envs {
        return Ok(());
    }
    Err(EnvError::Argument { message: format!("{what} has {len} entries, expected {num_envs} (one a lane)") })
}
