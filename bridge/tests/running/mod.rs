//! The real server as a process of its own, for tests that reach it over a socket.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use worldstep_bridge::wire::{Header, LaneRows, Op, Reply, Request, bytes_from_f32};
use worldstep_bridge::{Engine, MakeRequest, Observation};

pub const TASK: &str = "CartPole-v0";

/// `worldstep serve` with further arguments; ends when it is dropped.
pub struct RunningServer {
    pub address: String,
    process: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl RunningServer {
    pub fn start(bind: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_worldstep"))
            .args(["serve", "--bind", bind, "--json", "--exit-with-stdin"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (process.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {:?}", said.lock().unwrap()));
        Self { address: ready["address"].as_str().unwrap().to_owned(), process, said }
    }

    /// Lines on its standard error that contain `text`.
    pub fn said(&self, text: &str) -> Vec<String> {
        let lines = self.said.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// File descriptors that it has open.
    pub fn open_files(&self) -> usize {
        self.holds().files
    }

    /// What it holds now.
    pub fn holds(&self) -> Holds {
        Holds::of(self.process.id())
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let end = Instant::now() + Duration::from_secs(5);
        while self.is_running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a process holds of the system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holds {
    /// Resident memory, bytes.
    pub memory: u64,
    /// File descriptors.
    pub files: usize,
    pub threads: usize,
    /// Memory mappings.
    pub mappings: usize,
    /// Files and mappings that are shared with clients.
    pub shared: usize,
}

impl Holds {
    /// Those of the process with this id.
    pub fn of(process: u32) -> Self {
        let at = |name: &str| std::path::PathBuf::from(format!("/proc/{process}/{name}"));
        let status = std::fs::read_to_string(at("status")).unwrap();
        let number = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let is_shared = |text: &str| text.contains("memfd:worldstep");
        let maps = std::fs::read_to_string(at("maps")).unwrap();
        let files: Vec<_> = std::fs::read_dir(at("fd")).unwrap().map(|file| file.unwrap().path()).collect();
        // A file may be closed while they are looked at.
        let targets = files.iter().filter_map(|file| std::fs::read_link(file).ok());
        let shared_files = targets.filter(|target| is_shared(&target.to_string_lossy())).count();
        Self {
            memory: number("VmRSS:") << 10,
            files: files.len(),
            threads: number("Threads:") as usize,
            mappings: maps.lines().count(),
            shared: shared_files + maps.lines().filter(|line| is_shared(line)).count(),
        }
    }
}

/// One figure of the server at `address`, asked on a socket of its own.
pub fn figure(address: &str, name: &str) -> f64 {
    let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(10_000).unwrap();
    socket.connect(address).unwrap();
    socket.send_multipart(Request::Metrics.encode(Header::request(Op::Metrics)), 0).unwrap();
    let parts = socket.recv_multipart(0).unwrap();
    let header = Header::decode(&parts).unwrap();
    let Reply::Metrics(figures) = Reply::decode(&header, &parts[1..]).unwrap() else { panic!("no metrics") };
    figures.get(name).copied().unwrap_or(0.0)
}

pub fn make_request(num_envs: usize) -> MakeRequest {
    MakeRequest {
        id: TASK.to_owned(),
        engine: Engine::Truth,
        obs: Observation::State,
        num_envs,
        autoreset_mode: worldstep_bridge::wire::Autoreset::NextStep,
        temperature: None,
        randomisation: None,
        shared_memory_host: None,
        card: None,
    }
}

pub fn reset(num_envs: usize, seed: u64) -> Request {
    let seeds = (0..num_envs as u64).map(|i| Some(seed + i)).collect();
    Request::Reset { seeds, mask: vec![true; num_envs], options: BTreeMap::new() }
}

pub fn step(num_envs: usize, t: usize) -> Request {
    let actions: Vec<_> = (0..num_envs).map(|i| ((t + i) as f32).sin()).collect();
    Request::Step { actions: bytes_from_f32(&actions), mask: None }
}

/// The rows of a reply.
pub fn rows(reply: Reply) -> LaneRows {
    if let Reply::Rows(rows) = reply { rows } else { panic!("no rows: {reply:?}") }
}
