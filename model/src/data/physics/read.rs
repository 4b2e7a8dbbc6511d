use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use worldstep_env::dataset::{ScenarioInfo, episode, feature, table};
use worldstep_env::record::Joint;
use worldstep_env::{Pose, Scene};

use super::solid::{Solid, inner_radius_m};
use super::{Body, ClipPhysics};
use crate::data::clips::Clips;
use crate::data::columns::{ColumnError, Columns};
use crate::data::error::DataError;
use crate::data::meta;

/// What rows and `meta/episodes` say of the physics of some clips.
pub struct Record {
    pub dt_s: f32,
    /// In the clips' order.
    pub episodes: Vec<Episode>,
    /// `rows × tracked`.
    pub visible_share: Vec<f32>,
}

/// One clip, before its contacts are known.
#[derive(Clone)]
pub struct Episode {
    pub index: i64,
    facts: Facts,
    /// `K`, of its first row.
    ids: Vec<u16>,
    /// `K × 7`, of its first row.
    poses: Vec<f32>,
}

/// A row of `meta/episodes`.
#[derive(Clone)]
struct Facts {
    gravity: [f32; 3],
    /// `K`.
    mass_kg: Vec<f32>,
    scene: Scene,
    joints: Vec<Joint>,
}

/// `None` if the dataset has no contacts or no masses.
pub fn record(dir: &Path, clips: &Clips) -> Result<Option<Record>, DataError> {
    if !dir.join(table::CONTACTS).is_dir() {
        return Ok(None);
    }
    let Some(mut facts) = facts(dir, &clips.scenario.id)? else { return Ok(None) };
    let mut record =
        Record { dt_s: (1.0 / meta::fps(dir)?) as f32, episodes: Vec::new(), visible_share: Vec::new() };
    for path in meta::files(dir, "data")? {
        let wanted = ["episode_index", feature::VISIBILITY, feature::INSTANCE_ID, feature::POSE];
        for batch in meta::open_columns(&path, &wanted)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            record
                .append(&Columns::new(&batch), &clips.scenario, &mut facts)
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
        }
    }
    let values = clips.rows() * clips.tracked_objects();
    if record.episodes.len() != clips.ranges.len() || record.visible_share.len() != values {
        let message = format!("{} clips were read once, {} again", clips.ranges.len(), record.episodes.len());
        return Err(DataError::Damaged { path: dir.to_owned(), message });
    }
    Ok(Some(record))
}

/// `meta/episodes` of one scenario by episode index; `None` if masses are not recorded.
fn facts(dir: &Path, scenario: &str) -> Result<Option<HashMap<i64, Facts>>, DataError> {
    let mut all = HashMap::new();
    let wanted = [
        "episode_index",
        episode::SCENARIO,
        episode::GRAVITY,
        episode::MASS,
        episode::SCENE,
        episode::JOINTS,
    ];
    for path in meta::files(dir, "meta/episodes")? {
        for batch in meta::open_columns(&path, &wanted)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            if batch.column_by_name(episode::MASS).is_none() {
                return Ok(None);
            }
            let rows = fact_rows(&Columns::new(&batch), scenario)
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
            all.extend(rows);
        }
    }
    Ok(Some(all))
}

fn fact_rows(columns: &Columns<'_>, scenario: &str) -> Result<Vec<(i64, Facts)>, ColumnError> {
    let (index, scenarios) = (columns.integers("episode_index")?, columns.texts(episode::SCENARIO)?);
    let (gravity, mass) = (columns.floats(episode::GRAVITY)?, columns.floats(episode::MASS)?);
    let (scenes, joints) = (columns.texts(episode::SCENE)?, columns.texts(episode::JOINTS)?);
    let mut rows = Vec::new();
    for i in (0..index.len()).filter(|i| scenarios[*i] == scenario) {
        let wrong = |column: &str, message: String| (column.to_owned(), message);
        let gravity = gravity[i]
            .as_slice()
            .try_into()
            .map_err(|_| wrong(episode::GRAVITY, format!("holds {} values, expected 3", gravity[i].len())))?;
        let parsed = |error: serde_json::Error| error.to_string();
        let scene = serde_json::from_str(&scenes[i]).map_err(|error| wrong(episode::SCENE, parsed(error)))?;
        let joints =
            serde_json::from_str(&joints[i]).map_err(|error| wrong(episode::JOINTS, parsed(error)))?;
        rows.push((index[i], Facts { gravity, mass_kg: mass[i].clone(), scene, joints }));
    }
    Ok(rows)
}

impl Record {
    fn append(
        &mut self,
        columns: &Columns<'_>,
        scenario: &ScenarioInfo,
        facts: &mut HashMap<i64, Facts>,
    ) -> Result<(), ColumnError> {
        let index = columns.integers("episode_index")?;
        let (visible, ids) = (columns.floats(feature::VISIBILITY)?, columns.floats(feature::INSTANCE_ID)?);
        let poses = columns.floats(feature::POSE)?;
        for row in 0..columns.rows() {
            if self.episodes.last().is_none_or(|episode| episode.index != index[row]) {
                // An episode of another scenario has no facts here.
                let Some(facts) = facts.remove(&index[row]) else { continue };
                let ids = ids[row].iter().map(|id| *id as u16).collect();
                self.episodes.push(Episode { index: index[row], facts, ids, poses: poses[row].clone() });
            }
            for label in scenario.instances.iter().filter(|label| label.moving) {
                let slot = ids[row].iter().position(|id| *id as u16 == label.id);
                let share = slot.and_then(|slot| visible[row].get(slot));
                self.visible_share.push(share.copied().unwrap_or(0.0));
            }
        }
        Ok(())
    }
}

impl Episode {
    /// Its facts, drag aside.
    pub fn clip(
        &self,
        start: usize,
        dt_s: f32,
        scenario: &ScenarioInfo,
        touchable: &BTreeSet<u16>,
    ) -> ClipPhysics {
        let instances = &self.facts.scene.instances;
        let tracked = scenario.instances.iter().filter(|label| label.moving).map(|label| label.id);
        let bodies = tracked.map(|id| {
            let slot = self.ids.iter().position(|other| *other == id);
            let shape = instances.iter().find(|instance| instance.id == id).map(|instance| &instance.shape);
            let mass_kg = slot.and_then(|slot| self.facts.mass_kg.get(slot)).copied().unwrap_or(0.0);
            let inner_radius_m = shape.map_or(0.0, inner_radius_m);
            let touchable = touchable.contains(&id);
            Body { exists: slot.is_some(), mass_kg, inner_radius_m, drag_per_s: 0.0, touchable }
        });
        let still = instances.iter().filter(|instance| !instance.moving && touchable.contains(&instance.id));
        let solids = still.filter_map(|instance| Solid::new(&instance.shape, &self.pose(instance.id)?));
        ClipPhysics {
            start,
            dt_s,
            gravity: self.facts.gravity,
            bodies: bodies.collect(),
            solids: solids.collect(),
        }
    }

    /// Ids that hang on a joint.
    pub fn held_ids(&self) -> BTreeSet<u16> {
        self.facts.joints.iter().flat_map(|joint| [joint.a, joint.b]).collect()
    }

    fn pose(&self, id: u16) -> Option<Pose> {
        let slot = self.ids.iter().position(|other| *other == id)?;
        let values = self.poses.get(slot * 7..slot * 7 + 7)?;
        let at = |first: usize| [0, 1, 2].map(|axis: usize| values[first + axis]);
        let quat_xyzw = [values[3], values[4], values[5], values[6]];
        Some(Pose { position: at(0), quat_xyzw })
    }
}
