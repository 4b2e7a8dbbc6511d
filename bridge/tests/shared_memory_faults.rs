//! Observations in shared memory, and one of the two sides killed at any moment: the other holds nothing of it
//! afterwards. Server and clients are processes, with an engine that costs nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../src/tests/counting.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod counting;
mod running;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use counting::{CountingFactory, TASK, WIDE};
use rand::{RngExt as _, SeedableRng as _};
use running::{Holds, figure, make_request, reset, rows, step};
use worldstep_bridge::client::{Client, ClientError, ClientOptions};
use worldstep_bridge::wire::Request;
use worldstep_bridge::{Limits, MakeRequest, Observation, ServeOptions, serve, stop_when_stdin_closes};
use worldstep_env::Rng;

const ENVS: usize = 2;
const LEASE: Duration = Duration::from_secs(1);
/// Tells a process that it is one of those below, and to whom it is to talk.
const ADDRESS: &str = "WIDE_ADDRESS";
/// What a server may keep of sessions that have gone: allocators do not give everything back.
const MEMORY_GROWTH_MAX: u64 = 8 << 20;
const MAPPINGS_GROWTH_MAX: usize = 8;

/// One test at a time: what this process holds is looked at.
static ALONE: Mutex<()> = Mutex::new(());

/// This program once more, as the process `name`; killed when dropped.
struct Other {
    process: Child,
    /// What it has told once it was ready.
    told: String,
}

impl Other {
    fn start(name: &str, address: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", name])
            .env(ADDRESS, address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.find_map(|line| Some(line.split_once("ready ")?.1.to_owned()));
        Self { process, told: told.unwrap() }
    }

    fn holds(&self) -> Holds {
        Holds::of(self.process.id())
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wide(num_envs: usize) -> MakeRequest {
    MakeRequest { id: TASK.to_owned(), obs: Observation::Rgb, ..make_request(num_envs) }
}

fn connect(address: &str) -> Client {
    let options = ClientOptions {
        timeout: Duration::from_secs(2),
        resend: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let (mut client, _) = Client::connect_with(address, options, wide(ENVS)).unwrap();
    assert!(client.shares_memory(), "{ENVS} observations of {WIDE} numbers are enough");
    rows(client.ask(&reset(ENVS, 5)).unwrap());
    client
}

/// A step whose observations are what they have to be, or the error.
fn checked_step(client: &mut Client, t: usize) -> Result<(), ClientError> {
    let Request::Step { actions, .. } = step(ENVS, t) else { unreachable!() };
    let told = rows(client.ask(&step(ENVS, t))?);
    assert_eq!(told.observations.len(), ENVS * 4 * WIDE);
    for (i, row) in told.observations.chunks_exact(4 * WIDE).enumerate() {
        // Steps of the episode, steps in all, the action of this step, the seed; again and again.
        let numbers = row.as_chunks::<16>().0;
        assert!(numbers.iter().all(|group| *group == numbers[0]), "rows of two steps at once");
        let starts_anew = numbers[0][..4] == [0; 4];
        assert!(starts_anew || numbers[0][8..12] == actions[4 * i..4 * i + 4], "rows of another step");
    }
    Ok(())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + 10 * LEASE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_deserted(address: &str) -> bool {
    figure(address, "sessions") == 0.0 && figure(address, "pools") == 0.0
}

#[test]
fn a_server_holds_nothing_of_clients_that_were_killed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Other::start("a_server_of_wide_observations", "");
    let address = server.told.as_str();
    let mut rng = Rng::seed_from_u64(1);
    for _ in 0..12 {
        let mut clients: Vec<_> = (0..2).map(|_| Other::start("a_client_that_steps", address)).collect();
        std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
        assert!(server.holds().shared >= 2, "a file and its mapping for each that is there");
        clients.iter_mut().for_each(Other::kill);
    }
    wait_until("sessions outlive their lease", || is_deserted(address));
    wait_until("shared memory outlives its session", || server.holds().shared == 0);
}

#[test]
fn a_client_holds_nothing_of_a_server_that_was_killed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rng = Rng::seed_from_u64(2);
    for round in 0..6 {
        let mut server = Other::start("a_server_of_wide_observations", "");
        let mut client = connect(&server.told);
        let pause = Duration::from_millis(rng.random_range(0..30));
        let error = std::thread::scope(|scope| {
            let client = &mut client;
            let stepping = scope.spawn(move || (0..).find_map(|t| checked_step(client, t).err()).unwrap());
            std::thread::sleep(pause);
            server.kill();
            stepping.join().unwrap()
        });
        assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
        assert!(
            Holds::of(std::process::id()).shared >= 1,
            "round {round}: a client that is there still looks at it"
        );
        drop(client);
    }
    wait_until("a client holds memory of a server that has gone", || {
        Holds::of(std::process::id()).shared == 0
    });
}

#[test]
fn a_server_ends_where_it_began() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Other::start("a_server_of_wide_observations", "");
    let address = server.told.as_str();
    let visits = |count: usize| {
        for visit in 0..count {
            let mut client = connect(address);
            (0..visit % 7).for_each(|t| checked_step(&mut client, t).unwrap());
            if visit % 2 == 0 {
                client.ask(&Request::Close).unwrap();
            }
        }
        wait_until("sessions outlive their lease", || is_deserted(address));
        std::thread::sleep(Duration::from_millis(500));
        server.holds()
    };
    let before = visits(40);
    let after = visits(200);
    println!("before {before:?}\nafter  {after:?}");
    assert_eq!((before.shared, after.shared), (0, 0));
    assert!(after.memory < before.memory + MEMORY_GROWTH_MAX, "memory");
    assert!(after.files <= before.files && after.threads <= before.threads, "files or threads");
    assert!(after.mappings <= before.mappings + MAPPINGS_GROWTH_MAX, "mappings");
}

/// Not a test: the server of those above, which ends with them.
#[test]
#[ignore = "a process of the other tests"]
fn a_server_of_wide_observations() {
    if std::env::var(ADDRESS).is_err() {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    stop_when_stdin_closes(&stop).unwrap();
    let options = ServeOptions {
        bind: "tcp://127.0.0.1:*".to_owned(),
        factory: Box::new(CountingFactory),
        limits: Limits { lease: LEASE, drain: Duration::ZERO, ..Limits::default() },
        curve: None,
        stop,
        board: None,
    };
    serve(options, |ready| println!("ready {}", ready.address)).unwrap();
}

/// Not a test: a client of those above.
#[test]
#[ignore = "a process of the other tests"]
fn a_client_that_steps() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let mut client = connect(&address);
    println!("ready to be killed");
    for t in 0.. {
        checked_step(&mut client, t).unwrap();
    }
}
