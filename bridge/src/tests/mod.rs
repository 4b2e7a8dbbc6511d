//! Tests of the parts together: golden messages, malformed ones, sessions, merging, and the real socket.

#![allow(clippy::unwrap_used)]

mod containment;
mod counting;
mod golden;
mod malformed;
mod merging;
mod on_card;
#[path = "../../fuzz/src/own_engine.rs"]
mod own_engine;
mod properties;
mod protocol_page;
mod sessions;
mod socket;
mod threads;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use worldstep_env::{
    AutoresetMode, Batch, Buffer, EnvError, EnvSpec, InfoColumn, TruthVectorEnv, VectorEnv, make_truth,
};

use own_engine::rows;

use crate::wire::{
    Autoreset, CatalogueEntry, Engine, ErrorCode, Header, LaneRows, MakeReply, MakeRequest, Observation, Op,
    Parts, Refusal, Reply, Request, bytes_from_f32,
};
use crate::{EngineBytes, EngineFactory, Limits, Service};

const MS: Duration = Duration::from_millis(1);
const EPOCH: u64 = 7;
const TASK: &str = "CartPole-v0";

/// Truth for every engine; counts the calls, and lets the steps of a `dream` wait for one another.
#[derive(Clone, Default)]
struct TruthFactory {
    step_calls: Arc<AtomicUsize>,
    dream_panics: Arc<Mutex<Panics>>,
    /// Environments of a dream that fit; all do by default.
    dream_max: Option<usize>,
    /// Bytes that an environment is counted with.
    env_bytes: u64,
    /// Truth goes along with every second environment of a dream, and finds it 30 dB and so many as its lane away.
    dream_audited: bool,
}

/// When a dream engine panics.
#[derive(Clone, Copy, Default, PartialEq)]
enum Panics {
    #[default]
    Never,
    WhenMade,
    InReset,
    /// In the step that follows so many.
    AfterSteps(usize),
    InLoad,
    /// Never, but its reset fails.
    RefusesReset,
}

struct Counted {
    env: TruthVectorEnv,
    step_calls: Arc<AtomicUsize>,
    panics: Option<Arc<Mutex<Panics>>>,
    /// The batch with what an audit finds.
    audited: Option<Batch>,
}

impl Counted {
    fn panic_if(&self, when: impl Fn(Panics) -> bool) {
        let panics = self.panics.as_ref().map(|panics| *panics.lock().unwrap());
        assert!(!panics.is_some_and(when), "the driver has gone");
    }
}

impl EngineFactory for TruthFactory {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        let modes = vec![(Engine::Truth, Observation::State)];
        vec![CatalogueEntry { id: TASK.to_owned(), summary: "balance".to_owned(), modes }]
    }

    fn gains_by_waiting(&self, request: &MakeRequest) -> bool {
        request.engine == Engine::Dream
    }

    fn bytes(&self, _request: &MakeRequest) -> EngineBytes {
        EngineBytes { base: 0, env: self.env_bytes }
    }

    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        let max = self.dream_max.filter(|max| self.gains_by_waiting(request) && num_envs > *max);
        if let Some(max) = max {
            return Err(Refusal::new(ErrorCode::Limit, format!("{max} fit")));
        }
        let env = make_truth(&request.id, num_envs, request.autoreset_mode.of_engine())?;
        let panics = (request.engine == Engine::Dream).then(|| Arc::clone(&self.dream_panics));
        let audited = (self.dream_audited && self.gains_by_waiting(request)).then(|| env.batch().clone());
        let env = Counted { env, step_calls: Arc::clone(&self.step_calls), panics, audited };
        env.panic_if(|panics| panics == Panics::WhenMade);
        Ok(Box::new(env))
    }
}

impl VectorEnv for Counted {
    fn num_envs(&self) -> usize {
        self.env.num_envs()
    }

    fn spec(&self) -> &EnvSpec {
        self.env.spec()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.env.autoreset_mode()
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.panic_if(|panics| panics == Panics::InReset);
        if self.panics.as_ref().is_some_and(|panics| *panics.lock().unwrap() == Panics::RefusesReset) {
            return Err(EnvError::Engine { message: "no frame was drawn".to_owned() });
        }
        self.env.reset(seeds, mask)
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        let calls = self.step_calls.load(Ordering::Relaxed);
        self.panic_if(|panics| matches!(panics, Panics::AfterSteps(after) if calls >= after));
        self.env.step(actions, mask)?;
        let n = self.num_envs();
        if let Some(batch) = &mut self.audited {
            let values = (0..n).map(|lane| 30.0 + lane as f32).collect();
            let column = InfoColumn {
                name: "audit/psnr_db",
                values,
                mask: (0..n).map(|lane| lane % 2 == 0).collect(),
            };
            batch.clone_from(self.env.batch());
            batch.info.push(column);
        }
        self.step_calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn batch(&self) -> &Batch {
        self.audited.as_ref().unwrap_or_else(|| self.env.batch())
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.env.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.panic_if(|panics| panics == Panics::InLoad);
        self.env.load_lane(lane, bytes)
    }
}

/// A service on a clock that the test winds.
struct Bench {
    service: Service,
    step_calls: Arc<AtomicUsize>,
    dream_panics: Arc<Mutex<Panics>>,
    now: Duration,
}

/// One client's side of a session.
#[derive(Clone)]
struct Client {
    route: Vec<u8>,
    header: Header,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self::of(TruthFactory::default(), limits)
    }

