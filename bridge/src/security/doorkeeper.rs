//! The ZAP handler: libzmq asks it about every client that wants in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::SecurityError;
use super::admission::{AllowedKeys, RefusalLog};
use crate::containment::contain;

/// Where libzmq looks for a handler.
const ENDPOINT: &str = "inproc://zeromq.zap.01";
/// Name of the server's socket to its handler.
pub const DOMAIN: &str = "worldstep";
/// How long the handler sleeps at most before it looks whether it is to go.
const TICK_MS: i32 = 100;
/// Frames of a request with CURVE: version, id, domain, address, routing id, mechanism, key.
const FRAMES: usize = 7;

/// A thread that answers libzmq until it is dropped. Drop it after the sockets that it stands before: libzmq admits
/// everybody to a socket whose handler has gone.
#[derive(Debug)]
pub struct Doorkeeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Doorkeeper {
    pub(super) fn start(context: &zmq::Context, allowed: AllowedKeys) -> Result<Self, SecurityError> {
        let socket = context.socket(zmq::REP)?;
        socket.set_linger(0)?;
        socket.set_rcvtimeo(TICK_MS)?;
        socket.bind(ENDPOINT)?;
        let stop = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("doorkeeper".to_owned());
        let thread =
            thread.spawn(move || stand(&socket, allowed, &raised)).map_err(|_| zmq::Error::EMTHREAD)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stand(socket: &zmq::Socket, mut allowed: AllowedKeys, stop: &AtomicBool) {
    let mut log = RefusalLog::default();
    let started = Instant::now();
    while !stop.load(Ordering::Acquire) {
        match socket.recv_multipart(0) {
            Ok(request) => {
                // The socket outlives a panic: without it everybody would be let in.
                let answer = contain(|| {
                    let (answer, line) = judge(&request, &mut allowed, &mut log, started.elapsed());
                    if let Some(line) = line {
                        tracing::warn!("{line}");
                    }
                    answer
                });
                let answer = answer.unwrap_or_else(|_| verdict(&request, "500", "", ""));
                let _ = socket.send_multipart(answer, 0);
            }
            Err(zmq::Error::ETERM) => return,
            Err(_) => {}
        }
    }
}

/// The answer to one request, and a line to log.
fn judge(
    request: &[Vec<u8>],
    allowed: &mut AllowedKeys,
    log: &mut RefusalLog,
    now: std::time::Duration,
) -> (Vec<Vec<u8>>, Option<String>) {
    let key = request.get(6).and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
    let is_curve = request.len() == FRAMES && request[0] == b"1.0" && request[5] == b"CURVE";
    let Some(key) = key.filter(|_| is_curve) else {
        return (verdict(request, "400", "no CURVE key", ""), None);
    };
    if allowed.admits(&key, now) {
        return (verdict(request, "200", "", &super::key_file::encode(&key)), None);
    }
    let address = String::from_utf8_lossy(&request[3]);
    let line = log.refused(&address, &key, now);
    let line = line.map(|line| format!("{line} in {}", allowed.folder().display()));
    (verdict(request, "400", "unknown key", ""), line)
}

/// Version, id of the request, status, its text, name of the user, no metadata.
fn verdict(request: &[Vec<u8>], status: &str, text: &str, user: &str) -> Vec<Vec<u8>> {
    let id = request.get(1).cloned().unwrap_or_default();
    let texts = [status, text, user, ""].into_iter().map(|text| text.as_bytes().to_vec());
    [b"1.0".to_vec(), id].into_iter().chain(texts).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::security::KeyPair;

    #[test]
    fn only_a_known_key_is_admitted_whatever_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (known, unknown) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        known.write(folder.path(), "known").unwrap();
        let mut allowed = AllowedKeys::read(folder.path()).unwrap();
        let mut status = |request: &[Vec<u8>]| {
            let (answer, line) = judge(request, &mut allowed, &mut RefusalLog::default(), Duration::ZERO);
            assert_eq!(answer.len(), 6);
            (String::from_utf8(answer[2].clone()).unwrap(), line)
        };
        let ask = |mechanism: &str, key: &[u8]| {
            let head = ["1.0", "1", DOMAIN, "10.0.0.7", "", mechanism].map(|text| text.as_bytes().to_vec());
            head.into_iter().chain([key.to_vec()]).collect::<Vec<_>>()
        };
        assert_eq!(status(&ask("CURVE", known.public())), ("200".to_owned(), None));
        let (refused, line) = status(&ask("CURVE", unknown.public()));
        assert_eq!(refused, "400");
        assert!(line.unwrap().contains("10.0.0.7"));
        for request in
            [ask("NULL", b""), ask("PLAIN", known.public()), ask("CURVE", b"short"), vec![], vec![vec![]]]
        {
            assert_eq!(status(&request).0, "400", "{request:?}");
        }
    }
}
