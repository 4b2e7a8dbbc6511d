use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{BinaryArray, RecordBatch};
use serde_json::Value;
use worldstep_env::dataset::{
    DatasetInfo, EPISODES_PER_FILE, FORMAT_VERSION, INFO_KEY, LEROBOT_VERSION, ScenarioInfo, file_path,
};

use super::clip_reader;
use super::fault::Fault;
use super::parquet_read::ParquetReader;
use super::rows::Rows;
use super::tables::{self, EpisodeTables};
use crate::clips::SynthError;
use crate::lerobot::{Clip, EpisodeEntry, Feature, features, read_episodes};

/// Deepest level of subfolders in which datasets are looked for.
const FOLDER_DEPTH_MAX: usize = 3;

/// The file whose tables were read last, and these.
type LastTables = Mutex<Option<(usize, Arc<BTreeMap<i64, EpisodeTables>>)>>;

/// A dataset on disk, opened for reading.
pub struct Dataset {
    /// Its folder.
    pub dir: PathBuf,
    /// What it says of itself.
    pub info: DatasetInfo,
    /// All of `meta/info.json`.
    pub json: Value,
    /// Rows in a second.
    pub fps: u32,
    /// Its columns.
    pub features: Vec<Feature>,
    /// Those that hold no images.
    number_features: Vec<Feature>,
    last_tables: LastTables,
    /// Its clips.
    pub episodes: Vec<EpisodeEntry>,
}

impl Dataset {
    /// Opens the dataset in `dir`: everything under `meta`, no clip yet.
    ///
    /// # Errors
    /// [`SynthError::Read`] names the file and what is wrong with it.
    pub fn open(dir: &Path) -> Result<Self, SynthError> {
        let path = dir.join("meta/info.json");
        let wrong = |message: String| SynthError::Read { path: path.clone(), message };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let version = json["codebase_version"].as_str().unwrap_or("missing");
        if version != LEROBOT_VERSION {
            return Err(wrong(format!("codebase_version is {version}, expected {LEROBOT_VERSION}")));
        }
        let format = &json[INFO_KEY]["format"];
        if format.as_u64() != Some(u64::from(FORMAT_VERSION)) {
            return Err(wrong(format!("{INFO_KEY}.format is {format}, expected {FORMAT_VERSION}")));
        }
        let info: DatasetInfo =
            serde_json::from_value(json[INFO_KEY].clone()).map_err(|error| wrong(error.to_string()))?;
        let fps = json["fps"].as_u64().filter(|fps| (1..=1000).contains(fps));
        let fps = fps.ok_or_else(|| wrong(format!("fps is {}, expected 1 to 1000", json["fps"])))?;
        let features = features(&info).map_err(wrong)?;
        let mut episodes = Vec::new();
        let total = json["total_episodes"].as_u64().unwrap_or(0) as usize;
        for file in 0..total.div_ceil(EPISODES_PER_FILE) {
            episodes.extend(read_episodes(&dir.join(file_path("meta/episodes", file)), &features)?);
        }
        let number_features = features.iter().filter(|feature| !feature.is_image()).cloned().collect();
        let (dir, last_tables) = (dir.to_owned(), Mutex::default());
        Ok(Self { dir, info, json, fps: fps as u32, features, number_features, last_tables, episodes })
    }

    /// What it says of its scenario.
    pub fn scenario(&self) -> &ScenarioInfo {
        // `features` refuses any other number than one.
        &self.info.scenarios[0]
    }

    /// Files of `data`.
    pub fn files(&self) -> usize {
        self.episodes.len().div_ceil(EPISODES_PER_FILE)
    }

    /// Reads and decodes one clip.
    ///
    /// # Errors
    /// [`SynthError::Read`] names the file and what is wrong with it.
    pub fn clip(&self, index: usize) -> Result<Clip, SynthError> {
        self.read(index, &self.features)
    }

    /// One clip without its images, which is much faster.
    ///
    /// # Errors
    /// [`SynthError::Read`] names the file and what is wrong with it.
    pub fn numbers(&self, index: usize) -> Result<Clip, SynthError> {
        self.read(index, &self.number_features)
    }

