//! What a server has to answer, kept beside it: sessions with an engine each that nobody shares.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use worldstep_bridge::Limits;
use worldstep_bridge::session::{Route, Token};
use worldstep_bridge::wire::{
    ErrorCode, Header, LaneRows, MakeRequest, Parts, Refusal, Reply, Request, buffer_from_bytes,
    bytes_from_buffer,
};
use worldstep_env::VectorEnv;

use crate::counting::{CountingEnv, TASK};

/// Answers that a server keeps for repeated requests.
const KEPT: usize = 2;

/// All sessions that should be live.
pub struct Model {
    /// The server's bounds.
    pub limits: Limits,
    /// Sessions by token.
    pub sessions: BTreeMap<Token, Session>,
    epoch: u64,
}

/// One session.
pub struct Session {
    /// Where it was last heard from.
    pub route: Route,
    env: CountingEnv,
    waiting: VecDeque<(Header, Request, Duration)>,
    answered: VecDeque<(u64, Parts)>,
    seq_last: u64,
    expires: Duration,
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
    /// A new session.
    Made(MakeRequest),
    /// Who the server is.
    Greeting,
    /// Its figures.
    Figures,
}

impl Model {
    /// No sessions.
    pub fn new(limits: Limits, epoch: u64) -> Self {
        Self { limits, sessions: BTreeMap::new(), epoch }
    }

    /// Takes a message from `route` at `now`, and tells what it has to bring about.
    pub fn take(&mut self, route: &Route, parts: &[Vec<u8>], now: Duration) -> Expected {
        let decoded =
            Header::decode(parts).and_then(|header| Ok((header, Request::decode(&header, &parts[1..])?)));
        let (header, request) = match decoded {
            Ok(decoded) => decoded,
            Err(refusal) => return Expected::Refused(refusal.code),
        };
        match request {
            Request::Hello => Expected::Greeting,
            Request::Make(request) => self.room(request),
            Request::Metrics => {
                let _ = self.renew(&header, route, now);
                Expected::Figures
            }
            request => self.admit(route, header, request, now),
        }
    }

    fn room(&self, request: MakeRequest) -> Expected {
        let is_full = self.sessions.len() >= self.limits.sessions_max;
        if is_full || request.num_envs == 0 || request.num_envs > self.limits.envs_per_session_max {
            return Expected::Refused(ErrorCode::Limit);
        }
        if request.id == TASK { Expected::Made(request) } else { Expected::Refused(ErrorCode::UnknownTask) }
    }

    /// Opens the session that the server has opened.
    pub fn open(&mut self, token: Token, route: &Route, request: &MakeRequest, now: Duration) {
        let session = Session {
            route: route.clone(),
            env: CountingEnv::new(request.num_envs, request.autoreset_mode),
            waiting: VecDeque::new(),
            answered: VecDeque::new(),
            seq_last: 0,
            expires: now + self.limits.lease,
        };
        assert!(self.sessions.insert(token, session).is_none(), "a token was given twice");
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
        if header.seq <= session.seq_last || header.num_envs as usize != session.env.num_envs() {
            return Expected::Refused(ErrorCode::BadMessage);
        }
        if session.waiting.len() >= in_flight_max {
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
    pub fn answer(&mut self, route: &Route, parts: &Parts) {
        let header = Header::decode(parts).unwrap();
        let reply = Reply::decode(&header, &parts[1..]).unwrap();
        let session = self.sessions.get_mut(&header.session).expect("an answer to a session that has gone");
        let (asked, request, _) = session.waiting.pop_front().expect("an answer that nobody waits for");
        assert_eq!(asked.seq, header.seq, "answered out of order");
        assert_eq!(*route, session.route, "sent to where the session is no more");
        match expected(&mut session.env, &request) {
            Ok(expected) => assert_eq!(*parts, expected.encode(&asked), "{request:?} gave {reply:?}"),
            Err(refusal) => {
                let Reply::Error(got) = reply else { panic!("{request:?} was served: {reply:?}") };
                assert_eq!(got.code, refusal.code, "{request:?}: {got}");
            }
        }
        session.answered.push_back((header.seq, parts.clone()));
        if session.answered.len() > KEPT {
            session.answered.pop_front();
        }
        if request == Request::Close {
            self.sessions.remove(&header.session);
        }
    }

    /// Ends the sessions whose lease has run out.
    ///
    /// # Panics
    /// If a request has waited longer than it may.
    pub fn advance(&mut self, now: Duration) {
        for session in self.sessions.values() {
            for (header, _, at) in &session.waiting {
                assert!(*at + self.limits.wait_max > now, "request {} starves", header.seq);
            }
        }
        self.sessions.retain(|_, session| session.expires > now);
    }
}

/// What an engine of one's own answers.
fn expected(env: &mut CountingEnv, request: &Request) -> Result<Reply, Refusal> {
    match request {
        Request::Reset { seeds, mask } => env.reset(&first_seeds(env, seeds), mask)?,
        Request::Step { actions, mask } => {
            let bad = |refusal: Refusal| Refusal::new(ErrorCode::BadAction, refusal.message);
            let actions = buffer_from_bytes(env.spec().action_space.dtype(), actions).map_err(bad)?;
            let mask = mask.clone().unwrap_or_else(|| vec![true; env.num_envs()]);
            env.step(&actions, &mask)?;
        }
        Request::Save => {
            let states: Result<Vec<_>, _> = (0..env.num_envs()).map(|lane| env.save_lane(lane)).collect();
            return Ok(Reply::Save(states?));
        }
        Request::Load { states } => {
            let mut loaded = env.clone();
            for (lane, state) in states.iter().enumerate() {
                loaded.load_lane(lane, state)?;
            }
            *env = loaded;
        }
        _ => return Ok(Reply::Close),
    }
    Ok(Reply::Rows(rows(env)))
}

/// An environment that was never reset starts from its index.
fn first_seeds(env: &CountingEnv, seeds: &[Option<u64>]) -> Vec<Option<u64>> {
    let first = |i: usize| env.save_lane(i).is_err().then_some(i as u64);
    seeds.iter().enumerate().map(|(i, seed)| seed.or_else(|| first(i))).collect()
}

fn rows(env: &CountingEnv) -> LaneRows {
    let batch = env.batch();
    LaneRows {
        observations: bytes_from_buffer(&batch.observations),
        rewards: batch.rewards.clone(),
        terminated: batch.terminated.clone(),
        truncated: batch.truncated.clone(),
        info_values: batch.info.iter().flat_map(|column| column.values.clone()).collect(),
        info_masks: batch.info.iter().flat_map(|column| column.mask.clone()).collect(),
    }
}
