//! A client in Rust, as small as can be: one session, one request at a time.
//!
//! Messages may be lost, come twice or come damaged. What is no answer to the request under way is passed over, and a
//! request that stays unanswered is sent again with its number: the server carries it out once.

use std::time::{Duration, Instant};

use thiserror::Error;
use worldstep_env::DType;

use crate::security::{CurveClient, SecurityError};
use crate::wire::{ErrorCode, Header, MakeReply, MakeRequest, Op, Parts, Refusal, Reply, Request};

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
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), resend: Duration::from_secs(5), curve: None }
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
        let mut client = Self { address, options, socket, header: Header::request(Op::Make), row: None };
        match client.ask(&Request::Make(request))? {
            Reply::Make(reply) => Ok((client, reply)),
            other => Err(Refusal::bad_message(format!("the answer to make was {other:?}")).into()),
        }
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
        let deadline = Instant::now() + self.options.timeout;
        let mut malformed = 0;
        loop {
            let (header, reply) = self.exchange(request.op(), &message, deadline)?;
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
                    self.header = Header { seq: 0, reply: false, frames: 0, ..header };
                    let space = &reply.observation_space;
                    let bytes = space.flat_len().saturating_mul(element_bytes(space.dtype()));
                    self.row = Some((bytes, reply.info_names.len()));
                    return Ok(Reply::Make(reply));
                }
                reply => return Ok(reply),
            }
        }
    }

    /// Sends until the answer comes.
    fn exchange(&self, op: Op, message: &Parts, deadline: Instant) -> Result<(Header, Reply), ClientError> {
        loop {
            let is_sent = match self.socket.send_multipart(message, zmq::DONTWAIT) {
                // A server that refused the keys leaves nobody to send to.
                Err(zmq::Error::EAGAIN) => false,
                sent => self.checked(sent).map(|()| true)?,
            };
            let silence = match op {
                _ if !is_sent => SEND_AGAIN,
                // Environments made twice would leave the first ones behind.
                Op::Make => self.options.timeout,
                _ => self.options.resend,
            };
            let until = deadline.min(Instant::now() + silence);
            if let Some(answer) = self.answer(op, until)? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                let (address, timeout) = (self.address.clone(), self.options.timeout);
                return Err(ClientError::NoAnswer { address, op, timeout });
            }
        }
    }

    /// The answer to the request under way, if it comes in time. Anything else is passed over: answers to requests that
    /// were sent twice, and what was damaged on its way.
    fn answer(&self, op: Op, until: Instant) -> Result<Option<(Header, Reply)>, ClientError> {
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
                Ok((header, reply)) if self.is_answer(&header, op) && self.is_whole(&reply) => {
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

    /// Whether rows are as long as the session's spaces say.
    fn is_whole(&self, reply: &Reply) -> bool {
        let (Reply::Rows(rows), Some((observation_bytes, columns))) = (reply, self.row) else { return true };
        let count = self.header.num_envs as usize;
        (rows.observations.len(), rows.rewards.len(), rows.info_values.len())
            == (count.saturating_mul(observation_bytes), count, count.saturating_mul(columns))
    }

    fn checked<T>(&self, result: Result<T, zmq::Error>) -> Result<T, ClientError> {
        result.map_err(|source| ClientError::Socket { address: self.address.clone(), source })
    }
}

fn element_bytes(dtype: DType) -> usize {
    match dtype {
        DType::Float32 => 4,
        DType::Uint8 => 1,
        DType::Int64 => 8,
    }
}
