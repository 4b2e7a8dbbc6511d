//! A bad network between clients and a server: loses, doubles, delays (so that later messages overtake), and damages
//! messages, by a seeded schedule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use worldstep_bridge::wire::Parts;
use worldstep_env::Rng;

/// How often a message suffers what; the rest goes through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub drop: f64,
    pub duplicate: f64,
    pub delay: f64,
    pub truncate: f64,
    /// Longest delay.
    pub delay_max: Duration,
    /// Messages that go through before the first suffers: a session is opened by two.
    pub calm: u64,
    /// Messages that are lost at most.
    pub drops: u64,
}

/// Runs until it is dropped.
pub struct Proxy {
    pub address: String,
    stop: Arc<AtomicBool>,
    suffered: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Clients of `address` talk to `server`, as far as `faults` let them.
    pub fn start(server: &str, faults: Faults, seed: u64) -> Self {
        let context = zmq::Context::new();
        let front = context.socket(zmq::ROUTER).unwrap();
        front.set_linger(0).unwrap();
        front.bind("tcp://127.0.0.1:*").unwrap();
        let address = front.get_last_endpoint().unwrap().unwrap();
        let (stop, suffered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut network = Network {
            context,
            front,
            server: server.to_owned(),
            backs: BTreeMap::new(),
            faults,
            rng: Rng::seed_from_u64(seed),
            under_way: Vec::new(),
            seen: 0,
            suffered: Arc::clone(&suffered),
        };
        let raised = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !raised.load(Ordering::Acquire) {
                network.turn();
            }
        });
        Self { address, stop, suffered, thread: Some(thread) }
    }

    /// Messages that were lost, doubled, delayed or damaged.
    pub fn suffered(&self) -> u64 {
        self.suffered.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

struct Network {
    context: zmq::Context,
    front: zmq::Socket,
    server: String,
    /// One socket a client, so that the server tells them apart.
    backs: BTreeMap<Vec<u8>, zmq::Socket>,
    faults: Faults,
    rng: Rng,
    under_way: Vec<(Instant, Direction, Vec<u8>, Parts)>,
    seen: u64,
    suffered: Arc<AtomicU64>,
}

impl Network {
    fn turn(&mut self) {
        let sockets = std::iter::once(&self.front).chain(self.backs.values());
        let mut items: Vec<_> = sockets.map(|socket| socket.as_poll_item(zmq::POLLIN)).collect();
        zmq::poll(&mut items, 2).unwrap();
        while let Ok(mut parts) = self.front.recv_multipart(zmq::DONTWAIT) {
            let route = parts.remove(0);
            self.take(Direction::ToServer, route, parts);
        }
        let mut came = Vec::new();
        for (route, back) in &self.backs {
            while let Ok(parts) = back.recv_multipart(zmq::DONTWAIT) {
                came.push((route.clone(), parts));
            }
        }
        for (route, parts) in came {
            self.take(Direction::ToClient, route, parts);
        }
        let now = Instant::now();
        let due: Vec<_> = self.under_way.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, direction, route, parts) in due {
            self.pass(direction, &route, &parts);
        }
    }

    fn take(&mut self, direction: Direction, route: Vec<u8>, mut parts: Parts) {
        self.seen += 1;
        let mut at = Instant::now();
        if self.seen > self.faults.calm {
            let faults = self.faults;
            let mut strikes = |chance: f64| {
                let strikes = self.rng.random_bool(chance);
                self.suffered.fetch_add(u64::from(strikes), Ordering::Relaxed);
                strikes
            };
            if faults.drops > 0 && strikes(faults.drop) {
                self.faults.drops -= 1;
                return;
            }
            let is_late = strikes(faults.delay);
            if strikes(faults.duplicate) {
                self.under_way.push((at, direction, route.clone(), parts.clone()));
            }
            if strikes(faults.truncate) {
                let part = self.rng.random_range(0..parts.len());
                let length = parts[part].len();
                parts[part].truncate(self.rng.random_range(0..=length.saturating_sub(1)));
            }
            if is_late {
                at += faults.delay_max.mul_f64(self.rng.random_range(0.0..1.0));
            }
        }
        self.under_way.push((at, direction, route, parts));
    }

    fn pass(&mut self, direction: Direction, route: &[u8], parts: &Parts) {
        // A side that has gone loses its messages.
        let _ = match direction {
            Direction::ToServer => self.back(route).send_multipart(parts, zmq::DONTWAIT),
            Direction::ToClient => {
                let frames = std::iter::once(route).chain(parts.iter().map(Vec::as_slice));
                self.front.send_multipart(frames, zmq::DONTWAIT)
            }
        };
    }

    fn back(&mut self, route: &[u8]) -> &zmq::Socket {
        self.backs.entry(route.to_vec()).or_insert_with(|| {
            let back = self.context.socket(zmq::DEALER).unwrap();
            back.set_linger(0).unwrap();
            back.connect(&self.server).unwrap();
            back
        })
    }
}
