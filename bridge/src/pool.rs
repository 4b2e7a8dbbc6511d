//! One engine and the sessions that have lanes in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use worldstep_env::{Buffer, EnvError, Space, VectorEnv};
use worldstep_model::neural_env::AUDIT_INFO;

use crate::Limits;
use crate::batcher::{Batcher, PendingStep};
use crate::session::Token;
use crate::wire::{ErrorCode, LaneRows, MakeReply, MakeRequest, Refusal, rows_as_bytes};

/// An engine, its tenants, and their waiting steps. A tenant's lanes are contiguous, so its rows are one slice.
pub struct Pool {
    request: MakeRequest,
    env: Box<dyn VectorEnv>,
    tenants: BTreeMap<Token, Tenant>,
    /// Steps that wait for one another.
    pub batcher: Batcher,
    /// Last action of each lane: lanes that are not stepped need a valid one too.
    actions: Buffer,
    /// What audits have found since it was last taken.
    found: Vec<(&'static str, f64)>,
}

struct Tenant {
    lanes: Range<usize>,
    /// Lanes that were reset or loaded; the others draw their first seed from their index in the session, as they
    /// would in an engine of their own.
    started: Vec<bool>,
    /// Rows from before the tenant moved, and the environments that have not been touched since.
    kept: Option<(LaneRows, Vec<bool>)>,
}

impl Tenant {
    /// Takes note that the environments of `mask` have rows of their own again.
    fn touch(&mut self, mask: &[bool]) {
        let Some((_, untouched)) = &mut self.kept else { return };
        untouched.iter_mut().zip(mask).for_each(|(untouched, touched)| *untouched &= !touched);
        if !untouched.contains(&true) {
            self.kept = None;
        }
    }
}

impl Pool {
    /// A pool without tenants.
    pub fn new(request: MakeRequest, env: Box<dyn VectorEnv>, limits: &Limits) -> Self {
        let actions = env.spec().action_space.neutral(env.num_envs());
        Self {
            request,
            env,
            tenants: BTreeMap::new(),
            batcher: Batcher::new(limits),
            actions,
            found: Vec::new(),
        }
    }

    /// Whether a session with this request could live here.
    pub fn serves(&self, request: &MakeRequest) -> bool {
        // No temperature is one of 0.
        let kind = |request: &MakeRequest| MakeRequest {
            num_envs: 0,
            temperature: request.temperature.filter(|temperature| *temperature != 0.0),
            ..request.clone()
        };
        kind(request) == kind(&self.request)
    }

    /// Whether a session holds lanes here.
    pub fn hosts(&self, token: Token) -> bool {
        self.tenants.contains_key(&token)
    }

    /// Sessions that hold lanes here.
    pub fn sessions(&self) -> usize {
        self.tenants.len()
    }

    /// Who holds lanes here.
    pub fn tokens(&self) -> Vec<Token> {
        self.tenants.keys().copied().collect()
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
            self.tenants.insert(token, Tenant { lanes, started: vec![false; count], kept: None });
        }
        fits
    }

    /// Takes the lanes of a session back.
    pub fn evict(&mut self, token: Token) {
        self.tenants.remove(&token);
        self.batcher.remove(token);
    }

    /// Moves every tenant into another engine with room for all of them. Saved states hold no rewards and flags, so
    /// the rows of the last call are kept until the next one that touches them.
    ///
    /// # Errors
    /// If a lane cannot be moved; the pool is then as it was, also if an engine panics.
    pub fn move_into(&mut self, mut env: Box<dyn VectorEnv>) -> Result<(), Refusal> {
        let mut next = 0;
        let mut moved = BTreeMap::new();
        for (token, tenant) in &self.tenants {
            for (i, lane) in tenant.lanes.clone().enumerate().filter(|(i, _)| tenant.started[*i]) {
                env.load_lane(next + i, &self.env.save_lane(lane)?)?;
            }
            let count = tenant.lanes.len();
            let kept = Some((self.rows(*token)?, vec![true; count]));
            moved.insert(*token, Tenant { lanes: next..next + count, started: tenant.started.clone(), kept });
            next += count;
        }
        self.actions = env.spec().action_space.neutral(env.num_envs());
        self.tenants = moved;
        let left = std::mem::replace(&mut self.env, env);
        drop(left);
        Ok(())
    }

    /// What a new session is told.
    pub fn describe(&self, lease: Duration) -> MakeReply {
        let spec = self.env.spec();
        MakeReply {
            observation_space: spec.observation_space.clone(),
            action_space: spec.action_space.clone(),
            max_episode_steps: spec.max_episode_steps,
            fps: spec.fps,
            info_names: self.env.batch().info.iter().map(|column| column.name.to_owned()).collect(),
            lease_ms: lease.as_millis() as u64,
        }
    }

    /// Space of one action.
    pub fn action_space(&self) -> &Space {
        &self.env.spec().action_space
    }

