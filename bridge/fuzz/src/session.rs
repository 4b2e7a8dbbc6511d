//! Plays a scenario against the session machine, and holds every answer against the model's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use worldstep_bridge::on_card::StandIn;
use worldstep_bridge::session::Route;
use worldstep_bridge::shared_memory::host_id;
use worldstep_bridge::wire::{
    Autoreset, Engine, ErrorCode, Header, MakeRequest, Observation, Op, Parts, Reply, Request, bytes_from_f32,
};
use worldstep_bridge::{Limits, Service};

use crate::counting::{ACTION_MAX, CountingFactory, TASK};
use crate::live_bytes;
use crate::model::{Expected, Model};
use crate::scenario::{Ask, Operation, Scenario, Spoil};

const EPOCH: u64 = 7;
const CLIENTS: usize = 4;
const OPERATIONS_MAX: usize = 200;
const LEASE: Duration = Duration::from_millis(400);
const WAIT_MAX: Duration = Duration::from_millis(3);
const IDLE_AFTER: Duration = Duration::from_millis(20);
/// Names of requests to open a session; no token is as large.
const NONCES: u128 = 1 << 64;
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
    game.leave();
    assert!(game.model.sessions.is_empty());
    let figures = game.figures();
    assert_eq!((figures("sessions"), figures("pools")), (0.0, 0.0), "something outlives its lease");
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
    /// Messages to come before the service does what is due.
    held: u8,
    /// Requests to open a session so far: each has a number of its own.
    makes: u64,
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
            idle_after: IDLE_AFTER,
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
        Self { service, model, clients, is_polite, held: 0, makes: 0, now: Duration::ZERO }
    }

    fn play(&mut self, operation: &Operation) {
        match operation {
            Operation::Make { client, dream, num_envs, form, nonce } => {
                let engine = if *dream { Engine::Dream } else { Engine::Truth };
                let request = self.make_request(engine, *num_envs, *form);
                self.make(usize::from(*client) % CLIENTS, request, *nonce);
            }
            Operation::Hold(messages) => self.held = messages % 4,
            Operation::Ask { client, ask, spoil } => {
                let is_polite = self.is_polite && !matches!(spoil, Spoil::Shared);
                let spoil = if is_polite { Spoil::No } else { *spoil };
                self.ask(usize::from(*client) % CLIENTS, ask, spoil);
            }
            Operation::Run { client, action, steps, mask } => {
                self.run(usize::from(*client) % CLIENTS, *action, *steps, *mask);
            }
            Operation::Raw { parts } => {
                self.settle();
                self.send(0, &vec![9], parts);
            }
            Operation::Wait(250..) => self.leave(),
            Operation::Wait(ms @ 200..) => self.wait(Duration::from_millis(u64::from(*ms))),
            Operation::Wait(ms) => self.wait(Duration::from_millis(u64::from(ms % 8))),
        }
    }

    fn make_request(&self, engine: Engine, num_envs: u8, form: u8) -> MakeRequest {
        let mode = [Autoreset::NextStep, Autoreset::SameStep, Autoreset::Disabled][usize::from(form % 3)];
        // A few only are wide: they take longer.
        let is_wide = form / 3 % 4 == 3;
        MakeRequest {
            id: if num_envs == 239 { "Nothing-v0" } else { TASK }.to_owned(),
            engine,
            obs: if is_wide { Observation::Rgb } else { Observation::State },
            num_envs: self.count(num_envs),
            autoreset_mode: mode,
            // No temperature and one of 0 are the same.
            temperature: (form / 12 % 2 == 1).then_some(0.0),
            randomisation: None,
            shared_memory_host: if form / 24 % 2 == 1 { host_id() } else { None },
            card: (form / 48 % 2 == 1).then(|| StandIn::NAME.to_owned()),
        }
    }

    fn make(&mut self, client: usize, request: MakeRequest, nonce: u8) {
        let has_one = self.model.sessions.contains_key(&self.clients[client].header.session);
        if has_one && nonce / 8 % 8 != 7 {
            return;
        }
        self.makes += 1;
        let mut route = self.clients[client].route.clone();
        route.extend((nonce / 4 % 2 == 1).then_some(2));
        let own = NONCES + 4 * client as u128;
        let session = if nonce.is_multiple_of(4) { 0 } else { own + u128::from(nonce % 4) };
        let header = Header { seq: self.makes, session, ..Header::request(Op::Make) };
        let parts = Request::Make(request).encode(header);
        self.send(client, &route, &parts);
    }

    fn run(&mut self, client: usize, action: i8, steps: u8, mask: u8) {
        if steps >= 128 {
            self.ask(client, &Ask::Reset { mask: u8::MAX, seeded: mask, seed: 0 }, Spoil::No);
        }
        let step = if mask >= 128 { Ask::Step(action) } else { Ask::StepSome { action, mask } };
        for _ in 0..steps % 8 {
            self.ask(client, &step, Spoil::No);
            self.wait(WAIT_MAX);
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
            Spoil::Shared => header.shared = true,
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
        let expected = self.model.take(client, route, parts, now);
        self.service.handle(route, parts, now);
        let mut outbox = self.service.take_outbox();
        match expected {
            Expected::Admitted => {}
            Expected::Nothing => assert!(outbox.is_empty(), "a request that waits is answered by its repeat"),
            expected => {
                assert_eq!(outbox.len(), 1, "one answer to {parts:?}");
                let (to, answer) = outbox.remove(0);
                assert_eq!(to, *route);
                self.check(client, expected, &answer);
            }
        }
        self.take(outbox);
        match self.held {
            0 => self.settle(),
            _ => self.held -= 1,
        }
    }

    fn check(&mut self, client: usize, expected: Expected, answer: &Arc<Parts>) {
        let header = Header::decode(answer).unwrap();
        let reply = Reply::decode(&header, &answer[1..]).unwrap();
        match (expected, reply) {
            (Expected::Again(kept), reply) => {
                assert_eq!(**answer, kept, "a repeat is answered as before");
                if let Reply::Make(_) = reply {
                    self.clients[client].begin(header);
                }
            }
            (Expected::Refused(code), Reply::Error(refusal)) => {
                assert_eq!(refusal.code, code, "{refusal}");
                assert_eq!(refusal.retry_after_ms > 0, code == ErrorCode::Busy);
            }
            (Expected::Greeting, Reply::Hello(info)) => assert_eq!(info.epoch, EPOCH),
            (Expected::Figures, Reply::Metrics(figures)) => {
                let (sessions, opening) = (self.model.sessions.len(), self.model.opening.len());
                assert_eq!(figures["sessions"], sessions as f64);
                assert!(figures["pools"] <= (sessions + opening) as f64, "{figures:?}");
            }
            (_, reply) => panic!("unexpected: {reply:?}"),
        }
    }

    /// Lets every lease run out. Who waits for an answer does not lose the session: the first wait brings the answers.
    fn leave(&mut self) {
        self.wait(2 * LEASE);
        self.wait(2 * LEASE);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// Lets the service do what is due, and looks at what is left.
    fn settle(&mut self) {
        self.held = 0;
        self.service.advance(self.now);
        let outbox = self.service.take_outbox();
        self.take(outbox);
        self.model.expire(self.now);
        self.model.check(self.now);
        assert_eq!(self.service.sessions(), self.model.sessions.len());
        assert_eq!(self.service.deadline(), self.model.deadline(), "it wakes at another time than it should");
    }

    fn take(&mut self, outbox: Vec<(Route, Arc<Parts>)>) {
        for (route, parts) in outbox {
            let header = Header::decode(&parts).unwrap();
            if let Some(at) = self.model.opening(&header) {
                let client = self.model.conclude(at, &route, &parts, self.now);
                if header.op == Op::Make {
                    self.clients[client].begin(header);
                }
                continue;
            }
            self.model.answer(&route, &parts, self.now);
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

/// Now and then one that these engines do not have.
fn options(seed: u64) -> BTreeMap<String, f32> {
    if seed % 5 == 4 { BTreeMap::from([("difficulty".to_owned(), 0.5)]) } else { BTreeMap::new() }
}

impl Client {
    /// Takes up the session that `header` answers for.
    fn begin(&mut self, header: Header) {
        self.header = Header { seq: 0, reply: false, frames: 0, ..header };
    }

    fn request(&self, ask: &Ask) -> Request {
        let count = self.header.num_envs as usize;
        let bits = |byte: u8| (0..count).map(|i| byte & (1 << (i % 8)) != 0).collect::<Vec<_>>();
        let all = |action: f32| bytes_from_f32(&vec![action; count]);
        match ask {
            Ask::Reset { mask, seeded, seed } => {
                let seeds = bits(*seeded).into_iter().enumerate();
                let seeds = seeds.map(|(i, given)| given.then(|| seed.wrapping_add(i as u64))).collect();
                Request::Reset { seeds, mask: bits(*mask), options: options(*seed) }
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
