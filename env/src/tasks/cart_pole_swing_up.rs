//! `CartPoleSwingUp-v0`: swing a hanging pole up by moving its cart, and keep it up.

use std::f32::consts::PI;
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
pub const MAX_EPISODE_STEPS: u32 = 500;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "CartPoleSwingUp-v0",
    scenario: "cart-pole-swing-up",
    summary: "Swing a hanging pole up by pushing its cart to and fro, and keep it up.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &CartPoleSwingUp::action_space,
    state_space: &CartPoleSwingUp::state_space,
    reward_terms: &[
        term("reward/upright", "(1 + cosine of the pole's angle) / 2"),
        term("reward/center", "minus the squared distance of the cart from the middle, scaled"),
        term("reward/effort", "minus the squared force, scaled"),
    ],
    make: &|| Box::new(CartPoleSwingUp::new()),
};

static ROBOT: LazyLock<RobotModel> =
    LazyLock::new(|| built_in(include_str!("robots/cart_pole_swing_up.xml")));

const FORCE_MAX: f32 = 10.0;
const CART_X_MAX: f32 = 2.4;
const BOUNDS: [f32; 5] = [2.5, 20.0, 1.0, 1.0, 40.0];
/// N for each unit of (x, angle, x speed, angular speed): the linear-quadratic regulator of the upright pole.
const GAINS: [f32; 4] = [4.5, 60.5, 8.0, 15.8];
/// Energy of the pole at rest on top relative to the hinge: m g l/2, J.
const ENERGY_UP: f32 = 0.981;
/// Energy that the swing is driven to, J: a little more, or the pole never quite arrives.
const ENERGY_SWING: f32 = 1.15 * ENERGY_UP;
/// Moment of inertia of the pole about the hinge, kg·m².
const INERTIA: f32 = 0.2 / 3.0;

/// A pole of 0.2 kg and 1 m hangs on a cart of 1 kg that a force pushes along a rail of ±2.4 m.
///
/// # Action space
/// `Box(1)`: force on the cart along x, −1..1 for −10..10 N.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | cart position x | ±2.5 | m |
/// | 1 | cart velocity | ±20 | m/s |
/// | 2 | cosine of the pole's angle from upright | ±1 | |
/// | 3 | sine of it, positive towards +x | ±1 | |
/// | 4 | pole angular velocity | ±40 | rad/s |
///
/// # Reward
/// `reward/upright` (1 + cos angle)/2, `reward/center` −0.02 × x², `reward/effort` −0.01 × action².
///
/// # Start and end
/// The cart starts within ±0.3 m, the pole hangs within ±0.2 rad; both at up to ±0.1 m/s and rad/s. The rail's ends stop
/// the cart. The episode never terminates and is truncated after 500 steps, which counts as success if the pole is then
/// within 0.2 rad of upright.
#[derive(Serialize, Deserialize)]
pub struct CartPoleSwingUp {
    world: World,
    robot: Robot,
    steps: u32,
}

impl CartPoleSwingUp {
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
        Self::build([0.0, 0.0, PI, 0.0])
    }

    fn build([x, x_dot, angle, angle_dot]: [f32; 4]) -> Self {
        let mut world = World::new(FPS, 1, Camera::new([0.0, -9.0, 0.0], [0.0; 3], 0.62));
        let rail = Shape::Cuboid { half_extents: [CART_X_MAX + 0.3, 0.04, 0.04] };
        world.add_ghost(
            Look::fixed("rail", rail, [0.30, 0.30, 0.32]),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.15, 0.0)),
        );
        let robot = add_built_in(&mut world, &ROBOT);
        robot.set_joints(&mut world, &[(0, [x, x_dot]), (1, [angle, angle_dot])]);
        Self { world, robot, steps: 0 }
    }

    /// Position and speed of the cart, angle from upright (±π) and speed of the pole.
    fn observe(&self) -> [f32; 4] {
        let [x, x_dot] = self.robot.joint_state(&self.world, 0);
        let [angle, angle_dot] = self.robot.joint_state(&self.world, 1);
        [x, x_dot, wrap_angle(angle), angle_dot]
    }
}

impl Default for CartPoleSwingUp {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for CartPoleSwingUp {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let [x, x_dot, angle, angle_dot] = [0.3, 0.1, 0.2, 0.1].map(|range: f32| draw.within(-range..range));
        *self = Self::build([x, x_dot, PI + angle, angle_dot]);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let action = action.scalar();
        self.robot.command(&mut self.world, &[action]);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let [x, _, angle, _] = self.observe();
        Outcome {
            terms: [0.5 * (1.0 + angle.cos()), -0.02 * x * x, -0.01 * action * action, 0.0],
            terminated: false,
            success: self.steps >= MAX_EPISODE_STEPS && angle.abs() < 0.2,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [x, x_dot, angle, angle_dot] = self.observe();
        observe_within(out, &[x, x_dot, angle.cos(), angle.sin(), angle_dot], &BOUNDS);
    }

    /// Near the top a linear regulator; elsewhere the cart is accelerated so that the pole gains energy (Åström and
    /// Furuta, 2000), and drawn to the middle.
    fn expert(&self, out: &mut Buffer) {
        let [x, x_dot, angle, angle_dot] = self.observe();
        let force = if angle.abs() < 0.5 && angle_dot.abs() < 4.0 {
            GAINS[0] * x + GAINS[1] * angle + GAINS[2] * x_dot + GAINS[3] * angle_dot
        } else {
            let energy = 0.5 * INERTIA * angle_dot * angle_dot + ENERGY_UP * angle.cos();
            // Accelerating the cart along x does work −m l/2 × acceleration × cos(angle) × speed on the pole.
            let pump = -25.0 * (ENERGY_SWING - energy) * (angle_dot * angle.cos()).signum();
            pump.clamp(-8.0, 8.0) - 2.0 * x - 1.0 * x_dot
        };
        if let Buffer::F32(out) = out {
            out.push((force / FORCE_MAX).clamp(-1.0, 1.0));
        }
    }

    stored_in_world!(world);
}
