use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::{EPISODES_PER_FILE, episode};

use super::features::{Feature, FeatureKind, item};
use super::stats::FeatureStats;
use crate::clips::SynthError;

/// What `meta/episodes` says of one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeEntry {
    /// Position in the dataset.
    pub index: usize,
    /// Rows.
    pub length: usize,
    /// First row in the dataset.
    pub first_row: usize,
    /// Seed of the reset.
    pub seed: u64,
    /// Name of the behaviour.
    pub policy: String,
    /// BLAKE3 over everything recorded.
    pub hash: String,
    /// One entry a feature, in the features' order.
    pub stats: Vec<FeatureStats>,
}

impl EpisodeEntry {
    /// `val` for every tenth episode.
    pub fn split(&self) -> &'static str {
        if self.index % 10 == 9 { "val" } else { "train" }
    }

    fn file_index(&self) -> i64 {
        (self.index / EPISODES_PER_FILE) as i64
    }
}

/// What of a statistic is a column of its own.
type Moment = (&'static str, fn(&FeatureStats) -> &Vec<f64>);
const MOMENTS: [Moment; 4] = [
    ("min", |stats| &stats.min),
    ("max", |stats| &stats.max),
    ("mean", |stats| &stats.mean),
    ("std", |stats| &stats.std),
];

/// `entries` as the rows of one file of `meta/episodes`.
pub fn batch(
    entries: &[EpisodeEntry],
    features: &[Feature],
    (scenario, task): (&str, &str),
) -> Result<RecordBatch, String> {
    let ints = |of: &dyn Fn(&EpisodeEntry) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(entries.iter().map(of)))
    };
    let texts = |of: &dyn Fn(&EpisodeEntry) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(of)))
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("episode_index".to_owned(), ints(&|e| e.index as i64)),
        ("tasks".to_owned(), tasks(entries.len(), task)),
        ("length".to_owned(), ints(&|e| e.length as i64)),
        ("data/chunk_index".to_owned(), ints(&|_| 0)),
        ("data/file_index".to_owned(), ints(&EpisodeEntry::file_index)),
        ("dataset_from_index".to_owned(), ints(&|e| e.first_row as i64)),
        ("dataset_to_index".to_owned(), ints(&|e| (e.first_row + e.length) as i64)),
        ("meta/episodes/chunk_index".to_owned(), ints(&|_| 0)),
        ("meta/episodes/file_index".to_owned(), ints(&EpisodeEntry::file_index)),
        (episode::SEED.to_owned(), ints(&|e| e.seed as i64)),
        (episode::SPLIT.to_owned(), texts(&|e| e.split().to_owned())),
        (episode::SCENARIO.to_owned(), texts(&|_| scenario.to_owned())),
        (episode::POLICY.to_owned(), texts(&|e| e.policy.clone())),
        (episode::HASH.to_owned(), texts(&|e| e.hash.clone())),
    ];
    for (i, feature) in features.iter().enumerate() {
        let is_image = matches!(feature.kind, FeatureKind::Image(_));
        for (name, of) in MOMENTS {
            let values = entries.iter().flat_map(|entry| of(&entry.stats[i]).iter().copied());
            let width = entries.first().map_or(0, |entry| of(&entry.stats[i]).len());
            let array = moment_array(values.collect(), width, is_image)?;
            columns.push((format!("stats/{}/{name}", feature.name), array));
        }
        let counts = Int64Array::from_iter_values(entries.iter().map(|entry| entry.stats[i].count));
        columns.push((format!("stats/{}/count", feature.name), nested(Arc::new(counts), 1)?));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|error| error.to_string())
}

/// The entries of one file of `meta/episodes`.
///
/// # Errors
/// [`SynthError::Read`] names the file and what is wrong with it.
pub fn read(path: &Path, features: &[Feature]) -> Result<Vec<EpisodeEntry>, SynthError> {
    let wrong = |message: String| SynthError::Read { path: path.to_owned(), message };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .map_err(|error| wrong(error.to_string()))?;
    let mut entries = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| wrong(error.to_string()))?;
        for row in 0..batch.num_rows() {
            let entry = read_entry(&batch, row, features);
            entries.push(entry.ok_or_else(|| wrong("a column is missing or has another type".to_owned()))?);
        }
    }
    Ok(entries)
}

fn read_entry(batch: &RecordBatch, row: usize, features: &[Feature]) -> Option<EpisodeEntry> {
    let int = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        Some(column.value(row))
    };
    let text = |name: &str| Some(batch.column_by_name(name)?.as_string_opt::<i32>()?.value(row).to_owned());
    let stats = features.iter().map(|feature| {
        let moment = |name: &str| {
            let column = batch.column_by_name(&format!("stats/{}/{name}", feature.name))?;
            let mut values = column.as_list_opt::<i32>()?.value(row);
            while let Some(list) = values.clone().as_list_opt::<i32>() {
                values = list.values().slice(list.offsets().first() as usize, list_len(list));
            }
            Some(values.as_primitive_opt::<Float64Type>()?.values().to_vec())
        };
        let count = batch.column_by_name(&format!("stats/{}/count", feature.name))?;
        let count = count.as_list_opt::<i32>()?.value(row);
        Some(FeatureStats {
            min: moment("min")?,
            max: moment("max")?,
            mean: moment("mean")?,
            std: moment("std")?,
            count: count.as_primitive_opt::<Int64Type>()?.values().first().copied()?,
        })
    });
    Some(EpisodeEntry {
        index: int("episode_index")? as usize,
        length: int("length")? as usize,
        first_row: int("dataset_from_index")? as usize,
        seed: int(episode::SEED)? as u64,
        policy: text(episode::POLICY)?,
        hash: text(episode::HASH)?,
        stats: stats.collect::<Option<_>>()?,
    })
}

fn list_len(list: &ListArray) -> usize {
    let offsets = list.offsets();
    (offsets.last() - offsets.first()) as usize
}

fn tasks(rows: usize, task: &str) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for _ in 0..rows {
        builder.values().append_value(task);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Vectors of `width` numbers; for images, channels × 1 × 1.
fn moment_array(values: Vec<f64>, width: usize, is_image: bool) -> Result<ArrayRef, String> {
    let mut array: ArrayRef = Arc::new(Float64Array::from(values));
    if is_image {
        array = nested(nested(array, 1)?, 1)?;
    }
    nested(array, width)
}

/// Lists of `len` of the `values` each.
fn nested(values: ArrayRef, len: usize) -> Result<ArrayRef, String> {
    let count = values.len().checked_div(len).unwrap_or(0);
    let field = item(DataType::clone(values.data_type()));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(len, count));
    ListArray::try_new(field, offsets, values, None)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}
