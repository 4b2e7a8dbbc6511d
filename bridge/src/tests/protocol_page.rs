//! `bridge/PROTOCOL.md` mentions whatever the code can say.

use std::path::Path;

use worldstep_env::Randomisation;
use worldstep_model::on_card::{ACTION_WAIT_MAX, SlotHandles};

use super::*;
use crate::server::REPLIES_QUEUED_MAX;
use crate::wire::{FRAMES_MAX, HEADER_LEN, MAKE_BYTES_MAX, VERSION};

/// All of them; a new one that is missing here does not compile.
const CODES: [ErrorCode; 11] = [
    ErrorCode::UnknownTask,
    ErrorCode::BadAction,
    ErrorCode::BadMessage,
    ErrorCode::BadVersion,
    ErrorCode::SessionLost,
    ErrorCode::Busy,
    ErrorCode::NeedsReset,
    ErrorCode::BadState,
    ErrorCode::Engine,
    ErrorCode::Limit,
    ErrorCode::Unsupported,
];

const fn is_listed(code: ErrorCode) -> bool {
    match code {
        ErrorCode::UnknownTask
        | ErrorCode::BadAction
        | ErrorCode::BadMessage
        | ErrorCode::BadVersion
        | ErrorCode::SessionLost
        | ErrorCode::Busy
        | ErrorCode::NeedsReset
        | ErrorCode::BadState
        | ErrorCode::Engine
        | ErrorCode::Limit
        | ErrorCode::Unsupported => true,
    }
}

fn page() -> (String, std::path::PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    (std::fs::read_to_string(folder.join("PROTOCOL.md")).unwrap(), folder.join("golden"))
}

#[test]
fn every_op_is_on_the_page_with_its_number() {
    let (page, _) = page();
    // The byte of an op decodes to its name, for all bytes that do.
    let ops: Vec<_> = (0..=u8::MAX)
        .filter_map(|byte| {
            let mut header = Header::request(Op::Hello).encode();
            header[6] = byte;
            Header::decode(&[header]).ok().map(|header| (byte, format!("{:?}", header.op).to_lowercase()))
        })
        .collect();
    assert!(ops.len() >= 9, "{ops:?}");
    for (byte, name) in ops {
        assert!(page.contains(&format!("| {byte} | `{name}` |")), "op {byte}, {name}");
        assert!(page.contains(&format!("### {name}\n")), "no section on {name}");
    }
}

#[test]
fn every_error_code_is_on_the_page() {
    let (page, _) = page();
    for code in CODES {
        assert!(is_listed(code));
        let name = serde_json::to_value(code).unwrap();
        assert!(page.contains(&format!("| `{}` |", name.as_str().unwrap())), "{name}");
    }
}

#[test]
fn every_golden_message_is_on_the_page() {
    let (page, golden) = page();
    for entry in std::fs::read_dir(golden).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_key_of_a_map_is_on_the_page() {
    let (page, _) = page();
    let ranges = Randomisation::default();
    let request = MakeRequest {
        temperature: Some(0.5),
        randomisation: Some(ranges.clone()),
        ..make_request(Engine::Dream, 2)
    };
    let entry = CatalogueEntry { id: String::new(), summary: String::new(), modes: Vec::new() };
    let hello = super::golden::replies().remove(0).2;
    let Reply::Hello(info) = hello else { panic!("{hello:?}") };
    let maps = [
        serde_json::to_value(request).unwrap(),
        serde_json::to_value(ranges).unwrap(),
        serde_json::to_value(sample_make_reply()).unwrap(),
        serde_json::to_value(sample_make_reply().observation_space).unwrap(),
        serde_json::to_value(info).unwrap(),
        serde_json::to_value(entry).unwrap(),
        serde_json::to_value(SlotHandles::default()).unwrap(),
        serde_json::to_value(Refusal::bad_message("")).unwrap(),
    ];
    for map in maps {
        for key in map.as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
    }
}

#[test]
fn the_numbers_on_the_page_are_those_of_the_code() {
    let (page, _) = page();
    assert!(page.starts_with(&format!("# The wire protocol, version {VERSION}\n")));
    assert!(page.contains(&format!("a **header** of {HEADER_LEN} bytes")));
    assert!(page.contains(&format!("at most {FRAMES_MAX}.")));
    let limits = Limits::default();
    let thousands = |n: usize| if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) };
    for (name, value) in [
        ("sessions_max", thousands(limits.sessions_max)),
        ("envs_per_session_max", thousands(limits.envs_per_session_max)),
        ("envs_per_pool_max", thousands(limits.envs_per_pool_max)),
        ("in_flight_max", thousands(limits.in_flight_max)),
        ("envs_total_max", thousands(limits.envs_total_max)),
        ("idle_after", format!("{} s", limits.idle_after.as_secs())),
        ("shared_bytes_max", format!("{} MB of a session's memory", limits.shared_bytes_max / 1_000_000)),
        ("drain", format!("{} s", limits.drain.as_secs())),
        ("lease", format!("{} s", limits.lease.as_secs())),
        ("wait_max", format!("{} ms", limits.wait_max.as_millis())),
        ("batch_max", format!("{} environments", thousands(limits.batch_max))),
        (
            "ACTION_WAIT_MAX",
            format!(
                "{} s for actions on a card to be computed, once their step has come",
                ACTION_WAIT_MAX.as_secs()
            ),
        ),
        ("handshake", format!("{} s", limits.handshake.as_secs())),
    ] {
        assert!(page.contains(&format!("| `{name}` | {value} |")), "{name}: {value}");
    }
    assert_eq!(limits.frame_bytes_max, 1_000_000_000);
    assert!(page.contains("| `frame_bytes_max` | 10⁹ bytes of a ZeroMQ frame |"));
    assert!(page.contains(&format!(
        "| the map of `make`, of a reset's options | {} bytes |",
        thousands(MAKE_BYTES_MAX)
    )));
    assert!(page.contains(&format!("| replies to one peer | {REPLIES_QUEUED_MAX} in its queue |")));
}
