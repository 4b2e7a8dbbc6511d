//! What a server has to answer, kept beside it: sessions with an engine each that nobody shares.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use worldstep_bridge::Limits;
use worldstep_bridge::session::{Route, Token};
use worldstep_bridge::wire::{Engine, ErrorCode, Header, MakeRequest, Op, Parts, Refusal, Reply, Request};

use crate::answers::Tenant;
use crate::counting::TASK;

/// Answers that a server keeps for repeated requests.
const KEPT: usize = 2;

/// All sessions that should be live.
pub struct Model {
    /// The server's bounds.
    pub limits: Limits,
    /// Sessions by token.
    pub sessions: BTreeMap<Token, Session>,
    /// Requests to open one that have not been answered.
    pub opening: Vec<Opening>,
    epoch: u64,
}

/// A request to open a session that has been taken.
pub struct Opening {
    /// Which client asked.
    pub client: usize,
    header: Header,
    route: Route,
    request: MakeRequest,
}

/// One session.
pub struct Session {
    /// Where it was last heard from.
    pub route: Route,
    tenant: Tenant,
    waiting: VecDeque<(Header, Request, Duration)>,
    answered: VecDeque<(u64, Parts)>,
    /// What opened it, until it is asked for something else.
    made: Option<(u128, Parts)>,
    seq_last: u64,
    expires: Duration,
    /// When it came or last asked for a step.
    active: Duration,
}

/// What a message has to bring about at once.
pub enum Expected {
    /// It is admitted; its answer comes in its turn.
    Admitted,
    /// It is a repeat of what waits already: nothing.
    Nothing,
    /// This very answer again.
    Again(Parts),
    /// A refusal of this kind.
    Refused(ErrorCode),
    /// Who the server is.
    Greeting,
    /// Its figures.
    Figures,
}

impl Model {
    /// No sessions.
    pub fn new(limits: Limits, epoch: u64) -> Self {
        Self { limits, sessions: BTreeMap::new(), opening: Vec::new(), epoch }
    }

    /// Takes a message of `client` from `route` at `now`, and tells what it has to bring about.
    pub fn take(&mut self, client: usize, route: &Route, parts: &[Vec<u8>], now: Duration) -> Expected {
        let decoded =
            Header::decode(parts).and_then(|header| Ok((header, Request::decode(&header, &parts[1..])?)));
        let (header, request) = match decoded {
            Ok(decoded) => decoded,
            Err(refusal) => return Expected::Refused(refusal.code),
        };
        match request {
            Request::Hello => Expected::Greeting,
            Request::Make(request) => {
                self.make(Opening { client, header, route: route.clone(), request }, now)
            }
            Request::Metrics => {
                let _ = self.renew(&header, route, now);
                Expected::Figures
            }
            request => self.admit(route, header, request, now),
        }
    }

    fn make(&mut self, asked: Opening, now: Duration) -> Expected {
        let nonce = asked.header.session;
        if nonce != 0 {
            if let Some(known) = self.opening.iter_mut().find(|known| known.header.session == nonce) {
                known.route = asked.route;
                return Expected::Nothing;
            }
            let is_named =
                |made: &Option<(u128, Parts)>| made.as_ref().is_some_and(|(name, _)| *name == nonce);
            if let Some(known) = self.sessions.values_mut().find(|known| is_named(&known.made)) {
                known.route = asked.route;
                known.expires = now + self.limits.lease;
                return Expected::Again(known.made.clone().unwrap().1);
            }
        }
        let is_full = self.sessions.len() + self.opening.len() >= self.limits.sessions_max;
        let num_envs = asked.request.num_envs;
        if is_full || num_envs == 0 || num_envs > self.limits.envs_per_session_max {
            return Expected::Refused(ErrorCode::Limit);
        }
        self.opening.push(asked);
        Expected::Admitted
    }

    /// Takes the answer to a request to open a session, and gives the client who asked.
    ///
    /// # Panics
    /// If it was to be answered otherwise.
    pub fn conclude(&mut self, at: usize, route: &Route, parts: &Parts, now: Duration) -> usize {
        let opening = self.opening.remove(at);
        let header = Header::decode(parts).unwrap();
        let is_known = opening.request.id == TASK;
        assert_eq!(*route, opening.route, "sent to where the client is no more");
        match Reply::decode(&header, &parts[1..]).unwrap() {
            Reply::Make(made) if is_known => {
                let count = opening.request.num_envs;
                assert_eq!((header.epoch, header.num_envs as usize), (self.epoch, count));
                let nonce = opening.header.session;
                let session = Session {
                    route: route.clone(),
                    tenant: Tenant::new(opening.request, &made),
                    waiting: VecDeque::new(),
                    answered: VecDeque::new(),
                    made: (nonce != 0).then(|| (nonce, parts.clone())),
                    seq_last: 0,
                    expires: now + self.limits.lease,
                    active: now,
                };
                assert!(self.sessions.insert(header.session, session).is_none(), "a token was given twice");
            }
            Reply::Error(refusal) if !is_known => assert_eq!(refusal.code, ErrorCode::UnknownTask),
            reply => panic!("unexpected: {reply:?}"),
        }
        opening.client
    }

