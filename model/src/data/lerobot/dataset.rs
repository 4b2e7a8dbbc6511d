use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::{RecordBatch, StructArray};
use rayon::prelude::*;
use worldstep_env::Space;
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, ScenarioInfo};

use super::config::LerobotConfig;
use super::episodes::{self, Info, VideoPlace};
use super::frames::{decode, moving_pixels, seen};
use super::rows::{kept, merged};
use super::video;
use crate::config::{FRAME_BYTES, FRAME_SIDE};
use crate::data::clips::{ClipRange, Clips, Split, Targets};
use crate::data::columns::{ColumnError, Columns};
use crate::data::error::DataError;
use crate::data::meta;
use crate::fnv;

/// Actions, rewards and terminations of one episode, row by row of the dataset, and its encoded pictures where they
/// stand beside them.
#[derive(Default)]
struct Rows {
    actions: Vec<Vec<f32>>,
    rewards: Vec<f32>,
    terminated: Vec<bool>,
    pictures: Vec<Vec<u8>>,
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
    reader.append_frames(&mut clips, episodes)?;
    Ok(clips)
}

struct Reader<'a> {
    dir: &'a Path,
    config: &'a LerobotConfig,
    info: Info,
    fps: f64,
    video: bool,
    /// Height, width.
    size: (u32, u32),
}

impl<'a> Reader<'a> {
    fn new(dir: &'a Path, config: &'a LerobotConfig) -> Result<Self, DataError> {
        let info = Info::load(dir)?;
        let (kind, shape) = info.feature(&config.camera)?;
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
        let [Some(height), Some(width)] = [0, 1].map(|i| shape.get(i).map(|len| *len as u32)) else {
            return Err(wrong(format!(
                "the shape of {:?} is {shape:?}, expected height, width, channels",
                config.camera
            )));
        };
        Ok(Self { dir, config, fps, video, size: (height, width), info })
    }

    /// All episodes in order of their index.
    fn rows(&self) -> Result<BTreeMap<i64, Rows>, DataError> {
        let mut episodes = BTreeMap::new();
        for path in meta::files(self.dir, "data")? {
            for batch in meta::open(&path)? {
                let batch = batch
                    .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
                self.append_batch(&batch, &mut episodes).map_err(|(column, message)| DataError::Column {
                    path: path.clone(),
                    column,
                    message,
                })?;
            }
        }
        if episodes.is_empty() {
            return Err(DataError::Task { path: self.dir.to_owned(), message: "no episodes".to_owned() });
        }
        Ok(episodes)
    }

    fn append_batch(
        &self,
        batch: &RecordBatch,
        episodes: &mut BTreeMap<i64, Rows>,
    ) -> Result<(), ColumnError> {
        let columns = Columns::new(batch);
        let index = columns.integers("episode_index")?;
        let actions = columns.floats(&self.config.action)?;
        let told = |name: &Option<String>| match name {
            Some(name) => columns.scalars(name),
            None => Ok(vec![0.0; index.len()]),
        };
        let (rewards, terminated) = (told(&self.config.reward)?, told(&self.config.terminated)?);
        let pictures = if self.video { Vec::new() } else { self.pictures(batch)? };
        let mut pictures = pictures.into_iter();
        for (row, action) in actions.into_iter().enumerate() {
            let rows = episodes.entry(index[row]).or_default();
            rows.actions.push(action);
            rows.rewards.push(rewards[row]);
            rows.terminated.push(terminated[row] != 0.0);
            rows.pictures.extend(pictures.next());
        }
        Ok(())
    }

