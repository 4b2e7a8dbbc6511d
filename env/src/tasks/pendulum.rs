//! `Pendulum-v0`: swing a rod up with a motor that is too weak to lift it.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::storage::add_built_in;
use super::{built_in, observe_within, stored_in_world, wrap_angle};
use crate::physics::World;
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::{Action, Buffer, Camera, Draw, Outcome, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 200;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Pendulum-v0",
    scenario: "pendulum-swing-up",
    summary: "Swing a rod up and hold it there with a motor that is too weak to lift it.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Pendulum::action_space,
    state_space: &Pendulum::state_space,
    reward_terms: &[
        term("reward/angle", "minus the squared angle from upright"),
        term("reward/speed", "minus the squared speed, scaled"),
        term("reward/effort", "minus the squared torque, scaled"),
    ],
    make: &|| Box::new(Pendulum::new()),
};

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("robots/pendulum.xml")));

const TORQUE_MAX: f32 = 2.0;
const BOUNDS: [f32; 3] = [1.0, 1.0, 45.0];
/// Energy of the rod at rest on top, relative to its pivot's height: m g l/2, J.
const ENERGY_UP: f32 = 4.905;
/// Moment of inertia about the pivot, kg·m².
const INERTIA: f32 = 1.0 / 3.0;
/// N·m for each rad and rad/s: the linear-quadratic regulator of the rod on top.
const GAINS: [f32; 2] = [11.5, 3.1];

/// A rod of 1 kg and 1 m hangs on a motor of 2 N·m; gravity pulls with up to 4.9 N·m.
///
/// Rod, torque, rate and cost are those of Gymnasium's `Pendulum-v1`; gravity is 9.81 m/s², speed has no cap but a
/// little damping.
///
/// # Action space
/// `Box(1)`: torque, −1..1 for −2..2 N·m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | cosine of the angle from upright | ±1 | |
/// | 1 | sine of it, positive towards +x | ±1 | |
/// | 2 | angular velocity | ±45 | rad/s |
///
/// # Reward
/// `reward/angle` −angle², `reward/speed` −0.1 × speed², `reward/effort` −0.001 × torque².
///
/// # Start and end
/// Any angle, up to ±1 rad/s. The episode never terminates and is truncated after 200 steps, which counts as success
/// if the rod is then within 0.2 rad of upright and slower than 1 rad/s.
#[derive(Serialize, Deserialize)]
pub struct Pendulum {
    world: World,
    robot: Robot,
    steps: u32,
}

impl Pendulum {
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
        Self::build([0.0; 2])
    }

    fn build(state: [f32; 2]) -> Self {
        let mut world = World::new(FPS, 2, Camera::new([0.0, -6.0, 0.0], [0.0; 3], 0.42));
        let robot = add_built_in(&mut world, &ROBOT);
        robot.set_joints(&mut world, &[(0, state)]);
        Self { world, robot, steps: 0 }
    }

    /// Angle from upright within ±π, and speed.
    fn angle(&self) -> [f32; 2] {
        let [angle, speed] = self.robot.joint_state(&self.world, 0);
        [wrap_angle(angle), speed]
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Pendulum {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::build([std::f32::consts::PI, 1.0].map(|range| draw.within(-range..range)));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let action = action.scalar();
        let [angle, speed] = self.angle();
        self.robot.command(&mut self.world, &[action]);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let torque = TORQUE_MAX * action;
        let [now, speed_now] = self.angle();
        Outcome {
            terms: [-angle * angle, -0.1 * speed * speed, -0.001 * torque * torque, 0.0],
            terminated: false,
            success: self.steps >= MAX_EPISODE_STEPS && now.abs() < 0.2 && speed_now.abs() < 1.0,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [angle, speed] = self.angle();
        observe_within(out, &[angle.cos(), angle.sin(), speed], &BOUNDS);
    }

    /// Near the top a linear regulator; elsewhere the motor pushes along the motion while energy is missing (Åström and
    /// Furuta, 2000).
    fn expert(&self, out: &mut Buffer) {
        let [angle, speed] = self.angle();
        let regulator = -(GAINS[0] * angle + GAINS[1] * speed);
        let energy = 0.5 * INERTIA * speed * speed + ENERGY_UP * angle.cos();
        let pump = 2.0 * (ENERGY_UP - energy) * if speed < 0.0 { -1.0 } else { 1.0 };
        let torque = if angle.abs() < 0.35 && speed.abs() < 2.0 { regulator } else { pump };
        if let Buffer::F32(out) = out {
            out.push((torque / TORQUE_MAX).clamp(-1.0, 1.0));
        }
    }

    stored_in_world!(world);
}
