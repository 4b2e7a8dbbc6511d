use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, ListArray,
    RecordBatch, StructArray, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use rayon::prelude::*;

use super::channel::ImageCoding;
use super::clip::{Clip, Column};
use super::content_hash::content_hash;
use super::encode;
use super::episodes::EpisodeEntry;
use super::features::{Feature, FeatureKind, Source, image_fields, item, schema};
use super::stats::FeatureStats;
use super::tables;

/// An episode as it goes to the files.
pub struct EncodedEpisode {
    /// Its row of `meta/episodes`.
    pub entry: EpisodeEntry,
    /// Its rows of `data`, one column a feature.
    pub rows: RecordBatch,
    /// Its rows of [`TABLES`](super::TABLES).
    pub tables: [RecordBatch; 3],
}

/// Where an episode's rows are.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Position of the episode in the dataset.
    pub index: usize,
    /// Its first row in the dataset.
    pub first_row: usize,
    /// Rows.
    pub len: usize,
    /// Rows in a second.
    pub fps: u32,
}

impl Place {
    /// Where the episode after this one begins.
    pub fn after(self) -> Self {
        Self { index: self.index + 1, first_row: self.first_row + self.len, len: 0, ..self }
    }
}

/// `clip` as it will go to the files at `place`. Takes the cores of the thread pool that it is called in.
///
/// # Errors
/// A sentence on what does not fit the dataset's features.
pub fn encode_episode(clip: &Clip, features: &[Feature], place: Place) -> Result<EncodedEpisode, String> {
    let (rows, hash) = rayon::join(|| encode_rows(clip, features, place), || content_hash(clip, features));
    let (rows, stats) = rows?;
    let facts = clip.facts.clone();
    let entry = EpisodeEntry { facts, length: clip.len, first_row: place.first_row, hash, stats };
    Ok(EncodedEpisode { entry, rows, tables: tables::batches(clip)? })
}

fn encode_rows(
    clip: &Clip,
    features: &[Feature],
    place: Place,
) -> Result<(RecordBatch, Vec<FeatureStats>), String> {
    let recorded = features.iter().filter(|feature| feature.source != Source::Position).count();
    if clip.columns.len() != recorded {
        return Err(format!("a clip of {} columns, expected {recorded}", clip.columns.len()));
    }
    let encoded: Result<Vec<_>, String> = features
        .par_iter()
        .enumerate()
        .map(|(i, feature)| match feature.source {
            Source::Position => encode_column(&position(&feature.name, place), feature, place.len),
            _ => encode_column(&clip.columns[i], feature, place.len),
        })
        .collect();
    let (columns, stats) = encoded?.into_iter().unzip();
    let rows =
        RecordBatch::try_new(Arc::new(schema(features)), columns).map_err(|error| error.to_string())?;
    Ok((rows, stats))
}

/// One column encoded, with its statistics.
pub fn encode_column(
    column: &Column,
    feature: &Feature,
    len: usize,
) -> Result<(ArrayRef, FeatureStats), String> {
    // A sample is a row, also where a row has many pixels.
    let stats = || FeatureStats { count: len as i64, ..column_stats(column, feature.kind.elements()) };
    let (array, stats) = rayon::join(|| array(column, &feature.kind, len), stats);
    Ok((array.map_err(|message| format!("{}: {message}", feature.name))?, stats))
}

/// A column of LeRobot's own, which follows from the rows' position alone.
pub fn position(name: &str, place: Place) -> Column {
    let Place { index, first_row, len, fps } = place;
    match name {
        "timestamp" => Column::F32((0..len).map(|t| (t as f64 / f64::from(fps)) as f32).collect()),
        "frame_index" => Column::I64((0..len as i64).collect()),
        "episode_index" => Column::I64(vec![index as i64; len]),
        "index" => Column::I64((first_row as i64..(first_row + len) as i64).collect()),
        _ => Column::I64(vec![0; len]),
    }
}

fn column_stats(column: &Column, width: usize) -> FeatureStats {
    match column {
        // As LeRobot has it: 8-bit images count from 0 to 1.
        Column::U8(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v) / 255.0), width),
        Column::U16(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v)), width),
        Column::F32(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v)), width),
        Column::I64(values) => FeatureStats::of(values.iter().map(|v| *v as f64), width),
        Column::Bool(values) => FeatureStats::of(values.iter().map(|v| f64::from(u8::from(*v))), width),
    }
}

fn array(column: &Column, kind: &FeatureKind, rows: usize) -> Result<ArrayRef, String> {
    match (column, kind) {
        (_, FeatureKind::Image(coding, side)) => image_array(column, *coding, (*side, rows)),
        (Column::F32(values), FeatureKind::Float(shape)) => {
            shaped(Arc::new(Float32Array::from(values.clone())), shape, rows)
        }
        (Column::I64(values), FeatureKind::Int(shape)) => {
            shaped(Arc::new(Int64Array::from(values.clone())), shape, rows)
        }
        (Column::Bool(values), FeatureKind::Bool) => {
            shaped(Arc::new(BooleanArray::from(values.clone())), &[1], rows)
        }
        _ => Err(format!("values of another type than {}", kind.dtype())),
    }
}

fn image_array(
    column: &Column,
    coding: ImageCoding,
    (side, rows): (usize, usize),
) -> Result<ArrayRef, String> {
    let values = side * side * coding.values();
    let side = side as u32;
    let files: Result<Vec<Vec<u8>>, String> = match (column, coding) {
        (Column::U8(all), ImageCoding::Rgb8) => {
            all.par_chunks_exact(values).map(|image| encode::rgb_png(image, side)).collect()
        }
        (Column::U16(all), ImageCoding::Gray16) => {
            all.par_chunks_exact(values).map(|image| encode::gray_png(image, side)).collect()
        }
        (Column::F32(all), ImageCoding::Float32(_)) => {
            all.par_chunks_exact(values).map(|image| encode::float_tiff(image, side)).collect()
        }
        _ => Err(format!("pixels of another type than {coding:?}")),
    };
    let files = files?;
    if files.len() != rows {
        return Err(format!("{} images for {rows} rows", files.len()));
    }
    let bytes = BinaryArray::from_iter_values(files.iter().map(Vec::as_slice));
    let paths = new_null_array(&DataType::Utf8, files.len());
    let array = StructArray::try_new(image_fields(), vec![Arc::new(bytes), paths], None);
    Ok(Arc::new(array.map_err(|error| error.to_string())?))
}

/// `values` as numbers, vectors or matrices, one a row.
fn shaped(values: ArrayRef, shape: &[usize], rows: usize) -> Result<ArrayRef, String> {
    let expected = rows * shape.iter().product::<usize>();
    if values.len() != expected {
        return Err(format!("{} values for {rows} rows of shape {shape:?}", values.len()));
    }
    let field = item(values.data_type().clone());
    match shape {
        [1] => Ok(values),
        [len] => FixedSizeListArray::try_new(field, *len as i32, values, None)
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| error.to_string()),
        [height, width] => {
            let lines = list(values, *width, rows * height)?;
            list(lines, *height, rows)
        }
        _ => Err(format!("arrays of {} dimensions are not stored", shape.len())),
    }
}

fn list(values: ArrayRef, len: usize, count: usize) -> Result<ArrayRef, String> {
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(len, count));
    ListArray::try_new(item(values.data_type().clone()), offsets, values, None)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}
