//! The sockets of the metrics endpoint: one thread, no blocking call, so that no peer can hold up another.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use thiserror::Error;

use super::{Board, http};

/// Connections at a time; one more ends the oldest.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(2);
/// Reads of one connection in one turn; who sends faster is not waiting for a reply.
const READS_PER_TURN: usize = 4;
/// How long to sleep at most: connections that could not be had (no descriptors left) are tried again then.
const TICK: Duration = Duration::from_secs(1);

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Why there is no metrics endpoint.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The address would let other machines in.
    #[error(
        "refusing to tell metrics on {address}: anyone who reaches it could read them; choose 127.0.0.1, or say --metrics-unprotected if the network is trusted"
    )]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot tell metrics on {address}: {source}; choose another address with --metrics")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A thread that answers `GET /metrics` and `GET /healthz`; it ends when this is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Starts to tell what hangs on `board`. Port 0 takes a free one. The endpoint has neither password nor encryption:
    /// an address that other machines can reach has to be asked for with `unprotected`.
    ///
    /// # Errors
    /// [`MetricsError`] if the address is not allowed or cannot be had.
    pub fn start(address: SocketAddr, unprotected: bool, board: Arc<Board>) -> Result<Self, MetricsError> {
        if !address.ip().is_loopback() && !unprotected {
            return Err(MetricsError::NotLoopback { address });
        }
        Self::listen(address, board).map_err(|source| MetricsError::Listen { address, source })
    }

    fn listen(address: SocketAddr, board: Arc<Board>) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut endpoint = Endpoint { poll, listener, board, connections: BTreeMap::new(), next: 0 };
        let stopped = Arc::clone(&stop);
        let run = move || endpoint.run(&stopped);
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(run)?;
        Ok(Self { address, stop, waker, thread: Some(thread) })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // If it cannot be woken, it looks again within a tick.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Endpoint {
    poll: Poll,
    listener: TcpListener,
    board: Arc<Board>,
    /// By number, hence by age.
    connections: BTreeMap<usize, Connection>,
    next: usize,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
    sent: usize,
    deadline: Instant,
}

impl Endpoint {
    fn run(&mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(CONNECTIONS_MAX);
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            let next = self.connections.values().next().map(|connection| connection.deadline);
            let left = next.map_or(TICK, |deadline| deadline.saturating_duration_since(now)).min(TICK);
            if let Err(error) = self.poll.poll(&mut events, Some(left))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "the metrics endpoint has ended");
                return;
            }
            self.accept();
            for event in &events {
                let id = event.token().0;
                let board = &self.board;
                if self.connections.get_mut(&id).is_some_and(|connection| !connection.advance(board)) {
                    self.connections.remove(&id);
                }
            }
            let now = Instant::now();
            self.connections.retain(|_, connection| connection.deadline > now);
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let id = self.next;
            self.next += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(id), interest).is_err() {
                continue;
            }
            if self.connections.len() == CONNECTIONS_MAX {
                self.connections.pop_first();
            }
            let deadline = Instant::now() + CONNECTION_TIME_MAX;
            let connection = Connection { stream, request: Vec::new(), reply: Vec::new(), sent: 0, deadline };
            self.connections.insert(id, connection);
        }
    }
}

impl Connection {
    /// Reads and writes as far as it goes without waiting; false when the connection is done with.
    fn advance(&mut self, board: &Board) -> bool {
        if self.reply.is_empty() {
            match self.receive() {
                Ok(true) => {}
                Ok(false) | Err(_) => return false,
            }
            match http::reply(&self.request, board) {
                Some(reply) => self.reply = reply,
                None => return true,
            }
        }
        self.send().is_ok() && (self.sent < self.reply.len() || self.drain())
    }

    /// Takes what has come of the request; false at its end.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 2048];
        while self.request.len() < http::REQUEST_BYTES_MAX {
            let room = buffer.len().min(http::REQUEST_BYTES_MAX - self.request.len());
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.request.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.reply.len() {
            match self.stream.write(&self.reply[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Waits for the peer to close: closing first, with bytes of it unread, would reset the connection and lose the
    /// reply.
    fn drain(&mut self) -> bool {
        let mut ignored = [0; 2048];
        for _ in 0..READS_PER_TURN {
            match self.stream.read(&mut ignored) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        false
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
