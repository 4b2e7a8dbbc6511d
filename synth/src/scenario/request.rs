use serde::{Deserialize, Serialize};
use worldstep_env::policy::PolicyMix;

use super::Randomisation;

/// What of a scenario is to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct UnitRequest<'a> {
    /// World, looks and behaviour follow from it.
    pub seed: u64,
    /// How many clips, and how they hang together.
    pub kind: UnitKind,
    /// What is common to a dataset.
    pub options: &'a ScenarioOptions,
}

/// How many clips a unit has, and how they hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitKind {
    /// One clip.
    Single,
    /// This many clips that share everything up to a snapshot and differ in what is done from there on.
    Branches(usize),
    /// A possible clip, then its impossible twin.
    Pair,
}

/// How a scenario's clips are drawn, the same for a whole dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioOptions {
    /// What is drawn at random beyond a family's own parameters; tasks draw nothing else.
    pub randomisation: Randomisation,
    /// How often each behaviour is chosen; `None` is the scenario's own mix.
    pub mix: Option<PolicyMix>,
    /// Length of clips as a multiple of the scenario's own; only families have other than 1.
    pub horizon: f32,
}

impl Default for ScenarioOptions {
    fn default() -> Self {
        Self { randomisation: Randomisation::default(), mix: None, horizon: 1.0 }
    }
}
