//! Whatever a peer sends, the answer is a typed error and the server lives on.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Sends raw parts and returns the error that comes back.
fn refusal(bench: &mut Bench, parts: &Parts) -> Refusal {
    bench.service.handle(&vec![9], parts, bench.now);
    let mut replies = bench.replies(MS);
    assert_eq!(replies.len(), 1, "one answer to {parts:?}");
    let Reply::Error(refusal) = replies.remove(0).2 else { panic!("accepted {parts:?}") };
    refusal
}

#[test]
fn malformed_headers_are_refused_by_kind() {
    let mut bench = Bench::new(Limits::default());
    let good = Header::request(Op::Hello).encode();
    let spoil = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        vec![bytes]
    };
    let cases = [
        ("no parts", vec![], ErrorCode::BadMessage),
        ("short", vec![good[..20].to_vec()], ErrorCode::BadMessage),
        ("long", vec![[&good[..], &[0]].concat()], ErrorCode::BadMessage),
        ("magic", spoil(0, b'X'), ErrorCode::BadMessage),
        ("version", spoil(4, 99), ErrorCode::BadVersion),
        ("op", spoil(6, 77), ErrorCode::BadMessage),
        ("error as a request", spoil(6, 9), ErrorCode::BadMessage),
        ("a reply as a request", spoil(7, 1), ErrorCode::BadMessage),
        ("flags", spoil(7, 128), ErrorCode::BadMessage),
        ("frames missing", spoil(44, 1), ErrorCode::BadMessage),
        ("frames too many", vec![good.clone(), vec![]], ErrorCode::BadMessage),
    ];
    for (name, parts, expected) in cases {
        assert_eq!(refusal(&mut bench, &parts).code, expected, "{name}");
    }
}

#[test]
fn malformed_requests_leave_the_session_usable() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    let cases = [
        ("NaN", step(&[f32::NAN, 0.0]), ErrorCode::BadAction),
        ("outside", step(&[0.0, 1e9]), ErrorCode::BadAction),
        ("too few", step(&[0.0]), ErrorCode::BadAction),
        ("half a number", Request::Step { actions: vec![0; 7], mask: None }, ErrorCode::BadAction),
        ("before reset", step(&[0.0, 0.0]), ErrorCode::NeedsReset),
        ("no state", Request::Load { states: vec![vec![1, 2], vec![]] }, ErrorCode::BadState),
        ("save before reset", Request::Save, ErrorCode::NeedsReset),
    ];
    for (name, request, expected) in cases {
        assert_eq!(code(&bench.ask(&mut client, &request)), Some(expected), "{name}");
    }
    let mut other_count = client.clone();
    other_count.header.num_envs = 3;
    assert_eq!(code(&bench.ask(&mut other_count, &reset(3, 0))), Some(ErrorCode::BadMessage));
    assert!(matches!(bench.ask(&mut client, &reset(2, 0)), Reply::Rows(_)));
    assert!(matches!(bench.ask(&mut client, &step(&[0.0, 0.0])), Reply::Rows(_)));
}

#[test]
fn impossible_environments_are_refused_by_kind() {
    let mut bench = Bench::new(Limits { sessions_max: 1, ..Limits::default() });
    let header = Header::request(Op::Make);
    let mut make = make_request(Engine::Truth, 2);
    make.id = "Juggle-v0".to_owned();
    let unknown = refusal(&mut bench, &Request::Make(make).encode(header));
    assert_eq!(unknown.code, ErrorCode::UnknownTask);
    assert!(unknown.message.contains(TASK), "{unknown}");
    for count in [0, 1 << 40] {
        let make = Request::Make(make_request(Engine::Truth, count)).encode(header);
        let refused = refusal(&mut bench, &make);
        assert_eq!(refused.code, ErrorCode::Limit);
        assert!(refused.message.contains("envs_per_session_max"), "{refused}");
    }
    let long = MakeRequest { id: "x".repeat(1 << 20), ..make_request(Engine::Truth, 2) };
    let refused = refusal(&mut bench, &Request::Make(long).encode(header));
    assert_eq!(refused.code, ErrorCode::BadMessage);
    assert!(refused.message.len() < 200, "it is not repeated");
    bench.open(Engine::Truth, 2);
    let refused = refusal(&mut bench, &Request::Make(make_request(Engine::Truth, 2)).encode(header));
    assert!(refused.message.contains("sessions_max"), "{refused}");
}

#[test]
fn no_mutation_of_a_request_brings_the_service_down() {
    let mut bench = Bench::new(Limits::default());
    let mut client = bench.open(Engine::Truth, 2);
    let mut rng = worldstep_env::Rng::seed_from_u64(1);
    let mut answers = BTreeMap::new();
    for round in 0..3000 {
        client = usable(&mut bench, client, round);
        for (_, golden, request) in super::golden::requests() {
            // A number that was used before would be answered from the cache.
            client.header.seq += 1;
            let mut parts = request.encode(Header { op: golden.op, ..client.header });
            mutate(&mut parts, &mut rng);
            bench.service.handle(&client.route, &parts, bench.now);
        }
        for (_, _, reply) in bench.replies(MS) {
            *answers
                .entry(code(&reply).map_or("served".to_owned(), |code| format!("{code:?}")))
                .or_insert(0) += 1;
        }
    }
    // Mutants got past every check: none of them stood in front of the others.
    for answer in ["served", "BadAction", "BadMessage", "BadState", "BadVersion", "SessionLost"] {
        assert!(answers.get(answer).is_some_and(|count| *count >= 100), "{answer}: {answers:?}");
    }
    let mut client = usable(&mut bench, client, 0);
    assert!(matches!(bench.ask(&mut client, &step(&[0.0, 0.0])), Reply::Rows(_)));
}

/// `client` after a reset; if a mutant has closed its session or used up its numbers, a new one.
fn usable(bench: &mut Bench, mut client: Client, seed: u64) -> Client {
    if !matches!(bench.ask(&mut client, &reset(2, seed)), Reply::Rows(_)) {
        // Ends the sessions that mutants have opened, too.
        bench.replies(Limits::default().lease);
        client = bench.open(Engine::Truth, 2);
        assert!(matches!(bench.ask(&mut client, &reset(2, seed)), Reply::Rows(_)));
    }
    client
}

#[test]
fn no_mutation_of_a_reply_brings_a_client_down() {
    let mut rng = worldstep_env::Rng::seed_from_u64(2);
    for (_, golden, reply) in super::golden::replies() {
        for _ in 0..2000 {
            let mut parts = reply.encode(&golden);
            mutate(&mut parts, &mut rng);
            if let Ok(header) = Header::decode(&parts) {
                let _ = Reply::decode(&header, &parts[1..]);
            }
        }
    }
}

fn mutate(parts: &mut Parts, rng: &mut worldstep_env::Rng) {
    let part = rng.random_range(0..parts.len());
    let len = parts[part].len();
    match rng.random_range(0..5) {
        0 if len > 0 => parts[part].truncate(rng.random_range(0..len)),
        1 if parts.len() > 1 => drop(parts.remove(part)),
        2 => parts[part].extend((0..rng.random_range(1..40)).map(|_| rng.random_range(0..=255_u8))),
        3 => parts.push(vec![0; rng.random_range(0..9)]),
        _ if len > 0 => parts[part][rng.random_range(0..len)] = rng.random_range(0..=255),
        _ => {}
    }
}
