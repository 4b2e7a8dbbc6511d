use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use worldstep_env::dataset::{InstanceLabel, episode, feature};
use worldstep_env::{Pose, Scene};

use super::clips::{ClipRange, Clips};
use super::columns::{ColumnError, Columns};
use super::error::DataError;
use super::image_column;
use super::meta;

/// Columns of rows that annotations come from.
const COLUMNS: [&str; 6] = [
    "episode_index",
    feature::INSTANCE,
    feature::ACTION,
    feature::POSE,
    feature::INSTANCE_ID,
    feature::VISIBILITY,
];

/// What `meta/episodes` says of one clip beyond what is learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFacts {
    /// `train`, `val`, `test_combination`, `test_horizon` or `violation`.
    pub split: String,
    /// Index of the episode in the dataset.
    pub episode: i64,
    /// What is impossible in it, empty if nothing is.
    pub violation: String,
    /// Episode of its possible or impossible twin, −1 if there is none.
    pub pair: i64,
    /// World gravity, m/s².
    pub gravity: [f32; 3],
    /// Mass of each tracked object, kg; infinite for what physics does not move.
    pub masses: Vec<f32>,
    /// Shapes, cameras; without instances if it is not told.
    pub scene: Option<Scene>,
}

/// What the frames of one clip show, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// `rows × height × width`: 0, or 1 + the tracked object that the pixel shows.
    pub silhouettes: Vec<u8>,
    /// `rows × tracked objects`: share of each silhouette that is seen.
    pub visible: Vec<f32>,
    /// Actions as the dataset stores them.
    pub actions: Vec<Vec<f32>>,
    /// Where each instance is in the first row, by id.
    pub first_poses: BTreeMap<u16, Pose>,
    /// Whether each tracked object keeps its orientation throughout.
    pub upright: Vec<bool>,
}

/// Annotations of some clips of one task, by position among `Clips::ranges`.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    /// Frames in a second.
    pub fps: f32,
    /// Of every clip.
    pub facts: Vec<ClipFacts>,
    /// Of the clips that were asked for.
    pub clips: BTreeMap<usize, Annotation>,
}

impl Annotations {
    /// Reads the facts of every clip of `clips`, and what the frames of those show that `choose` picks; it is
    /// asked once for each clip, in order.
    ///
    /// # Errors
    /// [`DataError`] names the file and what is wrong with it, also if it does not hold the clips that were
    /// loaded.
    pub fn load(
        clips: &Clips,
        mut choose: impl FnMut(&ClipRange, &ClipFacts) -> bool,
    ) -> Result<Self, DataError> {
        let dir = &clips.path;
        let by_episode = episode_facts(dir, &moving_slots(&clips.scenario.instances))?;
        let mut reader = Reader {
            clips,
            by_episode,
            chosen: Vec::new(),
            out: Self { fps: meta::fps(dir)? as f32, ..Self::default() },
        };
        for path in meta::files(dir, "data")? {
            for batch in meta::open_columns(&path, &COLUMNS)? {
                let batch = batch
                    .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
                reader.append(&path, &Columns::new(&batch), &mut choose)?;
            }
        }
        if reader.out.facts.len() != clips.ranges.len() {
            let message = format!(
                "{} clips of {:?}, {} were loaded: it has changed meanwhile",
                reader.out.facts.len(),
                clips.scenario.id,
                clips.ranges.len()
            );
            return Err(DataError::Task { path: dir.clone(), message });
        }
        Ok(reader.out)
    }
}

/// Position among a scenario's instances of those that move, with their ids.
fn moving_slots(labels: &[InstanceLabel]) -> Vec<(usize, u16)> {
    labels
        .iter()
        .enumerate()
        .filter(|(_, label)| label.moving)
        .map(|(slot, label)| (slot, label.id))
        .collect()
}

struct Reader<'a> {
    clips: &'a Clips,
    by_episode: HashMap<i64, FactsOfScenario>,
    /// Of each clip so far, whether its frames are wanted.
    chosen: Vec<bool>,
    out: Annotations,
}

impl Reader<'_> {
    fn append(
        &mut self,
        path: &Path,
        columns: &Columns<'_>,
        choose: &mut impl FnMut(&ClipRange, &ClipFacts) -> bool,
    ) -> Result<(), DataError> {
        let column_error = |(column, message)| DataError::Column { path: path.to_owned(), column, message };
        let index = columns.integers("episode_index").map_err(column_error)?;
        let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, episode) in index.iter().enumerate() {
            let Some((scenario, facts)) = self.by_episode.get(episode) else { continue };
            if *scenario != self.clips.scenario.id {
                continue;
            }
            if self.out.facts.last().map(|facts| facts.episode) != Some(*episode) {
                let range = self.clips.ranges.get(self.out.facts.len());
                self.chosen.push(range.is_some_and(|range| choose(range, facts)));
                self.out.facts.push(facts.clone());
            }
            let clip = self.out.facts.len() - 1;
            if self.chosen[clip] {
                wanted.entry(clip).or_default().push(row);
            }
        }
        for (clip, rows) in wanted {
            let annotation = self.out.clips.entry(clip).or_default();
            rows_of(annotation, columns, &rows, &self.clips.scenario.instances).map_err(column_error)?;
            silhouettes(annotation, columns, &rows, self.clips)
                .map_err(|message| DataError::Damaged { path: path.to_owned(), message })?;
        }
        Ok(())
    }
}

