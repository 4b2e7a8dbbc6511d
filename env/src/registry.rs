//! Every task by its id: one table row a task.

use crate::tasks::{CartPole, CatchBehindScreen, PushCube};
use crate::{AutoresetMode, EnvError, EnvSpec, RewardTerm, Space, Task, TruthVectorEnv};

/// One row of the registry.
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
    pub action_space: fn() -> Space,
    /// Space of the state observation.
    pub state_space: fn() -> Space,
    /// The reward's terms, in the order of [`Outcome::terms`](crate::Outcome).
    pub reward_terms: &'static [RewardTerm],
    /// Makes the task.
    pub make: fn() -> Box<dyn Task>,
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

const fn term(name: &'static str, meaning: &'static str) -> RewardTerm {
    RewardTerm { name, meaning }
}

/// All tasks.
pub static TASKS: [TaskEntry; 3] = [
    TaskEntry {
        id: "CartPole-v0",
        scenario: "cart-pole",
        summary: "Keep a pole upright on a cart that a force pushes along a rail.",
        fps: crate::tasks::cart_pole::FPS,
        max_episode_steps: crate::tasks::cart_pole::MAX_EPISODE_STEPS,
        action_space: CartPole::action_space,
        state_space: CartPole::state_space,
        reward_terms: &[
            term("reward/alive", "+1 for every step that the pole is up"),
            term("reward/effort", "minus the squared force, scaled"),
        ],
        make: || Box::new(CartPole::new()),
    },
    TaskEntry {
        id: "CatchBehindScreen-v0",
        scenario: "catch-behind-screen",
        summary: "Meet a bouncing ball with a paddle after it has passed behind a screen.",
        fps: crate::tasks::catch_behind_screen::FPS,
        max_episode_steps: crate::tasks::catch_behind_screen::MAX_EPISODE_STEPS,
        action_space: CatchBehindScreen::action_space,
        state_space: CatchBehindScreen::state_space,
        reward_terms: &[
            term("reward/catch", "+1 when the ball's centre meets the paddle"),
            term("reward/miss", "-1 when the ball gets past the paddle or strikes only its edge"),
            term("reward/effort", "-0.005 for a step in which the paddle is told to move"),
        ],
        make: || Box::new(CatchBehindScreen::new()),
    },
    TaskEntry {
        id: "PushCube-v0",
        scenario: "push-cube",
        summary: "Push a cube of unknown size, mass and friction onto a target with a planar pusher.",
        fps: crate::tasks::push_cube::FPS,
        max_episode_steps: crate::tasks::push_cube::MAX_EPISODE_STEPS,
        action_space: PushCube::action_space,
        state_space: PushCube::state_space,
        reward_terms: &[
            term("reward/reach", "minus the distance from pusher to cube, scaled"),
            term("reward/push", "minus the distance from cube to target"),
            term("reward/success", "+5 when the cube is on the target"),
        ],
        make: || Box::new(PushCube::new()),
    },
];

/// The row of the task with this id or scenario name.
///
/// # Errors
/// [`EnvError::UnknownTask`] lists the ids that exist.
pub fn find(id: &str) -> Result<&'static TaskEntry, EnvError> {
    TASKS.iter().find(|entry| entry.id == id || entry.scenario == id).ok_or_else(|| {
        let known = TASKS.iter().map(|entry| entry.id).collect::<Vec<_>>().join(", ");
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
