//! The contract between the writer (synth) and the readers (model, inspection, export): names, labels and versions of a
//! clip dataset.
//!
//! On disk a dataset is a LeRobotDataset v3.0. What LeRobot has no field for is under the key [`INFO_KEY`] of
//! `info.json`, as [`DatasetInfo`], in further columns of `meta/episodes` ([`episode`]), and in tables beside
//! ([`table`]).
//!
//! ```text
//! meta/info.json                                   features, totals, DatasetInfo
//! meta/tasks.parquet                               one row: the scenario's summary
//! meta/stats.json                                  range and moments of every feature
//! meta/episodes/chunk-000/file-000.parquet         one row an episode
//! data/chunk-000/file-000.parquet                  rows of 64 episodes, one row group an episode
//! events/contacts/chunk-000/file-000.parquet       contacts of the same 64 episodes
//! events/forces/chunk-000/file-000.parquet         applied forces
//! events/events/chunk-000/file-000.parquet         the event log
//! ```
//!
//! File `f` holds episodes `64 f ..` ([`EPISODES_PER_FILE`]), and is called `chunk-{f / 1000:03}/file-{f % 1000:03}`
//! everywhere. All of them appear whole, the ones of `meta` last; a folder is a valid dataset after every file.
//!
//! Timing: row `t` holds the observation, the action taken on seeing it, and what that action caused (reward,
//! terminated, truncated, and the contacts, forces and events of frame `t`). The observation after the last action of
//! an episode is not stored.
//!
//! **Images** are PNG (8-bit RGB, 16-bit grey) or TIFF of one float32 channel. What has several values a pixel
//! ([`feature::NORMAL`], flow, coordinates) is stacked, plane below plane: the file's height is planes × side, its width
//! side. Which channels there are is [`DatasetInfo::channels`]; rgb and instance always are.
//!
//! **Cameras.** Image and camera features of the main camera have the plain names; those of a further camera `wrist` end
//! in `.wrist`, for instance `observation.images.depth.wrist`. [`DatasetInfo::cameras`] lists the names, main one first,
//! whose name is empty.
//!
//! **Objects.** K is the most instances that a clip of the scenario can have ([`ScenarioInfo::instances`]). The instance
//! with id `i` is in the slot whose label has that id, in every clip. A slot that a clip does not use holds id 0, zeros,
//! and the unit quaternion.
//!
//! **Content hash** of an episode ([`episode::HASH`]): BLAKE3 over parts, each its length in bytes (u64) and its bytes,
//! all little-endian. First, by name, every feature but LeRobot's own five (`timestamp`, `frame_index`,
//! `episode_index`, `index`, `task_index`): the name, then its raw values (images decoded: u8, u16 or f32; else f32, i64,
//! or one byte a truth value). Then the rows of the three tables, then the facts of `meta/episodes` but `split`,
//! `rejected`, `redrawn_for_balance` and `unit`, with other episodes counted from this one (exactly how: `content_hash` in
//! synth). The hash of a whole set is BLAKE3 over its episodes' hashes (as text) in order. Neither depends on workers,
//! shards or encoders.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Scene, Space};

/// LeRobot's own format version, `codebase_version` in `info.json`.
pub const LEROBOT_VERSION: &str = "v3.0";
/// Version of [`DatasetInfo`]; readers refuse any other.
pub const FORMAT_VERSION: u32 = 2;
/// Key of [`DatasetInfo`] in `info.json`.
pub const INFO_KEY: &str = "worldstep";
/// Rows of `data/`, of `meta/episodes` and of the tables go to files of this many episodes.
pub const EPISODES_PER_FILE: usize = 64;
/// Files of one chunk, LeRobot's `chunks_size`.
pub const FILES_PER_CHUNK: usize = 1000;

/// Path of file `file` of `part` (`data`, `meta/episodes`, or a [`table`]) within a dataset's folder.
pub fn file_path(part: &str, file: usize) -> String {
    format!("{part}/chunk-{:03}/file-{:03}.parquet", file / FILES_PER_CHUNK, file % FILES_PER_CHUNK)
}

/// Folders of the tables beside the rows. Every table begins with `episode_index` and `frame_index` (int64); ids are
/// int64, 3-vectors fixed-size lists of float32, in the world frame. An episode is one row group, or none if it has no
/// row.
pub mod table {
    /// [`Contact`](crate::record::Contact)s: `a`, `b`, `point`, `normal`, `impulse`, `penetration` (float32).
    pub const CONTACTS: &str = "events/contacts";
    /// [`AppliedForce`](crate::record::AppliedForce)s: `id`, `point`, `force`, `torque`.
    pub const FORCES: &str = "events/forces";
    /// [`Event`](crate::record::Event)s: `kind` (string), `a`, `b`, `value` (float32).
    pub const EVENTS: &str = "events/events";
}

