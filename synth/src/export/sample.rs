use serde_json::{Map, Value, json};
use worldstep_env::record::{AppliedForce, Contact, Event};

use crate::inspect::Rows;
use crate::lerobot::{Column, EpisodeEntry, Feature, Source};

/// Row `t` of a clip without its images: every feature by name, in its shape, and what the tables say of it.
pub fn row_json(rows: &Rows<'_>, entry: &EpisodeEntry, t: usize) -> Value {
    let clip = rows.clip;
    let mut out = Map::new();
    out.insert("episode_index".to_owned(), json!(clip.facts.index));
    out.insert("frame_index".to_owned(), json!(t));
    out.insert("index".to_owned(), json!(entry.first_row + t));
    out.insert("timestamp".to_owned(), json!(t as f64 / f64::from(rows.fps)));
    let recorded = rows.features.iter().filter(|feature| feature.source != Source::Position);
    for (feature, column) in recorded.zip(&clip.columns) {
        out.insert(feature.name.clone(), value(feature, column, (t, clip.len)));
    }
    let at = |frame: u32| frame as usize == t;
    let contacts = clip.contacts.iter().filter(|(frame, _)| at(*frame));
    let forces = clip.forces.iter().filter(|(frame, _)| at(*frame));
    let events = clip.events.iter().filter(|event| at(event.frame));
    out.insert("contacts".to_owned(), contacts.map(|(_, contact)| contact_json(contact)).collect());
    out.insert("forces".to_owned(), forces.map(|(_, force)| force_json(force)).collect());
    out.insert("events".to_owned(), events.map(event_json).collect());
    for (name, text) in [
        ("scenario", &clip.facts.scenario),
        ("split", &clip.facts.split),
        ("outcome", &clip.facts.outcome),
        ("caption", &clip.facts.caption),
    ] {
        out.insert(name.to_owned(), json!(text));
    }
    Value::Object(out)
}

/// What holds for a whole clip.
pub fn episode_json(entry: &EpisodeEntry) -> Value {
    let facts = &entry.facts;
    let [mass, friction, restitution] = &facts.physical;
    // JSON has no infinity; what is fixed has no mass there.
    let mass: Vec<Option<f32>> = mass.iter().map(|mass| mass.is_finite().then_some(*mass)).collect();
    let parameters: Value = serde_json::from_str(&facts.parameters).unwrap_or_default();
    json!({
        "episode_index": facts.index,
        "length": entry.length,
        "scenario": facts.scenario,
        "split": facts.split,
        "outcome": facts.outcome,
        "policy": facts.policy,
        "seed": facts.seed,
        "caption": facts.caption,
        "parameters": parameters,
        "gravity": facts.gravity,
        "object.mass": mass,
        "object.friction": friction,
        "object.restitution": restitution,
        "unit": facts.unit,
        "branch_parent": facts.links.branch_parent,
        "branch_frame": facts.links.branch_frame,
        "violation": facts.links.violation,
        "pair": facts.links.pair,
        "content_hash": entry.hash,
    })
}

/// Row `t` of `len` of a column: a number or truth value, or nested lists of the feature's shape.
fn value(feature: &Feature, column: &Column, (t, len): (usize, usize)) -> Value {
    let values: Vec<Value> = match column {
        Column::F32(values) => row(values, t, len).iter().map(|value| json!(value)).collect(),
        Column::I64(values) => row(values, t, len).iter().map(|value| json!(value)).collect(),
        Column::Bool(values) => row(values, t, len).iter().map(|value| json!(value)).collect(),
        Column::U8(_) | Column::U16(_) => Vec::new(),
    };
    match feature.kind.shape().as_slice() {
        [1] => values.into_iter().next().unwrap_or_default(),
        [_, width] => values.chunks(*width).map(|line| Value::Array(line.to_vec())).collect(),
        _ => Value::Array(values),
    }
}

fn row<T>(values: &[T], t: usize, len: usize) -> &[T] {
    let width = values.len() / len;
    &values[t * width..(t + 1) * width]
}

fn contact_json(contact: &Contact) -> Value {
    json!({
        "a": contact.a, "b": contact.b, "point": contact.point, "normal": contact.normal,
        "impulse": contact.impulse, "penetration": contact.penetration,
    })
}

fn force_json(force: &AppliedForce) -> Value {
    json!({ "id": force.id, "point": force.point, "force": force.force, "torque": force.torque })
}

fn event_json(event: &Event) -> Value {
    json!({ "kind": event.kind.name(), "a": event.a, "b": event.b, "value": event.value })
}
