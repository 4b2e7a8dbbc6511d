//! Plays a scenario against the session machine, and holds every answer against the model's.

use std::sync::Arc;
use std::time::Duration;

use worldstep_bridge::session::Route;
use worldstep_bridge::wire::{
    Engine, ErrorCode, Header, MakeRequest, Observation, Op, Parts, Reply, Request, bytes_from_f32,
};
use worldstep_bridge::{Limits, Service};
use worldstep_env::AutoresetMode;

use crate::counting::{ACTION_MAX, CountingFactory, TASK};
use crate::live_bytes;
use crate::model::{Expected, Model};
use crate::scenario::{Ask, Operation, Scenario, Spoil};

const EPOCH: u64 = 7;
const CLIENTS: usize = 4;
const OPERATIONS_MAX: usize = 200;
const LEASE: Duration = Duration::from_millis(400);
const WAIT_MAX: Duration = Duration::from_millis(3);
/// What an idle service may hold beyond a fresh one: samples of its metrics, and vectors that keep their room.
const IDLE_BYTES_MAX: usize = 256 << 10;

/// Plays `scenario`, then lets every lease run out.
///
/// # Panics
/// If the service panics, answers other than it has to, or does not let go of what it held.
pub fn play(scenario: &Scenario) {
    let mut game = Game::new(scenario);
    let fresh_bytes = live_bytes();
    for operation in scenario.operations.iter().take(OPERATIONS_MAX) {
        game.play(operation);
    }
    game.wait(2 * LEASE);
    assert!(game.model.sessions.is_empty());
    let figures = game.figures();
    assert_eq!((figures("sessions"), figures("pools")), (0.0, 0.0), "something outlives its lease");
    assert!(game.service.deadline().is_none(), "an idle service waits for nothing");
    // The harness itself holds some bytes; clients and model are emptied first.
    game.clients.clear();
    let held = live_bytes().saturating_sub(fresh_bytes);
    assert!(held <= IDLE_BYTES_MAX, "{held} bytes are held by an idle service");
}

struct Game {
    service: Service,
    model: Model,
    clients: Vec<Client>,
    is_polite: bool,
    now: Duration,
}

/// What a client knows.
#[derive(Clone)]
struct Client {
    route: Route,
    header: Header,
    latest: Option<Parts>,
    states: Vec<Vec<u8>>,
}

impl Game {
    fn new(scenario: &Scenario) -> Self {
        let limits = Limits {
            sessions_max: 1 + usize::from(scenario.sessions_max % 4),
            envs_per_session_max: 1 + usize::from(scenario.envs_per_session_max % 8),
            envs_per_pool_max: 16,
            batch_max: 1 + usize::from(scenario.batch_max % 16),
            lease: LEASE,
            wait_max: WAIT_MAX,
            ..Limits::default()
        };
        let mut token = 0;
        let tokens = Box::new(move || {
            token += 1;
            Ok(token)
        });
        let service = Service::new(Box::new(CountingFactory), limits.clone(), EPOCH, tokens);
        let client = |i| Client {
            route: vec![0, i as u8],
            header: Header::request(Op::Make),
            latest: None,
            states: Vec::new(),
        };
        let clients = (0..CLIENTS).map(client).collect();
        let (model, is_polite) = (Model::new(limits, EPOCH), scenario.is_polite);
        Self { service, model, clients, is_polite, now: Duration::ZERO }
    }

    fn play(&mut self, operation: &Operation) {
        match operation {
            Operation::Make { client, dream, num_envs, disabled } => {
                let request = MakeRequest {
                    id: TASK.to_owned(),
                    engine: if *dream { Engine::Dream } else { Engine::Truth },
                    obs: Observation::State,
                    num_envs: self.count(*num_envs),
                    autoreset_mode: if disabled % 4 == 3 {
                        AutoresetMode::Disabled
                    } else {
                        AutoresetMode::NextStep
                    },
                    temperature: None,
                    shared_memory_host: None,
                };
                let client = usize::from(*client) % CLIENTS;
                let parts = Request::Make(request).encode(Header { seq: 1, ..Header::request(Op::Make) });
                self.send(client, &self.clients[client].route.clone(), &parts);
            }
            Operation::Ask { client, ask, spoil } => {
                let spoil = if self.is_polite { Spoil::No } else { *spoil };
                self.ask(usize::from(*client) % CLIENTS, ask, spoil);
            }
            Operation::Raw { parts } => self.send(0, &vec![9], parts),
            Operation::Wait(ms) => self.wait(Duration::from_millis(u64::from(*ms))),
            Operation::Leave => self.wait(2 * LEASE),
        }
    }

    /// A number of environments, now and then one that is not allowed.
    fn count(&self, byte: u8) -> usize {
        let most = self.model.limits.envs_per_session_max;
        if byte >= 240 { usize::from(byte - 240) * most } else { 1 + usize::from(byte) % most }
    }

