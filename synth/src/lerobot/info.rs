use std::fmt::Debug;
use std::path::Path;

use serde_json::Value;
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, INFO_KEY};

use super::dataset::Names;
use super::episode_reader::read_task;
use crate::clips::SynthError;

/// What `meta/info.json` in `dir` says of the dataset, and how many episodes it has; `None` if there is no such file.
///
/// # Errors
/// [`SynthError::Read`] if it cannot be understood.
pub fn read_info(dir: &Path) -> Result<Option<(DatasetInfo, usize)>, SynthError> {
    let path = dir.join("meta/info.json");
    if !path.exists() {
        return Ok(None);
    }
    let wrong = |message: String| SynthError::Read { path: path.clone(), message };
    let json = read_json(dir)?;
    let format = &json[INFO_KEY]["format"];
    if *format != FORMAT_VERSION {
        return Err(wrong(format!(
            "its format is version {format}, this build reads version {FORMAT_VERSION}"
        )));
    }
    let info: DatasetInfo =
        serde_json::from_value(json[INFO_KEY].clone()).map_err(|error| wrong(error.to_string()))?;
    let total = json["total_episodes"].as_u64().unwrap_or(0) as usize;
    Ok(Some((info, total)))
}

/// What the `meta` files in `dir` say of the scenario that [`DatasetInfo`] does not.
///
/// # Errors
/// [`SynthError::Read`] if they cannot be understood.
pub fn read_names(dir: &Path) -> Result<Names, SynthError> {
    let json = read_json(dir)?;
    let (robot, fps) = (json["robot_type"].as_str(), json["fps"].as_u64());
    let (Some(robot), Some(fps)) = (robot, fps) else {
        let message = "robot_type or fps is missing".to_owned();
        return Err(SynthError::Read { path: dir.join("meta/info.json"), message });
    };
    Ok(Names { task: read_task(&dir.join("meta/tasks.parquet"))?, robot: robot.to_owned(), fps: fps as u32 })
}

fn read_json(dir: &Path) -> Result<Value, SynthError> {
    let path = dir.join("meta/info.json");
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let json = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    json.map_err(|message| SynthError::Read { path, message })
}

/// What differs between two datasets that should be of one kind, `found` and what was `asked` for; `None` if nothing
/// does.
pub fn difference(found: &DatasetInfo, asked: &DatasetInfo) -> Option<String> {
    let mut told = Vec::new();
    let ids = |info: &DatasetInfo| info.scenarios.iter().map(|s| s.id.clone()).collect::<Vec<_>>();
    compare(&mut told, "scenario", &ids(found), &ids(asked));
    compare(&mut told, "seed", &found.seed, &asked.seed);
    compare(&mut told, "frame size", &found.frame_size, &asked.frame_size);
    compare(&mut told, "channels", &found.channels, &asked.channels);
    compare(&mut told, "cameras", &found.cameras, &asked.cameras);
    for name in found.settings.keys().chain(asked.settings.keys()) {
        compare(&mut told, name, &found.settings.get(name), &asked.settings.get(name));
    }
    compare(&mut told, "shard", &found.shard, &asked.shard);
    compare(&mut told, "graphics driver", &found.driver, &asked.driver);
    compare(&mut told, "writing version", &found.writer, &asked.writer);
    if told.is_empty() && found != asked {
        told.push("the scenario's description differs".to_owned());
    }
    told.dedup();
    (!told.is_empty()).then(|| told.join("; "))
}

fn compare<T: PartialEq + Debug>(told: &mut Vec<String>, name: &str, found: &T, asked: &T) {
    if found != asked {
        told.push(format!("its {name} is {found:?}, asked for {asked:?}"));
    }
}
