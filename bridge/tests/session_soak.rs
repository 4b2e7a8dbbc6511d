//! A server that clients come to, step at, crash at and leave, for a long time: `make soak`, SOAK_MINUTES=10 of it. Every
//! answer is what an engine of the client's own gives, and the server holds no more in the end than in the beginning.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../fuzz/src/own_engine.rs"]
mod own_engine;
mod running;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use running::{Holds, RunningServer, TASK, figure, make_request, reset, rows, step};
use worldstep_bridge::MakeRequest;
use worldstep_bridge::client::{Client, ClientOptions};
use worldstep_bridge::wire::{Autoreset, Reply, Request, buffer_from_bytes};
use worldstep_env::{Rng, TruthVectorEnv, VectorEnv as _, make_truth};

/// Clients at a time.
const CLIENTS: u64 = 24;
/// Those among them that are killed, each in a process of its own.
const KILLED: u64 = 2;
const LEASE: Duration = Duration::from_secs(5);
const MODES: [Autoreset; 3] = [Autoreset::NextStep, Autoreset::SameStep, Autoreset::Disabled];
/// More environments than clients of one mode hold at any time, those of crashed ones included.
const CROWD: usize = 512;
/// Share of the time after which a server has seen everything once.
const WARM_UP: f64 = 0.2;
/// How much more a server may hold in the last tenth than in the first one after the warm-up, on average.
const MEMORY_GROWTH_MAX: f64 = (4 << 20) as f64;
const FILES_GROWTH_MAX: f64 = 16.0;
const THREADS_GROWTH_MAX: f64 = 4.0;
/// Names the server that the process is to step at until it is killed.
const ADDRESS: &str = "SOAK_ADDRESS";

/// What clients have done so far.
#[derive(Default)]
struct Tally {
    sessions: AtomicU64,
    crashes: AtomicU64,
    kills: AtomicU64,
    /// Answers that were compared.
    answers: AtomicU64,
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

/// A session and the engine that it should be like.
struct Visit {
    client: Client,
    env: TruthVectorEnv,
    mode: Autoreset,
    rng: Rng,
}

impl Visit {
    fn begin(address: &str, mut rng: Rng) -> Self {
        let num_envs = rng.random_range(1..6);
        let mode = MODES[rng.random_range(0..MODES.len())];
        let request = MakeRequest { autoreset_mode: mode, ..make_request(num_envs) };
        let options = ClientOptions { timeout: Duration::from_secs(20), ..ClientOptions::default() };
        let (client, _) = Client::connect_with(address, options, request).unwrap();
        let env = make_truth(TASK, num_envs, mode.of_engine()).unwrap();
        let mut visit = Self { client, env, mode, rng };
        let seed = visit.rng.random_range(0..1 << 40);
        visit.reset(&(0..num_envs as u64).map(|i| Some(seed + i)).collect::<Vec<_>>(), &vec![true; num_envs]);
        visit
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) {
        let request = Request::Reset { seeds: seeds.to_vec(), mask: mask.to_vec(), options: BTreeMap::new() };
        let told = rows(self.client.ask(&request).unwrap());
        self.env.reset(seeds, mask).unwrap();
        assert!(told.observations == own_engine::rows(&self.env).observations, "another reset than alone");
    }

    /// A step of all environments or of some, like the one that is taken here.
    fn step(&mut self) {
        let n = self.env.num_envs();
        let Request::Step { actions, .. } = step(n, self.rng.random_range(0..1000)) else { unreachable!() };
        let is_masked = self.rng.random_bool(0.3);
        let mask: Vec<_> = (0..n).map(|_| !is_masked || self.rng.random_bool(0.5)).collect();
        let request = Request::Step { actions: actions.clone(), mask: is_masked.then(|| mask.clone()) };
        let told = rows(self.client.ask(&request).unwrap());
        let actions = buffer_from_bytes(self.env.spec().action_space.dtype(), &actions).unwrap();
        let alone = own_engine::step(&mut self.env, self.mode, &actions, &mask).unwrap();
        assert!(told == alone, "{:?}: told {told:?}, alone {alone:?}", self.mode);
        let batch = self.env.batch();
        let ended: Vec<_> = (0..n).map(|i| batch.terminated[i] || batch.truncated[i]).collect();
        if self.mode == Autoreset::Disabled && ended.contains(&true) {
            self.reset(&vec![None; n], &ended);
        }
    }

