//! Every task by its id: one table row a task.

use std::sync::{PoisonError, RwLock};

use crate::tasks::{
    acrobot, cart_pole, cart_pole_swing_up, catch_behind_screen, double_pendulum,
    intuition::{billiards, carry_tower, pour, shell_game},
    locomotion::{ant, half_cheetah, hopper, humanoid, quadruped, walker},
    manipulation::{open_drawer, peg_in_hole, pick, place, push, reach, stack, turn_knob},
    mobile::{navigate, quadrotor_hover, quadrotor_waypoint},
    pendulum, push_cube, reacher,
};
use crate::{AutoresetMode, EnvError, EnvSpec, RewardTerm, Space, Task, TruthVectorEnv};

/// One row of the registry.
#[derive(Clone, Copy)]
pub struct TaskEntry {
    /// Id, for instance `PushCube-v0`.
    pub id: &'static str,
    /// Name for `--scenario`, for instance `push-cube`.
    pub scenario: &'static str,
    /// One line on what is to be done.
    pub summary: &'static str,
    /// Control steps in a simulated second.
    pub fps: u32,
    /// Time limit in steps.
    pub max_episode_steps: u32,
    /// Space of the action.
    pub action_space: &'static (dyn Fn() -> Space + Sync),
    /// Space of the state observation.
    pub state_space: &'static (dyn Fn() -> Space + Sync),
    /// The reward's terms, in the order of [`Outcome::terms`](crate::Outcome).
    pub reward_terms: &'static [RewardTerm],
    /// Makes the task.
    pub make: &'static (dyn Fn() -> Box<dyn Task> + Sync),
}

impl TaskEntry {
    /// Spaces and limits with state observations.
    pub fn spec(&self) -> EnvSpec {
        EnvSpec {
            id: self.id.to_owned(),
            observation_space: (self.state_space)(),
            action_space: (self.action_space)(),
            max_episode_steps: self.max_episode_steps,
            fps: self.fps,
        }
    }
}

pub(crate) const fn term(name: &'static str, meaning: &'static str) -> RewardTerm {
    RewardTerm { name, meaning }
}

/// All tasks.
pub static TASKS: [TaskEntry; 31] = [
    cart_pole::ENTRY,
    catch_behind_screen::ENTRY,
    push_cube::ENTRY,
    cart_pole_swing_up::ENTRY,
    pendulum::ENTRY,
    double_pendulum::ENTRY,
    acrobot::ENTRY,
    reacher::ENTRY,
    hopper::ENTRY,
    walker::ENTRY,
    half_cheetah::ENTRY,
    ant::ENTRY,
    navigate::ENTRY,
    quadrotor_hover::ENTRY,
    quadrotor_waypoint::ENTRY,
    shell_game::ENTRY,
    billiards::ENTRY,
    carry_tower::ENTRY,
    pour::ENTRY,
    reach::ENTRY,
    push::ENTRY,
    pick::ENTRY,
    place::ENTRY,
    stack::ENTRY,
    peg_in_hole::ENTRY,
    open_drawer::ENTRY,
    turn_knob::ENTRY,
    quadruped::FLAT,
    quadruped::ROUGH,
    humanoid::STAND,
    humanoid::WALK,
];

/// Tasks that the program has added.
static ADDED: RwLock<Vec<&'static TaskEntry>> = RwLock::new(Vec::new());

/// Adds a task of the caller's own, for as long as the program runs: it is found and served like the others.
///
/// # Errors
/// [`EnvError::Argument`] if there is a task of this id or scenario name.
pub fn register(entry: TaskEntry) -> Result<&'static TaskEntry, EnvError> {
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    let names = [entry.id, entry.scenario];
    let clash = TASKS
        .iter()
        .chain(added.iter().copied())
        .find(|known| names.contains(&known.id) || names.contains(&known.scenario));
    if let Some(known) = clash {
        return Err(EnvError::Argument { message: format!("there is a task {} already", known.id) });
    }
    let entry: &'static TaskEntry = Box::leak(Box::new(entry));
    added.push(entry);
    Ok(entry)
}

/// Every task: those of this crate, then those that were [registered](register).
pub fn all() -> impl Iterator<Item = &'static TaskEntry> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner).clone();
    TASKS.iter().chain(added)
}

/// The row of the task with this id or scenario name.
///
/// # Errors
/// [`EnvError::UnknownTask`] lists the ids that exist.
pub fn find(id: &str) -> Result<&'static TaskEntry, EnvError> {
    all().find(|entry| entry.id == id || entry.scenario == id).ok_or_else(|| {
        let known = all().map(|entry| entry.id).collect::<Vec<_>>().join(", ");
        EnvError::UnknownTask { id: id.to_owned(), known }
    })
}

/// A task alone, without seeding or time limit.
///
/// # Errors
/// [`EnvError::UnknownTask`].
pub fn make_task(id: &str) -> Result<Box<dyn Task>, EnvError> {
    Ok((find(id)?.make)())
}

/// A vector of truth environments with state observations.
///
/// # Errors
/// [`EnvError::UnknownTask`], or [`EnvError::Argument`] if `num_envs` is 0.
pub fn make_truth(id: &str, num_envs: usize, mode: AutoresetMode) -> Result<TruthVectorEnv, EnvError> {
    TruthVectorEnv::new(find(id)?, num_envs, mode)
}
