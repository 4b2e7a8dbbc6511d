//! Leases, sequence numbers and cached replies: a state machine without sockets or clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::Limits;
use crate::wire::{ErrorCode, Header, Op, Parts, Refusal, Request};

/// What names a session: 128 random bits that only its client knows.
pub type Token = u128;
/// Where a reply goes: the socket's name for the peer.
pub type Route = Vec<u8>;

/// A request to open a session that is being served.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its header; the session in it is the client's name for the request, or 0.
    pub header: Header,
    /// Where the reply goes.
    pub route: Route,
    /// Environments that are asked for.
    pub num_envs: usize,
}

/// What is known of a request to open a session.
#[derive(Debug)]
pub enum Opening {
    /// Nothing: it is new, or its client does not care.
    New,
    /// It is a repeat of one that is being served; the reply will come.
    UnderWay,
    /// It is a repeat; this was the reply.
    Open(Arc<Parts>),
}

/// Bytes of a reply that is repeated whenever it is asked for.
const REPLAY_BYTES_FREE: usize = 1 << 20;
/// Bytes of larger replies that are repeated in a microsecond: 20 MB/s.
const REPLAY_BYTES_PER_US: usize = 20;
/// Replies that are kept for repeated requests.
const CACHED_REPLIES: usize = 2;

/// A request that has been admitted and not yet answered.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its header.
    pub header: Header,
    /// What it asks.
    pub request: Request,
    /// When it came.
    pub at: Duration,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Admission {
    /// It is the session's only unanswered request: serve it now.
    Serve,
    /// It waits for the one before it.
    Queued,
    /// It is a repeat of one that is being served; the reply will come.
    Pending,
    /// It is a repeat; this was the reply.
    Replay(Arc<Parts>),
}

/// One client's hold on its environments.
#[derive(Debug)]
pub struct Session {
    /// Where its last message came from.
    pub route: Route,
    /// Environments that it holds.
    pub num_envs: usize,
    queue: VecDeque<Admitted>,
    replies: VecDeque<(u64, Arc<Parts>)>,
    seq_last: u64,
    heard: Duration,
    expires: Duration,
    /// What its client called the request that opened it, and the reply.
    made: Option<(u128, Arc<Parts>)>,
    /// When a large reply may be sent again.
    replay_after: Duration,
}

impl Session {
    /// A repeat costs its sender a header: large replies are sent again no faster than a slow network carries them.
    fn replay(&mut self, reply: Arc<Parts>, now: Duration) -> Admission {
        let bytes: usize = reply.iter().map(Vec::len).sum();
        if bytes > REPLAY_BYTES_FREE {
            if now < self.replay_after {
                return Admission::Pending;
            }
            self.replay_after = now + Duration::from_micros((bytes / REPLAY_BYTES_PER_US) as u64);
        }
        Admission::Replay(reply)
    }

    /// The request that is being served.
    pub fn front(&self) -> Option<&Admitted> {
        self.queue.front()
    }

    /// How long it has been silent.
    pub fn idle(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }
}

/// All sessions of one run of the server.
#[derive(Debug)]
pub struct Sessions {
    epoch: u64,
    limits: Limits,
    live: BTreeMap<Token, Session>,
    /// Requests to open a session that are being served, by the token that it is to have.
    opening: BTreeMap<Token, Expected>,
}

impl Sessions {
    /// No sessions yet; `epoch` differs from that of every other run.
    pub fn new(epoch: u64, limits: Limits) -> Self {
        Self { epoch, limits, live: BTreeMap::new(), opening: BTreeMap::new() }
    }

    /// Number of this run of the server.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of live sessions.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Environments of all sessions, those that are being opened included.
    pub fn envs(&self) -> usize {
        let opening: usize = self.opening.values().map(|expected| expected.num_envs).sum();
        opening + self.live.values().map(|session| session.num_envs).sum::<usize>()
    }

    /// The session with this token.
    pub fn get(&self, token: Token) -> Option<&Session> {
        self.live.get(&token)
    }

    /// Whether another session may be opened.
    ///
    /// # Errors
    /// [`ErrorCode::Limit`] names the limit.
    pub fn check_room(&self, num_envs: usize) -> Result<(), Refusal> {
        let limit = |message: String| Err(Refusal::new(ErrorCode::Limit, message));
        if self.live.len() + self.opening.len() >= self.limits.sessions_max {
            return limit(format!("sessions_max is {}: close a session first", self.limits.sessions_max));
        }
        if num_envs == 0 || num_envs > self.limits.envs_per_session_max {
            let most = self.limits.envs_per_session_max;
            return limit(format!("num_envs is {num_envs}, envs_per_session_max allows 1 to {most}"));
        }
        let (held, most) = (self.envs(), self.limits.envs_total_max);
        if num_envs > most.saturating_sub(held) {
            let free = most.saturating_sub(held);
            return limit(format!(
                "num_envs is {num_envs}, but sessions hold {held} of the {most} environments that envs_total_max \
                 allows: ask for at most {free}, or close a session first"
            ));
        }
        Ok(())
    }

    /// What is known of the request to open a session that its client calls `nonce`; 0 is no name.
    pub fn opened(&mut self, nonce: u128, route: &Route, now: Duration) -> Opening {
        if nonce == 0 {
            return Opening::New;
        }
        let mut opening = self.opening.values_mut();
        if let Some(expected) = opening.find(|expected| expected.header.session == nonce) {
            expected.route.clone_from(route);
            return Opening::UnderWay;
        }
        let lease = self.limits.lease;
        let made = self.live.values_mut().find_map(|session| {
            let (_, reply) = session.made.clone().filter(|(name, _)| *name == nonce)?;
            session.expires = now + lease;
            session.route.clone_from(route);
            Some(reply)
        });
        made.map_or(Opening::New, Opening::Open)
    }

