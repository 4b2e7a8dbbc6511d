use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch, StringArray, StructArray};
use rayon::prelude::*;
use worldstep_env::Space;
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, ScenarioInfo};

use super::config::LerobotConfig;
use super::episodes::{self, Info, VideoPlace};
use super::frames::{decode, moving_pixels, seen};
use super::rows::{kept, merged};
use super::video;
use crate::data::clips::{ClipRange, Clips, Split, Targets};
use crate::data::columns::{ColumnError, Columns};
use crate::data::error::DataError;
use crate::data::meta;
use crate::fnv;

const EPISODE: &str = "episode_index";

/// Actions, rewards and terminations of one episode, row by row of the dataset.
#[derive(Default)]
struct Rows {
    actions: Vec<Vec<f32>>,
    rewards: Vec<f32>,
    terminated: Vec<bool>,
}

/// Reads the episodes of the dataset in `dir` as `config` says.
///
/// # Errors
/// [`DataError`] names the file and what is wrong with it, or what in the configuration does not fit.
pub fn load(dir: &Path, config: &LerobotConfig) -> Result<Clips, DataError> {
    let reader = Reader::new(dir, config)?;
    let episodes = reader.rows()?;
    let mut clips = reader.empty(&episodes)?;
    let count = episodes.len();
    for (i, (index, rows)) in episodes.iter().enumerate() {
        let val =
            (i + 1) % config.val_every == 0 || (count < config.val_every && count > 1 && i + 1 == count);
        let split = if val { Split::Val } else { Split::Train };
        reader.append(&mut clips, rows, (*index, split))?;
    }
    reader.append_frames(&mut clips, &episodes)?;
    Ok(clips)
}

struct Reader<'a> {
    dir: &'a Path,
    config: &'a LerobotConfig,
    info: Info,
    fps: f64,
    video: bool,
    /// Height, width.
    size: [u32; 2],
}

impl<'a> Reader<'a> {
    fn new(dir: &'a Path, config: &'a LerobotConfig) -> Result<Self, DataError> {
        let info = Info::load(dir)?;
        let (kind, _) = info.feature(&config.camera)?;
        let video = kind == "video";
        let wrong = |message: String| DataError::Config { path: dir.join("meta/info.json"), message };
        if !matches!(kind, "video" | "image") {
            let cameras = info.names(|kind| matches!(kind, "video" | "image"));
            return Err(wrong(format!("{:?} is {kind}, no camera; cameras are: {cameras}", config.camera)));
        }
        let fps = config.fps.unwrap_or(info.fps);
        if fps > info.fps {
            return Err(wrong(format!("fps is {}, below the {fps} of the configuration", info.fps)));
        }
        let size = info.picture_size(&config.camera)?;
        Ok(Self { dir, config, fps, video, size, info })
    }

    /// All episodes in order of their index.
    fn rows(&self) -> Result<BTreeMap<i64, Rows>, DataError> {
        let config = self.config;
        let told = [&config.reward, &config.terminated].into_iter().flatten();
        let columns: Vec<&str> =
            [EPISODE, &config.action].into_iter().chain(told.map(String::as_str)).collect();
        let mut episodes = BTreeMap::new();
        self.each_batch(&columns, &mut |batch| {
            self.append_batch(batch, &mut episodes).map_err(|error| self.wrong_column(error))
        })?;
        if episodes.is_empty() {
            return Err(DataError::Task { path: self.dir.to_owned(), message: "no episodes".to_owned() });
        }
        Ok(episodes)
    }

    /// Reads these columns of all data files, in order.
    fn each_batch(
        &self,
        columns: &[&str],
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        for path in meta::files(self.dir, "data")? {
            for batch in meta::open_columns(&path, columns)? {
                let batch = batch
                    .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
                take(&batch)?;
            }
        }
        Ok(())
    }

    fn wrong_column(&self, (column, message): ColumnError) -> DataError {
        DataError::Column { path: self.dir.join("data"), column, message }
    }

