//! Many clients on one thread, each with a session and a socket of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use worldstep_env::Rng;

use crate::client::ClientError;
use crate::random::random;
use crate::security::CurveClient;
use crate::shared_memory::{SharedView, host_id};
use crate::wire::{Header, MakeReply, MakeRequest, Op, Refusal, Reply, Request, bytes_from_buffer};

/// Sockets of one ZeroMQ context; it allows 1,023.
const SOCKETS_PER_CONTEXT: usize = 256;
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// How a swarm reaches its server.
#[derive(Clone)]
pub struct Reach {
    /// The server.
    pub address: String,
    /// Takes observations from shared memory.
    pub shared: bool,
    /// Keys, for a server that asks for them.
    pub curve: Option<CurveClient>,
}

/// Clients that step in rounds: all of them send, then all of them get their answers.
pub struct Swarm {
    clients: Vec<Member>,
    address: String,
    num_envs: usize,
    /// Copies shared observations, as a client does who keeps them; one that only looks at them need not.
    pub keeps: bool,
    kept: Vec<u8>,
    round_trips_ms: Vec<f64>,
}

struct Member {
    socket: zmq::Socket,
    header: Header,
    actions: Vec<u8>,
    shared: Option<SharedView>,
    sent: Instant,
}

impl Swarm {
    /// `count` clients with sessions as `request` says, reset.
    ///
    /// # Errors
    /// [`ClientError`] if the server refuses or does not answer.
    pub fn connect(reach: &Reach, request: &MakeRequest, count: usize) -> Result<Self, ClientError> {
        let (address, num_envs) = (reach.address.clone(), request.num_envs);
        let mut swarm = Self {
            clients: Vec::with_capacity(count),
            address,
            num_envs,
            keeps: true,
            kept: Vec::new(),
            round_trips_ms: Vec::new(),
        };
        let mut context = zmq::Context::new();
        for i in 0..count {
            if i % SOCKETS_PER_CONTEXT == 0 {
                context = zmq::Context::new();
            }
            let member = swarm.open(&context, reach, request, i as u64)?;
            swarm.clients.push(member);
        }
        let seeds = (0..num_envs).map(|seed| Some(seed as u64)).collect();
        swarm.round(&Request::Reset { seeds, mask: vec![true; num_envs], options: BTreeMap::new() })?;
        Ok(swarm)
    }

    /// Whether observations come through shared memory.
    pub fn shares_memory(&self) -> bool {
        self.clients.iter().all(|client| client.shared.is_some())
    }

    /// Steps for `time`: environment steps a second.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn env_steps_per_s(&mut self, time: Duration) -> Result<f64, ClientError> {
        let step = |client: &Member| Request::Step { actions: client.actions.clone(), mask: None };
        let steps: Vec<Request> = self.clients.iter().map(step).collect();
        for _ in 0..3 {
            self.rounds(&steps)?;
        }
        self.round_trips_ms.clear();
        let (start, mut taken) = (Instant::now(), 0);
        while start.elapsed() < time {
            self.rounds(&steps)?;
            taken += self.clients.len() * self.num_envs;
        }
        Ok(taken as f64 / start.elapsed().as_secs_f64())
    }

    /// Median and 99th percentile of the latest steps' round trips, milliseconds.
    pub fn round_trip_ms(&mut self) -> [f64; 2] {
        self.round_trips_ms.sort_by(f64::total_cmp);
        let last = self.round_trips_ms.len().saturating_sub(1) as f64;
        [0.5, 0.99]
            .map(|quantile| self.round_trips_ms.get((last * quantile) as usize).copied().unwrap_or(0.0))
    }

    /// Ends all sessions.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn close(mut self) -> Result<(), ClientError> {
        self.round(&Request::Close)
    }

    fn open(
        &self,
        context: &zmq::Context,
        reach: &Reach,
        request: &MakeRequest,
        seed: u64,
    ) -> Result<Member, ClientError> {
        let connect = || {
            let socket = context.socket(zmq::DEALER)?;
            socket.set_linger(0)?;
            socket.set_rcvtimeo(ANSWER_MAX.as_millis() as i32)?;
            if let Some(curve) = &reach.curve {
                curve.secure(&socket)?;
            }
            socket.connect(&reach.address)?;
            Ok(socket)
        };
        let socket = connect().map_err(|source| self.failed(source))?;
        let shared_memory_host = if reach.shared { host_id() } else { None };
        let make = Request::Make(MakeRequest { shared_memory_host, ..request.clone() });
        let session = random().map_err(ClientError::Random)?;
        let header = Header { session, seq: 1, ..Header::request(Op::Make) };
        socket.send_multipart(make.encode(header), 0).map_err(|source| self.failed(source))?;
        let parts = socket.recv_multipart(0).map_err(|source| self.failed(source))?;
        let made = Header::decode(&parts)?;
        let reply: MakeReply = match Reply::decode(&made, &parts[1..])? {
            Reply::Make(reply) => reply,
            Reply::Error(refusal) => return Err(refusal.into()),
            other => return Err(Refusal::bad_message(format!("the answer to make was {other:?}")).into()),
        };
        let shared = reply.shared_memory.as_ref().and_then(|slots| SharedView::open(slots).ok());
        let mut actions = reply.action_space.buffer(0);
        let mut rng = Rng::seed_from_u64(seed);
        (0..self.num_envs).for_each(|_| reply.action_space.sample(&mut rng, &mut actions));
        let header = Header { seq: 0, reply: false, frames: 0, shared: shared.is_some(), ..made };
        Ok(Member { socket, header, actions: bytes_from_buffer(&actions), shared, sent: Instant::now() })
    }

    fn round(&mut self, request: &Request) -> Result<(), ClientError> {
        let requests: Vec<_> = self.clients.iter().map(|_| request.clone()).collect();
        self.rounds(&requests)
    }

    fn rounds(&mut self, requests: &[Request]) -> Result<(), ClientError> {
        for (client, request) in self.clients.iter_mut().zip(requests) {
            client.header.seq += 1;
            client.sent = Instant::now();
            let sent = client.socket.send_multipart(request.encode(client.header), 0);
            if let Err(source) = sent {
                return Err(ClientError::Socket { address: self.address.clone(), source });
            }
        }
        for i in 0..self.clients.len() {
            let parts = self.clients[i].socket.recv_multipart(0).map_err(|source| self.failed(source))?;
            let client = &self.clients[i];
            let header = Header::decode(&parts)?;
            if header.op == Op::Error {
                return match Reply::decode(&header, &parts[1..])? {
                    Reply::Error(refusal) => Err(refusal.into()),
                    other => Err(Refusal::bad_message(format!("{other:?}")).into()),
                };
            }
            if let (true, Some(shared)) = (header.shared && self.keeps, &client.shared) {
                self.kept.clear();
                self.kept.extend_from_slice(shared.slot(&parts[1]).unwrap_or_default());
            }
            self.round_trips_ms.push(client.sent.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }

    fn failed(&self, source: zmq::Error) -> ClientError {
        ClientError::Socket { address: self.address.clone(), source }
    }
}
