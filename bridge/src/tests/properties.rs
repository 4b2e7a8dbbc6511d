//! Whatever the pattern in which steps arrive: none is lost, repeated, reordered within its session, or starved.
//! The engine tells how often and with which action each environment was stepped, and the test winds the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{RngExt as _, SeedableRng as _};

use super::counting::{CountingFactory, EPISODE_STEPS, TASK};
use super::*;
use crate::session::Token;
use crate::wire::Parts;
use crate::worker::{Done, Job, PoolId, Worker};
use crate::workshop::{Inline, Workshop};

const PATTERNS: u64 = 400;
const TICKS: usize = 150;

/// One client, which sends up to `in_flight_max` steps ahead and now and then repeats one.
struct Stepper {
    route: Vec<u8>,
    header: Header,
    num_envs: usize,
    /// Chance of a new step in each tick.
    eagerness: f64,
    /// Unanswered steps: number, action, and when they were sent first.
    sent: VecDeque<(u64, f32, Duration)>,
    /// Steps that were answered.
    answered: u32,
}

/// Engines that take their time: what they have done is told some milliseconds later, on the test's clock.
struct Busy {
    engines: Inline,
    rng: worldstep_env::Rng,
    now: Arc<Mutex<Duration>>,
    job_max: u32,
    under_way: VecDeque<(Duration, (PoolId, Done))>,
}

impl Workshop for Busy {
    fn open(&mut self, id: PoolId, worker: Worker) -> std::io::Result<()> {
        self.engines.open(id, worker)
    }

    fn submit(&mut self, id: PoolId, job: Job) {
        assert!(self.under_way.iter().all(|(_, (other, _))| *other != id), "an engine has two jobs");
        self.engines.submit(id, job);
        let done = self.now.lock().unwrap().saturating_add(self.rng.random_range(0..=self.job_max) * MS);
        self.under_way.extend(self.engines.finished().map(|finished| (done, finished)));
    }

    fn close(&mut self, id: PoolId) {
        self.engines.close(id);
    }

    fn finished(&mut self) -> Option<(PoolId, Done)> {
        let now = *self.now.lock().unwrap();
        let next = self.under_way.iter().position(|(done, _)| *done <= now)?;
        self.under_way.remove(next).map(|(_, finished)| finished)
    }

    fn end(&mut self, patience: Duration) {
        self.engines.end(patience);
    }
}

struct Pattern {
    service: Service,
    /// The clock that engines see, and how long one of their jobs takes at most, milliseconds.
    clock: Arc<Mutex<Duration>>,
    job_max: u32,
    limits: Limits,
    rng: worldstep_env::Rng,
    now: Duration,
    steppers: BTreeMap<Token, Stepper>,
}

impl Pattern {
    /// Engines take up to `job_max` milliseconds for a job.
    fn new(seed: u64, job_max: u32) -> Self {
        let mut rng = worldstep_env::Rng::seed_from_u64(seed);
        let limits = Limits {
            batch_max: rng.random_range(1..12),
            wait_max: rng.random_range(0..6) * MS,
            envs_per_pool_max: 8,
            ..Limits::default()
        };
        let mut token = 0;
        let tokens = Box::new(move || {
            token += 1;
            Ok(token)
        });
        let clock = Arc::new(Mutex::new(Duration::ZERO));
        let busy = Busy {
            engines: Inline::default(),
            rng: worldstep_env::Rng::seed_from_u64(seed + 1),
            now: Arc::clone(&clock),
            job_max,
            under_way: VecDeque::new(),
        };
        let (factory, workshop) = (Box::new(CountingFactory), Box::new(busy));
        let service = Service::with_workshop(factory, workshop, limits.clone(), (EPOCH, tokens));
        let (now, steppers) = (Duration::ZERO, BTreeMap::new());
        let mut pattern = Self { service, clock, job_max, limits, rng, now, steppers };
        for i in 0..pattern.rng.random_range(1..6) {
            pattern.open(i);
        }
        pattern
    }

    fn open(&mut self, i: u8) {
        let engine = if self.rng.random_bool(0.8) { Engine::Dream } else { Engine::Truth };
        let num_envs = self.rng.random_range(1..5);
        let request = MakeRequest { id: TASK.to_owned(), ..make_request(engine, num_envs) };
        let route = vec![0, i];
        let header = Header { seq: 1, ..Header::request(Op::Make) };
        let made = self.answered(&route, &Request::Make(request).encode(header)).0;
        let header = Header { reply: false, seq: 1, frames: 0, ..made };
        assert!(matches!(self.answered(&route, &reset(num_envs, 0).encode(header)).1, Reply::Rows(_)));
        let eagerness = self.rng.random_range(0.02..1.0);
        let stepper = Stepper { route, header, num_envs, eagerness, sent: VecDeque::new(), answered: 0 };
        self.steppers.insert(made.session, stepper);
    }

    /// The answer to a request, when nothing else is under way.
    fn answered(&mut self, route: &Vec<u8>, parts: &Parts) -> (Header, Reply) {
        self.service.handle(route, parts, self.now);
        for _ in 0..=self.job_max {
            self.service.advance(self.now);
            if let Some((_, parts)) = self.service.take_outbox().first() {
                return decode(parts);
            }
            self.wind();
        }
        panic!("no answer")
    }

    /// Lets a millisecond pass.
    fn wind(&mut self) {
        self.now += MS;
        *self.clock.lock().unwrap() = self.now;
    }

