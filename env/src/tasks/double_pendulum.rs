//! `DoublePendulum-v0`: keep two poles, one on top of the other, upright on a cart.

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
pub const FPS: u32 = 50;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 500;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "DoublePendulum-v0",
    scenario: "double-pendulum",
    summary: "Keep two poles, one on top of the other, upright on a cart.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &DoublePendulum::action_space,
    state_space: &DoublePendulum::state_space,
    reward_terms: &[
        term("reward/alive", "+1 for every step that the upper tip is above 1 m"),
        term("reward/distance", "minus the squared distance of the tip from where it should be, scaled"),
        term("reward/effort", "minus the squared force, scaled"),
    ],
    make: &|| Box::new(DoublePendulum::new()),
};

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("robots/double_pendulum.xml")));

const FORCE_MAX: f32 = 20.0;
const POLE: f32 = 0.6;
const TIP_MIN: f32 = 1.0;
const BOUNDS: [f32; 8] = [1.3, 1.0, 1.0, 1.0, 1.0, 10.0, 40.0, 40.0];
/// N for each unit of (x, lower angle, upper angle, their speeds; angles from upright): the linear-quadratic regulator.
const GAINS: [f32; 6] = [-7.07, 220.3, -320.2, -14.7, -2.6, -47.3];

/// Two poles of 0.3 kg and 0.6 m stand on each other on a cart of 1 kg that a force pushes along a rail of ±1.2 m.
///
/// The task of Gymnasium's `InvertedDoublePendulum-v5`, with a cart that is lighter and a weaker motor.
///
/// # Action space
/// `Box(1)`: force on the cart along x, −1..1 for −20..20 N.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | cart position x | ±1.3 | m |
/// | 1–2 | sine of the angle of the lower pole from upright, and of the upper from the lower | ±1 | |
/// | 3–4 | cosines of the same | ±1 | |
/// | 5 | cart velocity | ±10 | m/s |
/// | 6–7 | speeds of the two angles | ±40 | rad/s |
///
/// # Reward
/// `reward/alive` +1 for a step that ends within the limits, `reward/distance` −0.1 x² − (1.2 − z)² of the upper tip
/// (m), `reward/effort` −0.01 × action².
///
/// # Start and end
/// Cart and joints start within ±0.1 m and ±0.05 rad, at up to ±0.05 m/s and rad/s. The episode terminates when the
/// upper tip is no higher than 1 m above the cart, and is truncated after 500 steps, which counts as success.
#[derive(Serialize, Deserialize)]
pub struct DoublePendulum {
    world: World,
    robot: Robot,
    steps: u32,
}

impl DoublePendulum {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0], &[1.0])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([[0.0; 2]; 3])
    }

    fn build(states: [[f32; 2]; 3]) -> Self {
        let mut world = World::new(FPS, 1, Camera::new([0.0, -6.0, 0.4], [0.0, 0.0, 0.4], 0.55));
        let rail = Shape::Cuboid { half_extents: [1.4, 0.03, 0.03] };
        world.add_ghost(
            Look::fixed("rail", rail, [0.30, 0.30, 0.32]),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.1, 0.0)),
        );
        let robot = add_built_in(&mut world, &ROBOT);
        robot.set_joints(&mut world, &[(0, states[0]), (1, states[1]), (2, states[2])]);
        Self { world, robot, steps: 0 }
    }

    fn joints(&self) -> [[f32; 2]; 3] {
        [0, 1, 2].map(|joint| self.robot.joint_state(&self.world, joint))
    }

    /// Where the upper pole ends, x and z above the cart's rail, metres.
    fn tip(&self) -> [f32; 2] {
        let [[x, _], [lower, _], [elbow, _]] = self.joints();
        let upper = lower + elbow;
        [x + POLE * (lower.sin() + upper.sin()), POLE * (lower.cos() + upper.cos())]
    }
}

impl Default for DoublePendulum {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for DoublePendulum {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let mut draw = |range: f32| [draw.within(-range..range), draw.within(-0.05..0.05)];
        *self = Self::build([draw(0.1), draw(0.05), draw(0.05)]);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let action = action.scalar();
        self.robot.command(&mut self.world, &[action]);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let [x, z] = self.tip();
        let fallen = z <= TIP_MIN;
        let missing = 2.0 * POLE - z;
        Outcome {
            terms: [f32::from(!fallen), -0.1 * x * x - missing * missing, -0.01 * action * action, 0.0],
            terminated: fallen,
            success: !fallen && self.steps >= MAX_EPISODE_STEPS,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [[x, x_dot], [lower, lower_dot], [elbow, elbow_dot]] = self.joints();
        let values = [x, lower.sin(), elbow.sin(), lower.cos(), elbow.cos(), x_dot, lower_dot, elbow_dot];
        observe_within(out, &values, &BOUNDS);
    }

    fn expert(&self, out: &mut Buffer) {
        let [[x, x_dot], [lower, lower_dot], [elbow, elbow_dot]] = self.joints();
        let state = [x, lower, lower + elbow, x_dot, lower_dot, lower_dot + elbow_dot];
        let force: f32 = state.iter().zip(GAINS).map(|(value, gain)| value * gain).sum();
        if let Buffer::F32(out) = out {
            out.push((force / FORCE_MAX).clamp(-1.0, 1.0));
        }
    }

    stored_in_world!(world);
}