    fn of(factory: TruthFactory, limits: Limits) -> Self {
        let step_calls = Arc::clone(&factory.step_calls);
        let dream_panics = Arc::clone(&factory.dream_panics);
        let mut token = 0;
        let tokens = Box::new(move || {
            token += 1;
            Ok(token)
        });
        let service = Service::new(Box::new(factory), limits, EPOCH, tokens);
        Self { service, step_calls, dream_panics, now: Duration::ZERO }
    }

    fn step_calls(&self) -> usize {
        self.step_calls.load(Ordering::Relaxed)
    }

    fn let_dreams_panic(&self, panics: Panics) {
        *self.dream_panics.lock().unwrap() = panics;
    }

    fn figure(&mut self, client: &mut Client, name: &str) -> f64 {
        let Reply::Metrics(figures) = self.ask(client, &Request::Metrics) else { panic!("no metrics") };
        figures.get(name).copied().unwrap_or(0.0)
    }

    /// Sends without waiting for the reply.
    fn send(&mut self, client: &mut Client, request: &Request) {
        client.header.seq += 1;
        self.resend(client, request);
    }

    /// Sends with the number of the request before.
    fn resend(&mut self, client: &Client, request: &Request) {
        self.service.handle(&client.route, &request.encode(client.header), self.now);
    }

    /// Lets `wait` pass and returns the replies with their routes.
    fn replies(&mut self, wait: Duration) -> Vec<(Vec<u8>, Header, Reply)> {
        self.now += wait;
        self.service.advance(self.now);
        let outbox = self.service.take_outbox();
        outbox.into_iter().map(|(route, parts)| (route, decode(&parts).0, decode(&parts).1)).collect()
    }

    fn ask(&mut self, client: &mut Client, request: &Request) -> Reply {
        self.send(client, request);
        let mut replies = self.replies(Limits::default().wait_max);
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0).2
    }

    fn open(&mut self, engine: Engine, num_envs: usize) -> Client {
        self.try_open(make_request(engine, num_envs)).unwrap()
    }

    fn try_open(&mut self, request: MakeRequest) -> Result<Client, Refusal> {
        let mut client =
            Client { route: vec![0, self.now.as_millis() as u8], header: Header::request(Op::Make) };
        self.send(&mut client, &Request::Make(request));
        let (_, header, reply) = self.replies(MS).remove(0);
        match reply {
            Reply::Make(_) => Ok(Client { header: Header { seq: 0, ..header }, ..client }),
            Reply::Error(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }
}

fn decode(parts: &Parts) -> (Header, Reply) {
    let header = Header::decode(parts).unwrap();
    (header, Reply::decode(&header, &parts[1..]).unwrap())
}

fn make_request(engine: Engine, num_envs: usize) -> MakeRequest {
    let autoreset_mode = Autoreset::NextStep;
    let (id, obs) = (TASK.to_owned(), Observation::State);
    MakeRequest {
        id,
        engine,
        obs,
        num_envs,
        autoreset_mode,
        temperature: None,
        randomisation: None,
        shared_memory_host: None,
        card: None,
    }
}

fn reset(num_envs: usize, seed: u64) -> Request {
    let seeds = (0..num_envs as u64).map(|i| Some(seed + i)).collect();
    Request::Reset { seeds, mask: vec![true; num_envs], options: BTreeMap::new() }
}

fn step(actions: &[f32]) -> Request {
    Request::Step { actions: bytes_from_f32(actions), mask: None }
}

fn code(reply: &Reply) -> Option<ErrorCode> {
    if let Reply::Error(refusal) = reply { Some(refusal.code) } else { None }
}

fn sample_make_reply() -> MakeReply {
    MakeReply {
        observation_space: worldstep_env::Space::image(2, 2, 3),
        action_space: worldstep_env::Space::Discrete { n: 3, start: 0 },
        max_episode_steps: 120,
        fps: 30,
        info_names: vec!["success".to_owned(), "reward/catch".to_owned()],
        lease_ms: 300_000,
        shared_memory: None,
        card: None,
        card_refused: None,
    }
}
