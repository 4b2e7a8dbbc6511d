use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::Schema;
use worldstep_env::Scene;
use worldstep_env::dataset::{
    DatasetInfo, EPISODES_PER_FILE, FORMAT_VERSION, INFO_KEY, ScenarioInfo, labels,
};
use worldstep_env::registry::TaskEntry;

use super::episodes::{self, EpisodeEntry};
use super::features::{Feature, Sizes, features, hugging_face_schema};
use super::meta;
use super::parquet_file::ParquetFile;
use super::rows::{arrow_field, encode_rows};
use crate::clips::{Episode, SynthError};

/// Writes episodes, in order, as a LeRobotDataset v3.0.
///
/// Each file of [`EPISODES_PER_FILE`] episodes appears whole, and the `meta` files with it, so the folder is a valid
/// dataset after every file.
pub struct DatasetWriter {
    dir: PathBuf,
    task: &'static TaskEntry,
    info: DatasetInfo,
    features: Vec<Feature>,
    /// Episodes of finished files, then those of the file under way.
    entries: Vec<EpisodeEntry>,
    /// Episodes that [`resume`](Self::resume) found, those that are recorded again included.
    found: Vec<EpisodeEntry>,
    file: Option<ParquetFile>,
}

impl DatasetWriter {
    /// A writer into `dir` of clips of `task` whose instances are those of `scene`.
    pub fn new(dir: &Path, task: &'static TaskEntry, scene: &Scene, (seed, frame_size): (u64, u32)) -> Self {
        let (state_space, action_space) = ((task.state_space)(), (task.action_space)());
        let sizes = Sizes {
            frame: frame_size as usize,
            state: state_space.flat_len(),
            action: action_space.flat_len(),
            objects: scene.instances.len(),
        };
        let scenario = ScenarioInfo {
            id: task.id.to_owned(),
            action_space,
            state_space,
            max_episode_steps: task.max_episode_steps,
            instances: labels(scene),
            outcomes: Vec::new(),
        };
        let info = DatasetInfo {
            format: FORMAT_VERSION,
            writer: env!("CARGO_PKG_VERSION").to_owned(),
            frame_size,
            seed,
            scenarios: vec![scenario],
            ..DatasetInfo::default()
        };
        let features = features(&sizes);
        Self { dir: dir.to_owned(), task, info, features, entries: Vec::new(), found: Vec::new(), file: None }
    }

    /// What has been written, or found by [`resume`](Self::resume).
    pub fn entries(&self) -> &[EpisodeEntry] {
        &self.entries
    }

    /// Goes on with what is in the folder: all whole files are kept, a last one with fewer episodes is recorded again
    /// unless there are `clips` episodes already.
    ///
    /// # Errors
    /// [`SynthError::Mismatch`] if the dataset there is of another kind, [`SynthError::Read`] if it is damaged.
    pub fn resume(&mut self, clips: usize) -> Result<(), SynthError> {
        let path = self.dir.join("meta/info.json");
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let wrong = |message: String| SynthError::Read { path: path.clone(), message };
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let found: DatasetInfo =
            serde_json::from_value(json[INFO_KEY].clone()).map_err(|error| wrong(error.to_string()))?;
        if found != self.info {
            return Err(SynthError::Mismatch { path: self.dir.clone(), message: self.difference(&found) });
        }
        let total = json["total_episodes"].as_u64().unwrap_or(0) as usize;
        let mut entries = Vec::new();
        for index in 0..total.div_ceil(EPISODES_PER_FILE) {
            entries.extend(episodes::read(&self.path("meta/episodes", index), &self.features)?);
        }
        self.found.clone_from(&entries);
        if entries.len() < clips {
            entries.truncate(entries.len() / EPISODES_PER_FILE * EPISODES_PER_FILE);
        }
        self.entries = entries;
        Ok(())
    }

    fn difference(&self, found: &DatasetInfo) -> String {
        let ids =
            |info: &DatasetInfo| info.scenarios.iter().map(|s| s.id.clone()).collect::<Vec<_>>().join(", ");
        format!(
            "it holds clips of {} with seed {}, frames of {} pixels, written by version {}; asked for {} with seed \
             {}, frames of {} pixels, version {}",
            ids(found),
            found.seed,
            found.frame_size,
            found.writer,
            ids(&self.info),
            self.info.seed,
            self.info.frame_size,
            self.info.writer,
        )
    }

    /// Appends `episode`.
    ///
    /// # Errors
    /// [`SynthError::Write`]; finished files stay as they are.
    pub fn push(&mut self, episode: &Episode) -> Result<(), SynthError> {
        let first_row = self.entries.last().map_or(0, |last| last.first_row + last.length);
        let path = self.path("data", episode.index / EPISODES_PER_FILE);
        let rows = encode_rows(episode, &self.features, (self.info.frame_size, self.task.fps, first_row))
            .map_err(SynthError::write(&path))?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.start_file(&path)?,
        };
        file.write_row_group(&rows.batch)?;
        self.file = Some(file);
        self.entries.push(EpisodeEntry {
            index: episode.index,
            length: episode.len,
            first_row,
            seed: episode.seed,
            policy: episode.policy.name().to_owned(),
            hash: episode.content_hash(),
            stats: rows.stats,
        });
        if self.entries.len().is_multiple_of(EPISODES_PER_FILE) { self.finish_file() } else { Ok(()) }
    }

    /// Finishes the file under way, so that all episodes pushed are in the dataset; if the folder already has a longer
    /// one, that stays.
    ///
    /// # Errors
    /// [`SynthError::Write`].
    pub fn finish(&mut self) -> Result<(), SynthError> {
        if self.entries.len() < self.found.len() {
            self.file = None;
            self.entries.clone_from(&self.found);
        }
        if self.file.is_some() { self.finish_file() } else { Ok(()) }
    }

    fn start_file(&self, path: &Path) -> Result<ParquetFile, SynthError> {
        let schema = Schema::new(self.features.iter().map(arrow_field).collect::<Vec<_>>());
        ParquetFile::create(path, Arc::new(schema), &[("huggingface", hugging_face_schema(&self.features))])
    }

    /// Data first, then what says that it is there.
    fn finish_file(&mut self) -> Result<(), SynthError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.finish()?;
        let index = (self.entries.len() - 1) / EPISODES_PER_FILE;
        let path = self.path("meta/episodes", index);
        let names = (self.task.id, self.task.summary);
        let batch = episodes::batch(&self.entries[index * EPISODES_PER_FILE..], &self.features, names)
            .map_err(SynthError::write(&path))?;
        let mut file = ParquetFile::create(&path, batch.schema(), &[])?;
        file.write_row_group(&batch)?;
        file.finish()?;
        meta::write_tasks(&self.dir, self.task.summary)?;
        meta::write_stats(&self.dir, &self.features, &self.entries)?;
        let robot = (self.task.fps, self.task.scenario);
        meta::write_info(&self.dir, &self.info, &self.features, &self.entries, robot)
    }

    fn path(&self, part: &str, file: usize) -> PathBuf {
        self.dir.join(format!("{part}/chunk-000/file-{file:03}.parquet"))
    }
}
