//! As much of HTTP/1.1 as a scraper needs, without sockets: bytes of a request in, bytes of the reply out.

use super::{Board, ProcessFigures, exposition};
use std::time::Duration;

/// Bytes that a request may have; scrapers send a few hundred.
pub const REQUEST_BYTES_MAX: usize = 8192;
/// Silence of the server's loop after which it is told to be stuck. Making a large engine can take seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The reply to a request of which `bytes` have come; `None` if there is more to come. Every reply closes its connection.
pub fn reply(bytes: &[u8], board: &Board) -> Option<Vec<u8>> {
    let ended = bytes.windows(4).any(|end| end == b"\r\n\r\n");
    if !ended {
        return (bytes.len() >= REQUEST_BYTES_MAX)
            .then(|| response("431 Request Header Fields Too Large", "", "the request is too long\n", true));
    }
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next().unwrap_or_default(), words.next());
    if words.next().is_some() || !version.is_some_and(|version| version.starts_with(b"HTTP/1.")) {
        return Some(response("400 Bad Request", "", "this is no HTTP/1.1 request\n", true));
    }
    if !matches!(method, b"GET" | b"HEAD") {
        let body = "only GET and HEAD are answered here\n";
        return Some(response("405 Method Not Allowed", "Allow: GET, HEAD\r\n", body, true));
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let with_body = method == b"GET";
    Some(match path {
        b"/metrics" => metrics(board, with_body),
        b"/healthz" => health(board, with_body),
        _ => response("404 Not Found", "", "there are /metrics and /healthz\n", with_body),
    })
}

fn metrics(board: &Board, with_body: bool) -> Vec<u8> {
    match board.latest() {
        Some(snapshot) => {
            let text = exposition(&snapshot, &ProcessFigures::read());
            response("200 OK", "", &text, with_body)
        }
        None => response("503 Service Unavailable", "", "the server is starting\n", with_body),
    }
}

fn health(board: &Board, with_body: bool) -> Vec<u8> {
    match board.age() {
        Some(age) if age <= SILENCE_MAX => response("200 OK", "", "ok\n", with_body),
        Some(age) => {
            let body = format!("the server's loop has been silent for {} s\n", age.as_secs());
            response("503 Service Unavailable", "", &body, with_body)
        }
        None => response("503 Service Unavailable", "", "the server is starting\n", with_body),
    }
}

fn response(status: &str, headers: &str, body: &str, with_body: bool) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    if with_body {
        response.push_str(body);
    }
    response.into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::Snapshot;

    fn asked(request: &str) -> String {
        let board = Board::default();
        board.publish_if_due(Snapshot::default);
        String::from_utf8(reply(request.as_bytes(), &board).unwrap()).unwrap()
    }

    #[test]
    fn what_is_asked_for_decides_the_status() {
        let cases = [
            ("GET /healthz HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET /metrics?x=1 HTTP/1.0\r\nHost: a\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /metrics\r\n\r\n", "400"),
            ("GET /metrics HTTP/2\r\n\r\n", "400"),
            ("GET /a b HTTP/1.1\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
        ];
        for (request, status) in cases {
            let said = asked(request);
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {said}");
        }
    }

    #[test]
    fn a_request_is_awaited_to_its_end_but_not_for_ever() {
        let board = Board::default();
        assert_eq!(reply(b"GET /metrics HTTP/1.1\r\nHost:", &board), None);
        assert_eq!(reply(&[b'a'; REQUEST_BYTES_MAX - 1], &board), None);
        let said = reply(&[b'a'; REQUEST_BYTES_MAX], &board).unwrap();
        assert!(said.starts_with(b"HTTP/1.1 431"));
    }

    #[test]
    fn a_head_has_the_length_of_its_body_and_no_body() {
        let (get, head) = (asked("GET /healthz HTTP/1.1\r\n\r\n"), asked("HEAD /healthz HTTP/1.1\r\n\r\n"));
        assert_eq!(get, head + "ok\n");
    }

    #[test]
    fn a_server_that_has_said_nothing_yet_is_starting() {
        let said = reply(b"GET /healthz HTTP/1.1\r\n\r\n", &Board::default()).unwrap();
        assert!(said.starts_with(b"HTTP/1.1 503"));
    }
}
