use std::path::Path;

use serde_json::{Value, json};

use super::super::dataset::Dataset;
use super::super::fault::{Code, Fault};
use super::super::parquet_read::{Columns, ParquetReader};
use crate::lerobot::info_features;

/// `info.json`, `tasks.parquet` and the order of the episodes, as LeRobot expects them.
pub fn check(dataset: &Dataset) -> Vec<(Option<usize>, Fault)> {
    let mut faults: Vec<(Option<usize>, Fault)> = Vec::new();
    faults.extend(info(dataset).into_iter().map(|fault| (None, fault)));
    faults.extend(tasks(&dataset.dir).err().map(|fault| (None, fault)));
    let mut next = 0;
    for (index, entry) in dataset.episodes.iter().enumerate() {
        let mut wrong = |what: &str, found: String, expected: String| {
            let message = format!("{what} in meta/episodes is {found}, expected {expected}");
            faults.push((Some(index), Fault::new(Code::Index, message)));
        };
        if entry.facts.index != index {
            wrong("episode_index", entry.facts.index.to_string(), index.to_string());
        }
        if entry.first_row != next {
            wrong("dataset_from_index", entry.first_row.to_string(), next.to_string());
        }
        if entry.length == 0 {
            wrong("length", "0".to_owned(), "at least 1".to_owned());
        }
        if entry.facts.scenario != dataset.scenario().id {
            wrong("scenario", format!("{:?}", entry.facts.scenario), format!("{:?}", dataset.scenario().id));
        }
        next = entry.first_row + entry.length;
    }
    faults
}

fn info(dataset: &Dataset) -> Vec<Fault> {
    let json = &dataset.json;
    let mut faults = Vec::new();
    let frames: usize = dataset.episodes.iter().map(|entry| entry.length).sum();
    let totals = [
        ("total_episodes", json!(dataset.episodes.len())),
        ("total_frames", json!(frames)),
        ("total_tasks", json!(1)),
        ("data_path", json!("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet")),
        ("video_path", Value::Null),
    ];
    for (name, expected) in totals {
        if json[name] != expected {
            let message = format!("{name} in meta/info.json is {}, expected {expected}", json[name]);
            faults.push(Fault::new(Code::Index, message));
        }
    }
    let expected = info_features(&dataset.features, dataset.fps);
    let (Some(expected), Some(found)) = (expected.as_object(), json["features"].as_object()) else {
        faults.push(Fault::new(Code::Schema, "meta/info.json has no features"));
        return faults;
    };
    for (name, feature) in expected {
        match found.get(name) {
            Some(found) if found == feature => {}
            Some(found) => {
                let message = format!("feature {name:?} in meta/info.json is {found}, expected {feature}");
                faults.push(Fault::new(Code::Schema, message));
            }
            None => {
                let message = format!("feature {name:?} is missing in meta/info.json");
                faults.push(Fault::new(Code::Schema, message));
            }
        }
    }
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        let message = format!("feature {name:?} in meta/info.json is none of this format");
        faults.push(Fault::new(Code::Schema, message));
    }
    faults
}

/// pandas has to find the one task as the index of the table.
fn tasks(dir: &Path) -> Result<(), Fault> {
    let reader = ParquetReader::open(&dir.join("meta/tasks.parquet"))?;
    let batch = reader.read(None)?;
    let columns = Columns(&batch);
    let wrong = |message: String| Err(Fault::new(Code::Schema, format!("meta/tasks.parquet: {message}")));
    let (index, tasks) = (columns.ints("task_index")?, columns.texts("task")?);
    if index != [0] || tasks.iter().any(|task| task.is_empty()) {
        return wrong(format!("tasks {tasks:?} with indices {index:?}, expected one with index 0"));
    }
    let pandas = reader.key("pandas").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    match pandas.as_ref().map(|pandas| &pandas["index_columns"]) {
        Some(index) if *index == json!(["task"]) => Ok(()),
        Some(index) => wrong(format!("its pandas index is {index}, expected [\"task\"]")),
        None => wrong("the schema's key \"pandas\" is missing or no JSON".to_owned()),
    }
}
