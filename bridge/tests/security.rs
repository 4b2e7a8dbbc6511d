//! Who may talk to a server with keys, on real sockets: those whose keys lie in its folder, and nobody else.
#![allow(clippy::unwrap_used)]

mod running;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use running::{RunningServer, make_request, reset, rows};
use worldstep_bridge::client::{Client, ClientError, ClientOptions};
use worldstep_bridge::security::{CurveClient, KeyPair};

const TIMEOUT: Duration = Duration::from_secs(2);

/// A folder with the server's keys, `clients/` and keys of clients beside it.
struct Keys {
    folder: tempfile::TempDir,
    server: KeyPair,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = KeyPair::generate().unwrap();
        server.write(folder.path(), "server").unwrap();
        std::fs::create_dir(folder.path().join("clients")).unwrap();
        Self { folder, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a client's keys and gives their public half.
    fn client(&self, name: &str) -> String {
        let pair = KeyPair::generate().unwrap();
        pair.write(self.folder.path(), name).unwrap();
        pair.public_text()
    }

    fn allow(&self, name: &str) {
        let file = format!("{name}.key");
        std::fs::copy(self.path(&file), self.path("clients").join(file)).unwrap();
    }

    fn serve(&self, bind: &str) -> RunningServer {
        let (secret, clients) = (self.path("server.key_secret"), self.path("clients"));
        let arguments =
            ["--curve-key", secret.to_str().unwrap(), "--allow-clients", clients.to_str().unwrap()];
        RunningServer::start(bind, &arguments)
    }

    fn of(&self, name: &str) -> CurveClient {
        let secret = self.path(&format!("{name}.key_secret"));
        CurveClient::load(&self.server.public_text(), &secret).unwrap()
    }
}

fn connect(address: &str, curve: Option<CurveClient>) -> Result<Client, ClientError> {
    let options = ClientOptions { timeout: TIMEOUT, curve, ..ClientOptions::default() };
    Client::connect_with(address, options, make_request(2)).map(|(client, _)| client)
}

/// Asserts that nobody answers, in bounded time, and that the error speaks of keys.
fn assert_no_answer(address: &str, curve: Option<CurveClient>) {
    let start = Instant::now();
    let Err(error) = connect(address, curve) else { panic!("served") };
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("key"), "{error}");
    assert!(start.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_known_key_is_served_and_an_unknown_one_refused_and_logged_once() {
    let keys = Keys::new();
    keys.client("known");
    keys.allow("known");
    let stranger = keys.client("stranger");
    let server = keys.serve("tcp://127.0.0.1:0");
    let mut client = connect(&server.address, Some(keys.of("known"))).unwrap();
    rows(client.ask(&reset(2, 0)).unwrap());
    // It tries again several times a second.
    assert_no_answer(&server.address, Some(keys.of("stranger")));
    let lines = server.said("refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("127.0.0.1") && lines[0].contains(&stranger[..8]), "{lines:?}");
    assert!(!lines[0].contains(&stranger), "the start of a key is enough");
    rows(client.ask(&reset(2, 0)).unwrap());
}

#[test]
fn a_client_without_keys_or_with_another_servers_key_gets_nothing() {
    let keys = Keys::new();
    keys.client("known");
    keys.allow("known");
    let server = keys.serve("tcp://127.0.0.1:0");
    assert_no_answer(&server.address, None);
    let other = KeyPair::generate().unwrap();
    let wrong = CurveClient::load(&other.public_text(), &keys.path("known.key_secret")).unwrap();
    assert_no_answer(&server.address, Some(wrong));
    let open = RunningServer::start("tcp://127.0.0.1:0", &[]);
    assert_no_answer(&open.address, Some(keys.of("known")));
    assert!(connect(&server.address, Some(keys.of("known"))).is_ok(), "the server lives on");
}

#[test]
fn keys_are_added_and_revoked_while_it_serves() {
    let keys = Keys::new();
    keys.client("first");
    keys.client("second");
    let server = keys.serve("tcp://127.0.0.1:0");
    assert_no_answer(&server.address, Some(keys.of("first")));
    keys.allow("first");
    std::thread::sleep(Duration::from_millis(1100));
    let client = connect(&server.address, Some(keys.of("first"))).unwrap();
    drop(client);
    std::fs::remove_file(keys.path("clients/first.key")).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert_no_answer(&server.address, Some(keys.of("first")));
    assert_no_answer(&server.address, Some(keys.of("second")));
}

#[test]
fn other_machines_are_let_in_with_keys_only() {
    let keys = Keys::new();
    keys.client("known");
    keys.allow("known");
    let server = keys.serve("tcp://0.0.0.0:0");
    let address = server.address.replace("0.0.0.0", "127.0.0.1");
    assert!(connect(&address, Some(keys.of("known"))).is_ok());
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_worldstep"))
        .args(["serve", "--bind", "tcp://0.0.0.0:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("worldstep keys") && said.contains("--curve-key"), "{said}");
}

#[test]
fn bytes_that_are_no_handshake_leave_it_serving() {
    use std::io::Write as _;
    let keys = Keys::new();
    keys.client("known");
    keys.allow("known");
    let server = keys.serve("tcp://127.0.0.1:0");
    let port = server.address.trim_start_matches("tcp://");
    // A ZMTP greeting for CURVE followed by garbage, HTTP, and silence.
    let mut greeting = [0; 64];
    (greeting[0], greeting[8], greeting[9], greeting[10]) = (0xff, 1, 0x7f, 3);
    greeting[12..17].copy_from_slice(b"CURVE");
    let garbage = [&greeting[..], &[0x04, 0xff], &[0x55; 255]].concat();
    let mut open = Vec::new();
    for bytes in [&garbage[..], b"GET / HTTP/1.1\r\n\r\n", b""] {
        let mut stream = std::net::TcpStream::connect(port).unwrap();
        stream.write_all(bytes).unwrap();
        open.push(stream);
    }
    assert!(connect(&server.address, Some(keys.of("known"))).is_ok());
}

#[test]
fn the_command_makes_keys_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_worldstep"))
            .args(["keys", "--out", folder.path().to_str().unwrap(), "--name", name, "--json"])
            .output()
            .unwrap()
    };
    let made = run("robot");
    assert!(made.status.success());
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let read = worldstep_bridge::security::read_public_key(&folder.path().join("robot.key")).unwrap();
    assert_eq!(made["public_key"].as_str().unwrap(), zmq::z85_encode(&read).unwrap());
    assert!(!made.to_string().contains("secret-key"));
    let again = run("robot");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists"));
    assert!(!run("../robot").status.success());
}

#[test]
fn a_server_with_half_of_its_keys_says_what_is_missing() {
    let keys = Keys::new();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_worldstep"))
            .args(["serve", "--bind", "tcp://127.0.0.1:0"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (public, secret) = (keys.path("server.key"), keys.path("server.key_secret"));
    let (public, secret) = (public.to_str().unwrap(), secret.to_str().unwrap());
    assert!(run(&["--curve-key", secret]).contains("--allow-clients"));
    assert!(run(&["--curve-key", public, "--allow-clients", "."]).contains("no secret key"));
    assert!(run(&["--curve-key", secret, "--allow-clients", "/nonexistent"]).contains("/nonexistent"));
}
