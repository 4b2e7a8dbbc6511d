//! One engine and the sessions that have lanes in it.

mod answers;
mod tenants;

use std::collections::BTreeMap;

use worldstep_env::{Buffer, EnvError};
use worldstep_model::neural_env::AUDIT_INFO;
use worldstep_model::on_card::CardError;

use self::tenants::{Tenant, tenant};
use crate::Limits;
use crate::batcher::PendingStep;
use crate::engines::Placed;
use crate::memory::{Claim, Memory};
use crate::place::{Place, row_bytes};
use crate::session::Token;
use crate::wire::{Autoreset, ErrorCode, LaneRows, MakeReply, MakeRequest, Refusal, buffer_from_bytes};
use crate::worker::{Answer, Asked, Join, PendingReset};

/// An engine that the server has room for.
pub struct Hired {
    /// The engine.
    pub env: Placed,
    /// What it takes of the server's memory; given back when it is gone.
    pub claim: Claim,
}

/// An engine and its tenants. A tenant's lanes are contiguous, so its rows are one slice.
pub struct Pool {
    autoreset: Autoreset,
    env: Placed,
    /// What the engine takes of the server's memory.
    claim: Claim,
    tenants: BTreeMap<Token, Tenant>,
    /// Last action of each lane: lanes that are not stepped need a valid one too.
    actions: Buffer,
    /// What audits have found since it was last taken.
    found: Vec<(&'static str, f64)>,
}

/// A step that has been taken, before its rows are read.
struct Taken {
    asked: Asked,
    mask: Vec<bool>,
    /// Of episodes that were followed by the next one: what the whole session's step ended with.
    ended: Option<LaneRows>,
}

impl Pool {
    /// A pool without tenants.
    pub fn new(request: &MakeRequest, Hired { env, claim }: Hired) -> Self {
        let actions = env.spec().action_space.neutral(env.num_envs());
        let autoreset = request.autoreset_mode;
        Self { autoreset, env, claim, tenants: BTreeMap::new(), actions, found: Vec::new() }
    }

    /// Lanes that there are.
    pub fn lanes(&self) -> usize {
        self.env.num_envs()
    }

    /// Lanes that are held.
    pub fn lanes_held(&self) -> usize {
        self.tenants.values().map(|tenant| tenant.lanes.len()).sum()
    }

    /// Gives `count` lanes in a row to a new session, if there are.
    pub fn admit(&mut self, token: Token, count: usize) -> bool {
        let mut held: Vec<_> = self.tenants.values().map(|tenant| tenant.lanes.clone()).collect();
        held.sort_by_key(|lanes| lanes.start);
        let mut start = 0;
        for lanes in held {
            if lanes.start - start >= count {
                break;
            }
            start = lanes.end;
        }
        let fits = start + count <= self.env.num_envs();
        if fits {
            let lanes = start..start + count;
            self.tenants.insert(
                token,
                Tenant { lanes, started: vec![false; count], kept: None, place: Place::Socket },
            );
        }
        fits
    }

    /// Takes the lanes of a session back.
    pub fn evict(&mut self, token: Token) {
        self.tenants.remove(&token);
    }

    /// Moves every tenant into another engine with room for all of them. Saved states hold no rewards and flags, so
    /// the rows of the last call are kept until the next one that touches them.
    ///
    /// # Errors
    /// If a lane cannot be moved; the pool is then as it was, also if an engine panics.
    pub fn move_into(&mut self, Hired { mut env, claim }: Hired) -> Result<(), Refusal> {
        let (mut next, all) = (0, vec![true; self.env.num_envs()]);
        let mut moved = Vec::new();
        self.env.fetch(&all)?;
        for (token, tenant) in &self.tenants {
            for (i, lane) in tenant.lanes.clone().enumerate().filter(|(i, _)| tenant.started[*i]) {
                env.load_lane(next + i, &self.env.save_lane(lane)?)?;
            }
            let count = tenant.lanes.len();
            moved.push((next..next + count, self.rows(*token, &vec![true; count])?));
            next += count;
        }
        for (tenant, (lanes, rows)) in self.tenants.values_mut().zip(moved) {
            tenant.kept = Some((rows, vec![true; lanes.len()]));
            tenant.lanes = lanes;
        }
        self.actions = env.spec().action_space.neutral(env.num_envs());
        let left = std::mem::replace(&mut self.env, env);
        drop(left);
        self.claim = claim;
        Ok(())
    }