    /// The encoded pictures of a batch: bytes in the column, or a file beside it.
    fn pictures(&self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ColumnError> {
        let name = &self.config.camera;
        let wrong = |message: &str| (name.clone(), message.to_owned());
        let column = batch.column_by_name(name).ok_or_else(|| wrong("is missing"))?;
        let column: &StructArray = column
            .as_struct_opt()
            .ok_or_else(|| wrong("is not an image column (struct of bytes and path)"))?;
        let bytes = column.column_by_name("bytes");
        let paths = column.column_by_name("path").and_then(|paths| paths.as_string_opt::<i32>());
        let held = |row: usize| {
            let bytes = bytes.filter(|bytes| bytes.is_valid(row))?;
            let short = bytes.as_binary_opt::<i32>().map(|bytes| bytes.value(row));
            short.or_else(|| bytes.as_binary_opt::<i64>().map(|bytes| bytes.value(row)))
        };
        (0..column.len())
            .map(|row| match (held(row), paths.filter(|paths| paths.is_valid(row))) {
                (Some(bytes), _) => Ok(bytes.to_vec()),
                (None, Some(paths)) => {
                    let path = self.dir.join(paths.value(row));
                    std::fs::read(&path).map_err(|error| wrong(&format!("names {}: {error}", path.display())))
                }
                (None, None) => Err(wrong(&format!("has neither bytes nor path in row {row}"))),
            })
            .collect()
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
            frame_size: FRAME_SIDE as u32,
            scenarios: vec![scenario.clone()],
            channels: vec!["rgb".to_owned()],
            ..DatasetInfo::default()
        };
        let targets =
            Targets { rewards: self.config.reward.is_some(), terminated: self.config.terminated.is_some() };
        Ok(Clips { targets, ..Clips::empty(self.dir, info, scenario) })
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
        if low.len() != elements || high.len() != elements {
            let message = format!(
                "{:?} has {elements} elements, its bounds have {} and {}",
                config.action,
                low.len(),
                high.len()
            );
            return Err(DataError::Config { path: self.dir.to_owned(), message });
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
    fn append_frames(&self, clips: &mut Clips, episodes: BTreeMap<i64, Rows>) -> Result<(), DataError> {
        if self.video {
            self.decode_videos(clips, &episodes)?;
        } else {
            self.decode_pictures(clips, &episodes)?;
        }
        for range in &clips.ranges {
            let frames = &clips.frames[range.start * FRAME_BYTES..(range.start + range.len) * FRAME_BYTES];
            moving_pixels(frames, self.config.moving_levels, &mut clips.pixel_class);
        }
        let hash = fnv::extend(fnv::EMPTY, &clips.frames);
        let actions: Vec<u8> = clips.actions.iter().flat_map(|value| value.to_le_bytes()).collect();
        clips.hash = format!("{:016x}", fnv::extend(hash, &actions));
        Ok(())
    }

    fn decode_pictures(&self, clips: &mut Clips, episodes: &BTreeMap<i64, Rows>) -> Result<(), DataError> {
        let files: Vec<&[u8]> = episodes
            .values()
            .flat_map(|rows| self.kept(rows).into_iter().map(|row| rows.pictures[row].as_slice()))
            .collect();
        clips.frames.resize(files.len() * FRAME_BYTES, 0);
        clips
            .frames
            .par_chunks_exact_mut(FRAME_BYTES)
            .zip(files)
            .try_for_each(|(frame, file)| decode(file, self.config.crop, frame))
            .map_err(|message| DataError::Column {
                path: self.dir.join("data"),
                column: self.config.camera.clone(),
                message: format!("cannot be read: {message}"),
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
        let seen = seen(self.size.1, self.size.0, self.config.crop).map_err(wrong)?;
        clips.frames.resize(clip_row * FRAME_BYTES, 0);
        for (path, mut wanted) in files {
            wanted.sort_unstable();
            let numbers: Vec<usize> = wanted.iter().map(|(number, _)| *number).collect();
            let frames = video::decode(&self.config.ffmpeg, &path, seen, &numbers)?;
            for ((_, row), frame) in wanted.iter().zip(frames.chunks_exact(FRAME_BYTES)) {
                clips.frames[row * FRAME_BYTES..(row + 1) * FRAME_BYTES].copy_from_slice(frame);
            }
        }
        Ok(())
    }
}
