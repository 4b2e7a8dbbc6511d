//! The whole server without its socket: messages and the time in, messages out.

mod figures;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::Limits;
use crate::batcher::PendingStep;
use crate::desk::Desk;
use crate::engines::EngineFactory;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::ops::events;
use crate::session::{Admission, Admitted, Expected, Opening, Route, Sessions, Token};
use crate::shared_memory::host_id;
use crate::wire::{
    ErrorCode, Header, MakeReply, MakeRequest, Op, Parts, Refusal, Reply, Request, buffer_from_bytes,
};
use crate::worker::{Done, Job, Join, PendingReset, PoolId, Worker};
use crate::workshop::{Inline, Workshop};

/// Where the service gets its random tokens.
pub type TokenSource = Box<dyn FnMut() -> io::Result<Token> + Send>;

/// Sessions, what they wait for, and replies under way.
///
/// Engines work in a workshop, on threads of their own or at once: a job is begun when its engine is free, and
/// [`advance`](Self::advance) takes what has been finished. A slow engine holds up nobody but its own sessions.
pub struct Service {
    factory: Arc<dyn EngineFactory>,
    workshop: Box<dyn Workshop>,
    tokens: TokenSource,
    limits: Limits,
    memory: Memory,
    sessions: Sessions,
    desks: BTreeMap<PoolId, Desk>,
    desks_opened: PoolId,
    metrics: Metrics,
    host: Option<String>,
    draining: bool,
    outbox: Vec<(Route, Arc<Parts>)>,
}

impl Service {
    /// A service without sessions, whose engines work at once; `epoch` differs from that of every other run.
    pub fn new(factory: Box<dyn EngineFactory>, limits: Limits, epoch: u64, tokens: TokenSource) -> Self {
        Self::with_workshop(factory, Box::new(Inline::default()), limits, (epoch, tokens))
    }

    /// As [`new`](Self::new), with engines that work in `workshop`.
    pub(crate) fn with_workshop(
        factory: Box<dyn EngineFactory>,
        workshop: Box<dyn Workshop>,
        limits: Limits,
        (epoch, tokens): (u64, TokenSource),
    ) -> Self {
        Self {
            factory: Arc::from(factory),
            workshop,
            tokens,
            sessions: Sessions::new(epoch, limits.clone()),
            memory: Memory::new(limits.memory_bytes_max),
            limits,
            desks: BTreeMap::new(),
            desks_opened: 0,
            metrics: Metrics::default(),
            host: host_id(),
            draining: false,
            outbox: Vec::new(),
        }
    }

    /// Replies to send, oldest first.
    pub fn take_outbox(&mut self) -> Vec<(Route, Arc<Parts>)> {
        std::mem::take(&mut self.outbox)
    }

    /// Number of live sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Figures of this run.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Opens no more sessions; those that there are go on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no session is open or being opened.
    pub fn is_deserted(&self) -> bool {
        self.sessions.is_empty() && self.sessions.opening() == 0
    }

    /// Whether no session waits for an answer.
    pub fn is_quiet(&self) -> bool {
        self.sessions.waiting() == 0 && self.sessions.opening() == 0
    }

    /// Ends all engines; those that are at work have `patience` to finish.
    pub fn end(&mut self, patience: Duration) {
        self.desks.clear();
        self.workshop.end(patience);
    }

    /// Takes one message from `route`.
    pub fn handle(&mut self, route: &Route, parts: &[Vec<u8>], now: Duration) {
        self.metrics.count("messages", 1);
        let header = match Header::decode(parts) {
            Ok(header) => header,
            Err(refusal) => return self.refuse(route, &Header::salvage(parts), refusal),
        };
        match Request::decode(&header, &parts[1..]) {
            Ok(request) => self.admit(route, Admitted { header, request, at: now }),
            Err(refusal) => self.refuse(route, &header, refusal),
        }
    }

    /// Takes what engines have finished, gives them what is due, and ends what has expired.
    pub fn advance(&mut self, now: Duration) {
        // Each answer may start the request queued behind it; a session queues at most `in_flight_max`.
        loop {
            while let Some((id, done)) = self.workshop.finished() {
                self.conclude(id, done, now);
            }
            let due = self.desks.iter_mut().find_map(|(id, desk)| Some((*id, desk.next(now)?)));
            let Some((id, job)) = due else { break };
            self.begin(id, job, now);
        }
        for token in self.sessions.expire(now) {
            self.metrics.count("sessions_expired", 1);
            events::session_expired(token);
            self.release(token, now);
        }
    }

