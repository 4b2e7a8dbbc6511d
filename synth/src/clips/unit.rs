use std::collections::BTreeMap;

use serde_json::json;
use worldstep_env::dataset::InstanceLabel;

use super::plan::unit_seed;
use super::stages::{Stage, Stages};
use super::{Link, SynthError, SynthOptions, Trajectory};
use crate::annotate::annotate;
use crate::curate::{Code, Fit, Signature, Turn, check};
use crate::lerobot::{Facts, Links};
use crate::scenario::{Scenario, UnitKind, UnitRequest};

/// Attempts at one unit before the run ends with an error.
pub const ATTEMPTS_MAX: u32 = 64;
/// Every how many-th unit is for validation.
pub const VAL_EVERY: usize = 10;
/// The sampled value that marks a combination of factors which training never sees.
const HELD_OUT: &str = "held_out";

/// A unit that passed every rule that can be judged by itself.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Position in the job.
    pub unit: usize,
    /// Its clips, annotated.
    pub clips: Vec<Trajectory>,
    /// What it is compared with others by: its first clip.
    pub signature: Signature,
    /// What became of the other attempts so far.
    pub spent: Spent,
}

/// Attempts at a unit that another one was preferred to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Attempts made, the preferred one included.
    pub attempts: u32,
    /// For a fault, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Sound ones that were passed over for balance.
    pub redrawn: u64,
}

/// The clips of a sound attempt, or the code of its fault.
type Attempt = Result<(Vec<Trajectory>, Signature), &'static str>;

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
        self.go_on(unit, Spent::default())
    }

    /// The next acceptable attempt after `candidate`, which was rejected for `reason`.
    ///
    /// # Errors
    /// [`SynthError::Rejected`] if there is none.
    pub fn make_another(&self, candidate: Candidate, reason: Code) -> Result<Option<Candidate>, SynthError> {
        let mut spent = candidate.spent;
        *spent.rejected.entry(reason.name().to_owned()).or_default() += 1;
        self.go_on(candidate.unit, spent)
    }

    /// Attempts until one is sound and meets the unit's turn, or the best one of those that it may take to do so.
    fn go_on(&self, unit: usize, mut spent: Spent) -> Result<Option<Candidate>, SynthError> {
        let turn = self.turn(unit);
        let choosy_until = self.options.curation.balance_attempts.min(ATTEMPTS_MAX);
        let mut best: Option<(Fit, Candidate)> = None;
        loop {
            if self.options.stopped() {
                return Ok(None);
            }
            let choosy = spent.attempts < choosy_until;
            if let Some((_, candidate)) = best.take_if(|_| !choosy) {
                return Ok(Some(Candidate { spent, ..candidate }));
            }
            if spent.attempts == ATTEMPTS_MAX {
                return Err(self.none_accepted(unit, &spent.rejected));
            }
            spent.attempts += 1;
            let (clips, signature) = match self.attempt(unit, spent.attempts - 1)? {
                Ok(made) => made,
                Err(reason) => {
                    *spent.rejected.entry(reason.to_owned()).or_default() += 1;
                    continue;
                }
            };
            // Of it and the best one before, one is passed over.
            spent.redrawn += u64::from(best.is_some());
            // The first clip counts: a group's parent.
            let fit = turn.map_or(Fit::Full, |turn| clips.first().map_or(Fit::Other, |clip| turn.fit(clip)));
            let candidate = Candidate { unit, clips, signature, spent: Spent::default() };
            if fit == Fit::Full || !choosy {
                return Ok(Some(Candidate { spent, ..candidate }));
            }
            if best.as_ref().is_none_or(|(best, _)| fit > *best) {
                best = Some((fit, candidate));
            }
        }
    }

    /// What the unit should come to. Pairs take what comes, as not every outcome leaves room for something impossible.
    fn turn(&self, unit: usize) -> Option<Turn<'a>> {
        let curation = &self.options.curation;
        if self.options.unit == UnitKind::Pair || curation.balance_attempts == 0 {
            return None;
        }
        Turn::of(self.scenario, unit, curation)
    }

    /// The clips of one attempt, or why they are not fit.
    fn attempt(&self, unit: usize, attempt: u32) -> Result<Attempt, SynthError> {
        let request = UnitRequest {
            seed: unit_seed(self.options.seed, unit, attempt),
            kind: self.options.unit,
            options: &self.options.scenarios,
        };
        let mut clips = self.stages.time(Stage::Simulate, || self.scenario.simulate(&request))?;
        Ok(self.stages.time(Stage::Annotate, || {
            clips.iter_mut().for_each(annotate);
            let unfit = clips.iter().find_map(|clip| check(clip, &self.options.curation).err());
            match (unfit, clips.first().map(Signature::of)) {
                (Some(reason), _) => Err(reason.code().name()),
                (None, None) => Err("empty"),
                (None, Some(signature)) => Ok((clips, signature)),
            }
        }))
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
        rejected: if member == 0 { candidate.spent.rejected.clone() } else { BTreeMap::new() },
        redrawn: if member == 0 { candidate.spent.redrawn } else { 0 },
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
