use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use worldstep_env::Space;
use worldstep_env::dataset::{DatasetInfo, ScenarioInfo, feature};

use super::columns::{ColumnError, Columns};
use super::error::DataError;
use super::image_column::{self, ImageFault};
use super::meta::{self, EpisodeMeta};
use super::physics::PhysicsFacts;
use crate::action::ActionCoding;
use crate::config::FrameSize;
use crate::dynamics::OBJECT_VALUES;
use crate::fnv;

/// Bit of a pixel's class: it shows something that can move.
pub const PIXEL_MOVING: u8 = 1;
/// Bit of a pixel's class: it shows something that the action moves.
pub const PIXEL_ACTUATED: u8 = 2;
/// Position or velocity of an object that is not there.
const ABSENT: [f32; OBJECT_VALUES / 2] = [0.0; OBJECT_VALUES / 2];

/// Which part of a dataset a clip belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Learned from.
    Train,
    /// Only evaluated on.
    Val,
    /// Neither: combinations, horizons and violations that are looked at on their own.
    Held,
}

/// One episode's rows.
#[derive(Clone, Debug)]
pub struct ClipRange {
    /// First row.
    pub start: usize,
    /// Number of rows, and of frames.
    pub len: usize,
    /// Train or val.
    pub split: Split,
    /// The seed of the episode's reset.
    pub seed: i64,
}

impl ClipRange {
    /// Its rows.
    pub fn rows(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// What a dataset tells of each row beside frame and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Rewards; where they are not told, they are 0 and nothing is learned from them.
    pub rewards: bool,
    /// Terminations, the same way.
    pub terminated: bool,
}

/// All clips of one task in memory. Row `t` holds the frame, the action taken on seeing it, and what that action caused.
#[derive(Debug)]
pub struct Clips {
    /// The dataset's folder.
    pub path: PathBuf,
    /// What the dataset says of itself.
    pub info: DatasetInfo,
    /// What it says of this task.
    pub scenario: ScenarioInfo,
    /// How actions become vectors.
    pub coding: ActionCoding,
    /// Episodes, in order.
    pub ranges: Vec<ClipRange>,
    /// Size of the frames.
    pub frame_size: FrameSize,
    /// `rows × height × width × 3`.
    pub frames: Vec<u8>,
    /// `rows × height × width`, [`PIXEL_MOVING`] and [`PIXEL_ACTUATED`].
    pub pixel_class: Vec<u8>,
    /// `rows × action values`, coded for the network.
    pub actions: Vec<f32>,
    /// `rows`.
    pub rewards: Vec<f32>,
    /// `rows`.
    pub terminated: Vec<bool>,
    /// `rows × moving objects × 6`: position, linear velocity; zeros for an object that is not there.
    pub objects: Vec<f32>,
    /// Masses, contacts, visibility and the like, where the dataset has them.
    pub physics: Option<PhysicsFacts>,
    /// `rows × moving objects`: whether the object is there. Clips of a family need not have all that it can have.
    pub object_known: Vec<bool>,
    /// What is told of each row.
    pub targets: Targets,
    /// Sixteen hexadecimal digits over the content hashes of the episodes read.
    pub hash: String,
}

impl Clips {
    /// Reads and decodes the clips of `scenario` (or of the only task there is).
    ///
    /// # Errors
    /// [`DataError`] names the file and what is wrong with it.
    pub fn load(dir: &Path, scenario: Option<&str>) -> Result<Self, DataError> {
        let (info, size) = meta::info(dir)?;
        let scenario = meta::scenario(dir, &info, scenario)?;
        let episodes = meta::episodes(dir)?;
        let mut clips = Self::empty(dir, (info, size), scenario);
        let mut last_episode = None;
        for path in meta::files(dir, "data")? {
            for batch in meta::open(&path)? {
                let damaged = |message| DataError::Damaged { path: path.clone(), message };
                let batch = batch.map_err(|error| damaged(error.to_string()))?;
                clips.append(
                    &path,
                    &Columns::new(&batch),
                    |index| episodes.get(&index),
                    &mut last_episode,
                )?;
            }
        }
        if clips.ranges.is_empty() {
            let message = format!("no clips of {:?}", clips.scenario.id);
            return Err(DataError::Task { path: dir.to_owned(), message });
        }
        clips.physics = PhysicsFacts::load(dir, &clips)?;
        Ok(clips)
    }

    /// No clips yet, of a dataset that tells everything.
    pub(super) fn empty(
        dir: &Path,
        (info, frame_size): (DatasetInfo, FrameSize),
        scenario: ScenarioInfo,
    ) -> Self {
        let coding = ActionCoding::new(&scenario.action_space);
        Self {
            path: dir.to_owned(),
            info,
            scenario,
            coding,
            ranges: Vec::new(),
            frame_size,
            frames: Vec::new(),
            pixel_class: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            terminated: Vec::new(),
            objects: Vec::new(),
            physics: None,
            object_known: Vec::new(),
            targets: Targets { rewards: true, terminated: true },
            hash: format!("{:016x}", fnv::EMPTY),
        }
    }

    /// Rows in all clips.
    pub fn rows(&self) -> usize {
        self.rewards.len()
    }

    /// Moving objects whose poses are recorded.
    pub fn tracked_objects(&self) -> usize {
        self.scenario.instances.iter().filter(|label| label.moving).count()
    }

    /// Their names.
    pub fn object_names(&self) -> impl Iterator<Item = &str> {
        self.scenario.instances.iter().filter(|label| label.moving).map(|label| label.name.as_str())
    }