    /// When [`advance`](Self::advance) next has something to do, besides what engines finish.
    pub fn deadline(&self) -> Option<Duration> {
        let steps = self.desks.values().filter_map(Desk::deadline);
        steps.chain(self.sessions.deadline()).min()
    }

    fn admit(&mut self, route: &Route, admitted: Admitted) {
        let header = admitted.header;
        match admitted.request {
            Request::Hello => {
                let reply = Reply::Hello(self.info());
                return self.answer(route, &header, reply);
            }
            Request::Make(request) => return self.open(route, &header, request, admitted.at),
            Request::Metrics => {
                // Says what is, changes nothing: needs no session, but keeps one alive.
                let _ = self.sessions.renew(&header, route, admitted.at);
                let reply = Reply::Metrics(self.figures(admitted.at));
                return self.answer(route, &header, reply);
            }
            _ => {}
        }
        let now = admitted.at;
        match self.sessions.admit(admitted, route) {
            Ok(Admission::Serve) => self.serve(header.session, now),
            Ok(Admission::Queued | Admission::Pending) => {}
            Ok(Admission::Replay(reply)) => {
                self.metrics.count("replays", 1);
                self.outbox.push((route.clone(), reply));
            }
            Err(refusal) => self.refuse(route, &header, refusal),
        }
    }

    /// Begins to open a session: in an engine that has room, may grow, or is new. A repeated request opens nothing.
    fn open(&mut self, route: &Route, header: &Header, request: MakeRequest, now: Duration) {
        match self.sessions.opened(header.session, route, now) {
            Opening::New => {}
            Opening::UnderWay => return,
            Opening::Open(reply) => {
                self.metrics.count("replays", 1);
                return self.outbox.push((route.clone(), reply));
            }
        }
        let found = self.find_desk(request);
        let (id, join) = match found {
            Ok(found) => found,
            Err(refusal) => return self.refuse(route, header, refusal),
        };
        let (header, route, num_envs) = (*header, route.clone(), join.count);
        self.sessions.expect(join.token, Expected { header, route, num_envs });
        if let Some(desk) = self.desks.get_mut(&id) {
            desk.expect(join.count);
            desk.order(Job::Join(join), now);
        }
    }

    fn find_desk(&mut self, mut request: MakeRequest) -> Result<(PoolId, Join), Refusal> {
        if self.draining {
            return Err(Refusal::new(ErrorCode::Unsupported, "the server is about to end: try another one"));
        }
        self.sessions.check_room(request.num_envs)?;
        let mut draw = || {
            let failed =
                |error| Refusal::new(ErrorCode::Engine, format!("cannot draw a session token: {error}"));
            (self.tokens)().map_err(failed)
        };
        let shares = request.shared_memory_host.is_some() && request.shared_memory_host == self.host;
        let (token, shared_key) = (draw()?, if shares { Some(draw()?) } else { None });
        // Who gets nothing on a card shares an engine with those who have not asked for it.
        let refused = check_card(&*self.factory, &request, shares).err();
        let card = match (request.card.take_if(|_| refused.is_some()), refused) {
            (Some(_), Some(why)) => Some(Err(why)),
            _ if request.card.is_some() => Some(Ok(draw()?)),
            _ => None,
        };
        let request = &request;
        let join = Join { token, count: request.num_envs, shared_key, card };
        let envs_max = self.limits.envs_per_pool_max;
        if let Some((id, _)) = self.desks.iter().find(|(_, desk)| desk.serves(request, envs_max)) {
            return Ok((*id, join));
        }
        let id = self.desks_opened;
        self.desks_opened += 1;
        let (factory, limits) = (Arc::clone(&self.factory), self.limits.clone());
        let worker = Worker::new(factory, request.clone(), limits, self.memory.clone());
        let failed = |error| Refusal::new(ErrorCode::Engine, format!("no thread for the engine: {error}"));
        self.workshop.open(id, worker).map_err(failed)?;
        let waits = self.factory.gains_by_waiting(request);
        self.desks.insert(id, Desk::new(request, waits, &self.limits));
        Ok((id, join))
    }