/// Feature names (columns of `data/`), fixed across the project.
pub mod feature {
    /// PNG, 8-bit RGB.
    pub const RGB: &str = "observation.images.rgb";
    /// TIFF, float32, metric z along the camera's forward axis; 0 where nothing was hit.
    pub const DEPTH: &str = "observation.images.depth";
    /// PNG, 16-bit grey, [`Instance::id`](crate::Instance::id); 0 is the background.
    pub const INSTANCE: &str = "observation.images.instance";
    /// PNG, 16-bit grey, position in [`SEMANTIC_CLASSES`](crate::scene::SEMANTIC_CLASSES).
    pub const SEMANTIC: &str = "observation.images.semantic";
    /// TIFF, float32, three planes above each other: unit normal in the camera's frame (x right, y down, z forward); 0
    /// where nothing was hit.
    pub const NORMAL: &str = "observation.images.normal";
    /// TIFF, float32, two planes above each other: where what a pixel shows will be in the next row, as (x, y) pixels
    /// from here; 0 where nothing was hit.
    pub const FLOW_FORWARD: &str = "observation.images.flow_forward";
    /// As [`FLOW_FORWARD`], to the previous row; 0 in the first.
    pub const FLOW_BACKWARD: &str = "observation.images.flow_backward";
    /// TIFF, float32, three planes above each other: the point that a pixel shows, in its object's own frame, metres;
    /// for soft things, the point at rest.
    pub const COORDINATES: &str = "observation.images.coordinates";
    /// The task's state observation, float32.
    pub const STATE: &str = "observation.state";
    /// Float32 vector; a discrete action is one number.
    pub const ACTION: &str = "action";
    /// Float32, length 1.
    pub const REWARD: &str = "next.reward";
    /// Bool, length 1.
    pub const TERMINATED: &str = "next.terminated";
    /// Bool, length 1.
    pub const TRUNCATED: &str = "next.truncated";
    /// `terminated or truncated`.
    pub const DONE: &str = "next.done";
    /// Bool, length 1: the task's success after this action.
    pub const SUCCESS: &str = "next.success";
    /// Float32, 3×3 row-major, pixels.
    pub const INTRINSICS: &str = "camera.intrinsics";
    /// Float32, 4×4 row-major, OpenCV camera.
    pub const WORLD_FROM_CAMERA: &str = "camera.world_from_camera";
    /// Float32, K×7 row-major: xyz, quaternion xyzw.
    pub const POSE: &str = "object.pose";
    /// Float32, K×6 row-major: linear, angular.
    pub const VELOCITY: &str = "object.velocity";
    /// Float32, K: share of an instance's silhouette that the main camera sees.
    pub const VISIBILITY: &str = "object.visibility";
    /// Int64, K.
    pub const INSTANCE_ID: &str = "object.instance_id";
}

