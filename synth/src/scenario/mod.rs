//! Scenarios: what a clip can show. A scenario and a seed make a [`Trajectory`], with nothing else in between.
//!
//! [`Scenario::find`] → [`Scenario::simulate`] → raw trajectories, without pixels, visibility, events or caption.

mod recording;
mod request;
mod task;

use worldstep_env::Space;
use worldstep_env::dataset::{InstanceLabel, labels};
use worldstep_env::registry::{self, TASKS, TaskEntry};

use crate::clips::{SynthError, Trajectory};
pub use request::{Randomisation, ScenarioOptions, UnitKind, UnitRequest};

/// Something that clips can be made of.
#[derive(Clone)]
pub enum Scenario {
    /// A task of the registry.
    Task(&'static TaskEntry),
}

impl Scenario {
    /// The scenario with this name: a task's id or its kebab-case name.
    ///
    /// # Errors
    /// [`SynthError::Env`] lists what exists.
    pub fn find(name: &str) -> Result<Self, SynthError> {
        Ok(Self::Task(registry::find(name)?))
    }

    /// Every scenario.
    pub fn all() -> Vec<Self> {
        TASKS.iter().map(Self::Task).collect()
    }

    /// Name in a dataset: a family's in kebab-case, a task's id.
    pub fn name(&self) -> &str {
        match self {
            Self::Task(entry) => entry.id,
        }
    }

    /// Name of its folder when all scenarios are recorded, kebab-case.
    pub fn folder(&self) -> &str {
        match self {
            Self::Task(entry) => entry.scenario,
        }
    }

    /// One line on what happens.
    pub fn summary(&self) -> &str {
        match self {
            Self::Task(entry) => entry.summary,
        }
    }

    /// Rows in a second.
    pub fn fps(&self) -> u32 {
        match self {
            Self::Task(entry) => entry.fps,
        }
    }

    /// Most rows of a clip at horizon 1.
    pub fn max_len(&self) -> usize {
        match self {
            Self::Task(entry) => entry.max_episode_steps as usize,
        }
    }

    /// Space of the recorded actions.
    pub fn action_space(&self) -> Space {
        match self {
            Self::Task(entry) => (entry.action_space)(),
        }
    }

    /// Space of the recorded states.
    pub fn state_space(&self) -> Space {
        match self {
            Self::Task(entry) => (entry.state_space)(),
        }
    }

    /// How a clip can end; empty for a task.
    pub fn outcomes(&self) -> &[String] {
        match self {
            Self::Task(_) => &[],
        }
    }

    /// One label for each of the most instances that a clip can have, in the order of a trajectory's poses.
    pub fn slots(&self) -> Vec<InstanceLabel> {
        match self {
            Self::Task(entry) => labels((entry.make)().scene()),
        }
    }

    /// Names of the cameras; the main one is first, its name is empty.
    pub fn camera_names(&self) -> Vec<String> {
        match self {
            Self::Task(entry) => (entry.make)().scene().camera_names().map(str::to_owned).collect(),
        }
    }

    /// Runs the unit that `request` asks for: one trajectory, a group of branches, or a pair.
    ///
    /// # Errors
    /// [`SynthError::Options`] for a kind of unit that this scenario has not.
    pub fn simulate(&self, request: &UnitRequest<'_>) -> Result<Vec<Trajectory>, SynthError> {
        match self {
            Self::Task(entry) => task::simulate(entry, request),
        }
    }
}
