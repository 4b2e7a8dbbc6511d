use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;

use super::*;
use crate::ops::events;
use crate::wire::{ErrorCode, Op, Refusal};

/// What was written, for the test to read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(format: LogFormat, level: LogLevel, events: impl FnOnce()) -> String {
    let out = Written::default();
    let writer = out.clone();
    with_default(subscriber(format, level, move || writer.clone(), false), events);
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_json_line_has_time_level_event_and_fields() {
    let text = written(LogFormat::Json, LogLevel::Info, || events::listening("tcp://127.0.0.1:7447", 5));
    let value: Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
    assert_eq!(
        (&value["level"], &value["event"], &value["epoch"]),
        (&"info".into(), &"listening".into(), &5.into())
    );
    assert_eq!(value["address"], "tcp://127.0.0.1:7447");
    let time = value["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.ends_with('Z') && time.contains('T'), "{time}");
}

#[test]
fn what_a_peer_says_stays_on_its_line() {
    let refusal = Refusal::new(ErrorCode::Limit, "no task \"x\"\nWARN forged \u{1b}[2J\u{9b}2J");
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = written(format, LogLevel::Info, || events::refused(b"\x00peer", Op::Make, &refusal));
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.contains("limit hit") && text.contains("0070656572"), "{text:?}");
        assert!(!text.contains('\u{1b}'), "a terminal would obey: {text:?}");
    }
}

#[test]
fn a_level_is_for_our_crates_and_others_only_warn() {
    let both = || {
        tracing::info!(target: "worldstep_bridge::service", "ours");
        tracing::info!(target: "wgpu_core", "theirs");
        tracing::warn!(target: "wgpu_core", "their warning");
    };
    let text = written(LogFormat::Text, LogLevel::Info, both);
    assert!(text.contains("ours") && text.contains("their warning") && !text.contains("theirs"), "{text}");
    assert_eq!(written(LogFormat::Text, LogLevel::Off, both), "");
    let text = written(LogFormat::Text, LogLevel::Error, both);
    assert_eq!(text, "");
}

#[test]
fn tokens_are_never_written() {
    let token = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
    let text = written(LogFormat::Json, LogLevel::Trace, || {
        events::session_closed(token);
        events::session_expired(token);
    });
    assert_eq!(text.matches(&events::session_label(token)).count(), 2);
    assert!(!text.contains("89abcdef") && !text.contains(&token.to_string()), "{text}");
}