    /// Puts the request in front of a session's queue on its engine's desk, or answers it.
    fn serve(&mut self, token: Token, now: Duration) {
        while let Some(front) = self.sessions.get(token).and_then(|session| session.front()).cloned() {
            let asked = front.header;
            if let Request::Close = front.request {
                events::session_closed(token);
                self.finish(&asked, Arc::new(Reply::Close.into_parts(&asked)), now);
                return self.close(token, now);
            }
            let Some(desk) = self.desks.values_mut().find(|desk| desk.hosts(token)) else {
                let lost = "the engine of this session has failed: make the environments again";
                self.refuse_front(&asked, Refusal::session_lost(lost), now);
                continue;
            };
            match front.request {
                Request::Reset { seeds, mask, options } => {
                    desk.order(Job::Reset(vec![PendingReset { asked, seeds, mask, options }]), front.at);
                }
                Request::Step { actions, mask } => match checked_step(desk, &front.header, &actions, mask) {
                    Ok(step) => desk.step(PendingStep { at: front.at, ..step }),
                    Err(refusal) => {
                        self.refuse_front(&asked, refusal, now);
                        continue;
                    }
                },
                Request::Save => desk.order(Job::Save(asked), front.at),
                Request::Load { states } => desk.order(Job::Load(asked, states), front.at),
                Request::Hello | Request::Make(_) | Request::Metrics | Request::Close => {
                    self.refuse_front(&asked, Refusal::bad_message("not a request of a session"), now);
                    continue;
                }
            }
            return;
        }
    }

    fn begin(&mut self, id: PoolId, job: Job, now: Duration) {
        if let Some(desk) = self.desks.get_mut(&id) {
            if let Job::Step(steps) = &job {
                steps.iter().for_each(|step| self.metrics.wait(desk.kind(), now.saturating_sub(step.at)));
            }
            desk.busy = true;
            self.workshop.submit(id, job);
        }
    }

    fn conclude(&mut self, id: PoolId, done: Done, now: Duration) {
        let Some(desk) = self.desks.get_mut(&id) else { return };
        desk.busy = false;
        let before = std::mem::replace(&mut desk.lanes, done.lanes);
        if done.grown {
            self.metrics.count("pools_grown", 1);
            events::engine_grown(desk.kind(), before, done.lanes, done.took);
        } else if before == 0 && done.lanes > 0 {
            events::engine_made(desk.kind(), done.lanes, done.took);
        }
        if let Some((sessions, envs)) = done.stepped.filter(|(sessions, _)| *sessions > 0) {
            self.metrics.engine_call(desk.kind(), sessions, envs, done.took);
        }
        done.found.iter().for_each(|(name, value)| self.metrics.average(name, *value));
        if let Some((join, made)) = done.joined {
            self.conclude_join(id, &join, made, now);
        }
        let mut served = Vec::with_capacity(done.replies.len());
        for (asked, reply, refused) in done.replies {
            self.metrics.count("refusals", usize::from(refused));
            self.finish(&asked, reply, now);
            served.push(asked.session);
        }
        if let Some(failure) = &done.failed {
            self.bury(id, failure, now);
        }
        served.into_iter().for_each(|token| self.serve(token, now));
        self.close_if_deserted(id);
    }

    fn conclude_join(&mut self, id: PoolId, join: &Join, made: Result<MakeReply, Refusal>, now: Duration) {
        if let Some(desk) = self.desks.get_mut(&id) {
            let joined = made.as_ref().ok().map(|reply| (join.token, reply.action_space.clone()));
            desk.seat(join.count, joined, now);
        }
        let Some(Expected { header, route, .. }) = self.sessions.expected(join.token) else { return };
        match made {
            Ok(reply) => {
                self.metrics.count("sessions_opened", 1);
                if let Some(desk) = self.desks.get(&id) {
                    events::session_opened(join.token, desk.kind(), join.count);
                }
                let nonce = header.session;
                let num_envs = join.count as u32;
                let header = Header { session: join.token, epoch: self.sessions.epoch(), num_envs, ..header };
                let reply = Arc::new(Reply::Make(reply).into_parts(&header));
                self.sessions.open((join.token, nonce), (route.clone(), Arc::clone(&reply)), join.count, now);
                self.outbox.push((route, reply));
            }
            Err(refusal) => self.refuse(&route, &header, refusal),
        }
    }

