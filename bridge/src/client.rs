//! A client in Rust, as small as can be: one session, one request at a time.

use std::time::Duration;

use thiserror::Error;

use crate::wire::{Header, MakeReply, MakeRequest, Op, Refusal, Reply, Request};

/// How long an answer may take, if nothing else is said.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer took too long.
    #[error("no answer from {address} in {} s; is `worldstep serve` running there?", waited.as_secs_f64())]
    Silence {
        /// The server.
        address: String,
        /// How long an answer was waited for.
        waited: Duration,
    },
    /// The socket failed.
    #[error("cannot talk to {address}; expected tcp://HOST:PORT or ipc://PATH")]
    Socket {
        /// The server.
        address: String,
        /// What ZeroMQ said.
        source: zmq::Error,
    },
}

/// A session with a server.
pub struct Client {
    address: String,
    socket: zmq::Socket,
    answer_max: Duration,
    header: Header,
}

impl Client {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ClientError`] if the server is not there or refuses.
    pub fn connect(address: &str, request: MakeRequest) -> Result<(Self, MakeReply), ClientError> {
        let mut client = Self::without_session(address, ANSWER_MAX)?;
        match client.ask(&Request::Make(request))? {
            Reply::Make(reply) => Ok((client, reply)),
            other => Err(unexpected("make", &other).into()),
        }
    }

    /// Reaches a server to ask what needs no session, `hello` and `metrics`; answers may take `answer_max`. Whether
    /// anybody listens shows with the first question.
    ///
    /// # Errors
    /// [`ClientError::Socket`] if the address makes no sense.
    pub fn without_session(address: &str, answer_max: Duration) -> Result<Self, ClientError> {
        let open = || {
            let socket = zmq::Context::new().socket(zmq::DEALER)?;
            socket.set_linger(0)?;
            socket.set_rcvtimeo(answer_max.as_millis() as i32)?;
            socket.connect(address)?;
            Ok(socket)
        };
        let socket = open().map_err(|source| ClientError::Socket { address: address.to_owned(), source })?;
        Ok(Self { address: address.to_owned(), socket, answer_max, header: Header::request(Op::Make) })
    }

    /// Sends `request` and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError`] if the server refuses or does not answer in time.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.header.seq += 1;
        let exchange = || {
            self.socket.send_multipart(request.encode(self.header), 0)?;
            self.socket.recv_multipart(0)
        };
        let address = || self.address.clone();
        let parts = exchange().map_err(|source| match source {
            zmq::Error::EAGAIN => ClientError::Silence { address: address(), waited: self.answer_max },
            source => ClientError::Socket { address: address(), source },
        })?;
        let header = Header::decode(&parts)?;
        let reply = Reply::decode(&header, &parts[1..])?;
        match reply {
            Reply::Error(refusal) => Err(refusal.into()),
            Reply::Make(reply) => {
                self.header = Header { seq: 0, ..header };
                Ok(Reply::Make(reply))
            }
            reply => Ok(reply),
        }
    }
}

fn unexpected(asked: &str, got: &Reply) -> Refusal {
    Refusal::bad_message(format!("the answer to {asked} was {got:?}"))
}
