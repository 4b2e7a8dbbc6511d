use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Map, Value, json};
use worldstep_env::dataset::{DatasetInfo, FILES_PER_CHUNK, INFO_KEY, LEROBOT_VERSION};

use super::features::{Feature, info_features};
use super::parquet_file::{ParquetFile, write_text};
use super::stats::FeatureStats;
use crate::clips::SynthError;

/// Writes `meta/info.json`: what LeRobot asks for, and ours under its own key.
pub fn write_info(
    dir: &Path,
    info: &DatasetInfo,
    features: &[Feature],
    (episodes, frames): (usize, usize),
    (fps, robot): (u32, &str),
) -> Result<(), SynthError> {
    let path = dir.join("meta/info.json");
    let ours = serde_json::to_value(info).map_err(|error| SynthError::write(&path)(error.to_string()))?;
    let value = json!({
        "codebase_version": LEROBOT_VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        // LeRobot knows contiguous splits only; ours is the column `split` of meta/episodes.
        "splits": { "train": format!("0:{episodes}") },
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": null,
        "features": info_features(features, fps),
        INFO_KEY: ours,
    });
    write_text(&path, &format!("{value:#}\n"))
}

/// Writes `meta/stats.json`: `stats` of each feature over all episodes.
pub fn write_stats(dir: &Path, features: &[Feature], stats: &[FeatureStats]) -> Result<(), SynthError> {
    let merged = features
        .iter()
        .zip(stats)
        .map(|(feature, stats)| (feature.name.clone(), stats.json(feature.is_image())));
    let value = Value::Object(merged.collect::<Map<_, _>>());
    write_text(&dir.join("meta/stats.json"), &format!("{value:#}\n"))
}

/// Writes `meta/tasks.parquet`, which pandas must find indexed by `task`.
pub fn write_tasks(dir: &Path, task: &str) -> Result<(), SynthError> {
    let path = dir.join("meta/tasks.parquet");
    let columns: [(&str, ArrayRef); 2] = [
        ("task_index", Arc::new(Int64Array::from(vec![0]))),
        ("task", Arc::new(StringArray::from(vec![task]))),
    ];
    let batch =
        RecordBatch::try_from_iter(columns).map_err(|error| SynthError::write(&path)(error.to_string()))?;
    let column = |name: &str, pandas: &str, numpy: &str| {
        json!({
            "name": name, "field_name": name, "pandas_type": pandas, "numpy_type": numpy, "metadata": null,
        })
    };
    let pandas = json!({
        "index_columns": ["task"],
        "column_indexes": [{
            "name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": { "encoding": "UTF-8" },
        }],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "creator": { "library": "worldstep", "version": env!("CARGO_PKG_VERSION") },
        "pandas_version": "2.2.0",
    });
    let mut file = ParquetFile::create(&path, batch.schema(), &[("pandas", pandas.to_string())])?;
    file.write_row_group(&batch)?;
    file.finish()
}
