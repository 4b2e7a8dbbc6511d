//! Clients and a real server with a bad network between them: what completes is bit for bit what the good network gives,
//! what cannot ends in a typed error in time, and the server ends where it began.
#![allow(clippy::unwrap_used)]

mod proxy;
mod running;

use std::time::{Duration, Instant};

use proxy::{Faults, Proxy};
use rand::{RngExt as _, SeedableRng as _};
use running::{Holds, RunningServer, figure, make_request, reset, rows, step};
use worldstep_bridge::ErrorCode;
use worldstep_bridge::client::{Client, ClientError, ClientOptions};
use worldstep_bridge::wire::{LaneRows, Reply, Request};

const ENVS: usize = 3;
const STEPS: usize = 40;
const TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer than its timeout a request may take on a machine that is busy.
const SLACK: Duration = Duration::from_secs(3);

const BAD: Faults = Faults {
    drop: 0.05,
    duplicate: 0.1,
    delay: 0.2,
    truncate: 0.01,
    delay_max: Duration::from_millis(120),
    calm: 2,
    drops: u64::MAX,
};

fn options() -> ClientOptions {
    ClientOptions { timeout: TIMEOUT, resend: Duration::from_millis(60), ..ClientOptions::default() }
}

/// Reset, steps, and a state that is saved, left and restored on the way.
fn roll_out(address: &str, close: bool) -> Result<Vec<LaneRows>, ClientError> {
    let (mut client, _) = Client::connect_with(address, options(), make_request(ENVS))?;
    let mut trajectory = vec![rows(client.ask(&reset(ENVS, 11))?)];
    let mut saved = Vec::new();
    for t in 0..STEPS {
        if t == STEPS / 2 {
            let Reply::Save(states) = client.ask(&Request::Save)? else { panic!("not saved") };
            saved = states;
        }
        trajectory.push(rows(client.ask(&step(ENVS, t))?));
    }
    trajectory.push(rows(client.ask(&Request::Load { states: saved })?));
    trajectory.push(rows(client.ask(&step(ENVS, STEPS / 2))?));
    if close {
        client.ask(&Request::Close)?;
    }
    Ok(trajectory)
}

/// The kinds of end that a client may meet on a bad network; anything else is a defect.
fn is_typed(error: &ClientError) -> bool {
    use ErrorCode::{BadAction, BadMessage, BadState, SessionLost};
    match error {
        ClientError::NoAnswer { .. } => true,
        ClientError::Refused(refusal) => {
            [BadAction, BadMessage, BadState, SessionLost].contains(&refusal.code)
        }
        _ => false,
    }
}

fn wait_until(what: &str, most: Duration, is_so: impl Fn() -> bool) {
    let end = Instant::now() + most;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_bad_network_changes_no_trajectory_and_leaves_nothing_behind() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", "4"]);
    let good = roll_out(&server.address, true).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = server.holds();
    let (mut completed, mut suffered) = (0, 0);
    for seed in 0..16 {
        // Every fourth network is bad before the session is open, too.
        let faults = if seed % 4 == 3 { Faults { calm: 0, ..BAD } } else { BAD };
        let proxy = Proxy::start(&server.address, faults, seed);
        let start = Instant::now();
        // Every other client goes without a word.
        match roll_out(&proxy.address, seed % 2 == 0) {
            Ok(trajectory) => {
                assert!(trajectory == good, "network {seed} has changed a trajectory");
                completed += 1;
            }
            Err(error) => assert!(is_typed(&error), "{error:?}"),
        }
        let most = TIMEOUT * (STEPS as u32 + 6) + SLACK;
        assert!(start.elapsed() < most, "{:?}", start.elapsed());
        suffered += proxy.suffered();
    }
    assert!(completed >= 8, "only {completed} of 16 completed");
    assert!(suffered >= 300, "only {suffered} messages suffered");
    wait_until("sessions outlive their lease", Duration::from_secs(10), || {
        figure(&server.address, "sessions") == 0.0 && figure(&server.address, "pools") == 0.0
    });
    ends_where_it_began(&server, &before);
    assert!(roll_out(&server.address, true).unwrap() == good);
}

/// Files and shared memory as before, and no more memory than an allocator keeps.
fn ends_where_it_began(server: &RunningServer, before: &Holds) {
    const KEPT: u64 = 16 << 20;
    wait_until("something is held still", Duration::from_secs(5), || {
        let now = server.holds();
        now.files <= before.files && now.shared <= before.shared && now.memory <= before.memory + KEPT
    });
}

/// A bad network, and clients on it that die between any two messages.
#[test]
fn clients_that_die_on_a_bad_network_change_nobody_elses_trajectory() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", "2"]);
    let good = roll_out(&server.address, true).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = server.holds();
    let proxy = Proxy::start(&server.address, Faults { truncate: 0.0, ..BAD }, 5);
    let mut rng = worldstep_env::Rng::seed_from_u64(6);
    std::thread::scope(|scope| {
        let lives =
            scope.spawn(|| (0..3).map(|_| roll_out(&server.address, true).unwrap()).collect::<Vec<_>>());
        for round in 0..12 {
            let connected = Client::connect_with(&proxy.address, options(), make_request(ENVS));
            let Ok((mut client, _)) = connected else { continue };
            let _ = client.ask(&reset(ENVS, round));
            for t in 0..rng.random_range(0..6) {
                let _ = client.ask(&step(ENVS, t));
            }
            // Dies with a request on its way.
            client.set_timeout(Duration::ZERO);
            let _ = client.ask(&step(ENVS, 0));
        }
        assert!(lives.join().unwrap().iter().all(|trajectory| *trajectory == good));
    });
    wait_until("sessions outlive their lease", Duration::from_secs(15), || {
        figure(&server.address, "sessions") == 0.0 && figure(&server.address, "pools") == 0.0
    });
    drop(proxy);
    ends_where_it_began(&server, &before);
}

