//! The socket: the one place that knows ZeroMQ and the clock.

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, net};

use serde::Serialize;
use thiserror::Error;

use crate::engines::EngineFactory;
use crate::ops::{Board, events};
use crate::random::random;
use crate::security::{CurveServer, SecurityError};
use crate::session::Route;
use crate::wire::{FRAMES_MAX, Parts};
use crate::workshop::Threads;
use crate::{Limits, Service};

/// How long the server sleeps at most before it looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long a server that ends waits for what its engines have begun, and for its last replies to be read.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Messages taken before replies go out.
const MESSAGES_PER_TURN: usize = 256;
/// Replies that wait for one slow peer before they are dropped; it can ask again.
pub(crate) const REPLIES_QUEUED_MAX: i32 = 16;
/// Messages of one peer that wait to be taken.
const MESSAGES_QUEUED_MAX: i32 = 64;

/// Where and how to serve.
pub struct ServeOptions {
    /// `tcp://127.0.0.1:7447`, `tcp://127.0.0.1:*` for any free port, or `ipc://path`.
    pub bind: String,
    /// Who makes the engines.
    pub factory: Box<dyn EngineFactory>,
    /// What is bounded.
    pub limits: Limits,
    /// Keys of the server and of its clients; needed to be reached from other machines.
    pub curve: Option<CurveServer>,
    /// Set to end the server: it opens no more sessions, serves those that it has for [`Limits::drain`], and answers
    /// what it has begun.
    pub stop: Arc<AtomicBool>,
    /// Where figures are hung out for other threads.
    pub board: Option<Arc<Board>>,
}

/// What a server tells once it can be reached.
#[derive(Clone, Debug, Serialize)]
pub struct ReadyInfo {
    /// Where, with the port that was taken.
    pub address: String,
    /// Number of this run.
    pub epoch: u64,
}

