use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use worldstep_env::{AutoresetMode, EnvError, make_truth};
use worldstep_model::device::ComputeDevice;

use super::bridge_peer::{PeerCase, Peers};
use super::carrier::{CARRY, Carriers, FORMS};
use super::dream::models_or_shipped;
use super::swarm::{Reach, Swarm};
use super::{Row, engine_error, env_steps_per_s, median, steps_row};
use crate::engines::Engines;
use crate::random::random;
use crate::security::{CurveClient, CurveServer, KeyPair};
use crate::wire::{Autoreset, Engine, MakeRequest, Observation};
use crate::{Limits, ServeOptions, serve};

/// The task of real engines.
const TASK: &str = "CartPole-v0";
/// Environments of the comparison with the engine in the same process.
const MANY: usize = 1024;
/// Turns of a comparison.
const ROUNDS: usize = 5;
/// Clients, and environments of each.
const CROWDS: [(usize, usize); 8] =
    [(1, 1), (1, 64), (1, MANY), (8, 1), (8, 128), (64, 1), (64, 16), (MANY, 1)];

/// What is measured and for how long.
#[derive(Clone, Debug)]
pub struct BridgeBench {
    /// Models behind the dream engine; the shipped ones if not given.
    pub models: Option<PathBuf>,
    /// For each row.
    pub time: Duration,
    /// A Python with the client, Gymnasium and EnvPool, to measure these too.
    pub peers: Option<PathBuf>,
    /// Parts that are measured, of [`PARTS`]; all if there is none.
    pub parts: Vec<String>,
}

/// Parts of the bench: the bridge alone, pixels in shared memory beside TCP, truth beside the same engine in this process,
/// a crowd beside one client, the dream.
pub const PARTS: [&str; 5] = ["carry", "pixels", "engine", "crowd", "dream"];

/// What messages go through.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Tcp,
    Ipc,
    /// Observations through shared memory, the rest through a Unix socket.
    Shm,
    TcpCurve,
    IpcCurve,
    ShmCurve,
}

impl Transport {
    const ALL: [Self; 6] = [Self::Tcp, Self::Ipc, Self::Shm, Self::TcpCurve, Self::IpcCurve, Self::ShmCurve];

    fn name(self) -> &'static str {
        match self {
            Self::Tcp | Self::TcpCurve => "tcp",
            Self::Ipc | Self::IpcCurve => "ipc",
            Self::Shm | Self::ShmCurve => "shm",
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Self::TcpCurve | Self::IpcCurve | Self::ShmCurve)
    }

    fn shares_memory(self) -> bool {
        matches!(self, Self::Shm | Self::ShmCurve)
    }
}

/// The bridge alone (an engine that computes nothing, every form of observation, transport and crowd of clients), truth
/// and dream behind it, and truth beside the same engine in this process. `show` gets each row as it is measured.
///
/// # Errors
/// [`EnvError::Engine`] if the server does not start or refuses.
pub fn bridge(asked: &BridgeBench, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    // A socket takes two descriptors, of which many systems give 1,024 at first.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let server = Server::start(&models_or_shipped(asked.models.as_deref())?)?;
    let mut rows = Vec::new();
    let mut add = |new: Vec<Row>| {
        new.iter().for_each(&mut *show);
        rows.extend(new);
    };
    let part = |name: &str| asked.parts.is_empty() || asked.parts.iter().any(|part| part == name);
    let ways = FORMS.into_iter().flat_map(|obs| Transport::ALL.map(|transport| (obs, transport)));
    let ways = ways.flat_map(|(obs, transport)| CROWDS.map(|crowd| (obs, transport, crowd)));
    for way in ways.filter(|way| part("carry") && is_asked(way.0, way.1, way.2)) {
        add(server.carried(way, asked.time)?);
    }
    if part("pixels") {
        add(server.pixel_ratio(asked.time)?);
    }
    let crowds = [(Transport::Tcp, (1, MANY)), (Transport::Ipc, (1, MANY)), (Transport::Ipc, (MANY, 1))];
    for (transport, crowd) in crowds.into_iter().filter(|_| part("engine")) {
        add(server.beside_engine(transport, crowd, asked.time)?);
    }
    if part("crowd") {
        add(server.crowd_ratio(asked.time)?);
    }
    for crowd in [(1, 64), (2, 32), (16, 4)].into_iter().filter(|_| part("dream")) {
        add(server.engine((Engine::Dream, Observation::Rgb), (Transport::Shm, crowd), asked.time)?);
    }
    if let Some(python) = &asked.peers {
        let mut peers = Peers::start(python)?;
        for case in PeerCase::all() {
            add(peers.turns(&server.tcp, &case, asked.time)?);
        }
    }
    Ok(rows)
}