    /// The request to open a session that a message answers.
    pub fn opening(&self, header: &Header) -> Option<usize> {
        self.opening.iter().position(|opening| {
            let asked = &opening.header;
            let is_its = header.op == Op::Make || header.session == asked.session;
            is_its && header.seq == asked.seq && matches!(header.op, Op::Make | Op::Error)
        })
    }

    fn renew(&mut self, header: &Header, route: &Route, now: Duration) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&header.session).filter(|_| header.epoch == self.epoch)?;
        session.route.clone_from(route);
        session.expires = now + self.limits.lease;
        Some(session)
    }

    fn admit(&mut self, route: &Route, header: Header, request: Request, now: Duration) -> Expected {
        let in_flight_max = self.limits.in_flight_max;
        let Some(session) = self.renew(&header, route, now) else {
            return Expected::Refused(ErrorCode::SessionLost);
        };
        if let Some((_, answer)) = session.answered.iter().find(|(seq, _)| *seq == header.seq) {
            return Expected::Again(answer.clone());
        }
        if session.waiting.iter().any(|(waiting, ..)| waiting.seq == header.seq) {
            return Expected::Nothing;
        }
        if header.seq <= session.seq_last || header.num_envs as usize != session.tenant.num_envs() {
            return Expected::Refused(ErrorCode::BadMessage);
        }
        if session.waiting.len() >= in_flight_max + usize::from(request == Request::Close) {
            return Expected::Refused(ErrorCode::Busy);
        }
        session.seq_last = header.seq;
        session.waiting.push_back((header, request, now));
        Expected::Admitted
    }

    /// Takes an answer to what was admitted.
    ///
    /// # Panics
    /// If nobody waits for it now, or it is another one than an engine of the session's own gives.
    pub fn answer(&mut self, route: &Route, parts: &Parts, now: Duration) {
        let header = Header::decode(parts).unwrap();
        let reply = Reply::decode(&header, &parts[1..]).unwrap();
        let session = self.sessions.get_mut(&header.session).expect("an answer to a session that has gone");
        let (asked, request, at) = session.waiting.pop_front().expect("an answer that nobody waits for");
        assert_eq!(asked.seq, header.seq, "answered out of order");
        assert_eq!(*route, session.route, "sent to where the session is no more");
        match session.tenant.expected(&asked, &request) {
            Ok(Reply::Rows(rows)) => {
                let told = session.tenant.whole(&asked, reply);
                assert_eq!(told, Reply::Rows(rows), "{request:?}");
            }
            Ok(expected) => assert_eq!(*parts, expected.encode(&asked), "{request:?} gave {reply:?}"),
            Err(refusal) => {
                let Reply::Error(got) = reply else { panic!("{request:?} was served: {reply:?}") };
                assert_eq!(got.code, refusal.code, "{request:?}: {got}");
                assert!(!header.shared, "a refusal has no observations");
            }
        }
        if matches!(request, Request::Step { .. }) {
            session.active = at;
        }
        session.expires = session.expires.max(now + self.limits.lease);
        session.answered.push_back((header.seq, parts.clone()));
        if session.answered.len() > KEPT {
            session.answered.pop_front();
        }
        if request == Request::Close {
            self.sessions.remove(&header.session);
        }
    }

    /// Ends the sessions whose lease has run out; who waits for an answer stays.
    pub fn expire(&mut self, now: Duration) {
        self.sessions.retain(|_, session| !session.waiting.is_empty() || session.expires > now);
    }

    /// When a server that has just done all that was due has something to do again.
    pub fn deadline(&self) -> Option<Duration> {
        let next = |session: &Session| match session.waiting.front() {
            Some((_, _, at)) => *at + self.limits.wait_max,
            None => session.expires,
        };
        self.sessions.values().map(next).min()
    }

    /// Looks at what waits when a server has done all that was due.
    ///
    /// # Panics
    /// If something waits that has no reason to.
    pub fn check(&self, now: Duration) {
        assert!(self.opening.is_empty(), "a session is not opened");
        for session in self.sessions.values() {
            let Some((header, request, at)) = session.waiting.front() else { continue };
            let Request::Step { mask, .. } = request else { panic!("request {} waits", header.seq) };
            let kind = session.tenant.kind();
            assert_eq!(kind.engine, Engine::Dream, "truth waits for nobody");
            assert!(*at + self.limits.wait_max > now, "request {} starves", header.seq);
            let envs = mask.as_ref().map_or(kind.num_envs, |mask| mask.iter().filter(|one| **one).count());
            assert!(envs < self.limits.batch_max, "a full batch waits");
            let others = self.sessions.values().filter(|other| other.tenant.is_like(kind));
            let mut at_work = others.filter(|other| other.active + self.limits.idle_after >= now);
            assert!(at_work.any(|other| other.waiting.is_empty()), "it waits, and nobody is to come");
        }
    }
}

/// The refusal that an engine gives for actions that are none.
pub fn bad_action(refusal: Refusal) -> Refusal {
    Refusal::new(ErrorCode::BadAction, refusal.message)
}
