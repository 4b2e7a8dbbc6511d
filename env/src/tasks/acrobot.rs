//! `Acrobot-v0`: swing the end of a two-link arm up with a motor in its elbow alone.

use std::sync::LazyLock;

use rapier3d::prelude::{RigidBodyBuilder, Vector};
use serde::{Deserialize, Serialize};

use super::storage::add_built_in;
use super::{built_in, observe_within, stored_in_world};
use crate::physics::{Look, World};
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 5;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 500;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Acrobot-v0",
    scenario: "acrobot",
    summary: "Swing the end of a two-link arm above a line with a motor in its elbow alone.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Acrobot::action_space,
    state_space: &Acrobot::state_space,
    reward_terms: &[term("reward/time", "-1 for every step before the end is above the line")],
    make: &|| Box::new(Acrobot::new()),
};

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("robots/acrobot.xml")));

/// How high the end has to be above the shoulder, metres.
const LINE_Z: f32 = 1.0;
const BOUNDS: [f32; 6] = [1.0, 1.0, 1.0, 1.0, 15.0, 30.0];

/// Two links of 1 kg and 1 m hang from a shoulder that swings freely; a motor of 1 N·m turns the elbow.
///
/// Dimensions, inertias (1 kg·m² about each centre), rate and goal are those of Gymnasium's `Acrobot-v1` (Sutton, 1996;
/// the dynamics of Sutton and Barto's book), without its caps on speed.
///
/// # Action space
/// `Discrete(3)`: torque on the elbow of −1, 0 or 1 N·m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1 | cosine and sine of the upper link's angle from hanging | ±1 | |
/// | 2–3 | cosine and sine of the elbow's angle | ±1 | |
/// | 4 | angular velocity of the upper link | ±15 | rad/s |
/// | 5 | angular velocity of the elbow | ±30 | rad/s |
///
/// # Reward
/// `reward/time` −1 for every step that does not end above the line, 0 for the one that does.
///
/// # Start and end
/// Both joints start within ±0.1 rad at up to ±0.1 rad/s. The episode terminates with success when the end of the lower
/// link is more than 1 m above the shoulder, and is truncated after 500 steps.
#[derive(Serialize, Deserialize)]
pub struct Acrobot {
    world: World,
    robot: Robot,
}

impl Acrobot {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::Discrete { n: 3, start: 0 }
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([[0.0; 2]; 2])
    }

    fn build(states: [[f32; 2]; 2]) -> Self {
        let mut world = World::new(FPS, 5, Camera::new([0.0, -11.0, 0.0], [0.0; 3], 0.43));
        let line = Shape::Cuboid { half_extents: [2.4, 0.02, 0.02] };
        world.add_ghost(
            Look::fixed("line", line, [0.1, 0.1, 0.1]),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.3, LINE_Z)),
        );
        let robot = add_built_in(&mut world, &ROBOT);
        robot.set_joints(&mut world, &[(0, states[0]), (1, states[1])]);
        Self { world, robot }
    }

    fn joints(&self) -> [[f32; 2]; 2] {
        [0, 1].map(|joint| self.robot.joint_state(&self.world, joint))
    }
}

impl Default for Acrobot {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Acrobot {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let mut draw = || [0.1, 0.1].map(|range: f32| draw.within(-range..range));
        *self = Self::build([draw(), draw()]);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        self.robot.command(&mut self.world, &[action.scalar() - 1.0]);
        self.robot.control_step(&mut self.world);
        let [[upper, _], [elbow, _]] = self.joints();
        let above = -upper.cos() - (upper + elbow).cos() > LINE_Z;
        Outcome { terms: [if above { 0.0 } else { -1.0 }, 0.0, 0.0, 0.0], terminated: above, success: above }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [[upper, upper_dot], [elbow, elbow_dot]] = self.joints();
        let values = [upper.cos(), upper.sin(), elbow.cos(), elbow.sin(), upper_dot, elbow_dot];
        observe_within(out, &values, &BOUNDS);
    }

    /// Pushes the elbow the way that it turns, so that every step adds energy, and from rest the way that the arm swings;
    /// an elbow that whirls is slowed, as it would keep the energy to itself.
    fn expert(&self, out: &mut Buffer) {
        const WHIRLS: f32 = 6.0;
        let [[_, upper_dot], [_, elbow_dot]] = self.joints();
        let along = match elbow_dot.abs() {
            speed if speed > WHIRLS => -elbow_dot,
            speed if speed > 0.1 => elbow_dot,
            _ => upper_dot,
        };
        if let Buffer::I64(out) = out {
            out.push(if along > 0.0 { 2 } else { 0 });
        }
    }

    stored_in_world!(world);
}
