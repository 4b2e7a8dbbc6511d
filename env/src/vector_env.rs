use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{AppliedForce, Contact};
use crate::{Batch, Buffer, EnvError, Pose, Randomisation, Scene, Space, Velocity};

/// When a lane whose episode has ended starts the next one; Gymnasium's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoresetMode {
    /// The `step` after the episode's end ignores the action, resets, and returns reward 0.
    #[default]
    NextStep,
    /// In the step that ends it, which gives the reward of the old episode and the first observation of the new one. No
    /// engine does this by itself: [`SameStep`](crate::wrappers::SameStep) makes it of [`Disabled`](Self::Disabled).
    SameStep,
    /// Never: `step` on an ended lane is an error until `reset` is called with its mask set.
    Disabled,
}

impl AutoresetMode {
    /// Whether an engine can be made with it.
    ///
    /// # Errors
    /// [`EnvError::Argument`] for [`SameStep`](Self::SameStep).
    pub fn check_engine(self) -> Result<(), EnvError> {
        if self == Self::SameStep {
            let message = "SameStep is the wrapper's: make the engine with Disabled".to_owned();
            return Err(EnvError::Argument { message });
        }
        Ok(())
    }
}

/// What a caller must know of an environment before it steps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvSpec {
    /// Task id, for instance `PushCube-v0`.
    pub id: String,
    /// Space of one observation.
    pub observation_space: Space,
    /// Space of one action.
    pub action_space: Space,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: u32,
    /// Control steps (and rendered frames) in a simulated second.
    pub fps: u32,
}

/// Many environments of one task, stepped together over flat preallocated buffers.
///
/// Lane `i` seeded with `s` behaves exactly as a single environment seeded with `s`, whatever its neighbours do.
/// Timing: `batch().rewards`, `terminated` and `truncated` belong to the action just given; `observations` is what
/// follows it.
pub trait VectorEnv: Send {
    /// Number of lanes.
    fn num_envs(&self) -> usize;

    /// Spaces and limits, the same for every lane.
    fn spec(&self) -> &EnvSpec;

    /// What happens after an episode's end.
    fn autoreset_mode(&self) -> AutoresetMode;

    /// Starts new episodes in the lanes where `mask` is true. `seeds[i]` of `None` goes on with the lane's own
    /// random stream (a lane never seeded starts from its index).
    ///
    /// # Errors
    /// [`EnvError::Argument`] if `seeds` or `mask` is not `num_envs` long.
    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError>;

    /// Sets what later episodes of the lanes where `mask` is true are to be like, for instance `difficulty`, as Gymnasium's
    /// `options` of a reset; what is not named is as it was at first.
    ///
    /// # Errors
    /// [`EnvError::Argument`] for an option that the engine does not have, or a value that it cannot have.
    fn set_options(&mut self, options: &BTreeMap<String, f32>, _mask: &[bool]) -> Result<(), EnvError> {
        match options.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(EnvError::Argument { message: format!("unknown option {name:?}: this engine has none") })
            }
        }
    }

    /// Draws the physics of later episodes of all lanes from these ranges; from none at first, and again with `None`.
    /// [`DomainRandomisation`](crate::wrappers::DomainRandomisation) does it as a wrapper.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if a range cannot be drawn from, or the engine has no physics to draw; nothing has changed then.
    fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        match ranges {
            None => Ok(()),
            Some(_) => {
                let message = "this engine has no physics to draw at random, expected truth".to_owned();
                Err(EnvError::Argument { message })
            }
        }
    }

    /// Steps the lanes where `mask` is true and leaves the others untouched, their rows included. `actions` holds
    /// `num_envs` actions; rows of lanes that are not stepped, or that autoreset, are checked but otherwise ignored.
    ///
    /// # Errors
    /// [`EnvError::Action`] for an action outside the space (nothing is stepped), [`EnvError::NeedsReset`] for a lane
    /// that was never reset.
    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError>;

    /// What the last `reset` or `step` left.
    fn batch(&self) -> &Batch;

    /// Everything that the episode of `lane` and its random stream depend on, as bytes; what was configured for the
    /// environment as a whole (its task, wrappers' limits, ranges of random physics) is not part of it.
    ///
    /// # Errors
    /// [`EnvError::NeedsReset`] before the lane's first reset, [`EnvError::Argument`] for a lane that is not there.
    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError>;

    /// Puts `lane` back into a state that [`save_lane`](Self::save_lane) gave.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes come from another task or version, [`EnvError::Argument`] for a lane that is not
    /// there; nothing has changed then.
    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError>;

    /// Resets every lane, lane `i` with seed `seed + i`.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    fn reset_all(&mut self, seed: Option<u64>) -> Result<(), EnvError> {
        let seeds: Vec<_> =
            (0..self.num_envs()).map(|i| seed.map(|seed| seed.wrapping_add(i as u64))).collect();
        self.reset(&seeds, &vec![true; self.num_envs()])
    }

    /// Steps every lane.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    fn step_all(&mut self, actions: &Buffer) -> Result<(), EnvError> {
        self.step(actions, &vec![true; self.num_envs()])
    }
}

/// Access to the world behind a truth environment: what renderers, recorders and experts need.
pub trait TruthSource: VectorEnv {
    /// Bodies, shapes, colours and cameras of `lane` in its present episode.
    fn scene(&self, lane: usize) -> &Scene;

    /// World pose of each of the scene's instances, in the scene's order.
    fn poses(&self, lane: usize, out: &mut Vec<Pose>);

    /// World velocity of each of the scene's instances, in the scene's order.
    fn velocities(&self, lane: usize, out: &mut Vec<Velocity>);

    /// The task's state observation of `lane` (see the task's table), whatever [`Batch::observations`] holds.
    fn state(&self, lane: usize, out: &mut Vec<f32>);

    /// Appends the scripted expert's action for `lane` to `out`.
    fn expert_action(&self, lane: usize, out: &mut Buffer);

    /// Episodes started in `lane` since it was made; a new number means a new [`scene`](Self::scene).
    fn episode(&self, lane: usize) -> u64;

    /// Turns recording of contacts and forces in `lane` on or off, for this and all later episodes; off at first.
    fn record(&mut self, lane: usize, on: bool);

    /// Contacts of the last step of `lane`; empty unless [`record`](Self::record) is on.
    fn contacts(&self, lane: usize) -> &[Contact];

    /// Applied forces of the last step of `lane`; empty unless [`record`](Self::record) is on.
    fn forces(&self, lane: usize) -> &[AppliedForce];
}
