use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldstep_env::dataset::{DatasetInfo, EPISODES_PER_FILE, file_path};

use super::episode_reader::read_episodes;
use super::episodes::{self, EpisodeEntry};
use super::features::{Feature, features, hugging_face_schema, schema};
use super::info::{difference, read_info};
use super::meta;
use super::parquet_file::{ParquetFile, remove_parts};
use super::rows::{EncodedEpisode, Place};
use super::tables::{self, TABLES};
use super::totals::Totals;
use crate::clips::SynthError;

/// Writes episodes, in order, as a LeRobotDataset v3.0.
///
/// Each file of [`EPISODES_PER_FILE`] episodes appears whole, and the `meta` files with it, so the folder is a valid
/// dataset after every file.
pub struct DatasetWriter {
    dir: PathBuf,
    info: DatasetInfo,
    names: Names,
    features: Vec<Feature>,
    /// Episodes of finished files.
    totals: Totals,
    /// What [`resume`](Self::resume) found, episodes that are recorded again included.
    found: Totals,
    file: Option<FileUnderWay>,
}

/// What `meta` says of the scenario that [`DatasetInfo`] does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// LeRobot's task: one line on what is to be seen or done.
    pub task: String,
    /// LeRobot's robot type.
    pub robot: String,
    /// Rows in a second.
    pub fps: u32,
}

/// The file of episodes that is not whole yet.
struct FileUnderWay {
    data: ParquetFile,
    tables: [ParquetFile; 3],
    entries: Vec<EpisodeEntry>,
}

impl DatasetWriter {
    /// A writer into `dir`.
    ///
    /// # Errors
    /// [`SynthError::Options`] if `info` asks for what cannot be written.
    pub fn new(dir: &Path, info: DatasetInfo, names: Names) -> Result<Self, SynthError> {
        let features = features(&info).map_err(|message| SynthError::Options { message })?;
        let (totals, found) = (Totals::default(), Totals::default());
        Ok(Self { dir: dir.to_owned(), info, names, features, totals, found, file: None })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The dataset's features, in the order of its columns.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// What the dataset says of itself.
    pub fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// What is in finished files.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Position of the next episode.
    pub fn next_index(&self) -> usize {
        self.totals.episodes + self.file.as_ref().map_or(0, |file| file.entries.len())
    }

    /// Bytes of the file under way.
    pub fn file_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.data.bytes_written())
    }

    /// Goes on with what is in the folder: all whole files are kept, a last one with fewer episodes is recorded again
    /// unless there are `clips` episodes already.
    ///
    /// # Errors
    /// [`SynthError::Mismatch`] if the dataset there is of another kind, [`SynthError::Read`] if it is damaged.
    pub fn resume(&mut self, clips: usize) -> Result<(), SynthError> {
        remove_parts(&self.dir)?;
        let Some((found, total)) = read_info(&self.dir)? else { return Ok(()) };
        if let Some(difference) = difference(&found, &self.info) {
            return Err(SynthError::Mismatch { path: self.dir.clone(), message: difference });
        }
        for file in 0..total.div_ceil(EPISODES_PER_FILE) {
            let entries = read_episodes(&self.path("meta/episodes", file), &self.features)?;
            entries.iter().for_each(|entry| self.found.add(entry));
            if entries.len() == EPISODES_PER_FILE || total >= clips {
                entries.iter().for_each(|entry| self.totals.add(entry));
            }
        }
        Ok(())
    }

    /// Where the next episode goes, if it has `len` rows.
    pub fn next_place(&self, len: usize) -> Place {
        Place { index: self.next_index(), first_row: self.next_row(), len, fps: self.names.fps }
    }

    /// Appends an episode that was encoded for the place that is next.
    ///
    /// # Errors
    /// [`SynthError::Write`]; finished files stay as they are.
    pub fn append(&mut self, episode: EncodedEpisode) -> Result<(), SynthError> {
        let (index, row) = (episode.entry.facts.index, episode.entry.first_row);
        if (index, row) != (self.next_index(), self.next_row()) {
            let message = format!("episode {index} came where {} was due", self.next_index());
            return Err(SynthError::write(&self.dir)(message));
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.start_file()?,
        };
        file.data.write_row_group(&episode.rows)?;
        for (table, rows) in file.tables.iter_mut().zip(&episode.tables) {
            if rows.num_rows() > 0 {
                table.write_row_group(rows)?;
            }
        }
        file.entries.push(episode.entry);
        let whole = file.entries.len() == EPISODES_PER_FILE;
        self.file = Some(file);
        if whole { self.finish_file() } else { Ok(()) }
    }

    /// Finishes the file under way, so that all episodes pushed are in the dataset; if the folder already has a longer
    /// one, that stays.
    ///
    /// # Errors
    /// [`SynthError::Write`].
    pub fn finish(&mut self) -> Result<(), SynthError> {
        if self.next_index() < self.found.episodes {
            self.file = None;
            self.totals.clone_from(&self.found);
        }
        // A shard of no episodes says so; its neighbours can then be merged.
        let empty = self.info.shard.is_some() && self.next_index() == 0;
        if self.file.is_some() {
            self.finish_file()
        } else if empty {
            self.write_meta()
        } else {
            Ok(())
        }
    }

    fn next_row(&self) -> usize {
        let last = self.file.as_ref().and_then(|file| file.entries.last());
        last.map_or(self.totals.frames, |last| last.first_row + last.length)
    }

    fn start_file(&self) -> Result<FileUnderWay, SynthError> {
        let index = self.next_index() / EPISODES_PER_FILE;
        let keys = [("huggingface", hugging_face_schema(&self.features))];
        let data = ParquetFile::create(&self.path("data", index), Arc::new(schema(&self.features)), &keys)?;
        let [a, b, c] = tables::schemas();
        let table = |i: usize, schema| ParquetFile::create(&self.path(TABLES[i], index), schema, &[]);
        Ok(FileUnderWay { data, tables: [table(0, a)?, table(1, b)?, table(2, c)?], entries: Vec::new() })
    }

    /// Data and tables first, then what says that they are there.
    fn finish_file(&mut self) -> Result<(), SynthError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.data.finish()?;
        for table in file.tables {
            table.finish()?;
        }
        let path = self.path("meta/episodes", self.totals.episodes / EPISODES_PER_FILE);
        let batch = episodes::batch(&file.entries, &self.features, &self.names.task)
            .map_err(SynthError::write(&path))?;
        let mut meta_file = ParquetFile::create(&path, batch.schema(), &[])?;
        meta_file.write_row_group(&batch)?;
        meta_file.finish()?;
        file.entries.iter().for_each(|entry| self.totals.add(entry));
        self.write_meta()
    }

    fn write_meta(&self) -> Result<(), SynthError> {
        meta::write_tasks(&self.dir, &self.names.task)?;
        meta::write_stats(&self.dir, &self.features, &self.totals.stats)?;
        let (totals, names) =
            ((self.totals.episodes, self.totals.frames), (self.names.fps, &*self.names.robot));
        meta::write_info(&self.dir, &self.info, &self.features, totals, names)
    }

    fn path(&self, part: &str, file: usize) -> PathBuf {
        self.dir.join(file_path(part, file))
    }
}