    /// Starts episodes in a session's environments where `mask` is true.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn reset(&mut self, token: Token, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), Refusal> {
        let total = self.env.num_envs();
        let tenant = tenant_mut(&mut self.tenants, token)?;
        let mut all_seeds = vec![None; total];
        let mut all_masks = vec![false; total];
        for (i, lane) in tenant.lanes.clone().enumerate() {
            let first = || if tenant.started[i] { None } else { Some(i as u64) };
            all_seeds[lane] = seeds[i].or_else(first);
            all_masks[lane] = mask[i];
        }
        self.env.reset(&all_seeds, &all_masks)?;
        for (started, masked) in tenant.started.iter_mut().zip(mask) {
            *started |= masked;
        }
        tenant.touch(mask);
        Ok(())
    }

    /// Steps several sessions in one call, and gives the rows of each. A session whose environments cannot be stepped
    /// is refused alone; the others are then stepped without it.
    pub fn step(&mut self, mut steps: Vec<PendingStep>) -> Vec<(Token, Result<LaneRows, Refusal>)> {
        let mut results = Vec::with_capacity(steps.len());
        // The engine may have started such a lane for a session that has gone.
        steps.retain(|step| match self.unstarted(step) {
            Some(lane) => {
                results.push((step.session, Err(EnvError::NeedsReset { lane }.into())));
                false
            }
            None => true,
        });
        while !steps.is_empty() {
            let Err(error) = self.step_together(&steps) else { break };
            let EnvError::NeedsReset { lane } = error else {
                let refusal = Refusal::from(error);
                results.extend(steps.drain(..).map(|step| (step.session, Err(refusal.clone()))));
                break;
            };
            let guilty = steps.iter().position(|step| {
                self.tenants.get(&step.session).is_some_and(|tenant| tenant.lanes.contains(&lane))
            });
            let token = steps.remove(guilty.unwrap_or(0)).session;
            let first = self.tenants.get(&token).map_or(lane, |tenant| tenant.lanes.start);
            let own = EnvError::NeedsReset { lane: lane.saturating_sub(first) };
            results.push((token, Err(own.into())));
        }
        for step in steps {
            if let Some(tenant) = self.tenants.get_mut(&step.session) {
                tenant.touch(&step.mask);
            }
            results.push((step.session, self.rows(step.session)));
        }
        results
    }

    /// The first environment of a session that is to be stepped and was never started by it.
    fn unstarted(&self, step: &PendingStep) -> Option<usize> {
        let started = &self.tenants.get(&step.session)?.started;
        (0..started.len()).find(|i| step.mask[*i] && !started[*i])
    }

    fn step_together(&mut self, steps: &[PendingStep]) -> Result<(), EnvError> {
        let width = self.env.spec().action_space.flat_len();
        let mut mask = vec![false; self.env.num_envs()];
        for step in steps {
            let Some(tenant) = self.tenants.get(&step.session) else { continue };
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

    /// What truth beside the environments has found in the steps since this was last asked: name and value.
    pub fn take_found(&mut self) -> Vec<(&'static str, f64)> {
        std::mem::take(&mut self.found)
    }

    /// States of a session's environments.
    ///
    /// # Errors
    /// [`ErrorCode::NeedsReset`] before their first reset.
    pub fn save(&self, token: Token) -> Result<Vec<Vec<u8>>, Refusal> {
        let tenant = self.tenant(token)?;
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
    pub fn load(&mut self, token: Token, states: &[Vec<u8>]) -> Result<(), Refusal> {
        let lanes = self.tenant(token)?.lanes.clone();
        let rows = self.rows(token)?;
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
            tenant_mut(&mut self.tenants, token)?.kept = Some((rows, untouched));
            return Err(error.into());
        }
        let tenant = tenant_mut(&mut self.tenants, token)?;
        tenant.started.fill(true);
        tenant.kept = None;
        Ok(())
    }

    /// What the last call left in a session's environments.
    ///
    /// # Errors
    /// [`ErrorCode::SessionLost`] if it has no lanes here.
    pub fn rows(&self, token: Token) -> Result<LaneRows, Refusal> {
        let tenant = self.tenant(token)?;
        let lanes = tenant.lanes.clone();
        let batch = self.env.batch();
        let width = self.env.spec().observation_space.flat_len();
        let mut rows = LaneRows {
            observations: rows_as_bytes(&batch.observations, lanes.start, lanes.len(), width),
            rewards: batch.rewards[lanes.clone()].to_vec(),
            terminated: batch.terminated[lanes.clone()].to_vec(),
            truncated: batch.truncated[lanes.clone()].to_vec(),
            info_values: batch
                .info
                .iter()
                .flat_map(|column| &column.values[lanes.clone()])
                .copied()
                .collect(),
            info_masks: batch.info.iter().flat_map(|column| &column.mask[lanes.clone()]).copied().collect(),
        };
        // What a session that has gone left there is nobody's business.
        (0..lanes.len()).filter(|i| !tenant.started[*i]).for_each(|i| rows.blank_env(i));
        if let Some((kept, untouched)) = &tenant.kept {
            (0..untouched.len()).filter(|i| untouched[*i]).for_each(|i| rows.copy_env(kept, i));
        }
        Ok(rows)
    }

    fn tenant(&self, token: Token) -> Result<&Tenant, Refusal> {
        self.tenants.get(&token).ok_or_else(no_lanes)
    }
}

fn tenant_mut(tenants: &mut BTreeMap<Token, Tenant>, token: Token) -> Result<&mut Tenant, Refusal> {
    tenants.get_mut(&token).ok_or_else(no_lanes)
}

fn no_lanes() -> Refusal {
    Refusal::new(ErrorCode::SessionLost, "the session holds no environments")
}