/// All of state and pixels; of the other forms, what tells how they scale.
fn is_asked(obs: Observation, transport: Transport, crowd: (usize, usize)) -> bool {
    let all = matches!(obs, Observation::State | Observation::Rgb);
    let plain = matches!(transport, Transport::Tcp | Transport::Shm);
    all || (plain && matches!(crowd, (1, MANY) | (64, 16)))
}

/// A server on threads of its own, at four addresses: they are four servers, as each has one socket.
struct Server {
    tcp: String,
    ipc: String,
    tcp_curve: String,
    ipc_curve: String,
    client_keys: CurveClient,
    stop: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Server {
    fn start(models: &Path) -> Result<Self, EnvError> {
        let name = random().map_err(engine_error)?;
        let folder = std::env::temp_dir().join(format!("worldstep-bench-{name:032x}"));
        let clients = folder.join("clients");
        std::fs::create_dir_all(&clients).map_err(engine_error)?;
        for (folder, name) in [(&folder, "server"), (&clients, "client")] {
            KeyPair::generate().and_then(|pair| pair.write(folder, name)).map_err(engine_error)?;
        }
        let key = |folder: &Path, name: &str| folder.join(name);
        let keys = || CurveServer::load(&key(&folder, "server.key_secret"), &clients).map_err(engine_error);
        let client_keys = CurveClient::load(
            &key(&folder, "server.key").to_string_lossy(),
            &key(&clients, "client.key_secret"),
        )
        .map_err(engine_error)?;
        let stop = Arc::new(AtomicBool::new(false));
        let listen = |bind: &str, curve| listen(models, bind, curve, &stop);
        Ok(Self {
            tcp: listen("tcp://127.0.0.1:0", None)?,
            ipc: listen(&format!("ipc://{}", folder.join("socket").display()), None)?,
            tcp_curve: listen("tcp://127.0.0.1:0", Some(keys()?))?,
            ipc_curve: listen(&format!("ipc://{}", folder.join("encrypted").display()), Some(keys()?))?,
            client_keys,
            stop: Arc::clone(&stop),
            folder,
        })
    }

    fn reach(&self, transport: Transport) -> Reach {
        let address = match transport {
            Transport::Tcp => &self.tcp,
            Transport::Ipc | Transport::Shm => &self.ipc,
            Transport::TcpCurve => &self.tcp_curve,
            Transport::IpcCurve | Transport::ShmCurve => &self.ipc_curve,
        };
        Reach {
            address: address.clone(),
            shared: transport.shares_memory(),
            curve: transport.is_encrypted().then(|| self.client_keys.clone()),
        }
    }

    fn swarm(
        &self,
        (id, engine, obs): (&str, Engine, Observation),
        transport: Transport,
        (clients, num_envs): (usize, usize),
    ) -> Result<Swarm, EnvError> {
        let request = MakeRequest {
            id: id.to_owned(),
            engine,
            obs,
            num_envs,
            autoreset_mode: Autoreset::NextStep,
            temperature: None,
            randomisation: None,
            shared_memory_host: None,
            card: None,
        };
        Swarm::connect(&self.reach(transport), &request, clients).map_err(engine_error)
    }

    /// The way there and back alone.
    fn carried(
        &self,
        (obs, transport, crowd): (Observation, Transport, (usize, usize)),
        time: Duration,
    ) -> Result<Vec<Row>, EnvError> {
        let swarm = self.swarm((CARRY, Engine::Truth, obs), transport, crowd)?;
        // What is too small to be shared comes by the socket, and is measured as that already.
        if transport.shares_memory() && !swarm.shares_memory() {
            swarm.close().map_err(engine_error)?;
            return Ok(Vec::new());
        }
        measure(swarm, (CARRY, Engine::Truth, obs), (transport, crowd), time)
    }

    /// A real engine behind the bridge.
    fn engine(
        &self,
        (engine, obs): (Engine, Observation),
        (transport, crowd): (Transport, (usize, usize)),
        time: Duration,
    ) -> Result<Vec<Row>, EnvError> {
        let swarm = self.swarm((TASK, engine, obs), transport, crowd)?;
        measure(swarm, (TASK, engine, obs), (transport, crowd), time)
    }

    /// Pixels through shared memory, copied by the client or looked at where they are, beside pixels through TCP, in turns.
    fn pixel_ratio(&self, time: Duration) -> Result<Vec<Row>, EnvError> {
        let pixels = (CARRY, Engine::Truth, Observation::Rgb);
        let mut rows = Vec::new();
        for (crowd, keeps) in
            [(1, 64), (1, MANY)].into_iter().flat_map(|crowd| [(crowd, true), (crowd, false)])
        {
            let mut shared = self.swarm(pixels, Transport::Shm, crowd)?;
            shared.keeps = keeps;
            let mut sent = self.swarm(pixels, Transport::Tcp, crowd)?;
            let mut ratios = Vec::new();
            for _ in 0..ROUNDS {
                let rate =
                    |swarm: &mut Swarm| swarm.env_steps_per_s(time / ROUNDS as u32).map_err(engine_error);
                ratios.push(rate(&mut shared)? / rate(&mut sent)?);
            }
            shared.close().and(sent.close()).map_err(engine_error)?;
            let mut case = case(pixels, (Transport::Shm, crowd));
            case["copied"] = keeps.into();
            rows.push(times(case, "times_tcp", median(ratios)));
        }
        Ok(rows)
    }

    /// Truth through the bridge beside the same engine in this process, in turns.
    fn beside_engine(
        &self,
        transport: Transport,
        crowd: (usize, usize),
        time: Duration,
    ) -> Result<Vec<Row>, EnvError> {
        let truth = (TASK, Engine::Truth, Observation::State);
        let mut engine = make_truth(TASK, crowd.0 * crowd.1, AutoresetMode::NextStep)?;
        let mut swarm = self.swarm(truth, transport, crowd)?;
        let turn = time / ROUNDS as u32;
        let (mut alone, mut bridged, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let engine_rate = env_steps_per_s(&mut engine, turn)?;
            let rate = swarm.env_steps_per_s(turn).map_err(engine_error)?;
            alone.push(engine_rate);
            bridged.push(rate);
            shares.push(rate / engine_rate);
        }
        swarm.close().map_err(engine_error)?;
        let in_process = json!({
            "task": TASK, "engine": Engine::Truth, "obs": Observation::State, "envs": crowd.0 * crowd.1,
            "transport": "inprocess",
        });
        Ok(vec![
            steps_row(in_process, median(alone)),
            steps_row(case(truth, (transport, crowd)), median(bridged)),
            times(case(truth, (transport, crowd)), "share_of_inprocess", median(shares)),
        ])
    }

    /// Many clients of one environment beside one client with as many, in turns.
    fn crowd_ratio(&self, time: Duration) -> Result<Vec<Row>, EnvError> {
        let mut rows = Vec::new();
        for (id, obs) in [(TASK, Observation::State), (CARRY, Observation::Rgb)] {
            let kind = (id, Engine::Truth, obs);
            let mut many = self.swarm(kind, Transport::Ipc, (MANY, 1))?;
            let mut one = self.swarm(kind, Transport::Ipc, (1, MANY))?;
            let mut ratios = Vec::new();
            for _ in 0..ROUNDS {
                let rate =
                    |swarm: &mut Swarm| swarm.env_steps_per_s(time / ROUNDS as u32).map_err(engine_error);
                ratios.push(rate(&mut many)? / rate(&mut one)?);
            }
            many.close().and(one.close()).map_err(engine_error)?;
            rows.push(times(case(kind, (Transport::Ipc, (MANY, 1))), "share_of_one_client", median(ratios)));
        }
        Ok(rows)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn listen(
    models: &Path,
    bind: &str,
    curve: Option<CurveServer>,
    stop: &Arc<AtomicBool>,
) -> Result<String, EnvError> {
    let engines = Engines::new(Some(models.to_owned()), ComputeDevice::Cpu).map_err(engine_error)?;
    let options = ServeOptions {
        bind: bind.to_owned(),
        factory: Box::new(Carriers(engines)),
        limits: Limits { sessions_max: 4 * MANY, drain: Duration::ZERO, ..Limits::default() },
        curve,
        stop: Arc::clone(stop),
        board: None,
    };
    let (sender, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let told = sender.clone();
        let served = serve(options, move |info| drop(told.send(Ok(info.address.clone()))));
        if let Err(error) = served {
            let _ = sender.send(Err(error));
        }
    });
    ready.recv().map_err(engine_error)?.map_err(engine_error)
}

fn measure(
    mut swarm: Swarm,
    kind: (&str, Engine, Observation),
    way: (Transport, (usize, usize)),
    time: Duration,
) -> Result<Vec<Row>, EnvError> {
    let rate = swarm.env_steps_per_s(time).map_err(engine_error)?;
    let [p50, p99] = swarm.round_trip_ms();
    swarm.close().map_err(engine_error)?;
    let ms = |metric, value| Row { case: case(kind, way), metric, value, unit: "ms", peer: None };
    Ok(vec![steps_row(case(kind, way), rate), ms("round_trip_p50", p50), ms("round_trip_p99", p99)])
}

fn case(
    (task, engine, obs): (&str, Engine, Observation),
    (transport, (clients, num_envs)): (Transport, (usize, usize)),
) -> serde_json::Value {
    json!({
        "task": task, "engine": engine, "obs": obs, "envs": clients * num_envs, "clients": clients,
        "transport": transport.name(), "curve": transport.is_encrypted(),
    })
}

fn times(case: serde_json::Value, metric: &'static str, value: f64) -> Row {
    Row { case, metric, value, unit: "times", peer: None }
}
