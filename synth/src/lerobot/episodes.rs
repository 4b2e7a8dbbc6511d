use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    Array as _, ArrayRef, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use serde_json::json;
use worldstep_env::dataset::{EPISODES_PER_FILE, FILES_PER_CHUNK, episode};

use super::clip::Facts;
use super::features::{Feature, item};
use super::stats::FeatureStats;

/// What `meta/episodes` says of one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeEntry {
    /// What holds for the whole clip.
    pub facts: Facts,
    /// Rows.
    pub length: usize,
    /// First row in the dataset.
    pub first_row: usize,
    /// BLAKE3 over everything recorded.
    pub hash: String,
    /// One entry a feature, in the features' order.
    pub stats: Vec<FeatureStats>,
}

/// What of a statistic is a column of its own.
pub(super) type Moment = (&'static str, fn(&FeatureStats) -> &Vec<f64>);
pub(super) const MOMENTS: [Moment; 4] = [
    ("min", |stats| &stats.min),
    ("max", |stats| &stats.max),
    ("mean", |stats| &stats.mean),
    ("std", |stats| &stats.std),
];

/// `entries` as the rows of one file of `meta/episodes`, all of the task `task`.
pub fn batch(entries: &[EpisodeEntry], features: &[Feature], task: &str) -> Result<RecordBatch, String> {
    let mut columns = place_columns(entries, task);
    columns.extend(fact_columns(entries)?);
    for (i, feature) in features.iter().enumerate() {
        for (name, of) in MOMENTS {
            let values = entries.iter().flat_map(|entry| of(&entry.stats[i]).iter().copied());
            let width = entries.first().map_or(0, |entry| of(&entry.stats[i]).len());
            let array = moment_array(values.collect(), width, feature.is_image())?;
            columns.push((format!("stats/{}/{name}", feature.name), array));
        }
        let counts = Int64Array::from_iter_values(entries.iter().map(|entry| entry.stats[i].count));
        columns.push((format!("stats/{}/count", feature.name), nested(Arc::new(counts), 1)?));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|error| error.to_string())
}

/// Columns that LeRobot has too.
fn place_columns(entries: &[EpisodeEntry], task: &str) -> Vec<(String, ArrayRef)> {
    let file = |e: &EpisodeEntry| e.facts.index / EPISODES_PER_FILE;
    let (chunk_of, file_of) =
        (|e: &EpisodeEntry| file(e) / FILES_PER_CHUNK, |e: &EpisodeEntry| file(e) % FILES_PER_CHUNK);
    let columns: [(&str, ArrayRef); 9] = [
        ("episode_index", ints(entries, |e| e.facts.index as i64)),
        ("tasks", tasks(entries.len(), task)),
        ("length", ints(entries, |e| e.length as i64)),
        ("data/chunk_index", ints(entries, |e| chunk_of(e) as i64)),
        ("data/file_index", ints(entries, |e| file_of(e) as i64)),
        ("dataset_from_index", ints(entries, |e| e.first_row as i64)),
        ("dataset_to_index", ints(entries, |e| (e.first_row + e.length) as i64)),
        ("meta/episodes/chunk_index", ints(entries, |e| chunk_of(e) as i64)),
        ("meta/episodes/file_index", ints(entries, |e| file_of(e) as i64)),
    ];
    columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect()
}

/// Columns of our own.
fn fact_columns(entries: &[EpisodeEntry]) -> Result<Vec<(String, ArrayRef)>, String> {
    let optional = |index: Option<usize>| index.map_or(-1, |index| index as i64);
    let vectors = |of: fn(&Facts) -> &[f32]| -> Result<ArrayRef, String> {
        let width = entries.first().map_or(0, |e| of(&e.facts).len());
        let values = entries.iter().flat_map(|e| of(&e.facts).iter().copied());
        nested(Arc::new(Float32Array::from_iter_values(values)), width)
    };
    let columns: [(&str, ArrayRef); 21] = [
        (episode::SEED, ints(entries, |e| e.facts.seed as i64)),
        (episode::SPLIT, texts(entries, |e| e.facts.split.clone())),
        (episode::SCENARIO, texts(entries, |e| e.facts.scenario.clone())),
        (episode::POLICY, texts(entries, |e| e.facts.policy.clone())),
        (episode::OUTCOME, texts(entries, |e| e.facts.outcome.clone())),
        (episode::CAPTION, texts(entries, |e| e.facts.caption.clone())),
        (episode::PARAMETERS, texts(entries, |e| e.facts.parameters.clone())),
        (episode::SCENE, texts(entries, |e| e.facts.scene.clone())),
        (episode::JOINTS, texts(entries, |e| e.facts.joints.clone())),
        (episode::GRAVITY, vectors(|facts| &facts.gravity)?),
        (episode::MASS, vectors(|facts| &facts.physical[0])?),
        (episode::FRICTION, vectors(|facts| &facts.physical[1])?),
        (episode::RESTITUTION, vectors(|facts| &facts.physical[2])?),
        (episode::UNIT, ints(entries, |e| e.facts.unit as i64)),
        (episode::REJECTED, texts(entries, |e| json!(e.facts.rejected).to_string())),
        (episode::REDRAWN, ints(entries, |e| e.facts.redrawn as i64)),
        (episode::BRANCH_PARENT, ints(entries, |e| optional(e.facts.links.branch_parent))),
        (episode::BRANCH_FRAME, ints(entries, |e| e.facts.links.branch_frame.map_or(-1, i64::from))),
        (episode::VIOLATION, texts(entries, |e| e.facts.links.violation.clone())),
        (episode::PAIR, ints(entries, |e| optional(e.facts.links.pair))),
        (episode::HASH, texts(entries, |e| e.hash.clone())),
    ];
    Ok(columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect())
}

fn ints(entries: &[EpisodeEntry], of: impl Fn(&EpisodeEntry) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(entries.iter().map(of)))
}

fn texts(entries: &[EpisodeEntry], of: impl Fn(&EpisodeEntry) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(entries.iter().map(of)))
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
