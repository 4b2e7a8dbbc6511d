//! A server as its operator sees it: configuration, log, metrics endpoint, `worldstep top`, signals.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use worldstep_bridge::client::Client;
use worldstep_bridge::wire::Autoreset;
use worldstep_bridge::wire::{Reply, Request};
use worldstep_bridge::{Engine, MakeRequest, Observation};

const TASK: &str = "CartPole-v0";
const ENVS: usize = 3;

fn worldstep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worldstep"));
    command.env_remove("WORLDSTEP_LOG");
    command
}

/// A server that tells its log and its metrics; killed when dropped.
struct Server {
    process: Child,
    address: String,
    metrics: String,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let fixed =
            ["--bind", "tcp://127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json", "--log-format", "json"];
        let mut command = worldstep();
        command.arg("serve").args(fixed).args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self { process, address: String::new(), metrics: String::new(), log };
        server.metrics = text(&server.event("metrics endpoint")["address"]);
        server.address = text(&server.event("listening")["address"]);
        server
    }

    /// The next event with this name; those before it are passed over.
    fn event(&mut self, name: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ended before {name:?}");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    /// Waits until the endpoint's text holds `line`: figures are a quarter of a second old at most.
    fn await_metric(&self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.get("/metrics").lines().any(|said| said == line) {
            assert!(Instant::now() < deadline, "{line:?} is not in {}", self.get("/metrics"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn top(&self, flags: &[&str]) -> Output {
        let mut command = worldstep();
        command.args(["top", "--address", &self.address, "--interval", "0.2"]).args(flags);
        command.output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn make_request(num_envs: usize) -> MakeRequest {
    MakeRequest {
        id: TASK.to_owned(),
        engine: Engine::Truth,
        obs: Observation::State,
        num_envs,
        autoreset_mode: Autoreset::NextStep,
        temperature: None,
        randomisation: None,
        shared_memory_host: None,
        card: None,
    }
}

fn reset() -> Request {
    Request::Reset { seeds: vec![Some(1); ENVS], mask: vec![true; ENVS], options: BTreeMap::new() }
}

fn step(client: &mut Client) {
    let actions = vec![0; ENVS * size_of::<f32>()];
    let reply = client.ask(&Request::Step { actions, mask: None }).unwrap();
    assert!(matches!(reply, Reply::Rows(_)), "{reply:?}");
}

#[test]
fn log_metrics_and_top_tell_of_a_session() {
    let mut server = Server::start(&[]);
    server.await_metric("worldstep_sessions 0");
    assert!(server.get("/healthz").ends_with("ok\n"));
    let (mut client, _) = Client::connect(&server.address, make_request(ENVS)).unwrap();
    let opened = server.event("session opened");
    assert_eq!((&opened["task"], &opened["envs"]), (&TASK.into(), &ENVS.into()));
    client.ask(&reset()).unwrap();
    (0..10).for_each(|_| step(&mut client));
    let kind = format!("{{engine=\"truth\",task=\"{TASK}\",obs=\"state\"}}");
    server.await_metric(&format!("worldstep_env_steps_total{kind} {}", 10 * ENVS));
    server.await_metric(&format!("worldstep_pool_envs{kind} {ENVS}"));
    server.await_metric(&format!("worldstep_engine_call_seconds_count{kind} 10"));
    server.await_metric("worldstep_sessions 1");
    // Stdout is a pipe: one view, as with --once.
    for flags in [&["--once"][..], &[]] {
        let output = server.top(flags);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(&server.address), "{said}");
        assert!(said.contains("sessions 1 of 256") && !said.contains('\u{1b}'), "{said}");
        assert!(said.lines().any(|line| line.starts_with(TASK) && line.contains("truth")), "{said}");
    }
    let json: Value = serde_json::from_slice(&server.top(&["--json"]).stdout).unwrap();
    assert_eq!((&json["pools"][0]["task"], &json["pools"][0]["envs"]), (&TASK.into(), &3.0.into()));
    assert_eq!(json["total"]["batch_envs_p50"], 3.0);
    client.ask(&Request::Close).unwrap();
    assert_eq!(server.event("session closed")["session"], opened["session"]);
    server.await_metric("worldstep_sessions 0");
}

#[test]
fn a_limit_of_the_configuration_is_told_to_client_and_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    std::fs::write(&file, "max_envs = 8\nmax_sessions = 2\n").unwrap();
    let mut server = Server::start(&["--config", file.to_str().unwrap(), "--max-sessions", "3"]);
    server.await_metric("worldstep_envs_max 8");
    server.await_metric("worldstep_sessions_max 3");
    let _held = Client::connect(&server.address, make_request(6)).unwrap();
    let error = Client::connect(&server.address, make_request(3)).err().unwrap().to_string();
    assert!(error.contains("envs_total_max") && error.contains("at most 2"), "{error}");
    let hit = server.event("limit hit");
    assert_eq!((&hit["level"], &hit["code"]), (&"warn".into(), &"Limit".into()));
    assert!(text(&hit["reason"]).contains("envs_total_max"), "{hit}");
}

#[test]
fn both_signals_end_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(&[]);
        let _held = Client::connect(&server.address, make_request(ENVS)).unwrap();
        let pid = server.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        server.event("stopped");
        let status = server.process.wait().unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(TcpStream::connect(&server.metrics).is_err(), "the endpoint outlives its server");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_the_sessions() {
    let mut server = Server::start(&["--drain-s", "600"]);
    let _held = Client::connect(&server.address, make_request(ENVS)).unwrap();
    let pid = server.process.id().to_string();
    let kill = || assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    kill();
    server.event("draining");
    assert_eq!(server.process.try_wait().unwrap(), None, "it serves the session that it has");
    kill();
    assert_eq!(server.process.wait().unwrap().code(), Some(130));
}

#[test]
fn the_doctor_fails_if_something_needed_is_missing() {
    let doctor = |models: &str| {
        let output = worldstep().args(["doctor", "--json"]).env("WORLDSTEP_MODEL", models).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let part = |name: &str| {
            let findings = found["findings"].as_array().unwrap();
            findings.iter().find(|finding| finding["part"] == name).unwrap()["ok"] == true
        };
        assert!(part("processor") && part("renderer") && part("libzmq"), "{found}");
        (output.status.code(), part("weights"), String::from_utf8(output.stderr).unwrap())
    };
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/nano");
    assert_eq!(doctor(shipped).0, Some(0), "a GPU is not needed");
    let (code, weights, said) = doctor("/nowhere");
    assert_eq!((code, weights), (Some(1), false));
    assert!(said.contains("missing: weights"), "{said}");
}

#[test]
fn top_of_nobody_says_who_is_missing() {
    let output = worldstep().args(["top", "--once", "--address", "tcp://127.0.0.1:9"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(said.contains("tcp://127.0.0.1:9") && said.contains("worldstep serve"), "{said}");
}

#[test]
fn the_effective_configuration_is_a_configuration_file() {
    let print = |flags: &[&str]| {
        let output = worldstep().args(["serve", "--print-config"]).args(flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    let printed = print(&["--max-batch", "77", "--log", "debug"]);
    assert!(printed.contains("max_batch = 77\n") && printed.contains("log = \"debug\"\n"), "{printed}");
    std::fs::write(&file, &printed).unwrap();
    assert_eq!(print(&["--config", file.to_str().unwrap()]), printed);
}

#[test]
fn the_configuration_in_the_repository_is_valid() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/serve.toml");
    let output = worldstep().args(["serve", "--print-config", "--config", file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
