use std::collections::BTreeMap;

use super::*;
use crate::ops::{PoolKind, WorkFigures};
use crate::{Engine, Observation};

/// One sample of the text: name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text format as its specification says, and panics on what it does not allow.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Sample>) {
    assert!(text.ends_with('\n'), "the last line has to end");
    let mut types = BTreeMap::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, _) = rest.split_once(' ').unwrap();
            assert!(!types.contains_key(name), "the help of {name} comes after its type");
        } else {
            samples.push(sample(line));
            assert_of_latest_family(&types, samples.last().unwrap(), line);
        }
    }
    (types, samples)
}

fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    let first = name.chars().next().unwrap();
    assert!(first.is_ascii_alphabetic() || first == '_', "{line}");
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            rest = rest.strip_prefix(',').unwrap_or(rest);
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = label_value(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            rest = after;
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap();
    let value = if value == "NaN" { f64::NAN } else { value.parse().unwrap() };
    (name.to_owned(), labels, value)
}

/// A value up to its closing quote, with what was escaped, and the rest of the line.
fn label_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next().unwrap() {
            (end, '"') => return (value, &text[end + 1..]),
            (_, '\\') => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("\\{other} is no escape"),
            }),
            (_, other) => value.push(other),
        }
    }
}

/// All samples of a family stand together below its type.
fn assert_of_latest_family(types: &BTreeMap<String, String>, sample: &Sample, line: &str) {
    let family = ["_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.0.strip_suffix(suffix).filter(|name| types.contains_key(*name)))
        .unwrap_or(&sample.0);
    let kind = types.get(family).unwrap_or_else(|| panic!("no type: {line}"));
    assert_eq!(sample.1.contains_key("quantile"), kind == "summary" && family == sample.0, "{line}");
    assert!(kind != "counter" || family.ends_with("_total"), "{line}");
}

fn kind(task: &str) -> PoolKind {
    PoolKind { task: task.into(), engine: Engine::Dream, obs: Observation::Rgb }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.counts.extend([("messages", 12), ("env_steps", 640), ("never_heard_of", 1)]);
    snapshot.means.insert("audit/psnr_db", (90.0, 3));
    snapshot.gauge("sessions", 2.0);
    snapshot.gauge("pools", 1.0);
    snapshot.add_pool(kind("PushCube-v0"), 2, 48, 64);
    let call_s = Summary { p50: Some(0.25), p99: Some(0.5), sum: 2.75, count: 10 };
    let work = WorkFigures { env_steps: 640, calls_merged: 4, call_s, ..WorkFigures::default() };
    snapshot.pools.get_mut(&kind("PushCube-v0")).unwrap().work = work;
    snapshot
}

fn value(samples: &[Sample], name: &str, label: Option<(&str, &str)>) -> f64 {
    let wanted = |sample: &&Sample| {
        sample.0 == name
            && label.is_none_or(|(label, value)| sample.1.get(label).is_some_and(|found| found == value))
    };
    let found: Vec<_> = samples.iter().filter(wanted).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].2
}

#[test]
fn a_parser_of_the_format_reads_every_figure() {
    let process = ProcessFigures { resident_bytes: Some(1.5e9), ..ProcessFigures::default() };
    let (types, samples) = parse(&exposition(&snapshot(), &process));
    assert_eq!(value(&samples, "worldstep_messages_total", None), 12.0);
    assert_eq!(value(&samples, "worldstep_never_heard_of_total", None), 1.0);
    assert_eq!(value(&samples, "worldstep_sessions", None), 2.0);
    assert_eq!(value(&samples, "worldstep_audit_psnr_db_sum", None), 90.0);
    assert_eq!(value(&samples, "process_resident_memory_bytes", None), 1.5e9);
    assert_eq!(value(&samples, "worldstep_env_steps_total", Some(("engine", "dream"))), 640.0);
    assert_eq!(value(&samples, "worldstep_pool_lanes", Some(("obs", "rgb"))), 64.0);
    assert_eq!(value(&samples, "worldstep_engine_call_seconds", Some(("quantile", "0.99"))), 0.5);
    assert_eq!(value(&samples, "worldstep_engine_call_seconds_sum", Some(("task", "PushCube-v0"))), 2.75);
    assert!(value(&samples, "worldstep_step_wait_seconds", Some(("quantile", "0.5"))).is_nan());
    assert_eq!(types["worldstep_engine_call_seconds"], "summary");
    assert!(!types.contains_key("process_open_fds"), "what the system does not say is not told");
}

#[test]
fn the_operators_page_lists_every_metric() {
    let page = include_str!("../../../../docs/operations.md");
    let mut told = snapshot();
    told.counts.extend(COUNTERS.iter().map(|(name, _)| (*name, 1)));
    told.counts.remove("never_heard_of");
    told.means.clear();
    told.gauges.extend(GAUGES.iter().map(|(name, _)| (*name, 1.0)));
    let (types, _) = parse(&exposition(&told, &ProcessFigures::read()));
    assert!(types.len() > 20, "{types:?}");
    for name in types.keys() {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
}

#[test]
fn labels_and_names_hold_anything() {
    let mut snapshot = Snapshot::default();
    let odd = "a\\b\"c\nd\u{1f600}";
    snapshot.add_pool(kind(odd), 1, 1, 1);
    snapshot.means.insert("audit/ä b", (f64::INFINITY, 1));
    let (_, samples) = parse(&exposition(&snapshot, &ProcessFigures::default()));
    assert_eq!(value(&samples, "worldstep_pools", Some(("task", odd))), 1.0);
    assert_eq!(value(&samples, "worldstep_audit___b_sum", None), f64::INFINITY);
}

#[test]
fn a_server_without_work_tells_zeros_and_no_sample_twice() {
    let (_, samples) = parse(&exposition(&Snapshot::default(), &ProcessFigures::read()));
    let mut seen = std::collections::BTreeSet::new();
    for (name, labels, _) in &samples {
        assert!(seen.insert((name, labels)), "{name} twice");
    }
    assert!(seen.iter().any(|(name, _)| *name == "process_open_fds"));
}
