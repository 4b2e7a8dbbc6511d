use worldstep_env::Buffer;
use worldstep_env::DType;

use super::super::fault::{Code, Fault};
use super::super::rows::Rows;
use crate::lerobot::{Column, ImageChannel, Source};

/// Largest deviation of a quaternion's length from 1.
const QUATERNION_MAX: f32 = 1e-3;

/// Every number is finite and within what it can be, orientations are unit quaternions, ids known, actions allowed,
/// flags consistent, tables about things and rows that are there.
pub fn check(rows: &Rows<'_>) -> Vec<Fault> {
    let mut faults = finite(rows);
    if !faults.is_empty() {
        return faults;
    }
    slots(rows, &mut faults);
    ranges(rows, &mut faults);
    flags(rows, &mut faults);
    tables(rows, &mut faults);
    faults.extend(action(rows));
    faults
}

fn finite(rows: &Rows<'_>) -> Vec<Fault> {
    let recorded = rows.features.iter().filter(|feature| feature.source != Source::Position);
    let mut faults = Vec::new();
    for (feature, column) in recorded.zip(&rows.clip.columns) {
        let Column::F32(values) = column else { continue };
        let width = values.len() / rows.clip.len;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let message = format!("{} has {} at element {}", feature.name, values[at], at % width);
            faults.push(Fault::at(Code::NotFinite, at / width, message));
        }
    }
    for (frame, contact) in &rows.clip.contacts {
        let vectors = [contact.point, contact.normal, contact.impulse];
        if vectors.as_flattened().iter().any(|value| !value.is_finite()) {
            let message = format!("contact of {} and {}: {vectors:?}", contact.a, contact.b);
            faults.push(Fault::at(Code::NotFinite, *frame as usize, message));
        }
    }
    faults
}

/// Each slot holds its label's id and a unit quaternion, or nothing.
fn slots(rows: &Rows<'_>, faults: &mut Vec<Fault>) {
    for t in 0..rows.clip.len {
        for (slot, (id, label)) in rows.ids(t).iter().zip(&rows.scenario.instances).enumerate() {
            if *id != 0 && *id != i64::from(label.id) {
                let message =
                    format!("slot {slot} holds id {id}, expected {} ({:?}) or 0", label.id, label.name);
                faults.push(Fault::at(Code::UnknownId, t, message));
                return;
            }
            let quaternion = &rows.pose(t, slot)[3..];
            let length = quaternion.iter().map(|value| value * value).sum::<f32>().sqrt();
            if (length - 1.0).abs() > QUATERNION_MAX {
                let message =
                    format!("orientation {quaternion:?} of {:?} has length {length}, expected 1", label.name);
                faults.push(Fault::at(Code::Quaternion, t, message));
                return;
            }
        }
    }
}

fn ranges(rows: &Rows<'_>, faults: &mut Vec<Fault>) {
    let mut within = |source: Source, what: &str, low: f32, high: f32| {
        let values = rows.floats(source);
        let wrong = values.iter().position(|value| !(low..=high).contains(value));
        faults.extend(wrong.map(|at| {
            let frame = at / (values.len() / rows.clip.len);
            Fault::at(Code::Range, frame, format!("{what} is {}, expected {low} to {high}", values[at]))
        }));
    };
    within(Source::Visibility, "visible share", 0.0, 1.0);
    for camera in 0..cameras(rows) {
        within(Source::Image(ImageChannel::Depth, camera), "depth", 0.0, f32::MAX);
        within(Source::Image(ImageChannel::Normal, camera), "component of a normal", -1.001, 1.001);
    }
}

/// How many cameras there are.
pub fn cameras(rows: &Rows<'_>) -> usize {
    (0..).take_while(|camera| rows.column(Source::Intrinsics(*camera)).is_some()).count()
}

fn flags(rows: &Rows<'_>, faults: &mut Vec<Fault>) {
    let (terminated, truncated) = (rows.flags(Source::Terminated), rows.flags(Source::Truncated));
    for (t, done) in rows.flags(Source::Done).iter().enumerate() {
        let ends = terminated[t] || truncated[t];
        if *done != ends {
            faults.push(Fault::at(
                Code::Range,
                t,
                format!("next.done is {done}, terminated or truncated {ends}"),
            ));
        }
        if ends && t + 1 < rows.clip.len {
            let message = format!("the episode ends here, but has {} rows", rows.clip.len);
            faults.push(Fault::at(Code::Range, t, message));
        }
    }
}

fn tables(rows: &Rows<'_>, faults: &mut Vec<Fault>) {
    let present = rows.ids(0);
    let known = |id: u16| id == 0 || present.contains(&i64::from(id));
    let mut row = |code: Code, frame: u32, ids: &[u16], what: &str| {
        if frame as usize >= rows.clip.len {
            let message = format!("{what} in row {frame} of {}", rows.clip.len);
            faults.push(Fault::at(code, frame as usize, message));
        }
        for id in ids.iter().filter(|id| !known(**id)) {
            let message = format!("{what} of instance {id}, which is not in the clip");
            faults.push(Fault::at(Code::UnknownId, frame as usize, message));
        }
    };
    for (frame, contact) in &rows.clip.contacts {
        row(Code::Index, *frame, &[contact.a, contact.b], "contact");
    }
    for (frame, force) in &rows.clip.forces {
        row(Code::Index, *frame, &[force.id], "force");
    }
    for event in &rows.clip.events {
        row(Code::Event, event.frame, &[event.a, event.b], event.kind.name());
    }
}

fn action(rows: &Rows<'_>) -> Option<Fault> {
    let space = &rows.scenario.action_space;
    (0..rows.clip.len).find_map(|t| {
        let values = rows.row(Source::Action, t);
        let whole = values.iter().all(|value| value.fract() == 0.0);
        let buffer = match space.dtype() {
            DType::Float32 => Buffer::F32(values.to_vec()),
            DType::Int64 if whole => Buffer::I64(values.iter().map(|value| *value as i64).collect()),
            DType::Uint16 if whole => Buffer::U16(values.iter().map(|value| *value as u16).collect()),
            DType::Uint8 if whole => Buffer::U8(values.iter().map(|value| *value as u8).collect()),
            _ => return Some(Fault::at(Code::Action, t, format!("{values:?} are no whole numbers"))),
        };
        let error = space.check(&buffer, 1).err()?;
        Some(Fault::at(Code::Action, t, error.to_string()))
    })
}
