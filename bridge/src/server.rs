//! The socket: the one place that knows ZeroMQ and the clock.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, net};

use serde::Serialize;
use thiserror::Error;

use crate::engines::EngineFactory;
use crate::ops::{Board, events};
use crate::session::Route;
use crate::wire::{FRAMES_MAX, Parts};
use crate::{Limits, Service};

/// How long the server sleeps at most before it looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// Messages taken before replies go out.
const MESSAGES_PER_TURN: usize = 256;
/// Replies that wait for one slow peer before they are dropped; it can ask again.
const REPLIES_QUEUED_MAX: i32 = 64;

/// Where and how to serve.
pub struct ServeOptions {
    /// `tcp://127.0.0.1:7447`, `tcp://127.0.0.1:*` for any free port, or `ipc://path`.
    pub bind: String,
    /// Who makes the engines.
    pub factory: Box<dyn EngineFactory>,
    /// What is bounded.
    pub limits: Limits,
    /// Set to end the server.
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
        "refusing to listen on {address}: anyone who reaches it could use the server, and encryption is not supported yet; bind tcp://127.0.0.1:PORT and forward the port with `ssh -L`"
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
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] zmq::Error),
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
    let socket = listen(&context, &options.bind, &options.limits)?;
    let address = socket.get_last_endpoint()?.unwrap_or_else(|_| options.bind.clone());
    let mut service = Service::new(options.factory, options.limits, epoch, Box::new(random));
    events::listening(&address, epoch);
    on_ready(&ReadyInfo { address, epoch });
    let started = Instant::now();
    while !options.stop.load(Ordering::Acquire) {
        wait(&socket, service.deadline(), started.elapsed())?;
        for _ in 0..MESSAGES_PER_TURN {
            let Some((route, parts)) = receive(&socket)? else { break };
            service.handle(&route, &parts, started.elapsed());
        }
        service.advance(started.elapsed());
        if let Some(board) = &options.board {
            board.publish_if_due(|| service.snapshot());
        }
        for (route, parts) in service.take_outbox() {
            send(&socket, &route, &parts)?;
        }
    }
    events::stopped(service.sessions());
    Ok(())
}

fn listen(context: &zmq::Context, bind: &str, limits: &Limits) -> Result<zmq::Socket, ServeError> {
    check_address(bind)?;
    let socket = context.socket(zmq::ROUTER)?;
    socket.set_linger(0)?;
    socket.set_router_mandatory(true)?;
    socket.set_maxmsgsize(limits.frame_bytes_max as i64)?;
    socket.set_handshake_ivl(limits.handshake.as_millis() as i32)?;
    socket.set_sndhwm(REPLIES_QUEUED_MAX)?;
    let address = bind.to_owned();
    match socket.bind(bind) {
        Ok(()) => Ok(socket),
        Err(zmq::Error::EADDRINUSE) => Err(ServeError::AddressInUse { address }),
        Err(error) => Err(ServeError::Address { address, message: error.to_string() }),
    }
}

/// Only this machine may connect, and nobody's address is taken over.
fn check_address(bind: &str) -> Result<(), ServeError> {
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
    if host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()) {
        return Ok(());
    }
    Err(ServeError::NotLoopback { address })
}

fn is_socket(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    found.file_type().is_socket()
}

fn wait(socket: &zmq::Socket, deadline: Option<Duration>, now: Duration) -> Result<(), ServeError> {
    let left = deadline.map_or(TICK, |deadline| deadline.saturating_sub(now)).min(TICK);
    let timeout_ms = left.as_micros().div_ceil(1000) as i64;
    match socket.poll(zmq::POLLIN, timeout_ms) {
        Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
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

fn random() -> io::Result<u128> {
    use io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}
