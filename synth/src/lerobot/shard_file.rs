use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::file_path;

use super::episode_reader::read_episodes;
use super::episodes::EpisodeEntry;
use super::features::{Feature, Source, schema};
use super::rows::{EncodedEpisode, Place, encode_column, position};
use super::tables::{TABLES, schemas};
use crate::clips::SynthError;

/// The episodes of one file of a shard, to be put elsewhere.
pub struct ShardFile {
    path: PathBuf,
    entries: VecDeque<EpisodeEntry>,
    next_group: usize,
    /// The row groups of [`TABLES`] that are still to come.
    tables: [VecDeque<RecordBatch>; 3],
}

impl ShardFile {
    /// Opens file `file` of the dataset in `dir`.
    ///
    /// # Errors
    /// [`SynthError::Read`] names the file that is missing or damaged.
    pub fn open(dir: &Path, file: usize, features: &[Feature]) -> Result<Self, SynthError> {
        let entries = read_episodes(&dir.join(file_path("meta/episodes", file)), features)?;
        let table = |name: &str| {
            let path = dir.join(file_path(name, file));
            (0..group_count(&path)?).map(|group| read_group(&path, group)).collect::<Result<VecDeque<_>, _>>()
        };
        Ok(Self {
            path: dir.join(file_path("data", file)),
            entries: entries.into(),
            next_group: 0,
            tables: [table(TABLES[0])?, table(TABLES[1])?, table(TABLES[2])?],
        })
    }

    /// The next episode, for `place`; only what says where it is changes.
    ///
    /// # Errors
    /// [`SynthError::Read`] if the file holds other rows than it should.
    pub fn next(&mut self, features: &[Feature], place: Place) -> Result<Option<EncodedEpisode>, SynthError> {
        let Some(mut entry) = self.entries.pop_front() else { return Ok(None) };
        let path = self.path.clone();
        let wrong = |message: String| SynthError::Read { path: path.clone(), message };
        let place = Place { len: entry.length, ..place };
        let rows = read_group(&self.path, self.next_group)?;
        self.next_group += 1;
        let mut columns = Vec::with_capacity(features.len());
        for (i, feature) in features.iter().enumerate() {
            let column = rows.column_by_name(&feature.name);
            let column = column.ok_or_else(|| wrong(format!("the column {} is missing", feature.name)))?;
            if column.len() != entry.length {
                return Err(wrong(format!(
                    "{} rows of {}, expected {}",
                    column.len(),
                    feature.name,
                    entry.length
                )));
            }
            if feature.source == Source::Position {
                let moved =
                    encode_column(&position(&feature.name, place), feature, entry.length).map_err(wrong)?;
                columns.push(moved.0);
                entry.stats[i] = moved.1;
            } else {
                columns.push(column.clone());
            }
        }
        let rows = RecordBatch::try_new(Arc::new(schema(features)), columns)
            .map_err(|error| wrong(error.to_string()))?;
        let tables = self.tables_of(entry.facts.index, place.index).map_err(wrong)?;
        entry.facts.links = entry.facts.links.moved(entry.facts.index, place.index);
        entry.facts.index = place.index;
        entry.first_row = place.first_row;
        Ok(Some(EncodedEpisode { entry, rows, tables }))
    }

    /// What the tables hold of episode `from`, which becomes episode `to`.
    fn tables_of(&mut self, from: usize, to: usize) -> Result<[RecordBatch; 3], String> {
        let [a, b, c] = schemas().map(RecordBatch::new_empty);
        let mut found = [a, b, c];
        for (batch, groups) in found.iter_mut().zip(&mut self.tables) {
            let is_next = groups.front().is_some_and(|group| first_episode(group) == Some(from as i64));
            if let Some(group) = groups.pop_front_if(|_| is_next) {
                let mut columns = group.columns().to_vec();
                columns[0] = Arc::new(Int64Array::from(vec![to as i64; group.num_rows()])) as ArrayRef;
                *batch = RecordBatch::try_new(batch.schema(), columns).map_err(|error| error.to_string())?;
            }
        }
        Ok(found)
    }
}

fn first_episode(group: &RecordBatch) -> Option<i64> {
    let column = group.column_by_name("episode_index")?.as_primitive_opt::<Int64Type>()?;
    column.values().first().copied()
}

fn group_count(path: &Path) -> Result<usize, SynthError> {
    Ok(open(path)?.metadata().num_row_groups())
}

fn read_group(path: &Path, group: usize) -> Result<RecordBatch, SynthError> {
    let wrong = |message: String| SynthError::Read { path: path.to_owned(), message };
    let builder = open(path)?;
    if group >= builder.metadata().num_row_groups() {
        return Err(wrong(format!("it has no row group {group}")));
    }
    let rows = builder.metadata().row_group(group).num_rows() as usize;
    let reader = builder.with_row_groups(vec![group]).with_batch_size(rows.max(1)).build();
    let batch = reader.map_err(|error| wrong(error.to_string()))?.next();
    let batch = batch.ok_or_else(|| wrong(format!("its row group {group} is empty")))?;
    batch.map_err(|error| wrong(error.to_string()))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, SynthError> {
    let wrong = |message: String| SynthError::Read { path: path.to_owned(), message };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(error.to_string()))
}
