//! Scenarios: what a clip can show. A scenario and a seed make a [`Trajectory`], with nothing else in between.
//!
//! [`Scenario::find`] → [`Scenario::simulate`] → raw trajectories, without pixels, visibility, events or caption.

mod expression;
mod family;
mod randomisation;
mod range;
mod recording;
mod request;
mod task;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use worldstep_env::Space;

use worldstep_env::dataset::{InstanceLabel, labels};
use worldstep_env::record::EventKind;
use worldstep_env::registry::{self, TASKS, TaskEntry};

use crate::clips::{SynthError, Trajectory};
pub use family::Family;
pub use randomisation::Randomisation;
pub use range::Range;
pub use request::{ScenarioOptions, UnitKind, UnitRequest};

/// Something that clips can be made of.
#[derive(Clone)]
pub enum Scenario {
    /// A family of worlds, described by a file.
    Family(Arc<Family>),
    /// A task of the registry.
    Task(&'static TaskEntry),
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scenario").field(&self.name()).finish()
    }
}

impl Scenario {
    /// The scenario with this name: a family's, a task's id or kebab-case name, or the path of a family's file (`.toml`).
    ///
    /// # Errors
    /// [`SynthError::Options`] lists what exists, [`SynthError::Config`] says what is wrong with a file.
    pub fn find(name: &str) -> Result<Self, SynthError> {
        if let Some(family) = Family::find(name) {
            return Ok(Self::Family(family?));
        }
        if name.ends_with(".toml") {
            return Ok(Self::Family(Family::load(Path::new(name))?));
        }
        registry::find(name).map(Self::Task).map_err(|_| {
            let tasks = TASKS.iter().map(|entry| entry.id).collect::<Vec<_>>().join(", ");
            let families = Family::names().collect::<Vec<_>>().join(", ");
            let message = format!(
                "unknown scenario {name:?}; families: {families}; tasks: {tasks}; or give a family's file (.toml)"
            );
            SynthError::Options { message }
        })
    }

    /// Every scenario that comes with this program, families first.
    ///
    /// # Errors
    /// [`SynthError::Config`] if a built-in file is damaged, which a test rules out.
    pub fn all() -> Result<Vec<Self>, SynthError> {
        let families = Family::built_in()?.into_iter().map(Self::Family);
        Ok(families.chain(TASKS.iter().map(Self::Task)).collect())
    }

    /// What pins its definition down: a hash of a family's file; a task's is its id.
    pub fn fingerprint(&self) -> &str {
        match self {
            Self::Family(family) => family.fingerprint(),
            Self::Task(entry) => entry.id,
        }
    }

    /// Kinds of impossible twins that it has, for [`UnitKind::Pair`].
    pub fn violations(&self) -> Vec<&'static str> {
        match self {
            Self::Family(family) => family.violations().collect(),
            Self::Task(_) => Vec::new(),
        }
    }

    /// Name in a dataset: a family's in kebab-case, a task's id.
    pub fn name(&self) -> &str {
        match self {
            Self::Family(family) => family.name(),
            Self::Task(entry) => entry.id,
        }
    }

    /// Name of its folder when all scenarios are recorded, kebab-case.
    pub fn folder(&self) -> &str {
        match self {
            Self::Family(family) => family.name(),
            Self::Task(entry) => entry.scenario,
        }
    }

    /// One line on what happens.
    pub fn summary(&self) -> &str {
        match self {
            Self::Family(family) => family.summary(),
            Self::Task(entry) => entry.summary,
        }
    }

    /// Rows in a second.
    pub fn fps(&self) -> u32 {
        match self {
            Self::Family(family) => family.fps(),
            Self::Task(entry) => entry.fps,
        }
    }

    /// Most rows of a clip at horizon 1.
    pub fn max_len(&self) -> usize {
        match self {
            Self::Family(family) => family.rows(1.0),
            Self::Task(entry) => entry.max_episode_steps as usize,
        }
    }

    /// Space of the recorded actions.
    pub fn action_space(&self) -> Space {
        match self {
            Self::Family(family) => family.action_space(),
            Self::Task(entry) => (entry.action_space)(),
        }
    }

    /// Space of the recorded states.
    pub fn state_space(&self) -> Space {
        match self {
            Self::Family(family) => family.state_space(),
            Self::Task(entry) => (entry.state_space)(),
        }
    }

    /// How a clip can end; empty for a task.
    pub fn outcomes(&self) -> &[String] {
        match self {
            Self::Family(family) => family.outcomes(),
            Self::Task(_) => &[],
        }
    }

    /// Kinds of events that some clips with this outcome (its position) have and others have not, and that are balanced.
    pub fn events_looked_for(&self, outcome: usize) -> &[EventKind] {
        match self {
            Self::Family(family) => family.events_looked_for(outcome),
            Self::Task(_) => &[],
        }
    }

    /// One label for each of the most instances that a clip can have, in the order of a trajectory's poses.
    pub fn slots(&self) -> Vec<InstanceLabel> {
        match self {
            Self::Family(family) => family.slots(),
            Self::Task(entry) => labels((entry.make)().scene()),
        }
    }

    /// Names of the cameras; the main one is first, its name is empty.
    pub fn camera_names(&self) -> Vec<String> {
        match self {
            Self::Family(family) => family.camera_names(),
            Self::Task(entry) => (entry.make)().scene().camera_names().map(str::to_owned).collect(),
        }
    }

    /// Whether it has units of this kind, with clips of `horizon` times their own length.
    ///
    /// # Errors
    /// [`SynthError::Options`] says what would be right.
    pub fn check(&self, kind: UnitKind, horizon: f32) -> Result<(), SynthError> {
        match self {
            Self::Family(family) => family.check(kind, horizon),
            Self::Task(entry) => task::check(entry, kind, horizon),
        }
    }

    /// Runs the unit that `request` asks for: one trajectory, a group of branches, or a pair.
    ///
    /// # Errors
    /// [`SynthError::Options`] for a kind of unit that this scenario has not.
    pub fn simulate(&self, request: &UnitRequest<'_>) -> Result<Vec<Trajectory>, SynthError> {
        self.check(request.kind, request.options.horizon)?;
        match self {
            Self::Family(family) => family.simulate(request),
            Self::Task(entry) => task::simulate(entry, request),
        }
    }
}
