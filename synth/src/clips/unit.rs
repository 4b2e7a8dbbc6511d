use std::collections::BTreeMap;

use serde_json::json;
use worldstep_env::dataset::InstanceLabel;

use super::plan::unit_seed;
use super::stages::{Stage, Stages};
use super::{Link, SynthError, SynthOptions, Trajectory};
use crate::annotate::annotate;
use crate::curate::{Code, Signature, check};
use crate::lerobot::{Facts, Links};
use crate::scenario::{Scenario, UnitKind, UnitRequest};

/// Attempts at one unit before the run ends with an error.
pub const ATTEMPTS_MAX: u32 = 64;
/// Attempts at a unit that must come to the outcome that is its turn; after them any will do.
pub const BALANCE_ATTEMPTS: u32 = 8;
/// Every how many-th unit is for validation.
const VAL_EVERY: usize = 10;
/// The sampled value that marks a combination of factors which training never sees.
const HELD_OUT: &str = "held_out";

/// A unit that passed every rule that can be judged by itself.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Position in the job.
    pub unit: usize,
    /// Which attempt this is, from 0.
    pub attempt: u32,
    /// Its clips, annotated.
    pub clips: Vec<Trajectory>,
    /// What it is compared with others by: its first clip.
    pub signature: Signature,
    /// Attempts before, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Makes units: simulates, annotates, curates, and tries again.
#[derive(Clone, Copy)]
pub struct UnitMaker<'a> {
    scenario: &'a Scenario,
    options: &'a SynthOptions,
    stages: &'a Stages,
}

impl<'a> UnitMaker<'a> {
    /// A maker of units of `scenario`.
    pub fn new(scenario: &'a Scenario, options: &'a SynthOptions, stages: &'a Stages) -> Self {
        Self { scenario, options, stages }
    }

    /// The first acceptable attempt at `unit`; `None` if someone asked to end early.
    ///
    /// # Errors
    /// [`SynthError::Rejected`] if there is none.
    pub fn make(&self, unit: usize) -> Result<Option<Candidate>, SynthError> {
        self.go_on(unit, 0, BTreeMap::new())
    }

    /// The next acceptable attempt after `candidate`, which was rejected for `reason`.
    ///
    /// # Errors
    /// [`SynthError::Rejected`] if there is none.
    pub fn make_another(&self, candidate: Candidate, reason: Code) -> Result<Option<Candidate>, SynthError> {
        let mut rejected = candidate.rejected;
        *rejected.entry(reason.name().to_owned()).or_default() += 1;
        self.go_on(candidate.unit, candidate.attempt + 1, rejected)
    }