/// Appends what is no image.
fn rows_of(
    annotation: &mut Annotation,
    columns: &Columns<'_>,
    rows: &[usize],
    labels: &[InstanceLabel],
) -> Result<(), ColumnError> {
    let (actions, poses) = (columns.floats(feature::ACTION)?, columns.floats(feature::POSE)?);
    let ids = columns.floats(feature::INSTANCE_ID)?;
    let visible = columns.floats(feature::VISIBILITY).ok();
    let moving = moving_slots(labels);
    for row in rows {
        annotation.actions.push(actions[*row].clone());
        let pose_of = |id: u16| {
            let slot = ids[*row].iter().position(|other| *other == f32::from(id))?;
            let pose = poses[*row].get(slot * 7..slot * 7 + 7)?;
            let (position, quat_xyzw) = ([pose[0], pose[1], pose[2]], [pose[3], pose[4], pose[5], pose[6]]);
            Some((slot, Pose { position, quat_xyzw }))
        };
        if annotation.first_poses.is_empty() {
            let poses = labels.iter().filter_map(|label| Some((label.id, pose_of(label.id)?.1)));
            annotation.first_poses = poses.collect();
            annotation.upright = vec![true; moving.len()];
        }
        for (object, (_, id)) in moving.iter().enumerate() {
            let pose = pose_of(*id);
            let share = visible.as_ref().and_then(|rows| rows[*row].get(pose?.0).copied());
            annotation.visible.push(share.unwrap_or(f32::from(pose.is_some())));
            let first = annotation.first_poses.get(id).map(|pose| pose.quat_xyzw);
            let same = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
            annotation.upright[object] &= pose.zip(first).is_some_and(|(pose, q)| same(pose.1.quat_xyzw, q));
        }
    }
    Ok(())
}

fn silhouettes(
    annotation: &mut Annotation,
    columns: &Columns<'_>,
    rows: &[usize],
    clips: &Clips,
) -> Result<(), String> {
    let images = columns
        .images(feature::INSTANCE)
        .map_err(|(column, message)| format!("column {column:?} {message}"))?;
    let moving = moving_slots(&clips.scenario.instances);
    let pixels = clips.frame_size.pixels();
    let from = annotation.silhouettes.len();
    annotation.silhouettes.resize(from + rows.len() * pixels, 0);
    annotation.silhouettes[from..]
        .par_chunks_exact_mut(pixels)
        .zip(rows)
        .try_for_each(|(out, row)| image_column::silhouettes(images[*row], &moving, out))
}

/// Scenario and facts of every episode, by index.
fn episode_facts(dir: &Path, moving: &[(usize, u16)]) -> Result<HashMap<i64, FactsOfScenario>, DataError> {
    let mut all = HashMap::new();
    for path in meta::files(dir, "meta/episodes")? {
        for batch in meta::open(&path)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            let rows = fact_rows(&Columns::new(&batch), moving)
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
            all.extend(rows);
        }
    }
    Ok(all)
}

/// A clip's scenario, and what is known of the clip.
type FactsOfScenario = (String, ClipFacts);

fn fact_rows(
    columns: &Columns<'_>,
    moving: &[(usize, u16)],
) -> Result<Vec<(i64, FactsOfScenario)>, ColumnError> {
    let (index, splits) = (columns.integers("episode_index")?, columns.texts(episode::SPLIT)?);
    let scenarios = columns.texts(episode::SCENARIO)?;
    let texts = |name| columns.texts(name).unwrap_or_else(|_| vec![String::new(); index.len()]);
    let (violations, scenes) = (texts(episode::VIOLATION), texts(episode::SCENE));
    let pairs = columns.integers(episode::PAIR).unwrap_or_else(|_| vec![-1; index.len()]);
    let floats = |name| columns.floats(name).unwrap_or_else(|_| vec![Vec::new(); index.len()]);
    let (gravity, mass) = (floats(episode::GRAVITY), floats(episode::MASS));
    let rows = index.iter().enumerate().map(|(row, episode)| {
        let facts = ClipFacts {
            split: splits[row].clone(),
            episode: *episode,
            violation: violations[row].clone(),
            pair: pairs[row],
            gravity: <[f32; 3]>::try_from(&gravity[row][..]).unwrap_or([0.0, 0.0, -9.81]),
            masses: moving
                .iter()
                .map(|(slot, _)| mass[row].get(*slot).copied().unwrap_or(f32::INFINITY))
                .collect(),
            scene: serde_json::from_str(&scenes[row]).ok(),
        };
        (*episode, (scenarios[row].clone(), facts))
    });
    Ok(rows.collect())
}
