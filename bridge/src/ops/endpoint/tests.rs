use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;
use crate::ops::Snapshot;

fn start() -> MetricsServer {
    let board = Arc::new(Board::default());
    board.publish_if_due(|| {
        let mut snapshot = Snapshot::default();
        snapshot.gauge("sessions", 3.0);
        snapshot
    });
    MetricsServer::start("127.0.0.1:0".parse().unwrap(), false, board).unwrap()
}

fn get(server: &MetricsServer, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_scraper_gets_the_figures_and_their_type() {
    let server = start();
    let said = get(&server, "/metrics");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.contains("Content-Type: text/plain; version=0.0.4"), "{said}");
    assert!(said.contains("\nworldstep_sessions 3\n"), "{said}");
    assert!(get(&server, "/healthz").ends_with("\r\n\r\nok\n"));
}

#[test]
fn peers_that_say_nothing_or_too_much_hold_up_nobody() {
    let server = start();
    // More than it keeps, each half way through its request; fewer than the system queues for it (128).
    let slow: Vec<_> = (0..CONNECTIONS_MAX + 30)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET /metr").unwrap();
            stream
        })
        .collect();
    let mut pouring = TcpStream::connect(server.address()).unwrap();
    let poured = pouring.write_all(&[b'a'; 1 << 20]);
    let before = Instant::now();
    assert!(get(&server, "/healthz").ends_with("ok\n"));
    assert!(before.elapsed() < CONNECTION_TIME_MAX / 2, "waited {:?}", before.elapsed());
    drop((slow, poured));
}

#[test]
fn a_connection_ends_when_its_time_is_up_however_busy() {
    let server = start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let before = Instant::now();
    // A byte now and then never ends a request.
    while stream.write_all(b"a").is_ok() {
        assert!(before.elapsed() < 5 * CONNECTION_TIME_MAX, "still connected");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(before.elapsed() >= CONNECTION_TIME_MAX);
}

#[test]
fn a_long_request_is_told_so() {
    let server = start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&[b'a'; http::REQUEST_BYTES_MAX]).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
}

#[test]
fn it_ends_with_its_owner_and_leaves_its_port() {
    let server = start();
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn addresses_of_others_have_to_be_asked_for() {
    let board = Arc::new(Board::default());
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = MetricsServer::start(anywhere, false, Arc::clone(&board)).unwrap_err();
    assert!(error.to_string().contains("--metrics-unprotected"), "{error}");
    assert!(MetricsServer::start(anywhere, true, board).is_ok());
    let server = start();
    let error = MetricsServer::start(server.address(), false, Arc::new(Board::default())).unwrap_err();
    assert!(error.to_string().contains("--metrics"), "{error}");
}
