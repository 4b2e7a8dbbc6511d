//! The messages in `bridge/golden` are read by these tests and by the Python client's: one format, two readers.
//! `WORLDSTEP_BLESS=1 cargo test` writes them anew after a deliberate change of the protocol.

use std::collections::BTreeMap;
use std::path::PathBuf;

use worldstep_env::Randomisation;
use worldstep_model::on_card::SlotHandles;

use super::*;
use crate::wire::{FinalRows, SharedSlots};

fn request_header(op: Op) -> Header {
    let session = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
    Header { session, epoch: 77, seq: 5, num_envs: 2, ..Header::request(op) }
}

pub(super) fn requests() -> Vec<(&'static str, Header, Request)> {
    let shared = MakeRequest {
        autoreset_mode: Autoreset::SameStep,
        shared_memory_host: Some("host".to_owned()),
        ..make_request(Engine::Dream, 2)
    };
    let on_card = MakeRequest {
        shared_memory_host: Some("host".to_owned()),
        card: Some("cuda:000102030405060708090a0b0c0d0e0f".to_owned()),
        ..make_request(Engine::Dream, 2)
    };
    let ranges =
        Randomisation { mass: [0.5, 1.5], latency: [0, 2], difficulty: 0.25, ..Randomisation::default() };
    let randomised = MakeRequest { randomisation: Some(ranges), ..make_request(Engine::Truth, 2) };
    let list = vec![
        ("hello", Request::Hello),
        ("make", Request::Make(make_request(Engine::Dream, 2))),
        ("make_shared", Request::Make(shared)),
        ("make_card", Request::Make(on_card)),
        ("make_randomised", Request::Make(randomised)),
        (
            "reset_options",
            Request::Reset {
                seeds: vec![Some(42), None],
                mask: vec![true, false],
                options: BTreeMap::from([("difficulty".to_owned(), 0.5)]),
            },
        ),
        (
            "reset",
            Request::Reset { seeds: vec![Some(42), None], mask: vec![true, false], options: BTreeMap::new() },
        ),
        ("step", step(&[0.5, -1.0])),
        (
            "step_masked",
            Request::Step { actions: bytes_from_f32(&[0.5, -1.0]), mask: Some(vec![false, true]) },
        ),
        ("step_card", Request::Step { actions: Vec::new(), mask: None }),
        ("save", Request::Save),
        ("load", Request::Load { states: vec![vec![1, 2, 3], vec![4]] }),
        ("metrics", Request::Metrics),
        ("close", Request::Close),
    ];
    list.into_iter().map(|(name, request)| (name, request_header(request.op()), request)).collect()
}

pub(super) fn replies() -> Vec<(&'static str, Header, Reply)> {
    let modes = vec![(Engine::Truth, Observation::State), (Engine::Dream, Observation::Rgb)];
    let entry = CatalogueEntry { id: TASK.to_owned(), summary: "balance".to_owned(), modes };
    let info = crate::wire::ServerInfo {
        version: "0.1.0".to_owned(),
        epoch: 77,
        lease_ms: 300_000,
        envs: vec![entry],
    };
    let rows = LaneRows {
        observations: (0..24).collect(),
        rewards: vec![1.0, -0.5],
        terminated: vec![false, true],
        truncated: vec![true, false],
        info_values: vec![0.0, 1.0, 0.25, 0.0],
        info_masks: vec![true, true, true, false],
        ..LaneRows::default()
    };
    let finals = FinalRows {
        mask: vec![false, true],
        observations: (24..36).collect(),
        info_values: vec![1.0, 0.5],
        info_masks: vec![true, false],
    };
    let ended = LaneRows { finals: Some(finals), ..rows.clone() };
    let shared = LaneRows { observations: vec![2, 0, 0, 0], shared: true, ..rows.clone() };
    // The first observations of an episode: no rewards, no ends, and nothing to tell.
    let begun = LaneRows {
        observations: (36..60).collect(),
        rewards: vec![0.0; 2],
        terminated: vec![false; 2],
        truncated: vec![false; 2],
        ..LaneRows::default()
    };
    let slots = SharedSlots {
        path: "/proc/7/fd/9".to_owned(),
        key: std::array::from_fn(|i| i as u8),
        offset: 4096,
        slots: 3,
        slot_len: 4096,
    };
    let handle = |first: u8| (first..first + 64).collect::<Vec<u8>>();
    let handles = SlotHandles {
        card: "cuda:000102030405060708090a0b0c0d0e0f".to_owned(),
        memory: handle(0),
        key: slots.key,
        offset: 4096,
        slots: 3,
        slot_len: 4096,
        events: vec![handle(10), handle(20), handle(30)],
        actions_offset: 16_384,
        action_slots: 2,
        action_slot_len: 4096,
        action_events: vec![handle(40), handle(50)],
    };
    let made_on_card = MakeReply { card: Some(handles), ..sample_make_reply() };
    let refused = MakeReply { card_refused: Some("no engine on a card".to_owned()), ..sample_make_reply() };
    let made_shared = MakeReply { shared_memory: Some(slots), ..sample_make_reply() };
    let busy = Refusal { code: ErrorCode::Busy, message: "wait".to_owned(), retry_after_ms: 2 };
    vec![
        ("hello_reply", request_header(Op::Hello), Reply::Hello(info)),
        ("make_reply", request_header(Op::Make), Reply::Make(sample_make_reply())),
        ("make_shared_reply", request_header(Op::Make), Reply::Make(made_shared)),
        ("make_card_reply", request_header(Op::Make), Reply::Make(made_on_card)),
        ("make_card_refused_reply", request_header(Op::Make), Reply::Make(refused)),
        ("reset_reply", request_header(Op::Reset), Reply::Rows(begun.clone())),
        ("load_reply", request_header(Op::Load), Reply::Rows(begun)),
        ("step_reply", request_header(Op::Step), Reply::Rows(rows)),
        ("step_ended_reply", request_header(Op::Step), Reply::Rows(ended)),
        ("step_shared_reply", request_header(Op::Step), Reply::Rows(shared)),
        ("save_reply", request_header(Op::Save), Reply::Save(vec![vec![1, 2, 3], vec![4]])),
        (
            "metrics_reply",
            request_header(Op::Metrics),
            Reply::Metrics(BTreeMap::from([("sessions".to_owned(), 2.0)])),
        ),
        ("close_reply", request_header(Op::Close), Reply::Close),
        ("error_reply", request_header(Op::Step), Reply::Error(busy)),
    ]
}

/// Parts one after the other, each with its length as u32 in front.
fn file_bytes(parts: &Parts) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u32).to_le_bytes()[..], part].concat()).collect()
}

fn check(name: &str, parts: &Parts) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.bin"));
    if std::env::var_os("WORLDSTEP_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, file_bytes(parts)).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(file_bytes(parts), golden, "{name} is no longer encoded as before");
}

#[test]
fn requests_are_encoded_as_ever_and_come_back() {
    for (name, header, request) in requests() {
        let parts = request.encode(header);
        check(name, &parts);
        let header = Header::decode(&parts).unwrap();
        assert_eq!(Request::decode(&header, &parts[1..]).unwrap(), request, "{name}");
    }
}

#[test]
fn replies_are_encoded_as_ever_and_come_back() {
    for (name, header, reply) in replies() {
        let parts = reply.encode(&header);
        check(name, &parts);
        assert_eq!(decode(&parts).1, reply, "{name}");
    }
}