/// Extra columns of `meta/episodes`.
pub mod episode {
    /// Int64: the seed that the episode's reset was given.
    pub const SEED: &str = "seed";
    /// String: `train`, `val`, `test_combination` (factor combinations that training never sees), `test_horizon` (longer
    /// clips) or `violation` (possible/impossible pairs).
    pub const SPLIT: &str = "split";
    /// String: task id or family name.
    pub const SCENARIO: &str = "scenario";
    /// String: `random`, `scripted`, `noisy_expert` or `noop`.
    pub const POLICY: &str = "policy";
    /// String: which of the family's outcomes it is, empty for a task.
    pub const OUTCOME: &str = "outcome";
    /// String: what the clip shows, in words.
    pub const CAPTION: &str = "caption";
    /// String: JSON object of every sampled value.
    pub const PARAMETERS: &str = "parameters";
    /// String: JSON of the clip's [`Scene`](crate::Scene): shapes, looks, light, cameras. With the poses (and, for soft
    /// things, their corners, which are not stored), it is all that the renderer was given.
    pub const SCENE: &str = "scene";
    /// String: JSON list of [`Joint`](crate::record::Joint)s.
    pub const JOINTS: &str = "joints";
    /// List of float32: world gravity, m/s².
    pub const GRAVITY: &str = "gravity";
    /// List of float32, K: mass of each slot's instance, kg; infinite for what is fixed.
    pub const MASS: &str = "object.mass";
    /// List of float32, K: friction coefficient.
    pub const FRICTION: &str = "object.friction";
    /// List of float32, K: restitution coefficient.
    pub const RESTITUTION: &str = "object.restitution";
    /// Int64: the unit that it belongs to, counted over all shards. A unit is a clip, a branch group or a pair.
    pub const UNIT: &str = "unit";
    /// String: JSON object of reason code → attempts of this unit that were rejected for it before it was accepted; only
    /// in a unit's first episode, `{}` in the others.
    pub const REJECTED: &str = "rejected";
    /// Int64: sound attempts at this unit that were passed over, because another outcome or event had its turn; only in
    /// a unit's first episode, 0 in the others. Earlier sets lack the column.
    pub const REDRAWN: &str = "redrawn_for_balance";
    /// Int64: episode whose first rows this one shares, −1 if it is no branch (or the parent itself).
    pub const BRANCH_PARENT: &str = "branch_parent";
    /// Int64: first row whose action differs from the parent's, −1 if it is no branch.
    pub const BRANCH_FRAME: &str = "branch_frame";
    /// String: what is physically impossible here (`vanish`, `pass_through`, `swap`), empty if nothing is.
    pub const VIOLATION: &str = "violation";
    /// Int64: the other episode of a possible/impossible pair, −1 if there is none.
    pub const PAIR: &str = "pair";
    /// String: BLAKE3 over everything recorded, hexadecimal.
    pub const HASH: &str = "content_hash";
}

/// How one instance id is to be understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLabel {
    /// Pixel value in the instance image.
    pub id: u16,
    /// Name within the task.
    pub name: String,
    /// Foreground: it can move.
    pub moving: bool,
    /// The action moves it directly.
    pub actuated: bool,
}

/// What is common to all clips of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// Task id or family name.
    pub id: String,
    /// Space of the recorded actions.
    pub action_space: Space,
    /// Space of the recorded states.
    pub state_space: Space,
    /// Episode time limit in steps.
    pub max_episode_steps: u32,
    /// Meaning of the instance ids; its length is K.
    pub instances: Vec<InstanceLabel>,
    /// What clips of it can come to; empty for a task.
    pub outcomes: Vec<String>,
}

/// Contents of `info.json` under [`INFO_KEY`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// [`FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// Version of the writing crate.
    pub writer: String,
    /// Side of the square frames in pixels.
    pub frame_size: u32,
    /// Seed that the whole dataset grew from.
    pub seed: u64,
    /// One entry for each task or family recorded.
    pub scenarios: Vec<ScenarioInfo>,
    /// Image channels that are stored, by the last part of their feature's name: `rgb`, `depth`, …
    pub channels: Vec<String>,
    /// Names of the cameras, main one first, whose name is empty.
    pub cameras: Vec<String>,
    /// Graphics driver that drew the frames; pixels are the same bit for bit only with the same one.
    pub driver: String,
    /// Everything else that decides what is recorded, as JSON by option: `unit` (`single`, `branches 4` or `pair`),
    /// `policy`, `horizon`, `randomisation`, `curation`, `textures`, `definition`.
    pub settings: BTreeMap<String, String>,
    /// Which part of a larger job this is; `None` for a whole dataset.
    pub shard: Option<ShardInfo>,
}

/// One of several parts of a job that were recorded apart. Episodes, rows and files of a shard count from 0, so it is a
/// dataset of its own; units and seeds count over the whole job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Which one, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
    /// Clips of the whole job.
    pub clips: usize,
}

impl ShardInfo {
    /// The clips of the job that this shard holds: those of files `F i / n .. F (i + 1) / n` of F.
    pub fn range(&self) -> Range<usize> {
        let files = self.clips.div_ceil(EPISODES_PER_FILE);
        // 128 bits: the product of two counts always fits.
        let file = |i: usize| (files as u128 * i as u128 / self.of.max(1) as u128) as usize;
        let clip = |i: usize| file(i).saturating_mul(EPISODES_PER_FILE).min(self.clips);
        clip(self.index)..clip(self.index + 1)
    }
}

/// The labels of a scene's instances.
pub fn labels(scene: &Scene) -> Vec<InstanceLabel> {
    scene
        .instances
        .iter()
        .map(|instance| InstanceLabel {
            id: instance.id,
            name: instance.name.clone(),
            moving: instance.moving,
            actuated: instance.actuated,
        })
        .collect()
}