    /// What the new session of `join` is told.
    pub fn describe(&mut self, join: &Join, limits: &Limits, memory: &Memory) -> MakeReply {
        let (place, card_refused) = Place::open(&self.env, join, limits, memory);
        let spec = self.env.spec();
        let reply = MakeReply {
            observation_space: spec.observation_space.clone(),
            action_space: spec.action_space.clone(),
            max_episode_steps: spec.max_episode_steps,
            fps: spec.fps,
            info_names: self.env.batch().info.iter().map(|column| column.name.to_owned()).collect(),
            lease_ms: limits.lease.as_millis() as u64,
            shared_memory: place.shared_memory(),
            card: place.card(),
            card_refused,
        };
        if let Some(tenant) = self.tenants.get_mut(&join.token) {
            tenant.place = place;
        }
        reply
    }

    /// Starts episodes of several sessions in one call where their masks are true, and gives the rows of all their
    /// environments. A session that the engine refuses is refused alone.
    pub fn reset(&mut self, resets: &[PendingReset]) -> Vec<Answer> {
        match self.reset_together(resets) {
            Ok(()) => resets.iter().map(|reset| self.all_rows(&reset.asked)).collect(),
            Err(refusal) if resets.len() == 1 => vec![Err(refusal)],
            Err(_) => resets.iter().flat_map(|reset| self.reset(std::slice::from_ref(reset))).collect(),
        }
    }

    fn reset_together(&mut self, resets: &[PendingReset]) -> Result<(), Refusal> {
        let total = self.env.num_envs();
        let mut seeds = vec![None; total];
        let mut masks = vec![false; total];
        for reset in resets {
            let tenant = tenant(&self.tenants, reset.asked.session)?;
            let mut own = vec![false; total];
            own[tenant.lanes.clone()].copy_from_slice(&reset.mask);
            // Also if there are none: those of whoever had the lanes before are forgotten.
            self.env.set_options(&reset.options, &own)?;
            for (i, lane) in tenant.lanes.clone().enumerate() {
                let first = || if tenant.started[i] { None } else { Some(i as u64) };
                seeds[lane] = reset.seeds[i].or_else(first);
                masks[lane] = reset.mask[i];
            }
        }
        self.env.reset(&seeds, &masks)?;
        for reset in resets {
            let Some(tenant) = self.tenants.get_mut(&reset.asked.session) else { continue };
            for (started, masked) in tenant.started.iter_mut().zip(&reset.mask) {
                *started |= masked;
            }
            tenant.touch(&reset.mask);
        }
        Ok(())
    }

    /// Steps several sessions in one call, and gives the rows that each has stepped. A session whose environments cannot
    /// be stepped is refused alone; the others are then stepped without it.
    pub fn step(&mut self, mut steps: Vec<PendingStep>) -> Vec<(Asked, Answer)> {
        let mut answers = Vec::with_capacity(steps.len());
        steps.retain_mut(|step| match self.prepare(step) {
            Err(refusal) => {
                answers.push((step.asked, Err(refusal)));
                false
            }
            Ok(()) => true,
        });
        while !steps.is_empty() {
            let Err(error) = self.step_together(&steps) else { break };
            let EnvError::NeedsReset { lane } = error else {
                let refusal = Refusal::from(error);
                answers.extend(steps.drain(..).map(|step| (step.asked, Err(refusal.clone()))));
                break;
            };
            let guilty = steps.iter().position(|step| {
                self.tenants.get(&step.asked.session).is_some_and(|tenant| tenant.lanes.contains(&lane))
            });
            let asked = steps.remove(guilty.unwrap_or(0)).asked;
            let first = self.tenants.get(&asked.session).map_or(lane, |tenant| tenant.lanes.start);
            let own = EnvError::NeedsReset { lane: lane.saturating_sub(first) };
            answers.push((asked, Err(own.into())));
        }
        for step in &steps {
            if let Some(tenant) = self.tenants.get_mut(&step.asked.session) {
                tenant.touch(&step.mask);
            }
        }
        let taken: Vec<_> =
            steps.into_iter().map(|step| Taken { asked: step.asked, mask: step.mask, ended: None }).collect();
        let (taken, failure) = self.restart(taken);
        for taken in taken {
            // Who has no episode to begin is none of the worse for it.
            let failed = failure.clone().filter(|_| taken.ended.is_some());
            answers.push((taken.asked, failed.map_or_else(|| self.stepped(taken), Err)));
        }
        answers
    }

