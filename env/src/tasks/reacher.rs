//! `Reacher-v0`: bring the end of a two-link arm to a target.

use std::sync::LazyLock;

use rapier3d::prelude::{RigidBodyBuilder, Vector};
use serde::{Deserialize, Serialize};

use super::storage::add_built_in;
use super::{built_in, observe_within, stored_in_world, wrap_angle};
use crate::physics::{Look, World};
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 50;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 100;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Reacher-v0",
    scenario: "reacher",
    summary: "Bring the end of a two-link arm to a target, and hold it there.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Reacher::action_space,
    state_space: &Reacher::state_space,
    reward_terms: &[
        term("reward/distance", "minus the distance of the arm's end from the target"),
        term("reward/effort", "minus the squared torques, scaled"),
    ],
    make: &|| Box::new(Reacher::new()),
};

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("robots/reacher.xml")));

const LINK: f32 = 0.5;
const TARGET_RADIUS: f32 = 0.05;
const SUCCESS_DISTANCE: f32 = 0.03;
const TORQUES: [f32; 2] = [4.0, 2.0];
const BOUNDS: [f32; 10] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 40.0, 80.0, 2.0, 2.0];

/// An arm of two links of 0.5 m lies in a plane; motors turn shoulder and elbow.
///
/// The task of Gymnasium's `Reacher-v5`, five times as large.
///
/// # Action space
/// `Box(2)`: torque on shoulder and elbow, −1..1 for −4..4 and −2..2 N·m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1 | cosine of the shoulder's and of the elbow's angle | ±1 | |
/// | 2–3 | sines of the same | ±1 | |
/// | 4–5 | target position x, y | ±1 | m |
/// | 6–7 | angular velocity of shoulder and elbow | ±40, ±80 | rad/s |
/// | 8–9 | arm's end minus target, x, y | ±2 | m |
///
/// # Reward
/// `reward/distance` − distance of the arm's end from the target (m), `reward/effort` −0.1 × Σ action².
///
/// # Start and end
/// The target lies 0.2–0.9 m from the shoulder in any direction; shoulder at any angle, elbow within ±2.5 rad, both at
/// rest. The episode never terminates and is truncated after 100 steps, which counts as success if the end is then
/// within 3 cm of the target.
#[derive(Serialize, Deserialize)]
pub struct Reacher {
    world: World,
    robot: Robot,
    target: [f32; 2],
    steps: u32,
}

impl Reacher {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 2], &[1.0; 2])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([0.0, 1.0], [0.5, 0.5])
    }

    fn build(angles: [f32; 2], target: [f32; 2]) -> Self {
        let mut camera = Camera::new([0.0, 0.0, 5.0], [0.0; 3], 0.46);
        camera.up = [0.0, 1.0, 0.0];
        let mut world = World::new(FPS, 1, camera);
        let disc = Shape::Cylinder { radius: TARGET_RADIUS, half_height: 0.02 };
        world.add_ghost(
            Look::fixed("target", disc, [0.7, 0.05, 0.05]),
            RigidBodyBuilder::fixed().translation(Vector::new(target[0], target[1], 0.02)),
        );
        let robot = add_built_in(&mut world, &ROBOT);
        robot.set_joints(&mut world, &[(0, [angles[0], 0.0]), (1, [angles[1], 0.0])]);
        Self { world, robot, target, steps: 0 }
    }

    fn joints(&self) -> [[f32; 2]; 2] {
        [0, 1].map(|joint| self.robot.joint_state(&self.world, joint))
    }

    /// From the target to the arm's end.
    fn miss(&self) -> [f32; 2] {
        let [[shoulder, _], [elbow, _]] = self.joints();
        let end = shoulder + elbow;
        [
            LINK * (shoulder.cos() + end.cos()) - self.target[0],
            LINK * (shoulder.sin() + end.sin()) - self.target[1],
        ]
    }
}

impl Default for Reacher {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Reacher {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let distance = draw.within(0.2..0.9_f32);
        let mut direction = || draw.within(-std::f32::consts::PI..std::f32::consts::PI);
        let (target, shoulder) = (direction(), direction());
        let elbow = draw.within(-2.5..2.5);
        *self = Self::build([shoulder, elbow], [distance * target.cos(), distance * target.sin()]);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(torques) = action else { return Outcome::default() };
        self.robot.command(&mut self.world, torques);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let [x, y] = self.miss();
        let distance = x.hypot(y);
        let effort: f32 = torques.iter().map(|torque| torque * torque).sum();
        Outcome {
            terms: [-distance, -0.1 * effort, 0.0, 0.0],
            terminated: false,
            success: self.steps >= MAX_EPISODE_STEPS && distance < SUCCESS_DISTANCE,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [[shoulder, shoulder_dot], [elbow, elbow_dot]] = self.joints();
        let ([x, y], [dx, dy]) = (self.target, self.miss());
        let values =
            [shoulder.cos(), elbow.cos(), shoulder.sin(), elbow.sin(), x, y, shoulder_dot, elbow_dot, dx, dy];
        observe_within(out, &values, &BOUNDS);
    }

    /// Goes to the nearer of the two bends that reach the target, with a spring and a damper in each joint.
    fn expert(&self, out: &mut Buffer) {
        let [[shoulder, shoulder_dot], [elbow, elbow_dot]] = self.joints();
        let [x, y] = self.target;
        let bend = ((x * x + y * y) / (2.0 * LINK * LINK) - 1.0).clamp(-1.0, 1.0).acos();
        let away = |bend: f32| {
            let base = y.atan2(x) - 0.5 * bend;
            [wrap_angle(base - shoulder), bend - elbow]
        };
        let cost = |[a, b]: [f32; 2]| a.abs() + b.abs();
        let [a, b] = if cost(away(bend)) < cost(away(-bend)) { away(bend) } else { away(-bend) };
        let torques = [14.0 * a - 2.6 * shoulder_dot, 5.0 * b - 0.8 * elbow_dot];
        if let Buffer::F32(out) = out {
            out.extend(torques.iter().zip(TORQUES).map(|(torque, max)| (torque / max).clamp(-1.0, 1.0)));
        }
    }

    stored_in_world!(world);
}
