use std::collections::BTreeMap;

use worldstep_env::record::{AppliedForce, Contact, Event, Joint};
use worldstep_env::{Camera, Pose, Scene, Velocity};

/// Everything of a clip but its pixels: what physics did, why, and what it means.
///
/// A trajectory is a function of its scenario, seed and options alone. Arrays over time have `len` rows of what was
/// seen and done; those of the world's state have one more, the state after the last action.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Name of the scenario: a family's or a task's, kebab-case; a task's dataset calls it by its id.
    pub scenario: String,
    /// Seed that world, policy and looks were drawn from.
    pub seed: u64,
    /// Name of the behaviour: `random`, `scripted`, `noisy_expert` or `noop`.
    pub policy: &'static str,
    /// Shapes, colours, cameras, light.
    pub scene: Scene,
    /// Rows in a second.
    pub fps: u32,
    /// Rows.
    pub len: usize,
    /// `(len + 1) × K`, K instances.
    pub poses: Vec<Pose>,
    /// `(len + 1) × K`.
    pub velocities: Vec<Velocity>,
    /// `(len + 1) × V`: corners of all soft instances, in the scene's order, world frame.
    pub soft_vertices: Vec<[f32; 3]>,
    /// `(len + 1) × C`, C cameras, main one first.
    pub cameras: Vec<Camera>,
    /// `len × state`.
    pub state: Vec<f32>,
    /// `len × action`.
    pub action: Vec<f32>,
    /// `len`.
    pub reward: Vec<f32>,
    /// `len`.
    pub terminated: Vec<bool>,
    /// `len`.
    pub truncated: Vec<bool>,
    /// `len`.
    pub success: Vec<bool>,
    /// `len × K`: share of each instance's silhouette that the main camera sees, 0 if it is hidden or out of view.
    pub visibility: Vec<f32>,
    /// By frame, then by ids.
    pub contacts: Vec<(u32, Contact)>,
    /// By frame, then by id.
    pub forces: Vec<(u32, AppliedForce)>,
    /// By frame.
    pub events: Vec<Event>,
    /// What the clip shows, told from the event log.
    pub caption: String,
    /// Which of the family's outcomes this is; empty for a task.
    pub outcome: String,
    /// Every value that was sampled: physics, looks, camera, noise.
    pub parameters: BTreeMap<String, f64>,
    /// Mass of each instance in kg (infinite for what is fixed), friction and restitution coefficients, `K × 3`.
    pub physical: Vec<[f32; 3]>,
    /// World gravity, m/s².
    pub gravity: [f32; 3],
    /// What holds bodies together; empty if nothing does.
    pub joints: Vec<Joint>,
    /// Sensor noise and blur of the colour images.
    pub sensor: Sensor,
    /// How it is linked with other clips of its unit.
    pub link: Link,
}

/// What a camera's sensor does to colour images; everything else stays exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sensor {
    /// Standard deviation of Gaussian noise, in units of 8-bit values.
    pub noise: f32,
    /// Standard deviation of Gaussian blur, pixels.
    pub blur: f32,
}

/// How a clip belongs to others that were recorded with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Link {
    /// It stands alone.
    #[default]
    Single,
    /// Member `member` of clips that share everything before row `frame` and differ in what is done from there on;
    /// member 0 is the parent.
    Branch {
        /// Position within the unit.
        member: usize,
        /// First row whose action differs.
        frame: u32,
    },
    /// A physically impossible clip (`Some` kind, for instance `vanish`) beside its possible twin (`None`).
    Violation {
        /// What is impossible about it.
        kind: Option<&'static str>,
        /// First row that differs.
        frame: u32,
    },
}

impl Trajectory {
    /// Poses of the instances in row `t`, up to `len` inclusive.
    pub fn poses_at(&self, t: usize) -> &[Pose] {
        row(&self.poses, t, self.len)
    }

    /// Velocities of the instances in row `t`, up to `len` inclusive.
    pub fn velocities_at(&self, t: usize) -> &[Velocity] {
        row(&self.velocities, t, self.len)
    }

    /// Corners of the soft instances in row `t`, up to `len` inclusive.
    pub fn soft_at(&self, t: usize) -> &[[f32; 3]] {
        row(&self.soft_vertices, t, self.len)
    }

    /// Cameras in row `t`, up to `len` inclusive; main one first.
    pub fn cameras_at(&self, t: usize) -> &[Camera] {
        row(&self.cameras, t, self.len)
    }
}

fn row<T>(values: &[T], t: usize, len: usize) -> &[T] {
    let width = values.len() / (len + 1);
    &values[t * width..(t + 1) * width]
}