    fn append_batch(
        &self,
        batch: &RecordBatch,
        episodes: &mut BTreeMap<i64, Rows>,
    ) -> Result<(), ColumnError> {
        let columns = Columns::new(batch);
        let index = columns.integers(EPISODE)?;
        let actions = columns.floats(&self.config.action)?;
        let told = |name: &Option<String>| match name {
            Some(name) => columns.scalars(name),
            None => Ok(vec![0.0; index.len()]),
        };
        let (rewards, terminated) = (told(&self.config.reward)?, told(&self.config.terminated)?);
        for (row, action) in actions.into_iter().enumerate() {
            let rows = episodes.entry(index[row]).or_default();
            rows.actions.push(action);
            rows.rewards.push(rewards[row]);
            rows.terminated.push(terminated[row] != 0.0);
        }
        Ok(())
    }

    /// Clips without rows.
    fn empty(&self, episodes: &BTreeMap<i64, Rows>) -> Result<Clips, DataError> {
        let (_, shape) = self.info.feature(&self.config.action)?;
        let elements = shape.iter().product();
        let longest = episodes.values().map(|rows| self.kept(rows).len()).max().unwrap_or(0);
        let scenario = ScenarioInfo {
            id: self.config.task.clone(),
            action_space: self.action_space(elements)?,
            state_space: Space::bounded(&[], &[]),
            max_episode_steps: longest as u32,
            instances: Vec::new(),
            outcomes: Vec::new(),
        };
        let info = DatasetInfo {
            format: FORMAT_VERSION,
            writer: "lerobot".to_owned(),
            frame_size: self.config.side.side() as u32,
            scenarios: vec![scenario.clone()],
            channels: vec!["rgb".to_owned()],
            ..DatasetInfo::default()
        };
        let targets =
            Targets { rewards: self.config.reward.is_some(), terminated: self.config.terminated.is_some() };
        Ok(Clips { targets, ..Clips::empty(self.dir, (info, self.config.side), scenario) })
    }

    /// Bounds by the configuration, else by the dataset's statistics; what never changes is 0.
    fn action_space(&self, elements: usize) -> Result<Space, DataError> {
        let config = self.config;
        let [low, high] = match (&config.action_low, &config.action_high) {
            (Some(low), Some(high)) => [low.clone(), high.clone()],
            (low, high) => {
                let [least, greatest] = episodes::bounds(self.dir, &config.action)?;
                [low.clone().unwrap_or(least), high.clone().unwrap_or(greatest)]
            }
        };
        let wrong = |message| DataError::Config { path: self.dir.to_owned(), message };
        if low.len() != elements || high.len() != elements {
            let (name, lows, highs) = (&config.action, low.len(), high.len());
            return Err(wrong(format!(
                "{name:?} has {elements} elements, its bounds have {lows} and {highs}"
            )));
        }
        let is_range = |(low, high): &(&f32, &f32)| low.is_finite() && high.is_finite() && low <= high;
        if let Some((i, (low, high))) = low.iter().zip(&high).enumerate().find(|(_, pair)| !is_range(pair)) {
            let name = &config.action;
            return Err(wrong(format!(
                "element {i} of {name:?} goes from {low} to {high}, expected a range"
            )));
        }
        let bounds: Vec<_> = low
            .iter()
            .zip(&high)
            .map(|(low, high)| if low < high { (*low, *high) } else { (low - 1.0, low + 1.0) })
            .collect();
        let (low, high): (Vec<_>, Vec<_>) = bounds.into_iter().unzip();
        Ok(Space::bounded(&low, &high))
    }

    fn kept(&self, rows: &Rows) -> Vec<usize> {
        kept(rows.actions.len(), self.info.fps, self.fps)
    }