    fn ask(&mut self, i: usize, ask: &Ask, spoil: Spoil) {
        let client = &mut self.clients[i];
        let mut route = client.route.clone();
        client.header.seq = client.header.seq.wrapping_add(1);
        let mut header = client.header;
        let request = client.request(ask);
        match spoil {
            Spoil::Number(by) => header.seq = header.seq.wrapping_add_signed(i64::from(by)),
            Spoil::Epoch => header.epoch ^= 1,
            Spoil::Count(count) => header.num_envs = u32::from(count),
            Spoil::Stolen(other) => {
                let other = &self.clients[usize::from(other) % CLIENTS];
                header = Header { seq: other.header.seq + 1, ..other.header };
            }
            _ => {}
        }
        let mut parts = request.encode(header);
        match spoil {
            Spoil::Repeat => {
                route.push(1);
                let client = &mut self.clients[i];
                client.header.seq -= 1;
                parts = client.latest.clone().unwrap_or(parts);
            }
            Spoil::Byte { part, at, byte } => {
                let part = usize::from(part) % parts.len();
                let at = usize::from(at) % parts[part].len().max(1);
                parts[part].get_mut(at).into_iter().for_each(|slot| *slot = byte);
            }
            Spoil::Cut { part, at } => {
                let part = usize::from(part) % parts.len();
                let at = usize::from(at) % (parts[part].len() + 1);
                parts[part].truncate(at);
            }
            _ => {}
        }
        self.clients[i].latest = Some(parts.clone());
        self.send(i, &route, &parts);
    }

    /// Sends, and looks at what it brings about at once.
    fn send(&mut self, client: usize, route: &Route, parts: &[Vec<u8>]) {
        let now = self.now;
        let expected = self.model.take(route, parts, now);
        self.service.handle(route, parts, now);
        let mut outbox = self.service.take_outbox();
        match expected {
            Expected::Admitted => {}
            Expected::Nothing => assert!(outbox.is_empty(), "a request that waits is answered by its repeat"),
            expected => {
                assert_eq!(outbox.len(), 1, "one answer to {parts:?}");
                let (to, answer) = outbox.remove(0);
                assert_eq!(to, *route);
                self.check(client, expected, &answer, route);
            }
        }
        self.take(outbox);
    }

    fn check(&mut self, client: usize, expected: Expected, answer: &Arc<Parts>, route: &Route) {
        let header = Header::decode(answer).unwrap();
        let reply = Reply::decode(&header, &answer[1..]).unwrap();
        match (expected, reply) {
            (Expected::Again(kept), _) => assert_eq!(**answer, kept, "a repeat is answered as before"),
            (Expected::Refused(code), Reply::Error(refusal)) => {
                assert_eq!(refusal.code, code, "{refusal}");
                assert_eq!(refusal.retry_after_ms > 0, code == ErrorCode::Busy);
            }
            (Expected::Made(request), Reply::Make(_)) => {
                assert_eq!((header.epoch, header.num_envs as usize), (EPOCH, request.num_envs));
                self.model.open(header.session, route, &request, self.now);
                self.clients[client].header = Header { seq: 0, reply: false, frames: 0, ..header };
            }
            (Expected::Greeting, Reply::Hello(info)) => assert_eq!(info.epoch, EPOCH),
            (Expected::Figures, Reply::Metrics(figures)) => {
                assert_eq!(figures["sessions"], self.model.sessions.len() as f64);
                assert!(figures["pools"] <= figures["sessions"], "{figures:?}");
            }
            (_, reply) => panic!("unexpected: {reply:?}"),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.service.advance(self.now);
        let outbox = self.service.take_outbox();
        self.take(outbox);
        self.model.advance(self.now);
    }

    fn take(&mut self, outbox: Vec<(Route, Arc<Parts>)>) {
        for (route, parts) in outbox {
            self.model.answer(&route, &parts);
            let header = Header::decode(&parts).unwrap();
            if let Ok(Reply::Save(states)) = Reply::decode(&header, &parts[1..]) {
                let own = self.clients.iter_mut().filter(|client| client.header.session == header.session);
                own.for_each(|client| client.states.clone_from(&states));
            }
        }
    }

    fn figures(&mut self) -> impl Fn(&str) -> f64 + use<> {
        let parts = Request::Metrics.encode(Header::request(Op::Metrics));
        self.service.handle(&vec![9], &parts, self.now);
        let answer = self.service.take_outbox().remove(0).1;
        let header = Header::decode(&answer).unwrap();
        let Ok(Reply::Metrics(figures)) = Reply::decode(&header, &answer[1..]) else { panic!("no figures") };
        move |name| figures[name]
    }
}

impl Client {
    fn request(&self, ask: &Ask) -> Request {
        let count = self.header.num_envs as usize;
        let bits = |byte: u8| (0..count).map(|i| byte & (1 << (i % 8)) != 0).collect::<Vec<_>>();
        let all = |action: f32| bytes_from_f32(&vec![action; count]);
        match ask {
            Ask::Reset { mask, seeded, seed } => {
                let seeds = bits(*seeded).into_iter().enumerate();
                let seeds = seeds.map(|(i, given)| given.then(|| seed.wrapping_add(i as u64))).collect();
                Request::Reset { seeds, mask: bits(*mask) }
            }
            Ask::Step(action) => Request::Step { actions: all(within(*action)), mask: None },
            Ask::StepSome { action, mask } => {
                Request::Step { actions: all(within(*action)), mask: Some(bits(*mask)) }
            }
            Ask::StepBadly => Request::Step { actions: all(2.0 * ACTION_MAX), mask: None },
            Ask::Save => Request::Save,
            Ask::Load { damaged } => {
                let mut states = self.states.clone();
                states.resize(count, Vec::new());
                if let Some(state) = states.get_mut(usize::from(*damaged)) {
                    state.pop();
                }
                Request::Load { states }
            }
            Ask::Metrics => Request::Metrics,
            Ask::Close => Request::Close,
        }
    }
}

fn within(action: i8) -> f32 {
    f32::from(action).clamp(-ACTION_MAX, ACTION_MAX)
}