    /// Ends an engine that has panicked. Whoever waits for it is told why; later requests find their session lost.
    fn bury(&mut self, id: PoolId, failure: &Refusal, now: Duration) {
        self.metrics.count("engines_failed", 1);
        let Some(desk) = self.desks.remove(&id) else { return };
        self.workshop.close(id);
        events::engine_failed(desk.kind(), desk.tokens().count(), failure);
        for token in desk.tokens() {
            self.answer_all(token, failure, now);
        }
        for join in desk.into_joins() {
            let Some(expected) = self.sessions.expected(join.token) else { continue };
            self.refuse(&expected.route, &expected.header, failure.clone());
        }
    }

    /// Answers everything in a session's queue with `refusal`, except its close.
    fn answer_all(&mut self, token: Token, refusal: &Refusal, now: Duration) {
        while let Some(front) = self.sessions.get(token).and_then(|session| session.front()) {
            let asked = front.header;
            if asked.op == Op::Close {
                self.finish(&asked, Arc::new(Reply::Close.into_parts(&asked)), now);
                return self.close(token, now);
            }
            self.refuse_front(&asked, refusal.clone(), now);
        }
    }

    /// Answers the request in front of a session's queue.
    fn finish(&mut self, asked: &Header, reply: Arc<Parts>, now: Duration) {
        if let Some(route) = self.sessions.finish(asked, &reply, now) {
            self.outbox.push((route, reply));
        }
    }

    fn refuse_front(&mut self, asked: &Header, refusal: Refusal, now: Duration) {
        self.metrics.count("refusals", 1);
        self.finish(asked, Arc::new(Reply::Error(refusal).into_parts(asked)), now);
    }

    fn close(&mut self, token: Token, now: Duration) {
        self.sessions.close(token);
        self.release(token, now);
    }

    /// Frees the environments of a session that has ended.
    fn release(&mut self, token: Token, now: Duration) {
        let found = self.desks.iter_mut().find(|(_, desk)| desk.hosts(token));
        let Some((&id, desk)) = found else { return };
        desk.leave(token, now);
        self.close_if_deserted(id);
    }

    fn close_if_deserted(&mut self, id: PoolId) {
        if self.desks.get(&id).is_some_and(Desk::is_deserted) {
            self.desks.remove(&id);
            self.workshop.close(id);
        }
    }

    fn answer(&mut self, route: &Route, header: &Header, reply: Reply) {
        self.outbox.push((route.clone(), Arc::new(reply.into_parts(header))));
    }

    fn refuse(&mut self, route: &Route, header: &Header, refusal: Refusal) {
        self.metrics.count("refusals", 1);
        events::refused(route, header.op, &refusal);
        self.answer(route, header, Reply::Error(refusal));
    }
}

/// Whether the observations of `request` may stay on the card that it names, if it names one.
fn check_card(factory: &dyn EngineFactory, request: &MakeRequest, is_here: bool) -> Result<(), String> {
    match request.card {
        None => Ok(()),
        Some(_) if is_here => factory.check_card(request),
        Some(_) => {
            let here = "client and server share no machine and PID namespace";
            Err(format!("{here}: a card's memory reaches no further, run both in the same place"))
        }
    }
}

/// A step whose actions, if they have come with it, have the right size and are in bounds.
fn checked_step(
    desk: &Desk,
    header: &Header,
    actions: &[u8],
    mask: Option<Vec<bool>>,
) -> Result<PendingStep, Refusal> {
    let count = header.num_envs as usize;
    let bad = |refusal| Refusal::new(ErrorCode::BadAction, format!("invalid action: {refusal}"));
    let space = desk.action_space()?;
    let actions = buffer_from_bytes(space.dtype(), actions).map_err(bad)?;
    // The engine gets those that are on its card, or finds that there are none.
    if !actions.is_empty() {
        space.check(&actions, count)?;
    }
    let mask = mask.unwrap_or_else(|| vec![true; count]);
    Ok(PendingStep { asked: *header, actions, mask, at: Duration::ZERO })
}