    /// Saves, goes on, returns.
    fn return_to_a_state(&mut self) {
        let Reply::Save(states) = self.client.ask(&Request::Save).unwrap() else { panic!("not saved") };
        self.step();
        states.iter().enumerate().for_each(|(i, state)| self.env.load_lane(i, state).unwrap());
        let told = rows(self.client.ask(&Request::Load { states }).unwrap());
        assert!(told.observations == own_engine::rows(&self.env).observations, "another load than alone");
    }
}

/// One client after another, until `end`; half of them leave as they should.
fn come_and_go(address: &str, tally: &Tally, seed: u64, end: Instant) {
    let mut rng = Rng::seed_from_u64(seed);
    while Instant::now() < end {
        let mut visit = Visit::begin(address, Rng::seed_from_u64(rng.random_range(0..u64::MAX)));
        count(&tally.sessions);
        for t in 0..rng.random_range(1..120) {
            visit.step();
            count(&tally.answers);
            if t % 40 == 39 {
                visit.return_to_a_state();
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..20)));
        }
        match rng.random_range(0..4) {
            0 => drop(visit),
            1 => {
                // Gives up before the answer can be there.
                visit.client.set_timeout(Duration::ZERO);
                let _ = visit.client.ask(&step(visit.env.num_envs(), 0));
            }
            _ => {
                visit.client.ask(&Request::Close).unwrap();
                continue;
            }
        }
        count(&tally.crashes);
    }
}

/// Clients that are processes, and are killed wherever they are.
fn come_and_be_killed(address: &str, tally: &Tally, seed: u64, end: Instant) {
    let mut rng = Rng::seed_from_u64(seed);
    while Instant::now() < end {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "steps_until_it_is_killed"])
            .env(ADDRESS, address)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(rng.random_range(20..1000)));
        assert!(process.try_wait().unwrap().is_none(), "the client has ended by itself");
        process.kill().unwrap();
        process.wait().unwrap();
        count(&tally.kills);
    }
}

/// Lets the engines grow to more than clients will need: they keep the size that they once had, and each growth would be
/// a step in the server's memory.
fn crowd(address: &str) {
    let options = ClientOptions { timeout: Duration::from_secs(60), ..ClientOptions::default() };
    for mode in MODES {
        // The first one leaves without a word, and its lease keeps the engine until the clients are there.
        for num_envs in [1, CROWD] {
            let request = MakeRequest { autoreset_mode: mode, ..make_request(num_envs) };
            let (mut client, _) = Client::connect_with(address, options.clone(), request).unwrap();
            rows(client.ask(&reset(num_envs, 0)).unwrap());
            rows(client.ask(&step(num_envs, 0)).unwrap());
            if num_envs == CROWD {
                client.ask(&Request::Close).unwrap();
            }
        }
    }
}

/// What a server held at a time.
struct Sample {
    at: f64,
    sessions: u64,
    answers: u64,
    open: f64,
    grown: f64,
    holds: Holds,
}

impl Sample {
    fn take(server: &RunningServer, tally: &Tally, start: Instant) -> Self {
        Self {
            at: start.elapsed().as_secs_f64() / 60.0,
            sessions: tally.sessions.load(Ordering::Relaxed) + tally.kills.load(Ordering::Relaxed),
            answers: tally.answers.load(Ordering::Relaxed),
            open: figure(&server.address, "sessions"),
            grown: figure(&server.address, "pools_grown"),
            holds: server.holds(),
        }
    }

    fn print(&self) {
        let Holds { memory, files, threads, mappings, .. } = self.holds;
        println!(
            "{:>7.1} {:>9} {:>9} {:>6} {:>6} {:>10.1} {files:>6} {threads:>8} {mappings:>9}",
            self.at,
            self.sessions,
            self.answers,
            self.open,
            self.grown,
            memory as f64 / f64::from(1 << 20),
        );
    }
}

