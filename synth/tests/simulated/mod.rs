//! Clips of the built-in families, as a dataset would get them before curation.
#![allow(clippy::unwrap_used, dead_code)]

use worldstep_synth::clips::Trajectory;
use worldstep_synth::scenario::Family;
use worldstep_synth::{Scenario, ScenarioOptions, UnitKind, UnitRequest};

/// Every built-in family.
pub fn families() -> Vec<Scenario> {
    Family::built_in().unwrap().into_iter().map(Scenario::Family).collect()
}

/// The clips of one unit, drawn by default.
pub fn unit(scenario: &Scenario, seed: u64, kind: UnitKind) -> Vec<Trajectory> {
    let options = ScenarioOptions::default();
    scenario.simulate(&UnitRequest { seed, kind, options: &options }).unwrap()
}

/// A clip that stands alone, drawn by default.
pub fn clip(scenario: &Scenario, seed: u64) -> Trajectory {
    unit(scenario, seed, UnitKind::Single).remove(0)
}