    /// Appends an episode, all but its frames.
    fn append(&self, clips: &mut Clips, rows: &Rows, (index, split): (i64, Split)) -> Result<(), DataError> {
        let kept = self.kept(rows);
        clips.ranges.push(ClipRange { start: clips.rows(), len: kept.len(), split, seed: index });
        for (i, row) in kept.iter().enumerate() {
            let end = kept.get(i + 1).copied().unwrap_or(rows.actions.len());
            let action = merged(&rows.actions[*row..end], self.config.merge);
            clips.coding.encode(&action, &mut clips.actions).map_err(|message| DataError::Column {
                path: self.dir.join("data"),
                column: self.config.action.clone(),
                message,
            })?;
            clips.rewards.push(rows.rewards[*row..end].iter().sum());
            clips.terminated.push(rows.terminated[*row..end].contains(&true));
        }
        Ok(())
    }

    /// Appends the frames of all episodes, their pixel classes, and the hash of it all.
    fn append_frames(&self, clips: &mut Clips, episodes: &BTreeMap<i64, Rows>) -> Result<(), DataError> {
        if self.video {
            self.decode_videos(clips, episodes)?;
        } else {
            self.decode_pictures(clips, episodes)?;
        }
        let bytes = self.config.side.bytes();
        for range in &clips.ranges {
            let frames = &clips.frames[range.start * bytes..(range.start + range.len) * bytes];
            moving_pixels(frames, self.config.side, self.config.moving_levels, &mut clips.pixel_class);
        }
        clips.hash = format!("{:016x}", hash(clips));
        Ok(())
    }

    /// Pictures of rows that stay, batch by batch: no encoded one is held for longer than that.
    fn decode_pictures(&self, clips: &mut Clips, episodes: &BTreeMap<i64, Rows>) -> Result<(), DataError> {
        let (camera, size) = (&self.config.camera, self.config.side);
        clips.frames.resize(clips.rows() * size.bytes(), 0);
        // For each row of an episode the row of the clips that it becomes.
        let mut clip_rows = 0..clips.rows();
        let mut places: BTreeMap<i64, _> = BTreeMap::new();
        for (index, rows) in episodes {
            let mut row_of = vec![None; rows.actions.len()];
            self.kept(rows)
                .into_iter()
                .zip(&mut clip_rows)
                .for_each(|(row, place)| row_of[row] = Some(place));
            places.insert(*index, row_of.into_iter());
        }
        self.each_batch(&[EPISODE, camera], &mut |batch| {
            let index = Columns::new(batch).integers(EPISODE).map_err(|error| self.wrong_column(error))?;
            let next = |index: &i64| places.get_mut(index).and_then(Iterator::next).flatten();
            let kept: Vec<_> =
                index.iter().map(next).enumerate().filter_map(|(i, to)| Some((i, to?))).collect();
            let pictures = Pictures::of(batch, camera, self.dir).map_err(|error| self.wrong_column(error))?;
            let frames: Result<Vec<_>, ColumnError> = kept
                .par_iter()
                .map(|(i, to)| {
                    let mut frame = vec![0; size.bytes()];
                    decode(&pictures.file(*i)?, self.config.crop, size, &mut frame)
                        .map_err(|message| (camera.clone(), format!("cannot be read: {message}")))?;
                    Ok((*to, frame))
                })
                .collect();
            for (to, frame) in frames.map_err(|error| self.wrong_column(error))? {
                clips.frames[to * size.bytes()..(to + 1) * size.bytes()].copy_from_slice(&frame);
            }
            Ok(())
        })
    }

