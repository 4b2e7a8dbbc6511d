//! A client in Rust, as small as can be: one session, one request at a time.
//!
//! Messages may be lost, come twice or come damaged. What is no answer to the request under way is passed over, and a
//! request that stays unanswered is sent again with its number: the server carries it out once.

use std::time::{Duration, Instant};

use crate::random::random;
use crate::security::{CurveClient, SecurityError};
use crate::shared_memory::{SharedView, host_id};
use crate::wire::{ErrorCode, Header, LaneRows, MakeReply, MakeRequest, Op, Parts, Refusal, Reply, Request};
use thiserror::Error;

/// How long to wait before a message that found nobody to go to is tried again.
const SEND_AGAIN: Duration = Duration::from_millis(200);
/// Times that a request is sent again when the server finds it malformed: it may have been damaged on its way.
const MALFORMED_MAX: usize = 3;

/// How a client behaves where the network does not.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// How long an answer may take, its repeats included.
    pub timeout: Duration,
    /// Silence after which a request is sent again.
    pub resend: Duration,
    /// Keys, for a server that asks for them.
    pub curve: Option<CurveClient>,
    /// Takes observations from shared memory, if the server is on this machine.
    pub shared_memory: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            resend: Duration::from_secs(5),
            curve: None,
            shared_memory: true,
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer came in time.
    #[error(
        "{address} did not answer {op:?} in {seconds} s: is `worldstep serve` running there, and does it know this client's key?",
        seconds = timeout.as_secs_f32()
    )]
    NoAnswer {
        /// The server.
        address: String,
        /// What was asked.
        op: Op,
        /// How long was waited.
        timeout: Duration,
    },
    /// The socket failed.
    #[error("cannot talk to {address}: {source}; expected tcp://HOST:PORT or ipc://PATH")]
    Socket {
        /// The server.
        address: String,
        /// What ZeroMQ said.
        source: zmq::Error,
    },
    /// The system gave no random numbers.
    #[error("cannot draw a random number: {0}")]
    Random(#[source] std::io::Error),
    /// The keys that the environment names cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
}

/// A session with a server.
pub struct Client {
    address: String,
    options: ClientOptions,
    socket: zmq::Socket,
    header: Header,
    /// Bytes of an observation, and info columns.
    row: Option<(usize, usize)>,
    /// Where observations are, if not in the answers.
    shared: Option<SharedView>,
}

impl Client {
    /// Opens a session, with the keys that the environment names, if it does.
    ///
    /// # Errors
    /// [`ClientError`] if the server is not there or refuses.
    pub fn connect(address: &str, request: MakeRequest) -> Result<(Self, MakeReply), ClientError> {
        let curve = CurveClient::from_environment()?;
        Self::connect_with(address, ClientOptions { curve, ..ClientOptions::default() }, request)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`ClientError`] if the server is not there or refuses.
    pub fn connect_with(
        address: &str,
        options: ClientOptions,
        request: MakeRequest,
    ) -> Result<(Self, MakeReply), ClientError> {
        let host = if options.shared_memory { host_id() } else { None };
        let mut client = Self::without_session(address, options)?;
        // A name of its own, so that the request can be sent again.
        client.header.session = random().map_err(ClientError::Random)?;
        match client.ask(&Request::Make(MakeRequest { shared_memory_host: host, ..request }))? {
            Reply::Make(reply) => Ok((client, reply)),
            other => Err(Refusal::bad_message(format!("the answer to make was {other:?}")).into()),
        }
    }

    /// Reaches a server to ask what needs no session, `hello` and `metrics`. Whether anybody listens shows with the first
    /// question.
    ///
    /// # Errors
    /// [`ClientError::Socket`] if the address makes no sense.
    pub fn without_session(address: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let open = || {
            let socket = zmq::Context::new().socket(zmq::DEALER)?;
            socket.set_linger(0)?;
            if let Some(curve) = &options.curve {
                curve.secure(&socket)?;
            }
            socket.connect(address)?;
            Ok(socket)
        };
        let address = address.to_owned();
        let socket = open().map_err(|source| ClientError::Socket { address: address.clone(), source })?;
        Ok(Self { address, options, socket, header: Header::request(Op::Make), row: None, shared: None })
    }

    /// Whether observations come through shared memory.
    pub fn shares_memory(&self) -> bool {
        self.shared.is_some()
    }