    /// Notes a request to open a session that is being served; the caller has checked for room.
    pub fn expect(&mut self, token: Token, expected: Expected) {
        self.opening.insert(token, expected);
    }

    /// Takes the request that [`expect`](Self::expect) has noted.
    pub fn expected(&mut self, token: Token) -> Option<Expected> {
        self.opening.remove(&token)
    }

    /// Number of sessions that are being opened.
    pub fn opening(&self) -> usize {
        self.opening.len()
    }

    /// Number of sessions that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.live.values().filter(|session| !session.queue.is_empty()).count()
    }

    /// Opens a session; `nonce` is its client's name for the request, which `reply` answers.
    pub fn open(
        &mut self,
        (token, nonce): (Token, u128),
        (route, reply): (Route, Arc<Parts>),
        num_envs: usize,
        now: Duration,
    ) {
        let session = Session {
            route,
            num_envs,
            queue: VecDeque::new(),
            replies: VecDeque::new(),
            seq_last: 0,
            heard: now,
            expires: now + self.limits.lease,
            replay_after: Duration::ZERO,
            made: (nonce != 0).then_some((nonce, reply)),
        };
        self.live.insert(token, session);
    }

    /// Finds the session that `header` speaks for and renews its lease.
    ///
    /// # Errors
    /// [`ErrorCode::SessionLost`] if there is none (any more).
    pub fn renew(&mut self, header: &Header, route: &Route, now: Duration) -> Result<&mut Session, Refusal> {
        if header.epoch != self.epoch {
            let message =
                "the server has been restarted since this session was made: make the environments again";
            return Err(Refusal::session_lost(message));
        }
        let session = self.live.get_mut(&header.session).ok_or_else(|| {
            Refusal::session_lost("the session was closed or its lease ran out: make the environments again")
        })?;
        session.heard = now;
        session.expires = now + self.limits.lease;
        session.route.clone_from(route);
        Ok(session)
    }

    /// Decides what happens to a request of a live session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionLost`], [`ErrorCode::BadMessage`] for a sequence number that is too old or an environment
    /// count that is not the session's, [`ErrorCode::Busy`] if too many requests are unanswered.
    pub fn admit(&mut self, admitted: Admitted, route: &Route) -> Result<Admission, Refusal> {
        let in_flight_max = self.limits.in_flight_max;
        let retry_after_ms = (self.limits.wait_max.as_millis() as u32).max(1);
        let header = admitted.header;
        let session = self.renew(&header, route, admitted.at)?;
        if let Some((_, reply)) = session.replies.iter().find(|(seq, _)| *seq == header.seq) {
            let reply = Arc::clone(reply);
            return Ok(session.replay(reply, admitted.at));
        }
        if session.queue.iter().any(|queued| queued.header.seq == header.seq) {
            return Ok(Admission::Pending);
        }
        if header.after && session.seq_last.checked_add(1).is_some_and(|next| next < header.seq) {
            let message = format!("request {} is not here yet", header.seq - 1);
            return Err(Refusal { code: ErrorCode::Busy, message, retry_after_ms });
        }
        if header.seq <= session.seq_last {
            let message = format!("seq {} is too old, the last was {}", header.seq, session.seq_last);
            return Err(Refusal::bad_message(message));
        }
        if header.num_envs as usize != session.num_envs {
            let message = format!(
                "header counts {} environments, the session has {}",
                header.num_envs, session.num_envs
            );
            return Err(Refusal::bad_message(message));
        }
        // Whoever leaves may do so whatever is under way, once.
        let room = in_flight_max + usize::from(header.op == Op::Close);
        if session.queue.len() >= room {
            let message = format!("{in_flight_max} requests are in flight (in_flight_max): wait for a reply");
            return Err(Refusal { code: ErrorCode::Busy, message, retry_after_ms });
        }
        session.seq_last = header.seq;
        session.queue.push_back(admitted);
        Ok(if session.queue.len() == 1 { Admission::Serve } else { Admission::Queued })
    }

    /// Takes the request `asked`, which stands in front, as answered with `reply`; says where the reply goes.
    pub fn finish(&mut self, asked: &Header, reply: &Arc<Parts>, now: Duration) -> Option<Route> {
        let session = self.live.get_mut(&asked.session)?;
        session.queue.pop_front_if(|front| front.header.seq == asked.seq)?;
        session.replies.push_back((asked.seq, Arc::clone(reply)));
        if session.replies.len() > CACHED_REPLIES {
            session.replies.pop_front();
        }
        session.expires = session.expires.max(now + self.limits.lease);
        Some(session.route.clone())
    }

    /// Ends a session.
    pub fn close(&mut self, token: Token) {
        self.live.remove(&token);
    }

    /// Ends the sessions whose lease has run out, and names them. Who waits for an answer is not gone.
    pub fn expire(&mut self, now: Duration) -> Vec<Token> {
        let idle = self.live.iter().filter(|(_, session)| session.queue.is_empty());
        let expired: Vec<_> =
            idle.filter(|(_, session)| session.expires <= now).map(|(token, _)| *token).collect();
        for token in &expired {
            self.live.remove(token);
        }
        expired
    }

    /// When the next lease runs out.
    pub fn deadline(&self) -> Option<Duration> {
        let idle = self.live.values().filter(|session| session.queue.is_empty());
        idle.map(|session| session.expires).min()
    }
}