fn mean(samples: &[Sample], of: impl Fn(&Holds) -> f64) -> f64 {
    samples.iter().map(|sample| of(&sample.holds)).sum::<f64>() / samples.len() as f64
}

fn watch(server: &RunningServer, tally: &Tally, end: Instant) -> Vec<Sample> {
    let (start, every) = (Instant::now(), Duration::from_secs(2));
    println!("minutes  sessions   answers   open  grown memory MiB  files  threads  mappings");
    let mut samples: Vec<Sample> = Vec::new();
    let rows_at = (end - start).as_secs_f64() / 60.0 / 20.0;
    let mut printed = 0.0;
    while Instant::now() < end {
        let sample = Sample::take(server, tally, start);
        if sample.at >= printed {
            sample.print();
            printed += rows_at;
        }
        samples.push(sample);
        std::thread::sleep(every);
    }
    samples
}

fn assert_flat(samples: &[Sample]) {
    let warm = &samples[(samples.len() as f64 * WARM_UP) as usize..];
    let tenth = (warm.len() / 10).max(1);
    let (first, last) = (&warm[..tenth], &warm[warm.len() - tenth..]);
    let growth = |of: fn(&Holds) -> f64| mean(last, of) - mean(first, of);
    let memory = growth(|holds| holds.memory as f64);
    let (files, threads) = (growth(|holds| holds.files as f64), growth(|holds| holds.threads as f64));
    println!(
        "growth: memory {:+.2} MiB, files {files:+.1}, threads {threads:+.1}",
        memory / f64::from(1 << 20)
    );
    assert!(memory < MEMORY_GROWTH_MAX, "memory");
    assert!(files < FILES_GROWTH_MAX && threads < THREADS_GROWTH_MAX, "files or threads");
}

#[test]
#[ignore = "takes SOAK_MINUTES, 10 by default"]
fn sessions_come_and_go() {
    let minutes: f64 = std::env::var("SOAK_MINUTES").map_or(10.0, |minutes| minutes.parse().unwrap());
    let lease = LEASE.as_secs().to_string();
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", &lease, "--log", "warn"]);
    // What is made once stays: threads that engines share, for one.
    let mut first = Visit::begin(&server.address, Rng::seed_from_u64(0));
    (0..10).for_each(|_| first.step());
    first.client.ask(&Request::Close).unwrap();
    drop(first);
    std::thread::sleep(Duration::from_secs(1));
    let (tally, before) = (Tally::default(), server.holds());
    let end = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let address = &server.address;
    crowd(address);
    let samples = std::thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (run, tally) = (if seed < KILLED { come_and_be_killed } else { come_and_go }, &tally);
            scope.spawn(move || run(address, tally, seed, end));
        }
        watch(&server, &tally, end)
    });
    let deadline = Instant::now() + 3 * LEASE;
    let is_left = || ["sessions", "pools", "envs"].iter().any(|name| figure(address, name) != 0.0);
    let files_left = || server.open_files() > before.files || server.holds().threads > before.threads;
    while is_left() || files_left() {
        assert!(Instant::now() < deadline, "something is left: {:?}, before: {before:?}", server.holds());
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("before {before:?}");
    println!("after  {:?}", server.holds());
    let [sessions, crashes, kills, answers] =
        [&tally.sessions, &tally.crashes, &tally.kills, &tally.answers].map(|n| n.load(Ordering::Relaxed));
    println!("{sessions} sessions, {crashes} of them crashed; {kills} killed; {answers} answers compared");
    assert_eq!(figure(address, "engines_failed"), 0.0);
    assert!(sessions as f64 >= 100.0 * minutes, "{sessions} sessions are too few to say anything");
    assert_flat(&samples);
}

/// Not a test: what `come_and_be_killed` runs.
#[test]
#[ignore = "a client to be killed"]
fn steps_until_it_is_killed() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let (mut client, _) = Client::connect(&address, make_request(3)).unwrap();
    rows(client.ask(&reset(3, 0)).unwrap());
    for t in 0.. {
        rows(client.ask(&step(3, t)).unwrap());
    }
}