    fn go_on(
        &self,
        unit: usize,
        first: u32,
        mut rejected: BTreeMap<String, u64>,
    ) -> Result<Option<Candidate>, SynthError> {
        for attempt in first..ATTEMPTS_MAX {
            if self.options.stopped() {
                return Ok(None);
            }
            let request = UnitRequest {
                seed: unit_seed(self.options.seed, unit, attempt),
                kind: self.options.unit,
                options: &self.options.scenarios,
            };
            let mut clips = self.stages.time(Stage::Simulate, || self.scenario.simulate(&request))?;
            let (reason, signature) = self.stages.time(Stage::Annotate, || {
                clips.iter_mut().for_each(annotate);
                (self.reject(unit, attempt, &clips), clips.first().map(Signature::of))
            });
            match (reason, signature) {
                (None, Some(signature)) => {
                    return Ok(Some(Candidate { unit, attempt, clips, signature, rejected }));
                }
                (reason, _) => {
                    let name = reason.map_or("empty", Code::name);
                    *rejected.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
        Err(self.none_accepted(unit, &rejected))
    }

    /// Why not, as a reason code.
    fn reject(&self, unit: usize, attempt: u32, clips: &[Trajectory]) -> Option<Code> {
        let unfit = clips.iter().find_map(|clip| check(clip, &self.options.curation).err());
        if let Some(reason) = unfit {
            return Some(reason.code());
        }
        self.unbalanced(unit, attempt, clips).then_some(Code::Unbalanced)
    }

    /// Outcomes take turns, unit by unit. The first clip counts: a group's parent. Pairs take what comes, as not every
    /// outcome leaves room for something impossible.
    fn unbalanced(&self, unit: usize, attempt: u32, clips: &[Trajectory]) -> bool {
        if self.options.unit == UnitKind::Pair {
            return false;
        }
        let outcomes = self.scenario.outcomes();
        let (Some(first), true) = (clips.first(), attempt < BALANCE_ATTEMPTS) else { return false };
        outcomes.get(unit % outcomes.len().max(1)).is_some_and(|wanted| *wanted != first.outcome)
    }

    /// The error of a unit whose simulation panicked.
    pub fn panicked(&self, unit: usize) -> SynthError {
        let seed = unit_seed(self.options.seed, unit, 0);
        let message = format!("the simulation of unit {unit} panicked");
        SynthError::Scenario { scenario: self.scenario.name().to_owned(), seed, message }
    }

    fn none_accepted(&self, unit: usize, rejected: &BTreeMap<String, u64>) -> SynthError {
        let most = rejected.iter().max_by_key(|(_, count)| **count);
        let (reason, count) = most.map_or((String::new(), 0), |(reason, count)| (reason.clone(), *count));
        SynthError::Rejected {
            scenario: self.scenario.name().to_owned(),
            unit,
            attempts: ATTEMPTS_MAX,
            reason,
            count,
        }
    }
}

/// The facts of a unit's clips, the first of which is episode `index` of the dataset.
pub fn facts(candidate: &Candidate, index: usize, horizon: f32, slots: &[InstanceLabel]) -> Vec<Facts> {
    let split = split(candidate, horizon);
    let facts = candidate.clips.iter().enumerate().map(|(member, clip)| Facts {
        index: index + member,
        scenario: clip.scenario.clone(),
        seed: clip.seed,
        policy: clip.policy.to_owned(),
        split: split.to_owned(),
        outcome: clip.outcome.clone(),
        caption: clip.caption.clone(),
        parameters: json!(clip.parameters).to_string(),
        scene: json!(clip.scene).to_string(),
        joints: json!(clip.joints).to_string(),
        gravity: clip.gravity,
        physical: physical(clip, slots),
        unit: candidate.unit,
        rejected: if member == 0 { candidate.rejected.clone() } else { BTreeMap::new() },
        links: links(clip, index, member),
    });
    facts.collect()
}

/// One split for all clips of a unit.
fn split(candidate: &Candidate, horizon: f32) -> &'static str {
    let any = |what: fn(&Trajectory) -> bool| candidate.clips.iter().any(what);
    if any(|clip| matches!(clip.link, Link::Violation { .. })) {
        "violation"
    } else if any(|clip| clip.parameters.get(HELD_OUT) == Some(&1.0)) {
        "test_combination"
    } else if horizon > 1.0 {
        "test_horizon"
    } else if candidate.unit % VAL_EVERY == VAL_EVERY - 1 {
        "val"
    } else {
        "train"
    }
}

/// Mass, friction and restitution by slot, zeros where a slot is not used.
fn physical(clip: &Trajectory, slots: &[InstanceLabel]) -> [Vec<f32>; 3] {
    let of_slot = |label: &InstanceLabel| {
        let i = clip.scene.instances.iter().position(|instance| instance.id == label.id);
        i.and_then(|i| clip.physical.get(i)).copied().unwrap_or_default()
    };
    let values: Vec<[f32; 3]> = slots.iter().map(of_slot).collect();
    [0, 1, 2].map(|quantity| values.iter().map(|value| value[quantity]).collect())
}

fn links(clip: &Trajectory, first: usize, member: usize) -> Links {
    match &clip.link {
        Link::Branch { member, frame } if *member > 0 => {
            Links { branch_parent: Some(first), branch_frame: Some(*frame), ..Links::default() }
        }
        Link::Violation { kind, frame } => Links {
            branch_frame: Some(*frame),
            violation: kind.unwrap_or_default().to_owned(),
            pair: Some(first + 1 - member),
            ..Links::default()
        },
        Link::Single | Link::Branch { .. } => Links::default(),
    }
}
