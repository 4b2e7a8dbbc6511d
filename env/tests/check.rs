//! Every registered task keeps the promises of `VectorEnv`, and `check_env` notices an engine that does not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use worldstep_env::check::{CheckError, Rule, check_env};
use worldstep_env::registry::TASKS;
use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, TruthVectorEnv, VectorEnv, make_truth};

#[test]
fn every_task_passes() {
    for entry in &TASKS {
        check_env(&mut |lanes, mode| Ok(Box::new(make_truth(entry.id, lanes, mode)?)))
            .unwrap_or_else(|error| panic!("{}: {error}", entry.id));
    }
}

/// What an engine may get wrong.
#[derive(Clone, Copy)]
enum Fault {
    StepsBeforeReset,
    IgnoresSeeds,
    LanesShareSeed,
    IgnoresMask,
    RewardOnAutoreset,
    ResetsThoughDisabled,
    AcceptsNan,
    ForgetsState,
    LeavesSpace,
}

/// A truth engine with one fault.
struct Faulty {
    inner: TruthVectorEnv,
    fault: Fault,
    batch: Batch,
    resets: u64,
}

impl Faulty {
    fn new(fault: Fault, lanes: usize, mode: AutoresetMode) -> Result<Self, EnvError> {
        let mode = if matches!(fault, Fault::ResetsThoughDisabled) { AutoresetMode::NextStep } else { mode };
        let inner = make_truth("CartPole-v0", lanes, mode)?;
        let mut faulty = Self { batch: inner.batch().clone(), inner, fault, resets: 0 };
        if matches!(fault, Fault::StepsBeforeReset) {
            faulty.inner.reset_all(Some(0))?;
        }
        Ok(faulty)
    }

    fn publish(&mut self, ended: &[bool]) {
        self.batch = self.inner.batch().clone();
        match (self.fault, &mut self.batch.observations) {
            (Fault::LeavesSpace, Buffer::F32(values)) => values[0] = 1e9,
            (Fault::RewardOnAutoreset, _) => {
                for (reward, _) in self.batch.rewards.iter_mut().zip(ended).filter(|(_, ended)| **ended) {
                    *reward = 1.0;
                }
            }
            _ => {}
        }
    }
}

impl VectorEnv for Faulty {
    fn num_envs(&self) -> usize {
        self.inner.num_envs()
    }

    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.inner.autoreset_mode()
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.resets += 1;
        let seeds: Vec<_> = match self.fault {
            Fault::IgnoresSeeds => seeds.iter().map(|_| Some(self.resets)).collect(),
            Fault::LanesShareSeed => seeds.iter().map(|_| seeds[0]).collect(),
            _ => seeds.to_vec(),
        };
        self.inner.reset(&seeds, mask)?;
        self.publish(&[]);
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        let mut actions = actions.clone();
        if let (Fault::AcceptsNan, Buffer::F32(values)) = (self.fault, &mut actions) {
            values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
        }
        let all = vec![true; mask.len()];
        let mask = if matches!(self.fault, Fault::IgnoresMask) { &all } else { mask };
        let ended: Vec<_> = (0..self.num_envs()).map(|lane| self.inner.batch().done(lane)).collect();
        self.inner.step(&actions, mask)?;
        self.publish(&ended);
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.inner.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        if matches!(self.fault, Fault::ForgetsState) && lane == 1 {
            return Ok(());
        }
        self.inner.load_lane(lane, bytes)?;
        self.publish(&[]);
        Ok(())
    }
}

#[test]
fn each_fault_is_named_by_the_rule_it_breaks() {
    let cases = [
        (Fault::StepsBeforeReset, Rule::ResetFirst),
        (Fault::IgnoresSeeds, Rule::Determinism),
        (Fault::LanesShareSeed, Rule::LaneIndependence),
        (Fault::IgnoresMask, Rule::Mask),
        (Fault::RewardOnAutoreset, Rule::NextStep),
        (Fault::ResetsThoughDisabled, Rule::Disabled),
        (Fault::AcceptsNan, Rule::Refusal),
        (Fault::ForgetsState, Rule::SaveLoad),
        (Fault::LeavesSpace, Rule::Spaces),
    ];
    for (fault, expected) in cases {
        let result = check_env(&mut |lanes, mode| Ok(Box::new(Faulty::new(fault, lanes, mode)?)));
        match result {
            Err(CheckError::Broken { rule, .. }) => assert_eq!(rule, expected),
            other => panic!("expected {expected:?}, got {other:?}"),
        }
    }
}
