//! The server with its engines on threads of their own, on a real socket and a real clock.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::counting::{CountingEnv, CountingFactory, TASK};
use super::*;
use crate::client::{Client as Remote, ClientError, ClientOptions};
use crate::{ServeError, ServeOptions, serve};

/// How long a dream's step takes; a truth's takes none.
const SLOW: Duration = Duration::from_millis(400);

/// Counting engines, of which those that dream are slow, and show as many more values as `padding` says.
struct SlowFactory;

struct SlowEnv(CountingEnv);

impl EngineFactory for SlowFactory {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        CountingFactory.catalogue()
    }

    fn gains_by_waiting(&self, request: &MakeRequest) -> bool {
        CountingFactory.gains_by_waiting(request)
    }

    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        if request.engine == Engine::Truth {
            return CountingFactory.make(request, num_envs);
        }
        std::thread::sleep(SLOW);
        Ok(Box::new(SlowEnv(CountingEnv::new(num_envs, request.autoreset_mode.of_engine(), request.obs))))
    }
}

impl VectorEnv for SlowEnv {
    fn num_envs(&self) -> usize {
        self.0.num_envs()
    }

    fn spec(&self) -> &EnvSpec {
        self.0.spec()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.0.autoreset_mode()
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.0.reset(seeds, mask)
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        std::thread::sleep(SLOW);
        self.0.step(actions, mask)
    }

    fn batch(&self) -> &Batch {
        self.0.batch()
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.0.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.0.load_lane(lane, bytes)
    }
}

struct Running {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

fn start(limits: Limits) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let options = ServeOptions {
        bind: "tcp://127.0.0.1:0".to_owned(),
        factory: Box::new(SlowFactory),
        limits,
        curve: None,
        stop: Arc::clone(&stop),
        board: None,
    };
    let (sender, receiver) = mpsc::channel();
    let thread =
        std::thread::spawn(move || serve(options, |ready| sender.send(ready.address.clone()).unwrap()));
    Running { address: receiver.recv().unwrap(), stop, thread: Some(thread) }
}

impl Running {
    fn connect(&self, engine: Engine, num_envs: usize) -> Result<Remote, ClientError> {
        let request = MakeRequest { id: TASK.to_owned(), ..make_request(engine, num_envs) };
        Remote::connect_with(&self.address, ClientOptions::default(), request).map(|(client, _)| client)
    }

    /// Ends the server, and says how long that took.
    fn end(&mut self) -> Duration {
        self.stop.store(true, Ordering::Release);
        let asked = Instant::now();
        self.thread.take().unwrap().join().unwrap().unwrap();
        asked.elapsed()
    }
}

#[test]
fn a_slow_engine_holds_up_its_own_sessions_only() {
    let mut server = start(Limits { drain: Duration::ZERO, ..Limits::default() });
    let mut dreamer = server.connect(Engine::Dream, 2).unwrap();
    let mut walker = server.connect(Engine::Truth, 2).unwrap();
    dreamer.ask(&reset(2, 0)).unwrap();
    walker.ask(&reset(2, 0)).unwrap();
    std::thread::scope(|scope| {
        let dream = scope.spawn(move || dreamer.ask(&step(&[1.0, 2.0])).map(|_| Instant::now()));
        let (began, mut walked) = (Instant::now(), 0);
        // Making another slow engine holds nobody up, either.
        let address = &server;
        let newcomer = scope.spawn(move || address.connect(Engine::Dream, 3).map(|_| Instant::now()));
        while began.elapsed() < SLOW / 2 {
            walker.ask(&step(&[1.0, 2.0])).unwrap();
            walked += 1;
        }
        assert!(walked > 10, "{walked} steps beside a slow engine");
        for slow in [dream, newcomer] {
            assert!(slow.join().unwrap().unwrap().duration_since(began) >= SLOW / 2, "it was slow");
        }
    });
    server.end();
}

#[test]
fn what_came_while_an_engine_was_busy_is_one_call() {
    let mut server = start(Limits { drain: Duration::ZERO, wait_max: Duration::ZERO, ..Limits::default() });
    let mut clients: Vec<_> = (0..5).map(|_| server.connect(Engine::Dream, 1).unwrap()).collect();
    clients.iter_mut().for_each(|client| drop(client.ask(&reset(1, 0)).unwrap()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.ask(&step(&[1.0])).unwrap());
        }
    });
    // The first goes at once, the other four together.
    assert!(began.elapsed() < 3 * SLOW, "{:?}", began.elapsed());
    let Reply::Metrics(figures) = clients[0].ask(&Request::Metrics).unwrap() else { panic!("no metrics") };
    assert!(figures["engine_calls"] <= 3.0, "{figures:?}");
    assert_eq!(figures["env_steps"], 5.0);
    server.end();
}

