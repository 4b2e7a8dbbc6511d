//! An arm with six joints and a gripper on a table: what its tasks share. Each file has one task's things and goal.

mod arm;
mod cube;

pub mod open_drawer;
pub mod peg_in_hole;
pub mod pick;
pub mod place;
pub mod push;
pub mod reach;
pub mod stack;
pub mod turn_knob;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::arm::OPENING;
use super::{keep_within, observe_within, stored_in_world};
use crate::draw::with_fixed_draw;
use crate::registry::TaskEntry;
use crate::{Action, Buffer, Draw, Outcome, RewardTerm, Space, Task};

pub use arm::{Arm, Tool};

/// Control steps (frames) in a simulated second, of all of them.
pub const FPS: u32 = arm::FPS;
/// Steps after which an episode is cut off, of all of them.
pub const MAX_EPISODE_STEPS: u32 = 200;

/// Bounds of the part of the observation that all of them have: the tool.
const TOOL_BOUNDS: [f32; 6] = [1.0, 1.0, 1.0, 1.0, 1.0, OPENING + 0.02];

/// What is to be done with the arm.
pub trait Chore: Serialize + DeserializeOwned + Send + 'static {
    /// ± bounds of what [`observe`](Self::observe) appends.
    const BOUNDS: &'static [f32];

    /// Puts its things on the table.
    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self;

    /// Appends where its things are.
    fn observe(&self, arm: &Arm, out: &mut Vec<f32>);

    /// What the step before brought.
    fn judge(&mut self, arm: &Arm) -> Outcome;

    /// Where the expert wants the tool now.
    fn wanted(&self, arm: &Arm) -> Tool;
}

/// The arm at a chore.
///
/// # Action space
/// `Box(5)`: how far the tool is moved along x, y and z (−1..1 for ±3 cm) and turned about z (±0.15 rad), and the gripper
/// (−1 open, 1 closed). Inverse kinematics and position servos carry it out; the tool always points down and stays 0.2
/// to 0.62 m from the base and at most 0.45 m up.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | tool position x, y, z: the middle between the fingertips | ±1 | m |
/// | 3–4 | sine and cosine of its yaw | ±1 | |
/// | 5 | distance of a fingertip from the middle | ±0.065 | m |
/// | 6… | the task's own things | | |
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Manipulation<C: Chore> {
    arm: Arm,
    chore: C,
}

impl<C: Chore> Manipulation<C> {
    /// The registry's row.
    pub(super) const fn entry(
        [id, scenario, summary]: [&'static str; 3],
        reward_terms: &'static [RewardTerm],
    ) -> TaskEntry {
        TaskEntry {
            id,
            scenario,
            summary,
            fps: FPS,
            max_episode_steps: MAX_EPISODE_STEPS,
            action_space: &Self::action_space,
            state_space: &Self::state_space,
            reward_terms,
            make: &|| Box::new(Self::new()),
        }
    }

    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 5], &[1.0; 5])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let bounds = [&TOOL_BOUNDS[..], C::BOUNDS].concat();
        let low: Vec<f32> = bounds.iter().map(|bound| -bound).collect();
        Space::bounded(&low, &bounds)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        with_fixed_draw(Self::start)
    }

    fn start(draw: &mut Draw<'_>) -> Self {
        let mut arm = Arm::new();
        let chore = C::set(&mut arm, draw);
        Self { arm, chore }
    }
}

impl<C: Chore> Default for Manipulation<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Chore> Task for Manipulation<C> {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::start(draw);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(values) = action else { return Outcome::default() };
        self.arm.step(values);
        self.chore.judge(&self.arm)
    }

    fn state(&self, out: &mut Vec<f32>) {
        let tool = self.arm.tool();
        let [x, y, z] = tool.position;
        let (sin, cos) = tool.yaw.sin_cos();
        observe_within(out, &[x, y, z, sin, cos, self.arm.finger()], &TOOL_BOUNDS);
        let start = out.len();
        self.chore.observe(&self.arm, out);
        keep_within(&mut out[start..], C::BOUNDS.iter().copied());
    }

    fn expert(&self, out: &mut Buffer) {
        if let Buffer::F32(out) = out {
            out.extend(self.arm.towards(self.chore.wanted(&self.arm)));
        }
    }

    stored_in_world!(arm.world);
}