    /// A millisecond in which clients send, repeat, and get answers.
    fn tick(&mut self) {
        let mut tokens: Vec<_> = self.steppers.keys().copied().collect();
        // They arrive in any order.
        let first = self.rng.random_range(0..tokens.len());
        tokens.rotate_left(first);
        for token in tokens {
            let stepper = self.steppers.get_mut(&token).unwrap();
            let is_free = stepper.sent.len() < self.limits.in_flight_max;
            if is_free && self.rng.random_bool(stepper.eagerness) {
                stepper.header.seq += 1;
                let action = self.rng.random_range(-90..90) as f32;
                stepper.sent.push_back((stepper.header.seq, action, self.now));
            } else if !self.rng.random_bool(0.3) {
                continue;
            }
            // The latest step, for the first time or again.
            let Some((seq, action, _)) = stepper.sent.back().copied() else { continue };
            let parts = step(&vec![action; stepper.num_envs]).encode(Header { seq, ..stepper.header });
            let route = stepper.route.clone();
            self.service.handle(&route, &parts, self.now);
            self.take_answers();
        }
        self.service.advance(self.now);
        self.take_answers();
        self.check_nobody_starves();
        self.wind();
    }

    fn take_answers(&mut self) {
        for (route, parts) in self.service.take_outbox() {
            self.take(&route, &parts);
        }
    }

    fn take(&mut self, route: &[u8], parts: &Parts) {
        let (header, reply) = decode(parts);
        let stepper = self.steppers.get_mut(&header.session).unwrap();
        assert_eq!(route, stepper.route);
        let (seq, action, _) = stepper.sent.pop_front().unwrap();
        assert_eq!(seq, header.seq, "reordered");
        let Reply::Rows(rows) = reply else { panic!("{reply:?}") };
        stepper.answered += 1;
        // Steps of the episode, steps in all, action, seed; an episode's end takes one answer without a step.
        let (episodes, in_episode) =
            (stepper.answered / (EPISODE_STEPS + 1), stepper.answered % (EPISODE_STEPS + 1));
        let stepped = (episodes * EPISODE_STEPS + in_episode) as f32;
        let action = if in_episode == 0 { 0.0 } else { action };
        for (i, row) in rows.observations.as_chunks::<16>().0.iter().enumerate() {
            let expected = bytes_from_f32(&[in_episode as f32, stepped, action, i as f32]);
            assert_eq!(row[..], expected, "environment {i} after {} answers", stepper.answered);
        }
    }

    /// No step is older than `wait_max` and what its engine needs for the jobs before it, of which each session has one,
    /// and one is under way; those of an engine whose sessions have all sent one do not wait at all.
    fn check_nobody_starves(&self) {
        let jobs = (self.limits.in_flight_max * self.steppers.len() + 1) as u32;
        let patience = self.limits.wait_max + jobs * self.job_max * MS;
        for stepper in self.steppers.values() {
            for (seq, _, at) in &stepper.sent {
                assert!(*at + patience > self.now, "step {seq} starves");
            }
        }
        let waiting = self.steppers.values().filter(|stepper| !stepper.sent.is_empty()).count();
        let at_once = self.job_max == 0;
        assert!(!at_once || waiting < self.steppers.len(), "all have sent and none is answered");
    }

    /// Nobody sends any more: everything is answered.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.service.advance(self.now);
            self.take_answers();
            if self.steppers.values().all(|stepper| stepper.sent.is_empty()) {
                return;
            }
            self.wind();
        }
    }
}

#[test]
fn no_step_is_lost_repeated_reordered_or_starved_in_any_pattern() {
    let mut answered = BTreeSet::new();
    for seed in 0..PATTERNS {
        // Half of them with engines that are busy when steps come.
        let job_max = if seed % 2 == 0 { 0 } else { 1 + (seed / 2 % 8) as u32 };
        let mut pattern = Pattern::new(seed, job_max);
        for _ in 0..TICKS {
            pattern.tick();
        }
        pattern.settle();
        for stepper in pattern.steppers.values() {
            assert!(stepper.sent.is_empty(), "lost: {:?} in pattern {seed}", stepper.sent);
            answered.insert(stepper.answered);
        }
    }
    assert!(answered.last().is_some_and(|most| *most > 100), "clients came to step: {answered:?}");
}

/// One client that is never there costs the others `wait_max` a step and no more.
#[test]
fn a_silent_client_holds_nobody_up_for_longer_than_the_wait() {
    let mut pattern = Pattern::new(0, 0);
    pattern.steppers.clear();
    pattern.limits.wait_max = 2 * MS;
    let limits = Limits { wait_max: 2 * MS, ..Limits::default() };
    pattern.service = Service::new(Box::new(CountingFactory), limits, EPOCH, {
        let mut token = 0;
        Box::new(move || {
            token += 1;
            Ok(token)
        })
    });
    (0..3).for_each(|i| pattern.open(i));
    let tokens: Vec<_> = pattern.steppers.keys().copied().collect();
    for (i, token) in tokens.iter().enumerate() {
        pattern.steppers.get_mut(token).unwrap().eagerness = if i == 0 { 0.0 } else { 1.0 };
    }
    for _ in 0..300 {
        pattern.tick();
    }
    for token in &tokens[1..] {
        assert!(pattern.steppers[token].answered >= 140, "{}", pattern.steppers[token].answered);
    }
    assert_eq!(pattern.steppers[&tokens[0]].answered, 0);
}
