//! What waits in front of one engine.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use worldstep_env::Space;

use crate::Limits;
use crate::batcher::{Batcher, PendingStep};
use crate::ops::PoolKind;
use crate::session::Token;
use crate::wire::{ErrorCode, MakeRequest, Refusal};
use crate::worker::{Job, Join};

/// An engine's sessions and the jobs that wait for it, oldest first, steps apart: they wait for one another.
pub struct Desk {
    request: MakeRequest,
    kind: PoolKind,
    batcher: Batcher,
    orders: VecDeque<(Duration, Job)>,
    seats: BTreeMap<Token, Seat>,
    /// Environments of sessions that are joining.
    joining: usize,
    /// Space of one action, once a session has joined.
    action_space: Option<Space>,
    /// The engine has a job.
    pub busy: bool,
    /// Environments that there are.
    pub lanes: usize,
    idle_after: Duration,
}

/// A session's hold on the engine.
struct Seat {
    envs: usize,
    /// When it last asked for a step, or came.
    active: Duration,
}

impl Desk {
    /// Nobody waits.
    pub fn new(request: &MakeRequest, gains_by_waiting: bool, limits: &Limits) -> Self {
        Self {
            request: request.clone(),
            kind: PoolKind::from(request),
            batcher: Batcher::new(limits, gains_by_waiting),
            orders: VecDeque::new(),
            seats: BTreeMap::new(),
            joining: 0,
            action_space: None,
            busy: false,
            lanes: 0,
            idle_after: limits.idle_after,
        }
    }

    /// What its figures and its log lines are told under.
    pub fn kind(&self) -> &PoolKind {
        &self.kind
    }

    /// Whether a session with this request could live here, as far as limits allow.
    pub fn serves(&self, request: &MakeRequest, envs_max: usize) -> bool {
        // No temperature is one of 0.
        let kind = |request: &MakeRequest| MakeRequest {
            num_envs: 0,
            temperature: request.temperature.filter(|temperature| *temperature != 0.0),
            shared_memory_host: None,
            ..request.clone()
        };
        kind(request) == kind(&self.request) && self.envs() + request.num_envs <= envs_max
    }

    /// Environments that are held or asked for.
    pub fn envs(&self) -> usize {
        self.joining + self.seats.values().map(|seat| seat.envs).sum::<usize>()
    }

    /// Sessions that hold environments here.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.seats.keys().copied()
    }

    /// Whether a session holds environments here.
    pub fn hosts(&self, token: Token) -> bool {
        self.seats.contains_key(&token)
    }

    /// Whether nobody holds or asks for environments.
    pub fn is_deserted(&self) -> bool {
        self.seats.is_empty() && self.joining == 0
    }

    /// Notes a session that is joining.
    pub fn expect(&mut self, envs: usize) {
        self.joining += envs;
    }

    /// Notes what came of it: the session that has joined, if one has, with the space of its actions.
    pub fn seat(&mut self, envs: usize, joined: Option<(Token, Space)>, now: Duration) {
        self.joining -= envs;
        if let Some((token, action_space)) = joined {
            self.seats.insert(token, Seat { envs, active: now });
            self.action_space = Some(action_space);
        }
    }

    /// Space of one action.
    ///
    /// # Errors
    /// [`ErrorCode::SessionLost`] before any session has joined.
    pub fn action_space(&self) -> Result<&Space, Refusal> {
        let none = || Refusal::new(ErrorCode::SessionLost, "the session holds no environments");
        self.action_space.as_ref().ok_or_else(none)
    }

    /// Sessions that still wait to join.
    pub fn into_joins(self) -> impl Iterator<Item = Join> {
        self.orders
            .into_iter()
            .filter_map(|(_, job)| if let Job::Join(join) = job { Some(join) } else { None })
    }

    /// Forgets a session with all that it waits for, and lets the engine do so.
    pub fn leave(&mut self, token: Token, now: Duration) {
        if self.seats.remove(&token).is_none() {
            return;
        }
        self.batcher.remove(token);
        self.orders.retain(|(_, job)| match job {
            Job::Reset(resets) => resets.iter().all(|reset| reset.asked.session != token),
            Job::Save(asked) | Job::Load(asked, _) => asked.session != token,
            Job::Join(_) | Job::Leave(_) | Job::Step(_) => true,
        });
        self.orders.push_back((now, Job::Leave(token)));
    }

    /// Adds a job.
    pub fn order(&mut self, job: Job, now: Duration) {
        self.orders.push_back((now, job));
    }

    /// Adds a step.
    pub fn step(&mut self, step: PendingStep) {
        if let Some(seat) = self.seats.get_mut(&step.asked.session) {
            seat.active = step.at;
        }
        self.batcher.push(step);
    }

    /// Takes the job that is next, if the engine is free and one is due. What came first goes first; resets that stand
    /// in a row are one call.
    pub fn next(&mut self, now: Duration) -> Option<Job> {
        if self.busy {
            return None;
        }
        let step = self.batcher.deadline().filter(|_| self.batcher.due(self.at_work(now), now));
        let order = self.orders.front().map(|(at, _)| *at);
        match (order, step) {
            (None, None) => None,
            (Some(order), step) if step.is_none_or(|step| order <= step) => {
                let (_, mut job) = self.orders.pop_front()?;
                if let Job::Reset(resets) = &mut job {
                    while let Some((_, Job::Reset(more))) =
                        self.orders.pop_front_if(|(_, job)| matches!(job, Job::Reset(_)))
                    {
                        resets.extend(more);
                    }
                }
                Some(job)
            }
            _ => Some(Job::Step(self.batcher.take())),
        }
    }

    /// When the steps that wait are due, unless the engine is busy.
    pub fn deadline(&self) -> Option<Duration> {
        self.batcher.deadline().filter(|_| !self.busy)
    }

    /// Sessions whose steps are waited for: those that were here with one lately.
    fn at_work(&self, now: Duration) -> usize {
        let lately = |seat: &&Seat| seat.active + self.idle_after >= now;
        self.seats.values().filter(lately).count()
    }
}
