use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, ListArray, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::episode;

use super::clip::{Facts, Links};
use super::episodes::EpisodeEntry;
use super::features::Feature;
use super::stats::FeatureStats;
use crate::clips::SynthError;

/// The reason code under which earlier versions counted what was drawn again for balance.
const UNBALANCED: &str = "unbalanced";

/// The entries of one file of `meta/episodes`.
///
/// # Errors
/// [`SynthError::Read`] names the file and what is wrong with it.
pub fn read_episodes(path: &Path, features: &[Feature]) -> Result<Vec<EpisodeEntry>, SynthError> {
    let wrong = |message: String| SynthError::Read { path: path.to_owned(), message };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .map_err(|error| wrong(error.to_string()))?;
    let mut entries = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| wrong(error.to_string()))?;
        for row in 0..batch.num_rows() {
            entries.push(entry(&Row { batch: &batch, row }, features).map_err(|column| {
                wrong(format!("the column {column} is missing, or has another type than expected"))
            })?);
        }
    }
    Ok(entries)
}

/// The task in `meta/tasks.parquet`, of which there is one.
///
/// # Errors
/// [`SynthError::Read`] if it is not there.
pub fn read_task(path: &Path) -> Result<String, SynthError> {
    let wrong = |message: String| SynthError::Read { path: path.to_owned(), message };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .map_err(|error| wrong(error.to_string()))?;
    let batch = reader.next().ok_or_else(|| wrong("it is empty".to_owned()))?;
    let batch = batch.map_err(|error| wrong(error.to_string()))?;
    Row { batch: &batch, row: 0 }.text("task").map_err(|_| wrong("it has no column task".to_owned()))
}

/// One row; what it lacks is answered with the column's name.
struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Row<'_> {
    fn int(&self, name: &str) -> Result<i64, String> {
        let column =
            self.batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        column.map(|column| column.value(self.row)).ok_or_else(|| name.to_owned())
    }

    fn index(&self, name: &str) -> Result<Option<usize>, String> {
        Ok(usize::try_from(self.int(name)?).ok())
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let column = self.batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.map(|column| column.value(self.row).to_owned()).ok_or_else(|| name.to_owned())
    }

    /// The innermost values of a nested list.
    fn values(&self, name: &str) -> Result<ArrayRef, String> {
        let column = self.batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
        let mut values = column.ok_or_else(|| name.to_owned())?.value(self.row);
        while let Some(list) = values.clone().as_list_opt::<i32>() {
            values = list.values().slice(list.offsets().first() as usize, list_len(list));
        }
        Ok(values)
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        let values = self.values(name)?;
        let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| name.to_owned())?;
        Ok(values.values().to_vec())
    }

    fn moments(&self, name: &str) -> Result<Vec<f64>, String> {
        let values = self.values(name)?;
        let values = values.as_primitive_opt::<Float64Type>().ok_or_else(|| name.to_owned())?;
        Ok(values.values().to_vec())
    }
}

fn entry(row: &Row<'_>, features: &[Feature]) -> Result<EpisodeEntry, String> {
    let stats = features.iter().map(|feature| {
        let name = |part: &str| format!("stats/{}/{part}", feature.name);
        let count = row.values(&name("count"))?;
        let count = count.as_primitive_opt::<Int64Type>().and_then(|values| values.values().first().copied());
        Ok(FeatureStats {
            min: row.moments(&name("min"))?,
            max: row.moments(&name("max"))?,
            mean: row.moments(&name("mean"))?,
            std: row.moments(&name("std"))?,
            count: count.ok_or_else(|| name("count"))?,
        })
    });
    Ok(EpisodeEntry {
        facts: facts(row)?,
        length: row.int("length")? as usize,
        first_row: row.int("dataset_from_index")? as usize,
        hash: row.text(episode::HASH)?,
        stats: stats.collect::<Result<_, String>>()?,
    })
}

fn facts(row: &Row<'_>) -> Result<Facts, String> {
    let gravity = row.floats(episode::GRAVITY)?;
    let rejected: Result<BTreeMap<String, u64>, _> = serde_json::from_str(&row.text(episode::REJECTED)?);
    let mut rejected = rejected.map_err(|_| episode::REJECTED.to_owned())?;
    // Sets that have no column for them count them here.
    let unbalanced = rejected.remove(UNBALANCED).unwrap_or(0);
    let redrawn = row.int(episode::REDRAWN).map_or(unbalanced, |redrawn| redrawn as u64);
    Ok(Facts {
        index: row.int("episode_index")? as usize,
        scenario: row.text(episode::SCENARIO)?,
        seed: row.int(episode::SEED)? as u64,
        policy: row.text(episode::POLICY)?,
        split: row.text(episode::SPLIT)?,
        outcome: row.text(episode::OUTCOME)?,
        caption: row.text(episode::CAPTION)?,
        parameters: row.text(episode::PARAMETERS)?,
        scene: row.text(episode::SCENE)?,
        joints: row.text(episode::JOINTS)?,
        gravity: gravity.try_into().map_err(|_| episode::GRAVITY.to_owned())?,
        physical: [
            row.floats(episode::MASS)?,
            row.floats(episode::FRICTION)?,
            row.floats(episode::RESTITUTION)?,
        ],
        unit: row.int(episode::UNIT)? as usize,
        rejected,
        redrawn,
        links: Links {
            branch_parent: row.index(episode::BRANCH_PARENT)?,
            branch_frame: row.index(episode::BRANCH_FRAME)?.map(|frame| frame as u32),
            violation: row.text(episode::VIOLATION)?,
            pair: row.index(episode::PAIR)?,
        },
    })
}

fn list_len(list: &ListArray) -> usize {
    let offsets = list.offsets();
    (offsets.last() - offsets.first()) as usize
}
