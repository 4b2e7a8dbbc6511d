//! The whole server without its socket: messages and the time in, messages out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Limits;
use crate::batcher::PendingStep;
use crate::containment::contain;
use crate::engines::EngineFactory;
use crate::metrics::Metrics;
use crate::ops::{ProcessFigures, SessionRow, Snapshot, events, session_figures};
use crate::pool::Pool;
use crate::session::{Admission, Admitted, Route, Sessions, Token};
use crate::wire::{
    ErrorCode, Header, MakeRequest, Op, Parts, Refusal, Reply, Request, ServerInfo, buffer_from_bytes,
};

/// Where the service gets its random tokens.
pub type TokenSource = Box<dyn FnMut() -> io::Result<Token> + Send>;

/// Sessions, engines and replies under way.
pub struct Service {
    factory: Box<dyn EngineFactory>,
    tokens: TokenSource,
    limits: Limits,
    sessions: Sessions,
    pools: Vec<Pool>,
    metrics: Metrics,
    outbox: Vec<(Route, Arc<Parts>)>,
}

impl Service {
    /// A service without sessions; `epoch` differs from that of every other run.
    pub fn new(factory: Box<dyn EngineFactory>, limits: Limits, epoch: u64, tokens: TokenSource) -> Self {
        let sessions = Sessions::new(epoch, limits.clone());
        Self {
            factory,
            tokens,
            limits,
            sessions,
            pools: Vec::new(),
            metrics: Metrics::default(),
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

    /// Dispatches what is due and ends what has expired.
    pub fn advance(&mut self, now: Duration) {
        // Each answer may start the request queued behind it; a session queues at most `in_flight_max`.
        while let Some(i) = self.pools.iter().position(|pool| pool.batcher.due(pool.sessions(), now)) {
            self.dispatch(i, now);
        }
        for token in self.sessions.expire(now) {
            self.metrics.count("sessions_expired", 1);
            events::session_expired(token);
            self.release(token);
        }
    }

    /// When [`advance`](Self::advance) next has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        let steps = self.pools.iter().filter_map(|pool| pool.batcher.deadline());
        steps.chain(self.sessions.deadline()).min()
    }

    fn admit(&mut self, route: &Route, admitted: Admitted) {
        let header = admitted.header;
        match &admitted.request {
            Request::Hello => {
                let reply = Reply::Hello(self.info());
                return self.answer(route, &header, &reply);
            }
            Request::Make(request) => return self.open(route, &header, request, admitted.at),
            Request::Metrics => {
                // Says what is, changes nothing: needs no session, but keeps one alive.
                let _ = self.sessions.renew(&header, route, admitted.at);
                let reply = Reply::Metrics(self.figures(admitted.at));
                return self.answer(route, &header, &reply);
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

    fn open(&mut self, route: &Route, header: &Header, request: &MakeRequest, now: Duration) {
        // A panic on the way leaves every engine that is in use as it was.
        match contain(|| self.join(request)).flatten() {
            Ok((token, i)) => {
                self.metrics.count("sessions_opened", 1);
                events::session_opened(token, request);
                self.sessions.open(token, route.clone(), request.num_envs, now);
                let reply = Reply::Make(self.pools[i].describe(self.limits.lease));
                let num_envs = request.num_envs as u32;
                let header = Header { session: token, epoch: self.sessions.epoch(), num_envs, ..*header };
                self.answer(route, &header, &reply);
            }
            Err(refusal) => self.refuse(route, header, refusal),
        }
    }

    /// Lanes for a new session: in a shared engine that has room or can grow, or else in a new one.
    fn join(&mut self, request: &MakeRequest) -> Result<(Token, usize), Refusal> {
        let count = request.num_envs;
        self.sessions.check_room(count)?;
        let token = (self.tokens)().map_err(|error| {
            Refusal::new(ErrorCode::Engine, format!("cannot draw a session token: {error}"))
        })?;
        if self.factory.shares(request) {
            for (i, pool) in self.pools.iter_mut().enumerate().filter(|(_, pool)| pool.serves(request)) {
                if pool.admit(token, count) {
                    return Ok((token, i));
                }
                let (needed, lanes) = (pool.lanes_held() + count, pool.lanes());
                if needed <= self.limits.envs_per_pool_max {
                    // Doubled, so that not every newcomer makes it move; as large as it is, if only a gap is missing.
                    let grown = if needed <= lanes { lanes } else { needed.max(2 * lanes) };
                    let grown = grown.min(self.limits.envs_per_pool_max);
                    let started = Instant::now();
                    let made = match self.factory.make(request, grown) {
                        // What does not fit twice over may fit as it is needed.
                        Err(refusal) if refusal.code == ErrorCode::Limit && grown > needed => {
                            self.factory.make(request, needed)
                        }
                        made => made,
                    };
                    pool.move_into(made?)?;
                    self.metrics.count("pools_grown", 1);
                    events::engine_grown(&pool.kind(), lanes, pool.lanes(), started.elapsed());
                    if pool.admit(token, count) {
                        return Ok((token, i));
                    }
                }
            }
        }
        let started = Instant::now();
        let mut pool = Pool::new(request.clone(), self.factory.make(request, count)?, &self.limits);
        events::engine_made(request, pool.lanes(), started.elapsed());
        if !pool.admit(token, count) {
            return Err(Refusal::new(ErrorCode::Engine, "the engine has fewer environments than asked for"));
        }
        self.pools.push(pool);
        Ok((token, self.pools.len() - 1))
    }

    /// Serves the requests in front of a session's queue until one has to wait for its batch.
    fn serve(&mut self, token: Token, now: Duration) {
        while let Some(front) = self.sessions.get(token).and_then(|session| session.front()).cloned() {
            let Some(i) = self.pools.iter().position(|pool| pool.hosts(token)) else {
                let lost = "the engine of this session has failed: make the environments again";
                return self.answer_all(token, &Refusal::session_lost(lost));
            };
            let started = match contain(|| self.start(i, token, &front)) {
                Ok(started) => started,
                Err(failure) => return self.bury(i, &failure),
            };
            match started {
                Ok(Some(reply)) => self.finish(token, &front.header, &reply),
                Ok(None) => {
                    if self.pools[i].batcher.due(self.pools[i].sessions(), now) {
                        self.dispatch(i, now);
                    }
                    return;
                }
                Err(refusal) => self.finish(token, &front.header, &Reply::Error(refusal)),
            }
        }
    }

    /// Serves one request; `None` if its reply comes with the batch.
    fn start(&mut self, i: usize, token: Token, front: &Admitted) -> Result<Option<Reply>, Refusal> {
        let pool = &mut self.pools[i];
        match &front.request {
            Request::Reset { seeds, mask } => {
                pool.reset(token, seeds, mask)?;
                pool.rows(token).map(|rows| Some(Reply::Rows(rows)))
            }
            Request::Step { actions, mask } => {
                let count = front.header.num_envs as usize;
                let actions = buffer_from_bytes(pool.action_space().dtype(), actions).map_err(|refusal| {
                    Refusal::new(ErrorCode::BadAction, format!("invalid action: {refusal}"))
                })?;
                pool.action_space().check(&actions, count)?;
                let mask = mask.clone().unwrap_or_else(|| vec![true; count]);
                pool.batcher.push(PendingStep { session: token, actions, mask, at: front.at });
                Ok(None)
            }
            Request::Save => pool.save(token).map(|states| Some(Reply::Save(states))),
            Request::Load { states } => {
                pool.load(token, states)?;
                pool.rows(token).map(|rows| Some(Reply::Rows(rows)))
            }
            Request::Close => Ok(Some(Reply::Close)),
            Request::Hello | Request::Make(_) | Request::Metrics => {
                Err(Refusal::bad_message("not a request of a session"))
            }
        }
    }

    fn dispatch(&mut self, i: usize, now: Duration) {
        let steps = self.pools[i].batcher.take();
        let envs = steps.iter().flat_map(|step| &step.mask).filter(|masked| **masked).count();
        let kind = self.pools[i].kind();
        for step in &steps {
            self.metrics.wait(&kind, now.saturating_sub(step.at));
        }
        let sessions = steps.len();
        let started = Instant::now();
        let results = match contain(|| self.pools[i].step(steps)) {
            Ok(results) => results,
            Err(failure) => return self.bury(i, &failure),
        };
        self.metrics.engine_call(&kind, sessions, envs, started.elapsed());
        for (name, value) in self.pools[i].take_found() {
            self.metrics.average(name, value);
        }
        let stepped: Vec<_> = results.iter().map(|(token, _)| *token).collect();
        for (token, rows) in results {
            let Some(front) = self.sessions.get(token).and_then(|session| session.front()) else { continue };
            let header = front.header;
            self.finish(token, &header, &rows.map_or_else(Reply::Error, Reply::Rows));
        }
        for token in stepped {
            self.serve(token, now);
        }
    }

    /// Ends an engine that has panicked. Whoever waits for it is told why; later requests find their session lost.
    fn bury(&mut self, i: usize, failure: &Refusal) {
        self.metrics.count("engines_failed", 1);
        let pool = self.pools.remove(i);
        let tokens = pool.tokens();
        events::engine_failed(&pool.kind(), tokens.len(), failure);
        discard(pool);
        for token in tokens {
            self.answer_all(token, failure);
        }
    }

    /// Answers everything in a session's queue with `refusal`, except its close.
    fn answer_all(&mut self, token: Token, refusal: &Refusal) {
        while let Some(front) = self.sessions.get(token).and_then(|session| session.front()) {
            let header = front.header;
            let closes = header.op == Op::Close;
            let reply = if closes { Reply::Close } else { Reply::Error(refusal.clone()) };
            self.finish(token, &header, &reply);
        }
    }

    /// Answers the request in front of a session's queue.
    fn finish(&mut self, token: Token, header: &Header, reply: &Reply) {
        if let Reply::Error(_) = reply {
            self.metrics.count("refusals", 1);
        }
        let parts = Arc::new(reply.encode(header));
        if let Some(route) = self.sessions.finish(token, &parts) {
            self.outbox.push((route, parts));
        }
        if header.op == Op::Close {
            events::session_closed(token);
            self.sessions.close(token);
            self.release(token);
        }
    }

    /// Frees the lanes of a session that has ended.
    fn release(&mut self, token: Token) {
        for pool in &mut self.pools {
            pool.evict(token);
        }
        self.pools.extract_if(.., |pool| pool.sessions() == 0).for_each(discard);
    }

    fn answer(&mut self, route: &Route, header: &Header, reply: &Reply) {
        self.outbox.push((route.clone(), Arc::new(reply.encode(header))));
    }

    fn refuse(&mut self, route: &Route, header: &Header, refusal: Refusal) {
        self.metrics.count("refusals", 1);
        events::refused(route, header.op, &refusal);
        self.answer(route, header, &Reply::Error(refusal));
    }

    fn info(&self) -> ServerInfo {
        ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.sessions.epoch(),
            lease_ms: self.limits.lease.as_millis() as u64,
            envs: self.factory.catalogue(),
        }
    }

    /// Figures of this moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.metrics.snapshot();
        snapshot.gauge("sessions", self.sessions.len() as f64);
        snapshot.gauge("sessions_max", self.limits.sessions_max as f64);
        snapshot.gauge("envs", self.sessions.envs() as f64);
        snapshot.gauge("envs_max", self.limits.envs_total_max as f64);
        snapshot.gauge("pools", self.pools.len() as f64);
        for pool in &self.pools {
            snapshot.add_pool(pool.kind(), pool.sessions(), pool.lanes_held(), pool.lanes());
        }
        snapshot
    }

    fn figures(&self, now: Duration) -> BTreeMap<String, f64> {
        let mut figures = self.snapshot().figures();
        figures.extend(ProcessFigures::read().figures());
        let rows = self.pools.iter().flat_map(|pool| {
            pool.tokens().into_iter().filter_map(|token| {
                let session = self.sessions.get(token)?;
                let (kind, envs, idle) = (pool.kind(), session.num_envs, session.idle(now));
                Some(SessionRow { token, kind, envs, idle })
            })
        });
        figures.extend(session_figures(rows.collect()));
        figures
    }
}

/// Drops an engine; should that panic, it is gone all the same.
fn discard(pool: Pool) {
    let _ = contain(|| drop(pool));
}
