use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, INFO_KEY, LEROBOT_VERSION, ScenarioInfo, episode};

use super::clips::Split;
use super::columns::{ColumnError, Columns};
use super::error::DataError;
use crate::config::FrameSize;

/// What `meta/episodes` says of one episode.
#[derive(Clone, Debug)]
pub struct EpisodeMeta {
    pub split: Split,
    pub scenario: String,
    pub seed: i64,
    pub hash: String,
}

/// `meta/info.json` and where it is.
fn info_json(dir: &Path) -> Result<(PathBuf, serde_json::Value), DataError> {
    let path = dir.join("meta/info.json");
    let text =
        std::fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    match serde_json::from_str(&text) {
        Ok(json) => Ok((path, json)),
        Err(error) => Err(DataError::Info { path, message: error.to_string() }),
    }
}

/// Frames in a second, LeRobot's `fps`.
pub fn fps(dir: &Path) -> Result<f64, DataError> {
    let (path, json) = info_json(dir)?;
    let message = "fps is missing or no positive number".to_owned();
    json["fps"].as_f64().filter(|fps| *fps > 0.0).ok_or(DataError::Info { path, message })
}

/// Reads `meta/info.json`, and refuses what this build cannot read; also the size of its frames.
pub fn info(dir: &Path) -> Result<(DatasetInfo, FrameSize), DataError> {
    let (path, json) = info_json(dir)?;
    let wrong = |message: String| DataError::Info { path: path.clone(), message };
    let version = |what, found: String, expected: String| DataError::Version {
        path: path.clone(),
        what,
        found,
        expected,
    };
    let lerobot = json["codebase_version"].as_str().unwrap_or("missing");
    if lerobot != LEROBOT_VERSION {
        return Err(version("codebase_version", lerobot.to_owned(), LEROBOT_VERSION.to_owned()));
    }
    let ours = json.get(INFO_KEY).ok_or_else(|| wrong(format!("no key {INFO_KEY:?}")))?;
    let format = ours["format"].as_u64();
    if format != Some(u64::from(FORMAT_VERSION)) {
        let found = format.map_or("missing".to_owned(), |format| format.to_string());
        return Err(version("worldstep.format", found, FORMAT_VERSION.to_string()));
    }
    let info: DatasetInfo = serde_json::from_value(ours.clone()).map_err(|error| wrong(error.to_string()))?;
    match FrameSize::from_side(info.frame_size as usize) {
        Some(size) => Ok((info, size)),
        None => Err(DataError::FrameSize {
            path,
            found: format!("{0} × {0}", info.frame_size),
            expected: FrameSize::ALL.map(|size| size.to_string()).join(" or "),
        }),
    }
}

/// The task to read: the one asked for, or the only one there is.
pub fn scenario(dir: &Path, info: &DatasetInfo, id: Option<&str>) -> Result<ScenarioInfo, DataError> {
    let known = info.scenarios.iter().map(|scenario| scenario.id.as_str()).collect::<Vec<_>>().join(", ");
    let wrong = |message| DataError::Task { path: dir.to_owned(), message };
    let found = match (id, info.scenarios.as_slice()) {
        (Some(id), all) => all.iter().find(|scenario| scenario.id == id),
        (None, [only]) => Some(only),
        (None, _) => return Err(wrong(format!("a model learns one task, choose one of: {known}"))),
    };
    found
        .cloned()
        .ok_or_else(|| wrong(format!("no clips of {:?}; there are: {known}", id.unwrap_or_default())))
}

/// Parquet files under `dir/part/chunk-*/`, in order.
pub fn files(dir: &Path, part: &str) -> Result<Vec<PathBuf>, DataError> {
    let list = |path: &Path| -> Result<Vec<PathBuf>, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(read)? {
            entries.push(entry.map_err(read)?.path());
        }
        entries.sort();
        Ok(entries)
    };
    let mut files = Vec::new();
    for chunk in list(&dir.join(part))?.into_iter().filter(|path| path.is_dir()) {
        files.extend(
            list(&chunk)?.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "parquet")),
        );
    }
    Ok(files)
}

/// Opens a parquet file for reading by batches.
pub fn open(path: &Path) -> Result<ParquetRecordBatchReader, DataError> {
    open_projected(path, |_| true)
}

/// As [`open`], of the columns of these names alone.
pub fn open_columns(path: &Path, names: &[&str]) -> Result<ParquetRecordBatchReader, DataError> {
    open_projected(path, |name| names.contains(&name))
}

fn open_projected(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<ParquetRecordBatchReader, DataError> {
    let damaged = |error: parquet::errors::ParquetError| DataError::Damaged {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let file =
        std::fs::File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
    let columns = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
    let roots: Vec<usize> =
        columns.filter(|(_, column)| wanted(column.name())).map(|(root, _)| root).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    builder.with_projection(mask).with_batch_size(512).build().map_err(damaged)
}

/// `meta/episodes` by episode index.
pub fn episodes(dir: &Path) -> Result<HashMap<i64, EpisodeMeta>, DataError> {
    let mut all = HashMap::new();
    for path in files(dir, "meta/episodes")? {
        for batch in open(&path)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            let rows = episode_rows(&Columns::new(&batch))
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
            all.extend(rows);
        }
    }
    Ok(all)
}

fn episode_rows(columns: &Columns<'_>) -> Result<Vec<(i64, EpisodeMeta)>, ColumnError> {
    let index = columns.integers("episode_index")?;
    let (seeds, splits) = (columns.integers(episode::SEED)?, columns.texts(episode::SPLIT)?);
    let (scenarios, hashes) = (columns.texts(episode::SCENARIO)?, columns.texts(episode::HASH)?);
    let mut rows = Vec::with_capacity(index.len());
    for (i, (scenario, hash)) in scenarios.into_iter().zip(hashes).enumerate() {
        let split = match splits[i].as_str() {
            "train" => Split::Train,
            "val" => Split::Val,
            // Held out from training and from choosing a checkpoint: combinations, horizons, violations.
            "test_combination" | "test_horizon" | "violation" => Split::Held,
            other => return Err((episode::SPLIT.to_owned(), format!("holds {other:?}, which is no split"))),
        };
        rows.push((index[i], EpisodeMeta { split, scenario, seed: seeds[i], hash }));
    }
    Ok(rows)
}
