use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use worldstep_env::dataset::table;

use super::clip::Clip;
use super::features::item;

/// The tables beside the rows, in the order that they are written in.
pub const TABLES: [&str; 3] = [table::CONTACTS, table::FORCES, table::EVENTS];

/// Schemas of [`TABLES`].
pub fn schemas() -> [SchemaRef; 3] {
    let vector = || DataType::FixedSizeList(item(DataType::Float32), 3);
    let schema = |columns: &[(&str, DataType)]| {
        let keys = [("episode_index", DataType::Int64), ("frame_index", DataType::Int64)];
        let all = keys.iter().chain(columns);
        let fields: Vec<_> = all.map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        Arc::new(Schema::new(fields))
    };
    let id = |name| (name, DataType::Int64);
    let contacts = schema(&[
        id("a"),
        id("b"),
        ("point", vector()),
        ("normal", vector()),
        ("impulse", vector()),
        ("penetration", DataType::Float32),
    ]);
    let forces = schema(&[id("id"), ("point", vector()), ("force", vector()), ("torque", vector())]);
    let events = schema(&[("kind", DataType::Utf8), id("a"), id("b"), ("value", DataType::Float32)]);
    [contacts, forces, events]
}

/// The rows that `clip` adds to each of [`TABLES`].
pub fn batches(clip: &Clip) -> Result<[RecordBatch; 3], String> {
    let schemas = schemas();
    let batch = |table: usize, columns: Vec<ArrayRef>| {
        RecordBatch::try_new(schemas[table].clone(), columns).map_err(|error| error.to_string())
    };
    let episode = |rows: usize| ints(std::iter::repeat_n(clip.facts.index as i64, rows));
    let (contacts, forces, events) = (&clip.contacts, &clip.forces, &clip.events);
    Ok([
        batch(
            0,
            vec![
                episode(contacts.len()),
                ints(contacts.iter().map(|(frame, _)| i64::from(*frame))),
                ints(contacts.iter().map(|(_, contact)| i64::from(contact.a))),
                ints(contacts.iter().map(|(_, contact)| i64::from(contact.b))),
                vectors(contacts.iter().map(|(_, contact)| contact.point))?,
                vectors(contacts.iter().map(|(_, contact)| contact.normal))?,
                vectors(contacts.iter().map(|(_, contact)| contact.impulse))?,
                floats(contacts.iter().map(|(_, contact)| contact.penetration)),
            ],
        )?,
        batch(
            1,
            vec![
                episode(forces.len()),
                ints(forces.iter().map(|(frame, _)| i64::from(*frame))),
                ints(forces.iter().map(|(_, force)| i64::from(force.id))),
                vectors(forces.iter().map(|(_, force)| force.point))?,
                vectors(forces.iter().map(|(_, force)| force.force))?,
                vectors(forces.iter().map(|(_, force)| force.torque))?,
            ],
        )?,
        batch(
            2,
            vec![
                episode(events.len()),
                ints(events.iter().map(|event| i64::from(event.frame))),
                Arc::new(StringArray::from_iter_values(events.iter().map(|event| event.kind.name()))),
                ints(events.iter().map(|event| i64::from(event.a))),
                ints(events.iter().map(|event| i64::from(event.b))),
                floats(events.iter().map(|event| event.value)),
            ],
        )?,
    ])
}

fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn floats(values: impl Iterator<Item = f32>) -> ArrayRef {
    Arc::new(Float32Array::from_iter_values(values))
}

fn vectors(values: impl Iterator<Item = [f32; 3]>) -> Result<ArrayRef, String> {
    let values = floats(values.flatten());
    FixedSizeListArray::try_new(item(DataType::Float32), 3, values, None)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}