/// Why a server did not start or stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Somebody listens there already.
    #[error(
        "{address} is in use: stop the server that listens there, or choose another address with --bind (tcp://127.0.0.1:0 takes a free port)"
    )]
    AddressInUse {
        /// The address asked for.
        address: String,
    },
    /// The address would let other machines in.
    #[error(
        "refusing to listen on {address}: anyone who reaches it could use the server; give it keys (make them with `worldstep keys --out keys --name server`, then add --curve-key keys/server.key_secret --allow-clients FOLDER_WITH_CLIENTS_KEY_FILES), or bind tcp://127.0.0.1:PORT and forward the port with `ssh -L`"
    )]
    NotLoopback {
        /// The address asked for.
        address: String,
    },
    /// The address makes no sense here.
    #[error("cannot listen on {address:?}: {message}; expected tcp://127.0.0.1:PORT or ipc://PATH")]
    Address {
        /// The address asked for.
        address: String,
        /// What is wrong with it.
        message: String,
    },
    /// The keys cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] zmq::Error),
    /// No pipe between threads.
    #[error("cannot make a pipe: {0}")]
    Pipe(#[source] io::Error),
    /// The system gave no random numbers.
    #[error("cannot draw random session tokens: {0}")]
    Random(#[source] io::Error),
}

/// Serves until `stop` is set. Calls `on_ready` once, when clients can connect.
///
/// # Errors
/// [`ServeError`] if the address cannot be had or the socket fails.
pub fn serve(options: ServeOptions, on_ready: impl FnOnce(&ReadyInfo)) -> Result<(), ServeError> {
    let epoch = random().map_err(ServeError::Random)? as u64;
    let context = zmq::Context::new();
    // Before the socket, so that it goes after it.
    let _doorkeeper = options.curve.as_ref().map(|curve| curve.doorkeeper(&context)).transpose()?;
    let socket = listen(&context, &options.bind, &options.limits, options.curve.as_ref())?;
    let address = socket.get_last_endpoint()?.unwrap_or_else(|_| options.bind.clone());
    let (wake, sleeper) = UnixStream::pair().map_err(ServeError::Pipe)?;
    wake.set_nonblocking(true).and(sleeper.set_nonblocking(true)).map_err(ServeError::Pipe)?;
    let (drain, engines_max) = (options.limits.drain, options.limits.sessions_max);
    let workshop = Box::new(Threads::new(engines_max, wake));
    let tokens = Box::new(random);
    let mut service = Service::with_workshop(options.factory, workshop, options.limits, (epoch, tokens));
    events::listening(&address, epoch);
    on_ready(&ReadyInfo { address, epoch });
    let mut turns = Turns { socket, sleeper, board: options.board, started: Instant::now() };
    while !options.stop.load(Ordering::Acquire) {
        turns.turn(&mut service)?;
    }
    events::draining(service.sessions());
    service.drain();
    let until = turns.started.elapsed() + drain;
    while !service.is_deserted() && turns.started.elapsed() < until {
        turns.turn(&mut service)?;
    }
    let until = turns.started.elapsed() + LAST_ANSWERS;
    while !service.is_quiet() && turns.started.elapsed() < until {
        turns.wait(&service)?;
        turns.advance(&mut service)?;
    }
    turns.socket.set_linger(LAST_ANSWERS.as_millis() as i32)?;
    service.end(LAST_ANSWERS);
    events::stopped(service.sessions());
    Ok(())
}

/// The socket thread: it takes messages, begins what they ask, and sends what engines have finished; it computes nothing.
struct Turns {
    socket: zmq::Socket,
    /// A byte comes for each job that an engine has finished.
    sleeper: UnixStream,
    board: Option<Arc<Board>>,
    started: Instant,
}

impl Turns {
    fn turn(&mut self, service: &mut Service) -> Result<(), ServeError> {
        self.wait(service)?;
        for _ in 0..MESSAGES_PER_TURN {
            let Some((route, parts)) = receive(&self.socket)? else { break };
            service.handle(&route, &parts, self.started.elapsed());
        }
        self.advance(service)
    }

    fn advance(&mut self, service: &mut Service) -> Result<(), ServeError> {
        service.advance(self.started.elapsed());
        if let Some(board) = &self.board {
            board.publish_if_due(|| service.snapshot());
        }
        for (route, parts) in service.take_outbox() {
            send(&self.socket, &route, &parts)?;
        }
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, service: &Service) -> Result<(), ServeError> {
        let now = self.started.elapsed();
        let left = service.deadline().map_or(TICK, |deadline| deadline.saturating_sub(now)).min(TICK);
        let timeout_ms = left.as_micros().div_ceil(1000) as i64;
        let fd = self.sleeper.as_raw_fd();
        let mut items = [self.socket.as_poll_item(zmq::POLLIN), zmq::PollItem::from_fd(fd, zmq::POLLIN)];
        match zmq::poll(&mut items, timeout_ms) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if items[1].is_readable() {
            // How many bytes there are says nothing: what is finished is asked for.
            let _ = self.sleeper.read(&mut [0; 256]);
        }
        Ok(())
    }
}

fn listen(
    context: &zmq::Context,
    bind: &str,
    limits: &Limits,
    curve: Option<&CurveServer>,
) -> Result<zmq::Socket, ServeError> {
    check_address(bind, curve.is_some())?;
    let socket = context.socket(zmq::ROUTER)?;
    socket.set_linger(0)?;
    socket.set_router_mandatory(true)?;
    socket.set_maxmsgsize(limits.frame_bytes_max as i64)?;
    socket.set_handshake_ivl(limits.handshake.as_millis() as i32)?;
    socket.set_sndhwm(REPLIES_QUEUED_MAX)?;
    socket.set_rcvhwm(MESSAGES_QUEUED_MAX)?;
    if let Some(curve) = curve {
        curve.secure(&socket)?;
    }
    let address = bind.to_owned();
    match socket.bind(bind) {
        Ok(()) => Ok(socket),
        Err(zmq::Error::EADDRINUSE) => Err(ServeError::AddressInUse { address }),
        Err(error) => Err(ServeError::Address { address, message: error.to_string() }),
    }
}

/// Only this machine may connect without keys, and nobody's address is taken over.
fn check_address(bind: &str, is_secured: bool) -> Result<(), ServeError> {
    let address = bind.to_owned();
    if let Some(path) = bind.strip_prefix("ipc://") {
        // libzmq would unlink the socket of a live server.
        return match UnixStream::connect(path) {
            Ok(_) => Err(ServeError::AddressInUse { address }),
            Err(_) if fs::metadata(path).is_ok_and(|found| !is_socket(&found)) => {
                Err(ServeError::Address { address, message: "the file exists and is no socket".to_owned() })
            }
            Err(_) => Ok(()),
        };
    }
    let Some((host, _port)) = bind.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')) else {
        return Err(ServeError::Address { address, message: "neither tcp nor ipc".to_owned() });
    };
    let ip = host.trim_matches(['[', ']']).parse::<net::IpAddr>();
    if is_secured || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()) {
        return Ok(());
    }
    Err(ServeError::NotLoopback { address })
}

fn is_socket(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    found.file_type().is_socket()
}

/// One message, if there is one; frames beyond the most that a message may have are dropped, which its header gives
/// away.
fn receive(socket: &zmq::Socket) -> Result<Option<(Route, Parts)>, ServeError> {
    let route = match socket.recv_bytes(zmq::DONTWAIT) {
        Ok(route) => route,
        Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut parts = Parts::new();
    while socket.get_rcvmore()? {
        let part = socket.recv_bytes(0)?;
        if parts.len() <= FRAMES_MAX {
            parts.push(part);
        }
    }
    Ok(Some((route, parts)))
}

/// A peer that has gone or does not read loses its reply; it can ask again with the same number.
fn send(socket: &zmq::Socket, route: &Route, parts: &Parts) -> Result<(), ServeError> {
    let frames = std::iter::once(route).chain(parts);
    match socket.send_multipart(frames, zmq::DONTWAIT) {
        Ok(()) | Err(zmq::Error::EHOSTUNREACH | zmq::Error::EAGAIN | zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