    /// Gets the actions of a step that are on the card; refuses it if it is not to be carried out.
    fn prepare(&mut self, step: &mut PendingStep) -> Result<(), Refusal> {
        if step.actions.is_empty() {
            self.take_actions(step)?;
        }
        // The engine may have started such a lane for a session that has gone.
        match self.unstarted(step) {
            Some(lane) => Err(EnvError::NeedsReset { lane }.into()),
            None => Ok(()),
        }
    }

    /// Copies a step's actions from the card, and checks them.
    fn take_actions(&mut self, step: &mut PendingStep) -> Result<(), Refusal> {
        let space = self.env.spec().action_space.clone();
        let tenant = self.tenants.get_mut(&step.asked.session);
        if let Some(Tenant { lanes, place: Place::Card(slots), .. }) = tenant {
            let mut bytes = vec![0; row_bytes(&space) * lanes.len()];
            slots.actions(step.asked.seq, &mut bytes).map_err(card_failed)?;
            let given = buffer_from_bytes(space.dtype(), &bytes)?;
            // Rows of environments that are not stepped are left from another step.
            step.actions = space.neutral(lanes.len());
            for lane in (0..lanes.len()).filter(|lane| step.mask[*lane]) {
                step.actions.copy_rows(lane, &given, lane, 1, space.flat_len());
            }
        }
        Ok(space.check(&step.actions, step.mask.len())?)
    }

    /// The first environment of a session that is to be stepped and was never started by it.
    fn unstarted(&self, step: &PendingStep) -> Option<usize> {
        let started = &self.tenants.get(&step.asked.session)?.started;
        (0..started.len()).find(|i| step.mask[*i] && !started[*i])
    }

    fn step_together(&mut self, steps: &[PendingStep]) -> Result<(), EnvError> {
        let width = self.env.spec().action_space.flat_len();
        let mut mask = vec![false; self.env.num_envs()];
        for step in steps {
            let Some(tenant) = self.tenants.get(&step.asked.session) else { continue };
            mask[tenant.lanes.clone()].copy_from_slice(&step.mask);
            self.actions.copy_rows(tenant.lanes.start, &step.actions, 0, tenant.lanes.len(), width);
        }
        self.env.step(&self.actions, &mask)?;
        for column in self.env.batch().info.iter().filter(|column| AUDIT_INFO.contains(&column.name)) {
            let lanes = column.values.iter().zip(&column.mask).zip(&mask);
            let set = lanes.filter(|((_, set), stepped)| **set && **stepped);
            self.found.extend(set.map(|((value, _), _)| (column.name, f64::from(*value))));
        }
        Ok(())
    }