    /// One clip without its images, and those as the files that they are, by feature.
    ///
    /// # Errors
    /// [`SynthError::Read`] names the file and what is wrong with it.
    pub fn encoded(&self, index: usize) -> Result<(Clip, Vec<(String, BinaryArray)>), SynthError> {
        let (batch, tables) = self.row_group(index, &self.features)?;
        let read = || -> Result<_, Fault> {
            let clip = clip_reader::clip(&batch, &self.number_features, &self.episodes[index], tables)?;
            let images = self.features.iter().filter(|feature| feature.is_image());
            let images: Result<Vec<_>, Fault> = images
                .map(|feature| Ok((feature.name.clone(), clip_reader::image_files(&batch, &feature.name)?)))
                .collect();
            Ok((clip, images?))
        };
        read().map_err(|fault| self.damaged(index, fault))
    }

    fn read(&self, index: usize, features: &[Feature]) -> Result<Clip, SynthError> {
        let (batch, tables) = self.row_group(index, features)?;
        clip_reader::clip(&batch, features, &self.episodes[index], tables)
            .map_err(|fault| self.damaged(index, fault))
    }

    /// The columns of one clip, and what the tables say of it.
    fn row_group(
        &self,
        index: usize,
        features: &[Feature],
    ) -> Result<(RecordBatch, EpisodeTables), SynthError> {
        if index >= self.episodes.len() {
            let message = format!("there is no episode {index}, there are {}", self.episodes.len());
            return Err(SynthError::Read { path: self.dir.clone(), message });
        }
        let file = index / EPISODES_PER_FILE;
        let read = || -> Result<_, Fault> {
            let tables = self.tables_of(file)?;
            let reader = ParquetReader::open(&self.dir.join(file_path("data", file)))?.only(features);
            let batch = reader.read(Some(index % EPISODES_PER_FILE))?;
            Ok((batch, tables.get(&(index as i64)).cloned().unwrap_or_default()))
        };
        read().map_err(|fault| self.damaged(index, fault))
    }

    /// The tables of a file; the last one read is kept, since clips are mostly read in order.
    fn tables_of(&self, file: usize) -> Result<Arc<BTreeMap<i64, EpisodeTables>>, Fault> {
        let mut last = self.last_tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, tables)) = &*last
            && *known == file
        {
            return Ok(Arc::clone(tables));
        }
        let tables = Arc::new(tables::read(&self.dir, file)?);
        *last = Some((file, Arc::clone(&tables)));
        Ok(tables)
    }

    fn damaged(&self, index: usize, fault: Fault) -> SynthError {
        let frame = fault.frame.map_or(String::new(), |frame| format!(" frame {frame}"));
        let message = format!("episode {index}{frame}: {}", fault.message);
        SynthError::Read { path: self.dir.clone(), message }
    }

    /// A clip of this dataset with what its columns mean.
    pub fn rows<'a>(&'a self, clip: &'a Clip) -> Rows<'a> {
        self.rows_of(clip, &self.features)
    }

    /// The same of a clip without its images.
    pub fn number_rows<'a>(&'a self, clip: &'a Clip) -> Rows<'a> {
        self.rows_of(clip, &self.number_features)
    }

    fn rows_of<'a>(&'a self, clip: &'a Clip, features: &'a [Feature]) -> Rows<'a> {
        let side = self.info.frame_size as usize;
        Rows { clip, features, scenario: self.scenario(), fps: self.fps, side }
    }
}

/// The datasets in `dir`: the folder itself, or those in its subfolders, by path.
///
/// # Errors
/// [`SynthError::NoDataset`] if there is none.
pub fn find_datasets(dir: &Path) -> Result<Vec<PathBuf>, SynthError> {
    let mut found = Vec::new();
    collect(dir, FOLDER_DEPTH_MAX, &mut found)?;
    if found.is_empty() {
        let message = "no meta/info.json there, nor in its subfolders".to_owned();
        return Err(SynthError::NoDataset { path: dir.to_owned(), message });
    }
    Ok(found)
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), SynthError> {
    if dir.join("meta").is_dir() {
        found.push(dir.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    let wrong =
        |error: std::io::Error| SynthError::NoDataset { path: dir.to_owned(), message: error.to_string() };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| collect(folder, depth - 1, found))
}
