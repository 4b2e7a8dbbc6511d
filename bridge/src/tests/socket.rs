//! The server on a real socket.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::{ServeError, ServeOptions, serve};

use super::*;

struct Running {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

fn options(bind: &str, stop: &Arc<AtomicBool>) -> ServeOptions {
    ServeOptions {
        bind: bind.to_owned(),
        factory: Box::new(TruthFactory::default()),
        limits: Limits::default(),
        curve: None,
        stop: Arc::clone(stop),
        board: None,
    }
}

fn start(bind: &str) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let options = options(bind, &stop);
    let (sender, receiver) = mpsc::channel();
    let thread =
        std::thread::spawn(move || serve(options, |ready| sender.send(ready.address.clone()).unwrap()));
    Running { address: receiver.recv().unwrap(), stop, thread: Some(thread) }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let served = self.thread.take().unwrap().join().unwrap();
        assert!(served.is_ok(), "{served:?}");
    }
}

struct Remote {
    socket: zmq::Socket,
    header: Header,
}

impl Remote {
    fn new(server: &Running, engine: Engine, num_envs: usize) -> Self {
        let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(20_000).unwrap();
        socket.connect(&server.address).unwrap();
        let mut remote = Self { socket, header: Header::request(Op::Make) };
        let reply = remote.ask(&Request::Make(make_request(engine, num_envs)));
        assert!(matches!(reply, Reply::Make(_)), "{reply:?}");
        remote
    }

    fn ask(&mut self, request: &Request) -> Reply {
        self.header.seq += 1;
        self.socket.send_multipart(request.encode(self.header), 0).unwrap();
        let (header, reply) = decode(&self.socket.recv_multipart(0).unwrap());
        assert_eq!(header.seq, self.header.seq);
        if let Reply::Make(_) = reply {
            self.header = Header { seq: 0, ..header };
        }
        reply
    }
}

#[test]
fn a_remote_rollout_equals_a_local_one_bitwise() {
    let folder = tempfile::tempdir().unwrap();
    for bind in ["tcp://127.0.0.1:*".to_owned(), format!("ipc://{}/worldstep", folder.path().display())] {
        let server = start(&bind);
        let mut remote = Remote::new(&server, Engine::Truth, 5);
        let mut local = make_truth(TASK, 5, AutoresetMode::NextStep).unwrap();
        local.reset_all(Some(9)).unwrap();
        assert_eq!(remote.ask(&reset(5, 9)), Reply::Rows(rows(&local)));
        for t in 0..200 {
            let actions: Vec<f32> = (0..5).map(|i| ((t + i) as f32).sin()).collect();
            local.step_all(&Buffer::F32(actions.clone())).unwrap();
            assert_eq!(remote.ask(&step(&actions)), Reply::Rows(rows(&local)), "step {t}");
        }
    }
}

#[test]
fn clients_come_and_go_while_others_step() {
    let server = start("tcp://127.0.0.1:0");
    let rollouts: Vec<_> = std::thread::scope(|scope| {
        let run = |_| {
            let mut remote = Remote::new(&server, Engine::Dream, 4);
            remote.ask(&reset(4, 9));
            let last = (0..50).map(|_| remote.ask(&step(&[0.1, 0.2, 0.3, 0.4]))).last().unwrap();
            remote.ask(&Request::Close);
            last
        };
        let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || run(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(rollouts.iter().all(|rollout| *rollout == rollouts[0]), "same seeds, same actions");
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    const ASKED: usize = 5_000;
    let server = start("tcp://127.0.0.1:0");
    let mut silent = Remote::new(&server, Engine::Truth, 256);
    let mut other = Remote::new(&server, Engine::Truth, 2);
    silent.ask(&reset(256, 0));
    other.ask(&reset(2, 0));
    // The server goes on taking requests in, though nobody fetches what it answers.
    silent.socket.set_sndtimeo(5_000).unwrap();
    for _ in 0..ASKED {
        silent.header.seq += 1;
        silent.socket.send_multipart(step(&[0.0; 256]).encode(silent.header), 0).unwrap();
    }
    let begun = Instant::now();
    for _ in 0..300 {
        assert!(matches!(other.ask(&step(&[0.1, 0.2])), Reply::Rows(_)));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "300 steps took {:?}", begun.elapsed());
}

#[test]
fn garbage_is_answered_and_the_server_lives_on() {
    let server = start("tcp://127.0.0.1:0");
    let mut remote = Remote::new(&server, Engine::Truth, 1);
    for parts in [vec![vec![]], vec![vec![1; 48]], vec![vec![0; 4]; 40]] {
        remote.socket.send_multipart(parts, 0).unwrap();
        let (_, reply) = decode(&remote.socket.recv_multipart(0).unwrap());
        assert_eq!(code(&reply), Some(ErrorCode::BadMessage));
    }
    assert!(matches!(remote.ask(&reset(1, 0)), Reply::Rows(_)));
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for bind in ["tcp://127.0.0.1:0".to_owned(), format!("ipc://{}/worldstep", folder.path().display())] {
        let server = start(&bind);
        let error = serve(options(&server.address, &server.stop), |_| {}).unwrap_err();
        assert!(matches!(error, ServeError::AddressInUse { .. }), "{error}");
        assert!(error.to_string().contains(&server.address) && error.to_string().contains("--bind"));
    }
}

#[test]
fn addresses_that_let_others_in_are_refused() {
    let stop = Arc::new(AtomicBool::new(true));
    for bind in ["tcp://0.0.0.0:7447", "tcp://*:7447", "tcp://192.168.0.1:7447", "tcp://[::]:7447"] {
        let error = serve(options(bind, &stop), |_| {}).unwrap_err();
        assert!(matches!(error, ServeError::NotLoopback { .. }), "{bind}: {error}");
    }
    for bind in ["udp://127.0.0.1:1", "7447", "tcp://127.0.0.1:port"] {
        let error = serve(options(bind, &stop), |_| {}).unwrap_err();
        assert!(matches!(error, ServeError::Address { .. }), "{bind}: {error}");
    }
}