    /// Each file is decoded once, whichever episodes it holds.
    fn decode_videos(&self, clips: &mut Clips, episodes: &BTreeMap<i64, Rows>) -> Result<(), DataError> {
        let places: BTreeMap<i64, VideoPlace> =
            episodes::video_places(self.dir, &self.config.camera)?.into_iter().collect();
        let mut files: BTreeMap<PathBuf, Vec<(usize, usize)>> = BTreeMap::new();
        let mut clip_row = 0;
        for (index, rows) in episodes {
            let place = places.get(index).ok_or_else(|| DataError::Damaged {
                path: self.dir.join("meta/episodes"),
                message: format!("episode {index} is not there"),
            })?;
            let first = (place.from_s * self.info.fps).round() as usize;
            let file =
                files.entry(self.info.video_file(self.dir, &self.config.camera, place.file)).or_default();
            for row in self.kept(rows) {
                file.push((first + row, clip_row));
                clip_row += 1;
            }
        }
        let wrong = |message| DataError::Config { path: self.dir.to_owned(), message };
        let [height, width] = self.size;
        let seen = seen(width, height, self.config.crop).map_err(wrong)?;
        let size = self.config.side;
        clips.frames.resize(clip_row * size.bytes(), 0);
        for (path, mut wanted) in files {
            wanted.sort_unstable();
            let numbers: Vec<usize> = wanted.iter().map(|(number, _)| *number).collect();
            let frames = video::decode(&self.config.ffmpeg, &path, (seen, self.info.fps, size), &numbers)?;
            for ((_, row), frame) in wanted.iter().zip(frames.chunks_exact(size.bytes())) {
                clips.frames[row * size.bytes()..(row + 1) * size.bytes()].copy_from_slice(frame);
            }
        }
        Ok(())
    }
}

/// The encoded pictures of a batch: bytes in the column, or files that it names.
struct Pictures<'a> {
    dir: &'a Path,
    camera: &'a str,
    bytes: Option<&'a ArrayRef>,
    paths: Option<&'a StringArray>,
}

impl<'a> Pictures<'a> {
    fn of(batch: &'a RecordBatch, camera: &'a str, dir: &'a Path) -> Result<Self, ColumnError> {
        let wrong = |message: &str| (camera.to_owned(), message.to_owned());
        let column = batch.column_by_name(camera).ok_or_else(|| wrong("is missing"))?;
        let column: &StructArray = column
            .as_struct_opt()
            .ok_or_else(|| wrong("is not an image column (struct of bytes and path)"))?;
        let paths = column.column_by_name("path").and_then(|paths| paths.as_string_opt::<i32>());
        Ok(Self { dir, camera, bytes: column.column_by_name("bytes"), paths })
    }

    fn file(&self, row: usize) -> Result<Cow<'a, [u8]>, ColumnError> {
        let bytes = self.bytes.filter(|bytes| bytes.is_valid(row));
        let short = || bytes?.as_binary_opt::<i32>().map(|bytes| bytes.value(row));
        let long = || bytes?.as_binary_opt::<i64>().map(|bytes| bytes.value(row));
        if let Some(bytes) = short().or_else(long) {
            return Ok(Cow::Borrowed(bytes));
        }
        let wrong = |message: String| (self.camera.to_owned(), message);
        let Some(paths) = self.paths.filter(|paths| paths.is_valid(row)) else {
            return Err(wrong(format!("has neither bytes nor path in row {row} of a batch")));
        };
        let path = self.dir.join(paths.value(row));
        std::fs::read(&path)
            .map(Cow::Owned)
            .map_err(|error| wrong(format!("names {}: {error}", path.display())))
    }
}

/// Hash of everything in `clips` that is learned from.
fn hash(clips: &Clips) -> u64 {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let terminated: Vec<u8> = clips.terminated.iter().map(|terminated| u8::from(*terminated)).collect();
    let range = |clip: &ClipRange| [clip.len as u64, u64::from(clip.split == Split::Val)];
    let ranges: Vec<u8> = clips.ranges.iter().flat_map(range).flat_map(u64::to_le_bytes).collect();
    let parts = [
        &clips.frames,
        &clips.pixel_class,
        &floats(&clips.actions),
        &floats(&clips.rewards),
        &terminated,
        &ranges,
    ];
    parts.into_iter().fold(fnv::EMPTY, |hash, part| fnv::extend(hash, part))
}