#[test]
fn several_clients_on_bad_networks_do_not_mix_up() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", "4"]);
    let good = roll_out(&server.address, true).unwrap();
    let faults = Faults { truncate: 0.0, ..BAD };
    // One proxy for all: their messages overtake one another.
    let proxy = Proxy::start(&server.address, Faults { calm: 8, ..faults }, 77);
    let ends: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| roll_out(&proxy.address, true))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut completed = 0;
    for end in ends {
        match end {
            Ok(trajectory) => {
                assert!(trajectory == good);
                completed += 1;
            }
            Err(error) => assert!(is_typed(&error), "{error:?}"),
        }
    }
    assert!(completed >= 2, "{completed} of 4 completed");
}

#[test]
fn a_network_that_loses_everything_is_an_error_in_time() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", "1"]);
    let all = Faults { drop: 1.0, calm: 4, drops: u64::MAX, ..Faults::default() };
    let proxy = Proxy::start(&server.address, all, 0);
    let (mut client, _) = Client::connect_with(&proxy.address, options(), make_request(ENVS)).unwrap();
    rows(client.ask(&reset(ENVS, 0)).unwrap());
    let start = Instant::now();
    let error = client.ask(&step(ENVS, 0)).unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error:?}");
    assert!((TIMEOUT..TIMEOUT + SLACK).contains(&start.elapsed()), "{:?}", start.elapsed());
    wait_until("the session outlives its lease", Duration::from_secs(5), || {
        figure(&server.address, "sessions") == 0.0
    });
}

/// The server has closed the session and forgotten it, and the client does not know.
#[test]
fn a_close_whose_answer_is_lost_is_a_close() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &[]);
    // Six messages of opening, reset and step, the close, and its answer.
    let faults = Faults { drop: 1.0, calm: 7, drops: 1, ..Faults::default() };
    let proxy = Proxy::start(&server.address, faults, 0);
    let (mut client, _) = Client::connect_with(&proxy.address, options(), make_request(ENVS)).unwrap();
    rows(client.ask(&reset(ENVS, 0)).unwrap());
    rows(client.ask(&step(ENVS, 0)).unwrap());
    assert_eq!(client.ask(&Request::Close).unwrap(), Reply::Close);
    assert_eq!((proxy.suffered(), figure(&server.address, "sessions")), (1, 0.0));
}

/// The server dies between any two messages; another one takes its address.
#[test]
fn a_server_killed_at_any_point_is_a_lost_session_in_time() {
    let mut rng = worldstep_env::Rng::seed_from_u64(3);
    for _ in 0..4 {
        let mut server = RunningServer::start("tcp://127.0.0.1:0", &[]);
        let address = server.address.clone();
        let (mut client, _) = Client::connect_with(&address, options(), make_request(ENVS)).unwrap();
        rows(client.ask(&reset(ENVS, 0)).unwrap());
        let steps = rng.random_range(0..200);
        (0..steps).for_each(|t| drop(rows(client.ask(&step(ENVS, t)).unwrap())));
        let pause = Duration::from_millis(rng.random_range(0..20));
        let (error, took) = std::thread::scope(|scope| {
            let stepping = scope.spawn(move || {
                let start = Instant::now();
                loop {
                    let asked = Instant::now();
                    match client.ask(&step(ENVS, 0)) {
                        Ok(_) => assert!(start.elapsed() < Duration::from_secs(20), "it is dead"),
                        Err(error) => return (error, asked.elapsed()),
                    }
                }
            });
            std::thread::sleep(pause);
            server.kill();
            let next = RunningServer::start(&address, &[]);
            let end = stepping.join().unwrap();
            drop(next);
            end
        });
        assert!(took < TIMEOUT + SLACK, "{took:?}");
        let ClientError::Refused(refusal) = &error else { panic!("{error:?}") };
        assert_eq!(refusal.code, ErrorCode::SessionLost, "{refusal}");
    }
}

/// Clients die between any two messages, some with an answer under way.
#[test]
fn clients_that_die_at_any_point_leave_nothing_behind() {
    let server = RunningServer::start("tcp://127.0.0.1:0", &["--lease-s", "1"]);
    roll_out(&server.address, true).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let files_before = server.open_files();
    let mut rng = worldstep_env::Rng::seed_from_u64(4);
    for round in 0..40 {
        let (mut client, _) = Client::connect_with(&server.address, options(), make_request(ENVS)).unwrap();
        rows(client.ask(&reset(ENVS, round)).unwrap());
        (0..rng.random_range(0..5)).for_each(|t| drop(client.ask(&step(ENVS, t)).unwrap()));
        if rng.random_bool(0.5) {
            // Gives up before the answer can be there.
            client.set_timeout(Duration::ZERO);
            let _ = client.ask(&step(ENVS, 0));
        }
    }
    wait_until("sessions outlive their lease", Duration::from_secs(10), || {
        figure(&server.address, "sessions") == 0.0 && figure(&server.address, "pools") == 0.0
    });
    wait_until("files stay open", Duration::from_secs(5), || server.open_files() <= files_before);
}
