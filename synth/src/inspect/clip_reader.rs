use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array as _, BinaryArray, RecordBatch};

use super::fault::{Code, Fault};
use super::image_file;
use super::parquet_read::{Columns, flat};
use super::tables::EpisodeTables;
use crate::lerobot::{Clip, Column, EpisodeEntry, Feature, FeatureKind, ImageCoding, Source};

/// Decodes a row group of `data`: all that was recorded of the clip `entry` tells of.
pub fn clip(
    batch: &RecordBatch,
    features: &[Feature],
    entry: &EpisodeEntry,
    tables: EpisodeTables,
) -> Result<Clip, Fault> {
    if batch.num_rows() != entry.length {
        let message = format!("{} rows, but meta/episodes says {}", batch.num_rows(), entry.length);
        return Err(Fault::new(Code::Index, message));
    }
    let recorded = features.iter().filter(|feature| feature.source != Source::Position);
    let columns: Result<Vec<Column>, Fault> = recorded.map(|feature| column(batch, feature)).collect();
    Ok(Clip {
        facts: entry.facts.clone(),
        len: entry.length,
        columns: columns?,
        contacts: tables.contacts,
        forces: tables.forces,
        events: tables.events,
    })
}

fn column(batch: &RecordBatch, feature: &Feature) -> Result<Column, Fault> {
    let values = Columns(batch).get(&feature.name)?;
    let wrong = || {
        let message =
            format!("column {:?} is {}, expected {}", feature.name, values.data_type(), feature.kind.arrow());
        Fault::new(Code::Schema, message)
    };
    let elements = batch.num_rows() * feature.kind.elements();
    let column = match &feature.kind {
        FeatureKind::Image(coding, side) => return images(batch, &feature.name, (*coding, *side)),
        FeatureKind::Float(_) => {
            let flat = flat(values);
            Column::F32(flat.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?.values().to_vec())
        }
        FeatureKind::Int(_) => {
            let flat = flat(values);
            Column::I64(flat.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?.values().to_vec())
        }
        FeatureKind::Bool => {
            Column::Bool(values.as_boolean_opt().ok_or_else(wrong)?.values().iter().collect())
        }
    };
    let found = match &column {
        Column::F32(values) => values.len(),
        Column::I64(values) => values.len(),
        _ => elements,
    };
    if found != elements {
        let message =
            format!("{} has {found} values in {} rows, expected {elements}", feature.name, batch.num_rows());
        return Err(Fault::new(Code::Schema, message));
    }
    Ok(column)
}

fn images(batch: &RecordBatch, name: &str, (coding, side): (ImageCoding, usize)) -> Result<Column, Fault> {
    let files = image_files(batch, name)?;
    let values = batch.num_rows() * side * side * coding.values();
    let mut out = match coding {
        ImageCoding::Rgb8 => Column::U8(Vec::with_capacity(values)),
        ImageCoding::Gray16 => Column::U16(Vec::with_capacity(values)),
        ImageCoding::Float32(_) => Column::F32(Vec::with_capacity(values)),
    };
    for (frame, file) in files.iter().enumerate() {
        image_file::decode(file.unwrap_or_default(), (coding, side), &mut out)
            .map_err(|message| Fault::at(Code::Image, frame, format!("{name}: {message}")))?;
    }
    Ok(out)
}

/// The image files of a column.
pub fn image_files(batch: &RecordBatch, name: &str) -> Result<BinaryArray, Fault> {
    Columns(batch)
        .get(name)?
        .as_struct_opt()
        .and_then(|images| images.column_by_name("bytes"))
        .and_then(|bytes| bytes.as_binary_opt::<i32>().cloned())
        .ok_or_else(|| Fault::new(Code::Schema, format!("column {name:?} holds no images")))
}
