//! The contract between the writer (synth) and the reader (model): names, labels and versions of a clip dataset.
//!
//! On disk a dataset is a LeRobotDataset v3.0: `meta/info.json`, `meta/tasks.parquet`, `meta/stats.json`,
//! `meta/episodes/chunk-000/file-*.parquet` and `data/chunk-000/file-*.parquet`, one row group an episode. What LeRobot
//! has no field for is under the key [`INFO_KEY`] of `info.json`, as [`DatasetInfo`].
//!
//! Timing: row `t` holds the observation, the action taken on seeing it, and what that action caused (reward,
//! terminated, truncated). The observation after the last action of an episode is not stored.

use serde::{Deserialize, Serialize};

use crate::{Scene, Space};

/// LeRobot's own format version, `codebase_version` in `info.json`.
pub const LEROBOT_VERSION: &str = "v3.0";
/// Version of [`DatasetInfo`]; readers refuse any other.
pub const FORMAT_VERSION: u32 = 1;
/// Key of [`DatasetInfo`] in `info.json`.
pub const INFO_KEY: &str = "worldstep";
/// Rows of `data/` and of `meta/episodes` go to files of this many episodes.
pub const EPISODES_PER_FILE: usize = 64;

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
    /// String: JSON object of reason code → attempts that were rejected for it before this clip was accepted.
    pub const REJECTED: &str = "rejected";
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
    /// Task id.
    pub id: String,
    /// Space of the recorded actions.
    pub action_space: Space,
    /// Space of the recorded states.
    pub state_space: Space,
    /// Episode time limit in steps.
    pub max_episode_steps: u32,
    /// Meaning of the instance ids.
    pub instances: Vec<InstanceLabel>,
}

/// Contents of `info.json` under [`INFO_KEY`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// [`FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// Version of the writing crate.
    pub writer: String,
    /// Side of the square frames in pixels.
    pub frame_size: u32,
    /// Seed that the whole dataset grew from.
    pub seed: u64,
    /// One entry for each task recorded.
    pub scenarios: Vec<ScenarioInfo>,
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
