use std::path::{Path, PathBuf};

use serde_json::Value;
use worldstep_env::dataset::LEROBOT_VERSION;

use crate::data::columns::{ColumnError, Columns};
use crate::data::error::DataError;
use crate::data::meta;

/// What `meta/info.json` says that is needed here.
pub struct Info {
    path: PathBuf,
    json: Value,
    /// Frames a second.
    pub fps: f64,
}

impl Info {
    /// Reads `meta/info.json` of the dataset in `dir`.
    ///
    /// # Errors
    /// [`DataError`] names the file and what is missing.
    pub fn load(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join("meta/info.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| DataError::Read { path: path.clone(), source })?;
        let wrong = |message: String| DataError::Config { path: path.clone(), message };
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let version = json["codebase_version"].as_str().unwrap_or("missing");
        if version != LEROBOT_VERSION {
            let message = format!(
                "codebase_version is {version}, expected {LEROBOT_VERSION}; convert the dataset \
                                   with `lerobot`"
            );
            return Err(wrong(message));
        }
        let fps = json["fps"].as_f64().filter(|fps| *fps > 0.0);
        let fps = fps.ok_or_else(|| wrong("fps is missing".to_owned()))?;
        Ok(Self { path, json, fps })
    }

    /// Kind and shape of a feature.
    ///
    /// # Errors
    /// [`DataError::Config`] lists the features that there are.
    pub fn feature(&self, name: &str) -> Result<(&str, Vec<usize>), DataError> {
        let feature = &self.json["features"][name];
        let Some(kind) = feature["dtype"].as_str() else {
            let message = format!("has no feature {name:?}; there are: {}", self.names(|_| true));
            return Err(DataError::Config { path: self.path.clone(), message });
        };
        let shape = feature["shape"].as_array().into_iter().flatten();
        Ok((kind, shape.filter_map(Value::as_u64).map(|len| len as usize).collect()))
    }

    /// Height and width of a camera's pictures, pixels. The axes have the names that the feature gives them; without any,
    /// the axis of at most four values, first or last, is the channels'.
    ///
    /// # Errors
    /// [`DataError::Config`] if there is no such feature, or its shape is no picture's.
    pub fn picture_size(&self, camera: &str) -> Result<[u32; 2], DataError> {
        let (_, shape) = self.feature(camera)?;
        let names = &self.json["features"][camera]["names"];
        let named = |name: &str| names.as_array()?.iter().position(|found| found == name);
        let axes = match (named("height"), named("width")) {
            (Some(height), Some(width)) => Some([height, width]),
            _ => match shape[..] {
                [_, _, 1..=4] | [_, _] => Some([0, 1]),
                [1..=4, _, _] => Some([1, 2]),
                _ => None,
            },
        };
        let len = |axis: usize| shape.get(axis).and_then(|len| u32::try_from(*len).ok());
        match axes.map(|axes| axes.map(len)) {
            Some([Some(height), Some(width)]) => Ok([height, width]),
            _ => Err(DataError::Config {
                path: self.path.clone(),
                message: format!("the shape of {camera:?} is {shape:?}, expected height, width and channels"),
            }),
        }
    }

    /// Names of the features whose kind is asked for, with commas between.
    pub fn names(&self, of_kind: impl Fn(&str) -> bool) -> String {
        let features = self.json["features"].as_object().into_iter().flatten();
        let named = features.filter(|(_, feature)| of_kind(feature["dtype"].as_str().unwrap_or_default()));
        named.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The file that holds a video, by feature, chunk and file.
    pub fn video_file(&self, dir: &Path, camera: &str, (chunk, file): (i64, i64)) -> PathBuf {
        let template = self.json["video_path"]
            .as_str()
            .unwrap_or("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4");
        let path = template
            .replace("{video_key}", camera)
            .replace("{chunk_index:03d}", &format!("{chunk:03}"))
            .replace("{file_index:03d}", &format!("{file:03}"));
        dir.join(path)
    }
}

/// Least and greatest value of each element of `feature`, as `meta/stats.json` has them.
///
/// # Errors
/// [`DataError::Read`], or [`DataError::Config`] that says what to do without them.
pub fn bounds(dir: &Path, feature: &str) -> Result<[Vec<f32>; 2], DataError> {
    let path = dir.join("meta/stats.json");
    let text =
        std::fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let values = |key: &str| {
        let list = json[feature][key].as_array()?.iter();
        list.map(|value| value.as_f64().map(|value| value as f32)).collect::<Option<Vec<f32>>>()
    };
    match (values("min"), values("max")) {
        (Some(low), Some(high)) => Ok([low, high]),
        _ => {
            let message = format!(
                "has no min and max of {feature:?}; give action_low and action_high in the configuration"
            );
            Err(DataError::Config { path, message })
        }
    }
}

/// Where an episode's frames are in a video file.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlace {
    /// Chunk and file.
    pub file: (i64, i64),
    /// Seconds from the file's start to the episode's.
    pub from_s: f64,
}

/// Places of all episodes in the videos of `camera`, by episode index.
///
/// # Errors
/// [`DataError`] names file and column.
pub fn video_places(dir: &Path, camera: &str) -> Result<Vec<(i64, VideoPlace)>, DataError> {
    let mut all = Vec::new();
    for path in meta::files(dir, "meta/episodes")? {
        for batch in meta::open(&path)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            let places = places(&Columns::new(&batch), camera)
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
            all.extend(places);
        }
    }
    Ok(all)
}

fn places(columns: &Columns<'_>, camera: &str) -> Result<Vec<(i64, VideoPlace)>, ColumnError> {
    let index = columns.integers("episode_index")?;
    let chunks = columns.integers(&format!("videos/{camera}/chunk_index"))?;
    let files = columns.integers(&format!("videos/{camera}/file_index"))?;
    let starts = columns.scalars(&format!("videos/{camera}/from_timestamp"))?;
    let place = |i: usize| VideoPlace { file: (chunks[i], files[i]), from_s: f64::from(starts[i]) };
    Ok((0..index.len()).map(|i| (index[i], place(i))).collect())
}