    /// Space of the actions.
    pub fn action_space(&self) -> &Space {
        &self.scenario.action_space
    }

    /// The frame of `row`, HWC.
    pub fn frame(&self, row: usize) -> &[u8] {
        self.film(row..row + 1)
    }

    /// The frames of `rows`, one after the other.
    pub fn film(&self, rows: Range<usize>) -> &[u8] {
        let bytes = self.frame_size.bytes();
        &self.frames[rows.start * bytes..rows.end * bytes]
    }

    /// The pixel classes of `row`.
    pub fn classes(&self, row: usize) -> &[u8] {
        let pixels = self.frame_size.pixels();
        &self.pixel_class[row * pixels..(row + 1) * pixels]
    }

    /// The coded action of `row`.
    pub fn action(&self, row: usize) -> &[f32] {
        let values = self.coding.values();
        &self.actions[row * values..(row + 1) * values]
    }

    /// Episodes of one split.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &ClipRange> {
        self.ranges.iter().filter(move |range| range.split == split)
    }

    fn append<'m>(
        &mut self,
        path: &Path,
        columns: &Columns<'_>,
        meta_of: impl Fn(i64) -> Option<&'m EpisodeMeta>,
        last_episode: &mut Option<i64>,
    ) -> Result<(), DataError> {
        let column_error = |(column, message)| DataError::Column { path: path.to_owned(), column, message };
        let index = columns.integers("episode_index").map_err(column_error)?;
        let mut wanted = Vec::with_capacity(columns.rows());
        for (row, episode) in index.iter().enumerate() {
            let meta = meta_of(*episode).ok_or_else(|| DataError::Damaged {
                path: path.to_owned(),
                message: format!("episode {episode} is not in meta/episodes"),
            })?;
            if meta.scenario != self.scenario.id {
                continue;
            }
            if *last_episode != Some(*episode) {
                *last_episode = Some(*episode);
                let start = self.rows() + wanted.len();
                self.ranges.push(ClipRange { start, len: 0, split: meta.split, seed: meta.seed });
                self.hash = extend_hash(&self.hash, &meta.hash);
            }
            if let Some(range) = self.ranges.last_mut() {
                range.len += 1;
            }
            wanted.push(row);
        }
        self.append_vectors(columns, &wanted).map_err(column_error)?;
        self.append_images(path, columns, &wanted)
    }

    fn append_vectors(&mut self, columns: &Columns<'_>, wanted: &[usize]) -> Result<(), ColumnError> {
        let (actions, rewards) = (columns.floats(feature::ACTION)?, columns.scalars(feature::REWARD)?);
        let terminated = columns.scalars(feature::TERMINATED)?;
        let (poses, velocities) = (columns.floats(feature::POSE)?, columns.floats(feature::VELOCITY)?);
        let ids = columns.floats(feature::INSTANCE_ID)?;
        let moving: Vec<f32> = self
            .scenario
            .instances
            .iter()
            .filter(|label| label.moving)
            .map(|label| f32::from(label.id))
            .collect();
        for row in wanted {
            self.coding
                .encode(&actions[*row], &mut self.actions)
                .map_err(|m| (feature::ACTION.to_owned(), m))?;
            self.rewards.push(rewards[*row]);
            self.terminated.push(terminated[*row] != 0.0);
            for id in &moving {
                let values = ids[*row].iter().position(|other| other == id).and_then(|object| {
                    let position = poses[*row].get(object * 7..object * 7 + OBJECT_VALUES / 2)?;
                    Some((position, velocities[*row].get(object * 6..object * 6 + OBJECT_VALUES / 2)?))
                });
                self.object_known.push(values.is_some());
                let (position, velocity) = values.unwrap_or((&ABSENT, &ABSENT));
                self.objects.extend_from_slice(position);
                self.objects.extend_from_slice(velocity);
            }
        }
        Ok(())
    }

    fn append_images(
        &mut self,
        path: &Path,
        columns: &Columns<'_>,
        wanted: &[usize],
    ) -> Result<(), DataError> {
        let column_error = |(column, message)| DataError::Column { path: path.to_owned(), column, message };
        let rgb = columns.images(feature::RGB).map_err(column_error)?;
        let instance = columns.images(feature::INSTANCE).map_err(column_error)?;
        let (frames_from, classes_from) = (self.frames.len(), self.pixel_class.len());
        let size = self.frame_size;
        self.frames.resize(frames_from + wanted.len() * size.bytes(), 0);
        self.pixel_class.resize(classes_from + wanted.len() * size.pixels(), 0);
        let labels = &self.scenario.instances;
        self.frames[frames_from..]
            .par_chunks_exact_mut(size.bytes())
            .zip(self.pixel_class[classes_from..].par_chunks_exact_mut(size.pixels()))
            .zip(wanted)
            .try_for_each(|((frame, classes), row)| {
                image_column::rgb(rgb[*row], size, frame)?;
                image_column::instances(instance[*row], labels, size, classes)
            })
            .map_err(|fault| match fault {
                ImageFault::Damaged(message) => DataError::Damaged { path: path.to_owned(), message },
                ImageFault::Size(width, height) => DataError::FrameSize {
                    path: path.to_owned(),
                    found: format!("{width} × {height}"),
                    expected: size.to_string(),
                },
            })
    }
}

/// FNV-1a of `text`, going on from `hash`.
fn extend_hash(hash: &str, text: &str) -> String {
    let start = u64::from_str_radix(hash, 16).unwrap_or(fnv::EMPTY);
    format!("{:016x}", fnv::extend(start, text.as_bytes()))
}