#[test]
fn a_server_that_drains_serves_who_is_there_and_admits_nobody() {
    let mut server = start(Limits { drain: Duration::from_secs(20), ..Limits::default() });
    let mut client = server.connect(Engine::Truth, 2).unwrap();
    client.ask(&reset(2, 0)).unwrap();
    server.stop.store(true, Ordering::Release);
    std::thread::sleep(Duration::from_millis(200));
    let refused = server.connect(Engine::Truth, 1).err().unwrap();
    assert!(
        matches!(&refused, ClientError::Refused(refusal) if refusal.message.contains("about to end")),
        "{refused}"
    );
    for t in 1..4 {
        let Reply::Rows(rows) = client.ask(&step(&[1.0, 2.0])).unwrap() else { panic!("no rows") };
        assert_eq!(rows.observations[..4], (t as f32).to_le_bytes());
    }
    let Reply::Save(states) = client.ask(&Request::Save).unwrap() else { panic!("no states") };
    assert_eq!(states.len(), 2);
    client.ask(&Request::Close).unwrap();
    assert!(server.end() < Duration::from_secs(5), "nobody is left to wait for");
}

#[test]
fn a_server_that_ends_answers_what_it_has_begun() {
    let mut server = start(Limits { drain: Duration::ZERO, ..Limits::default() });
    let mut client = server.connect(Engine::Dream, 1).unwrap();
    client.ask(&reset(1, 0)).unwrap();
    std::thread::scope(|scope| {
        let stepped = scope.spawn(|| client.ask(&step(&[1.0])));
        std::thread::sleep(SLOW / 4);
        assert!(server.end() < 3 * SLOW + Duration::from_secs(2));
        assert!(matches!(stepped.join().unwrap(), Ok(Reply::Rows(_))), "the step under way is answered");
    });
}

#[test]
fn making_the_same_session_twice_makes_one() {
    let mut bench = Bench::new(Limits::default());
    let header = Header { session: 99, seq: 1, ..Header::request(Op::Make) };
    let make = Request::Make(make_request(Engine::Truth, 2)).encode(header);
    for _ in 0..3 {
        bench.service.handle(&vec![1], &make, bench.now);
    }
    let first = bench.replies(MS);
    assert_eq!(first.len(), 1, "repeats before the answer bring nothing about");
    bench.service.handle(&vec![2], &make, bench.now);
    let again = bench.replies(MS);
    assert_eq!((&again[0].1, &again[0].2), (&first[0].1, &first[0].2));
    assert_eq!(again[0].0, [2], "to where it was asked from last");
    let mut client = Client { route: vec![2], header: Header { seq: 0, ..first[0].1 } };
    bench.ask(&mut client, &reset(2, 0));
    assert_eq!(bench.figure(&mut client, "sessions"), 1.0);
    // A double that was late on its way, too.
    bench.service.handle(&vec![2], &make, bench.now);
    assert_eq!(bench.replies(MS)[0].1.session, first[0].1.session);
    assert_eq!(bench.figure(&mut client, "sessions"), 1.0);
    // When the session has gone, the request is a new one.
    bench.ask(&mut client, &Request::Close);
    bench.service.handle(&vec![3], &make, bench.now);
    assert_ne!(bench.replies(MS)[0].1.session, first[0].1.session);
}

/// Beside an engine of its own; what has been stepped only tells its rows.
#[test]
fn an_episode_that_ends_is_followed_in_the_same_step() {
    let mut bench = Bench::new(Limits::default());
    let mode = Autoreset::SameStep;
    let request = MakeRequest { autoreset_mode: mode, ..make_request(Engine::Truth, 3) };
    let mut same = bench.try_open(request).unwrap();
    let mut local = make_truth(super::TASK, 3, mode.of_engine()).unwrap();
    local.reset_all(Some(5)).unwrap();
    assert_eq!(bench.ask(&mut same, &reset(3, 5)), Reply::Rows(rows(&local)));
    let mut ends = 0;
    for t in 0..200 {
        let actions: Vec<f32> = (0..3).map(|i| if (t / 40 + i) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let mask = [t % 3 != 0, true, t % 2 == 0];
        let step = Request::Step { actions: bytes_from_f32(&actions), mask: Some(mask.to_vec()) };
        let expected = own_engine::step(&mut local, mode, &Buffer::F32(actions), &mask).unwrap();
        ends +=
            expected.finals.as_ref().map_or(0, |finals| finals.mask.iter().filter(|ended| **ended).count());
        assert_eq!(bench.ask(&mut same, &step), Reply::Rows(expected), "step {t}");
    }
    assert!(ends > 3, "{ends} episodes ended");
}

/// One falls, and its next episode cannot begin; the other one's step is as good as any.
#[test]
fn a_restart_that_fails_is_told_to_its_own_session_only() {
    let mut bench = Bench::new(Limits::default());
    let mode = Autoreset::SameStep;
    let request = || MakeRequest { autoreset_mode: mode, ..make_request(Engine::Dream, 1) };
    let mut clients = [(); 2].map(|()| bench.try_open(request()).unwrap());
    clients.iter_mut().for_each(|client| drop(bench.ask(client, &reset(1, 0))));
    bench.let_dreams_panic(Panics::RefusesReset);
    for _ in 0..500 {
        for (client, push) in clients.iter_mut().zip([1.0, 0.0]) {
            bench.send(client, &step(&[push]));
        }
        let replies = bench.replies(Duration::ZERO);
        let of =
            |client: &Client| replies.iter().find(|reply| reply.1.session == client.header.session).unwrap();
        let [falls, stands] = [&clients[0], &clients[1]].map(|client| &of(client).2);
        assert!(matches!(stands, Reply::Rows(rows) if rows.finals.is_none()), "{stands:?}");
        if code(falls) == Some(ErrorCode::Engine) {
            return;
        }
    }
    panic!("it never fell");
}