    /// Starts the next episode where one has ended, if sessions want that in the same step; says why if that fails.
    fn restart(&mut self, mut taken: Vec<Taken>) -> (Vec<Taken>, Option<Refusal>) {
        if self.autoreset != Autoreset::SameStep {
            return (taken, None);
        }
        if let Err(error) = self.fetch_ended() {
            return (taken, Some(error.into()));
        }
        let mut masks = vec![false; self.env.num_envs()];
        for step in &mut taken {
            let Some(tenant) = self.tenants.get(&step.asked.session) else { continue };
            let batch = self.env.batch();
            let ended: Vec<bool> = tenant
                .lanes
                .clone()
                .zip(&step.mask)
                .map(|(lane, stepped)| *stepped && (batch.terminated[lane] || batch.truncated[lane]))
                .collect();
            if ended.contains(&true) {
                masks[tenant.lanes.clone()].copy_from_slice(&ended);
                let mut rows = self.lane_rows(tenant.lanes.clone(), &step.mask, false);
                let last = self.lane_rows(tenant.lanes.clone(), &ended, true);
                let of_stepped = ended.iter().zip(&step.mask).filter(|(_, stepped)| **stepped);
                rows.finals = Some(last.into_finals(of_stepped.map(|(ended, _)| *ended).collect()));
                step.ended = Some(rows);
            }
        }
        let restarted = match masks.contains(&true) {
            true => self.env.reset(&vec![None; masks.len()], &masks),
            false => Ok(()),
        };
        (taken, restarted.err().map(Refusal::from))
    }

    /// Brings what episodes have ended with to where it is read.
    fn fetch_ended(&mut self) -> Result<(), EnvError> {
        let batch = self.env.batch();
        let flags = batch.terminated.iter().zip(&batch.truncated);
        let ended: Vec<bool> = flags.map(|(terminated, truncated)| *terminated || *truncated).collect();
        self.env.fetch(&ended)
    }

    /// What truth beside the environments has found in the steps since this was last asked: name and value.
    pub fn take_found(&mut self) -> Vec<(&'static str, f64)> {
        std::mem::take(&mut self.found)
    }

    /// States of a session's environments.
    ///
    /// # Errors
    /// [`ErrorCode::NeedsReset`] before their first reset.
    pub fn save(&self, token: Token) -> Result<Vec<Vec<u8>>, Refusal> {
        let tenant = tenant(&self.tenants, token)?;
        let save = |(i, lane): (usize, usize)| match self.env.save_lane(lane) {
            _ if !tenant.started[i] => Err(EnvError::NeedsReset { lane: i }.into()),
            Err(EnvError::NeedsReset { .. }) => Err(EnvError::NeedsReset { lane: i }.into()),
            saved => saved.map_err(Refusal::from),
        };
        tenant.lanes.clone().enumerate().map(save).collect()
    }

    /// Restores a session's environments, all or none.
    ///
    /// # Errors
    /// [`ErrorCode::BadState`] if a state is none of this environment.
    pub fn load(&mut self, asked: &Asked, states: &[Vec<u8>]) -> Result<(), Refusal> {
        let lanes = tenant(&self.tenants, asked.session)?.lanes.clone();
        self.fetch(lanes.clone())?;
        let rows = self.rows(asked.session, &vec![true; lanes.len()])?;
        let before: Vec<_> = lanes.clone().map(|lane| self.env.save_lane(lane).ok()).collect();
        for (i, (lane, state)) in lanes.clone().zip(states).enumerate() {
            let Err(error) = self.env.load_lane(lane, state) else { continue };
            for (lane, state) in lanes.zip(&before).take(i) {
                if let Some(state) = state {
                    self.env.load_lane(lane, state)?;
                }
            }
            // States hold no rewards and flags; those of the last call still stand.
            let untouched = vec![true; rows.rewards.len()];
            if let Some(tenant) = self.tenants.get_mut(&asked.session) {
                tenant.kept = Some((rows, untouched));
            }
            return Err(error.into());
        }
        if let Some(tenant) = self.tenants.get_mut(&asked.session) {
            tenant.started.fill(true);
            tenant.kept = None;
        }
        Ok(())
    }
}

fn card_failed(error: CardError) -> Refusal {
    let code = match error {
        CardError::Late { .. } => ErrorCode::BadAction,
        CardError::Driver { .. } | CardError::Size { .. } | CardError::NotOnCard => ErrorCode::Engine,
    };
    Refusal::new(code, error.to_string())
}
