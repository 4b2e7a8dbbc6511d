use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, ListArray,
    RecordBatch, StructArray, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Schema};
use rayon::prelude::*;
use worldstep_env::dataset::feature;

use super::encode;
use super::features::{Feature, FeatureKind, image_fields, item};
use super::stats::FeatureStats;
use crate::clips::Episode;

/// An episode as a row group of `data/`, with its statistics.
pub struct EpisodeRows {
    pub batch: RecordBatch,
    /// One entry a feature, in the features' order.
    pub stats: Vec<FeatureStats>,
}

/// One column's raw values.
enum Column<'a> {
    Image(ImageColumn<'a>),
    Float(Vec<f32>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

enum ImageColumn<'a> {
    Rgb(&'a [u8]),
    Depth(&'a [f32]),
    Instance(&'a [u16]),
}

/// Encodes `episode`, whose first row is row `first_row` of the dataset.
pub fn encode_rows(
    episode: &Episode,
    features: &[Feature],
    (side, fps, first_row): (u32, u32, usize),
) -> Result<EpisodeRows, String> {
    let schema = Schema::new(features.iter().map(arrow_field).collect::<Vec<_>>());
    let mut columns = Vec::with_capacity(features.len());
    let mut stats = Vec::with_capacity(features.len());
    for feature in features {
        let column = column(episode, feature.name, (side, fps, first_row));
        // A sample is a row, also where a row has many pixels.
        let samples = FeatureStats { count: episode.len as i64, ..column_stats(&column, &feature.kind) };
        stats.push(samples);
        columns.push(array(column, &feature.kind, (side, episode.len))?);
    }
    let batch = RecordBatch::try_new(Arc::new(schema), columns).map_err(|error| error.to_string())?;
    Ok(EpisodeRows { batch, stats })
}

/// The Arrow field of a feature.
pub fn arrow_field(feature: &Feature) -> arrow_schema::Field {
    arrow_schema::Field::new(feature.name, feature.kind.arrow(), true)
}

fn column<'a>(episode: &'a Episode, name: &str, (side, fps, first_row): (u32, u32, usize)) -> Column<'a> {
    let len = episode.len;
    let repeat = |values: &[f32]| Column::Float(values.repeat(len));
    let camera = &episode.scene.camera;
    match name {
        feature::RGB => Column::Image(ImageColumn::Rgb(&episode.rgb)),
        feature::DEPTH => Column::Image(ImageColumn::Depth(&episode.depth)),
        feature::INSTANCE => Column::Image(ImageColumn::Instance(&episode.instance)),
        feature::STATE => Column::Float(episode.state.clone()),
        feature::ACTION => Column::Float(episode.action.clone()),
        feature::REWARD => Column::Float(episode.reward.clone()),
        feature::TERMINATED => Column::Bool(episode.terminated.clone()),
        feature::TRUNCATED => Column::Bool(episode.truncated.clone()),
        feature::DONE => {
            Column::Bool(episode.terminated.iter().zip(&episode.truncated).map(|(a, b)| *a || *b).collect())
        }
        feature::SUCCESS => Column::Bool(episode.success.clone()),
        feature::INTRINSICS => repeat(&camera.intrinsics(side, side)),
        feature::WORLD_FROM_CAMERA => repeat(&camera.world_from_camera()),
        feature::POSE => Column::Float(episode.pose.clone()),
        feature::VELOCITY => Column::Float(episode.velocity.clone()),
        feature::INSTANCE_ID => {
            let ids: Vec<i64> =
                episode.scene.instances.iter().map(|instance| i64::from(instance.id)).collect();
            Column::Int(ids.repeat(len))
        }
        "timestamp" => Column::Float((0..len).map(|t| (t as f64 / f64::from(fps)) as f32).collect()),
        "frame_index" => Column::Int((0..len as i64).collect()),
        "episode_index" => Column::Int(vec![episode.index as i64; len]),
        "index" => Column::Int((first_row as i64..(first_row + len) as i64).collect()),
        _ => Column::Int(vec![0; len]),
    }
}

fn column_stats(column: &Column<'_>, kind: &FeatureKind) -> FeatureStats {
    let width: usize = match kind {
        FeatureKind::Image([_, _, channels]) => *channels,
        _ => kind.shape().iter().product(),
    };
    match column {
        // As LeRobot has it: 8-bit images count from 0 to 1.
        Column::Image(ImageColumn::Rgb(values)) => {
            FeatureStats::of(values.iter().map(|v| f64::from(*v) / 255.0), width)
        }
        Column::Image(ImageColumn::Depth(values)) => {
            FeatureStats::of(values.iter().map(|v| f64::from(*v)), width)
        }
        Column::Image(ImageColumn::Instance(values)) => {
            FeatureStats::of(values.iter().map(|v| f64::from(*v)), width)
        }
        Column::Float(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v)), width),
        Column::Int(values) => FeatureStats::of(values.iter().map(|v| *v as f64), width),
        Column::Bool(values) => FeatureStats::of(values.iter().map(|v| f64::from(u8::from(*v))), width),
    }
}

fn array(column: Column<'_>, kind: &FeatureKind, (side, rows): (u32, usize)) -> Result<ArrayRef, String> {
    match column {
        Column::Image(images) => image_array(&images, side),
        Column::Float(values) => shaped(Arc::new(Float32Array::from(values)), &kind.shape(), rows),
        Column::Int(values) => shaped(Arc::new(Int64Array::from(values)), &kind.shape(), rows),
        Column::Bool(values) => Ok(Arc::new(BooleanArray::from(values))),
    }
}

fn image_array(images: &ImageColumn<'_>, side: u32) -> Result<ArrayRef, String> {
    let pixels = (side * side) as usize;
    let files: Result<Vec<Vec<u8>>, String> = match images {
        ImageColumn::Rgb(values) => {
            values.par_chunks_exact(pixels * 3).map(|image| encode::rgb_png(image, side)).collect()
        }
        ImageColumn::Depth(values) => {
            values.par_chunks_exact(pixels).map(|image| encode::depth_tiff(image, side)).collect()
        }
        ImageColumn::Instance(values) => {
            values.par_chunks_exact(pixels).map(|image| encode::instance_png(image, side)).collect()
        }
    };
    let files = files?;
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