    /// Lets later answers take so long.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = timeout;
    }

    /// Sends `request` and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError::Refused`] says why the server did not serve it, [`ClientError::NoAnswer`] that it did not answer
    /// in time; whether the request was carried out is not known then.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.header.seq += 1;
        let message = request.encode(self.header);
        let asked = Pending { op: request.op(), rows: self.rows(request), message };
        let deadline = Instant::now() + self.options.timeout;
        let mut malformed = 0;
        loop {
            let (header, reply) = self.exchange(&asked, deadline)?;
            match reply {
                Reply::Error(refusal) if refusal.code == ErrorCode::Busy && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(u64::from(refusal.retry_after_ms)));
                }
                Reply::Error(refusal)
                    if refusal.code == ErrorCode::BadMessage && malformed < MALFORMED_MAX =>
                {
                    malformed += 1;
                }
                // It was closed the first time, and the answer was lost.
                Reply::Error(refusal)
                    if refusal.code == ErrorCode::SessionLost && request.op() == Op::Close =>
                {
                    return Ok(Reply::Close);
                }
                Reply::Error(refusal) => return Err(refusal.into()),
                Reply::Make(reply) => {
                    self.begin(header, &reply);
                    return Ok(Reply::Make(reply));
                }
                Reply::Rows(rows) => return Ok(Reply::Rows(self.with_observations(rows))),
                reply => return Ok(reply),
            }
        }
    }

    /// Takes a new session up.
    fn begin(&mut self, header: Header, reply: &MakeReply) {
        let space = &reply.observation_space;
        let bytes = space.flat_len().saturating_mul(space.dtype().size());
        self.row = Some((bytes, reply.info_names.len()));
        // What cannot be opened is done without.
        let opened = reply.shared_memory.as_ref().and_then(|slots| SharedView::open(slots).ok());
        let fits = |view: &SharedView| view.slot_len() >= bytes.saturating_mul(header.num_envs as usize);
        self.shared = opened.filter(fits);
        let shared = self.shared.is_some();
        self.header = Header { seq: 0, reply: false, frames: 0, shared, ..header };
    }

    /// `rows` with their observations, wherever these are.
    fn with_observations(&self, mut rows: LaneRows) -> LaneRows {
        if let (true, Some(shared), Some((bytes, _))) = (rows.shared, &self.shared, self.row) {
            let slot = shared.slot(&rows.observations).unwrap_or_default();
            rows.observations = slot[..rows.rewards.len() * bytes].to_vec();
            rows.shared = false;
        }
        rows
    }

    /// Rows that the answer to `request` has.
    fn rows(&self, request: &Request) -> usize {
        match request {
            Request::Step { mask: Some(mask), .. } => mask.iter().filter(|stepped| **stepped).count(),
            _ => self.header.num_envs as usize,
        }
    }

    /// Sends until the answer comes.
    fn exchange(&self, asked: &Pending, deadline: Instant) -> Result<(Header, Reply), ClientError> {
        loop {
            let is_sent = match self.socket.send_multipart(&asked.message, zmq::DONTWAIT) {
                // A server that refused the keys leaves nobody to send to.
                Err(zmq::Error::EAGAIN) => false,
                sent => self.checked(sent).map(|()| true)?,
            };
            let silence = if is_sent { self.options.resend } else { SEND_AGAIN };
            let until = deadline.min(Instant::now() + silence);
            if let Some(answer) = self.answer(asked, until)? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                let (address, timeout) = (self.address.clone(), self.options.timeout);
                return Err(ClientError::NoAnswer { address, op: asked.op, timeout });
            }
        }
    }

    /// The answer to the request under way, if it comes in time. Anything else is passed over: answers to requests that
    /// were sent twice, and what was damaged on its way.
    fn answer(&self, asked: &Pending, until: Instant) -> Result<Option<(Header, Reply)>, ClientError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let ready = self.socket.poll(zmq::POLLIN, left.as_micros().div_ceil(1000) as i64);
            match ready {
                Ok(0) if left.is_zero() => return Ok(None),
                Ok(0) | Err(zmq::Error::EINTR) => continue,
                ready => self.checked(ready)?,
            };
            let parts = self.checked(self.socket.recv_multipart(0))?;
            let decoded =
                Header::decode(&parts).and_then(|header| Ok((header, Reply::decode(&header, &parts[1..])?)));
            match decoded {
                Ok((header, reply)) if self.is_answer(&header, asked.op) && self.is_whole(&reply, asked) => {
                    return Ok(Some((header, reply)));
                }
                // A server of another version cannot be understood, however often it is asked.
                Err(refusal) if refusal.code == ErrorCode::BadVersion => return Err(refusal.into()),
                _ => {}
            }
        }
    }

    fn is_answer(&self, header: &Header, op: Op) -> bool {
        let is_own = op == Op::Make || header.session == self.header.session;
        is_own && header.seq == self.header.seq && (header.op == op || header.op == Op::Error)
    }

    /// Whether rows are as many and as long as the request and the session's spaces say.
    fn is_whole(&self, reply: &Reply, asked: &Pending) -> bool {
        let (Reply::Rows(rows), Some((bytes, columns))) = (reply, self.row) else { return true };
        let seen = if rows.shared { size_of::<u32>() } else { asked.rows.saturating_mul(bytes) };
        (rows.observations.len(), rows.rewards.len(), rows.info_values.len())
            == (seen, asked.rows, asked.rows.saturating_mul(columns))
            && (!rows.shared
                || self.shared.as_ref().is_some_and(|shared| shared.slot(&rows.observations).is_some()))
    }

    fn checked<T>(&self, result: Result<T, zmq::Error>) -> Result<T, ClientError> {
        result.map_err(|source| ClientError::Socket { address: self.address.clone(), source })
    }
}

/// A request that is to be answered.
struct Pending {
    op: Op,
    /// Rows that its answer has, if it has any.
    rows: usize,
    message: Parts,
}
