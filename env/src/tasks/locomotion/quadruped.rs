//! `QuadrupedFlat-v0` and `QuadrupedRough-v0`: follow a commanded velocity on four legs.

use std::marker::PhantomData;
use std::sync::LazyLock;

use rapier3d::prelude::{CoefficientCombineRule, RigidBodyBuilder, RigidBodyHandle, Vector};
use serde::{Deserialize, Serialize};

use super::{FPS, follow_torso, torso_motion};
use crate::physics::{Look, World, mesh_collider, world_groups};
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::tasks::storage::add_built_in;
use crate::tasks::{built_in, keep_within, stored_in_world};
use crate::{Action, Buffer, Camera, Draw, Mesh, Outcome, RewardTerm, Space, Task};

/// The registry's row of the level one.
pub const FLAT: TaskEntry = Quadruped::<Flat>::entry(
    "QuadrupedFlat-v0",
    "quadruped-flat",
    "Trot at a commanded velocity on level ground.",
);
/// The registry's row of the rough one.
pub const ROUGH: TaskEntry = Quadruped::<Rough>::entry(
    "QuadrupedRough-v0",
    "quadruped-rough",
    "Trot at a commanded velocity over bumps that are not seen.",
);

/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 400;

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/quadruped.xml")));

const SUBSTEPS: u32 = 1;
const LEGS: usize = 4;
const JOINTS: usize = 3 * LEGS;
const STATE: usize = 12 + 2 * JOINTS + LEGS;
const NAMES: [&str; LEGS] = ["front left", "front right", "back left", "back right"];
/// Mass of the robot, kg.
const MASS: f32 = 13.9;
/// Where the thigh hangs, from the torso's middle, metres: forward, and to the left.
const HIPS: [[f32; 2]; LEGS] = [[0.18, 0.14], [0.18, -0.14], [-0.18, 0.14], [-0.18, -0.14]];
/// Sideways from the hip's axis to the thigh, and length of thigh and shin, metres.
const OFFSET: f32 = 0.05;
const LIMB: f32 = 0.2;
const FOOT_RADIUS: f32 = 0.022;
/// Side, thigh, knee of a standing leg, radians, and what an action of 1 adds.
const STANCE: [f32; 3] = [0.0, 0.8, -1.6];
const REACH: [f32; 3] = [0.5, 0.9, 0.9];
/// Largest commanded velocities: forward, backward, to a side (m/s), and turn (rad/s).
const FORWARD_MAX: f32 = 0.8;
const BACKWARD_MAX: f32 = 0.3;
const SIDE_MAX: f32 = 0.25;
const TURN_MAX: f32 = 0.6;
/// The torso lies on the ground below this, and has fallen over beyond this lean.
const HEIGHT_MIN: f32 = 0.13;
const LEAN_MAX: f32 = 0.9;
/// Mean error of the velocity (m/s) that is a success.
const NEAR: f32 = 0.2;

const REWARD_TERMS: &[RewardTerm] = &[
    term("reward/velocity", "exp(−4 × squared error of the horizontal velocity), scaled"),
    term("reward/turn", "exp(−4 × squared error of the turning speed), scaled"),
    term("reward/effort", "minus the squared change of the actions, scaled"),
];

/// What a quadruped walks on.
pub trait Terrain: Send + 'static {
    /// Largest height of its bumps, metres.
    const BUMP: f32;
}

/// Level ground.
pub struct Flat;

impl Terrain for Flat {
    const BUMP: f32 = 0.0;
}

/// Ground with bumps.
pub struct Rough;

impl Terrain for Rough {
    const BUMP: f32 = 0.05;
}

/// A robot of 14 kg with four legs of three joints follows a velocity that is commanded for the whole episode.
///
/// # Action space
/// `Box(12)`: positions that servos draw the joints to, −1..1 for ±(0.5, 0.9, 0.9) rad about the standing pose: side, thigh
/// and knee of front left, front right, back left, back right.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | up, in the torso's frame | ±1 | |
/// | 3–5 | velocity, in the torso's frame | ±20 | m/s |
/// | 6–8 | angular velocity, in the torso's frame | ±40 | rad/s |
/// | 9–11 | command: forward and left (m/s), turn (rad/s) | ±1 | |
/// | 12–23 | joints from the standing pose, in the order of the actions | ±4 | rad |
/// | 24–35 | their speeds | ±60 | rad/s |
/// | 36–39 | load on each foot, in weights of the robot | 0..20 | |
///
/// # Reward
/// `reward/velocity` exp(−4 × squared error of forward and left velocity), `reward/turn` 0.5 × the same of the turning speed,
/// `reward/effort` −0.01 × Σ of squared changes of the action.
///
/// # Start and end
/// The command is forward −0.3..0.8 m/s, left ±0.25 m/s, turn ±0.6 rad/s; joints start within ±0.05 rad. On rough ground,
/// each corner of a grid of 0.35 m is 1 to 5 cm high. The episode terminates when the torso is lower than 0.13 m above its
/// lowest foot or leans more than 0.9 rad, and is truncated after 400 steps, which counts as success if the velocity was off
/// by less than 0.2 m/s on the mean.
pub type QuadrupedFlat = Quadruped<Flat>;
/// [`QuadrupedFlat`] on rough ground.
pub type QuadrupedRough = Quadruped<Rough>;

/// The robot with its ground.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Quadruped<T: Terrain> {
    world: World,
    robot: Robot,
    torso: RigidBodyHandle,
    /// Bodies of the shins.
    feet: [RigidBodyHandle; LEGS],
    command: [f32; 3],
    last: [f32; JOINTS],
    steps: u32,
    /// Sum of the velocity's errors, m/s.
    error: f32,
    terrain: PhantomData<fn() -> T>,
}

impl<T: Terrain> Quadruped<T> {
    const fn entry(id: &'static str, scenario: &'static str, summary: &'static str) -> TaskEntry {
        TaskEntry {
            id,
            scenario,
            summary,
            fps: FPS,
            max_episode_steps: MAX_EPISODE_STEPS,
            action_space: &Self::action_space,
            state_space: &Self::state_space,
            reward_terms: REWARD_TERMS,
            make: &|| Box::new(Self::new()),
        }
    }

    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; JOINTS], &[1.0; JOINTS])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let high = bounds();
        let mut low = high.map(|bound| -bound);
        low[STATE - LEGS..].fill(0.0);
        Space::bounded(&low, &high)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        crate::draw::with_fixed_draw(|draw| Self::build([0.5, 0.0, 0.0], [0.0; JOINTS], draw))
    }

    fn build(command: [f32; 3], noise: [f32; JOINTS], draw: &mut Draw<'_>) -> Self {
        let mut world = World::new(FPS, SUBSTEPS, Camera::new([-0.6, -2.0, 1.0], [0.1, 0.0, 0.2], 0.6));
        world.add_ground(1.0);
        if T::BUMP > 0.0 {
            add_bumps(&mut world, T::BUMP, draw);
        }
        let robot = add_built_in(&mut world, &ROBOT);
        let link = |name: &str| robot.link(name).unwrap_or_else(|| unreachable!("the robot has a {name}"));
        let torso = link("torso");
        let feet = NAMES.map(|leg| link(&format!("{leg} shin")));
        let states: Vec<_> =
            (0..JOINTS).map(|joint| (joint, [STANCE[joint % 3] + noise[joint], 0.0])).collect();
        robot.set_joints(&mut world, &states);
        let height = 2.0 * LIMB * STANCE[1].cos() + FOOT_RADIUS + T::BUMP + 0.005;
        robot.set_base(&mut world, torso, rapier3d::prelude::Pose::translation(0.0, 0.0, height));
        follow_torso(&mut world);
        let (last, terrain) = ([0.0; JOINTS], PhantomData);
        Self { world, robot, torso, feet, command, last, steps: 0, error: 0.0, terrain }
    }

    /// Up, velocity and angular velocity in the torso's frame.
    fn motion(&self) -> [Vector; 3] {
        torso_motion(&self.world, self.torso)
    }

    /// Height of the torso's middle above the lowest foot.
    fn height(&self) -> f32 {
        let feet = self
            .feet
            .iter()
            .map(|shin| (self.world.body(*shin).position() * Vector::new(0.0, 0.0, -LIMB)).z - FOOT_RADIUS);
        self.world.body(self.torso).translation().z - feet.fold(f32::MAX, f32::min)
    }

    fn is_up(&self) -> bool {
        let [up, ..] = self.motion();
        self.height() >= HEIGHT_MIN && up.z >= LEAN_MAX.cos()
    }
}

/// Bounds of the observation.
fn bounds() -> [f32; STATE] {
    let mut bounds = [1.0; STATE];
    bounds[3..6].fill(20.0);
    bounds[6..9].fill(40.0);
    bounds[12..12 + JOINTS].fill(4.0);
    bounds[12 + JOINTS..12 + 2 * JOINTS].fill(60.0);
    bounds[STATE - LEGS..].fill(20.0);
    bounds
}

/// A square of triangles whose corners are up to `height` above the ground.
fn add_bumps(world: &mut World, height: f32, draw: &mut Draw<'_>) {
    const SIDE: usize = 41;
    const CELL: f32 = 0.35;
    /// Where triangles met the ground, it would be a matter of rounding which of the two is seen.
    const LOWEST: f32 = 0.01;
    let middle = 0.5 * CELL * (SIDE - 1) as f32;
    let mut mesh = Mesh { two_sided: true, ..Mesh::default() };
    for row in 0..SIDE {
        for column in 0..SIDE {
            let [x, y] = [column, row].map(|i| i as f32 * CELL - middle);
            mesh.vertices.push([x, y, draw.within(LOWEST..height)]);
        }
    }
    for row in 0..SIDE - 1 {
        for column in 0..SIDE - 1 {
            let a = (row * SIDE + column) as u32;
            let [b, c, d] = [a + 1, a + SIDE as u32, a + SIDE as u32 + 1];
            mesh.triangles.extend([[a, b, d], [a, d, c]]);
        }
    }
    let Ok(collider) = mesh_collider(&mesh) else { unreachable!("the grid has corners and triangles") };
    let shape = world.add_mesh(mesh);
    let solid = collider
        .friction(1.0)
        .friction_combine_rule(CoefficientCombineRule::Max)
        .collision_groups(world_groups());
    world.add(
        Look::fixed("bumps", shape, [0.24, 0.22, 0.17]).of_class("ground"),
        RigidBodyBuilder::fixed(),
        solid,
    );
}

impl<T: Terrain> Default for Quadruped<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Terrain> Task for Quadruped<T> {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let command = [
            draw.within(-BACKWARD_MAX..FORWARD_MAX),
            draw.within(-SIDE_MAX..SIDE_MAX),
            draw.within(-TURN_MAX..TURN_MAX),
        ];
        let noise = std::array::from_fn(|_| draw.within(-0.05..0.05));
        *self = Self::build(command, noise, draw);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(values) = action else { return Outcome::default() };
        let targets: [f32; JOINTS] = std::array::from_fn(|i| STANCE[i % 3] + REACH[i % 3] * values[i]);
        self.robot.command(&mut self.world, &targets);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let [_, velocity, angular] = self.motion();
        let [forward, left, turn] = self.command;
        let error = (velocity.x - forward).hypot(velocity.y - left);
        self.error += error;
        let changes: f32 = values.iter().zip(self.last).map(|(now, last)| (now - last) * (now - last)).sum();
        self.last.copy_from_slice(values);
        let up = self.is_up();
        Outcome {
            terms: [
                (-4.0 * error * error).exp(),
                0.5 * (-4.0 * (angular.z - turn) * (angular.z - turn)).exp(),
                -0.01 * changes,
                0.0,
            ],
            terminated: !up,
            success: up && self.steps >= MAX_EPISODE_STEPS && self.error / (self.steps as f32) < NEAR,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        out.extend(self.motion().into_iter().flat_map(|vector| vector.to_array()));
        out.extend(self.command);
        let joints = || (0..JOINTS).map(|joint| self.robot.joint_state(&self.world, joint));
        out.extend(joints().enumerate().map(|(i, [position, _])| position - STANCE[i % 3]));
        out.extend(joints().map(|[_, speed]| speed));
        let weight = MASS * 9.81;
        out.extend(self.feet.iter().map(|foot| self.world.pressure(*foot) / weight));
        keep_within(&mut out[start..], bounds());
    }

    /// A trot: diagonal legs swing together, feet on the ground move as the command says, and come down where they hold the
    /// velocity (Raibert, Legged Robots that Balance, 1986).
    fn expert(&self, out: &mut Buffer) {
        let [up, velocity, angular] = self.motion();
        let clock = TROT.frequency * self.steps as f32 / FPS as f32;
        if let Buffer::F32(out) = out {
            for (leg, hip) in HIPS.into_iter().enumerate() {
                let lags = leg == 1 || leg == 2;
                let foot = TROT.foot(clock + if lags { 0.5 } else { 0.0 }, hip, self.command, velocity);
                // Legs on the side that hangs grow.
                let level = TROT.level * (hip[0] * up.x + hip[1] * up.y)
                    + TROT.steady * (hip[1] * angular.x - hip[0] * angular.y);
                let joints =
                    solve(foot[0], hip[1].signum() * OFFSET + foot[1], foot[2] + level, hip[1].signum());
                out.extend((0..3).map(|i| ((joints[i] - STANCE[i]) / REACH[i]).clamp(-1.0, 1.0)));
            }
        }
    }

    stored_in_world!(world);
}

/// The expert's gait.
struct Trot {
    /// Strides in a second.
    frequency: f32,
    /// How high a foot is lifted, metres.
    lift: f32,
    /// Seconds of excess velocity by which a foot is put further out.
    brake: f32,
    /// Metres that a leg grows for each metre that its hip hangs.
    level: f32,
    /// The same for each m/s that it sinks.
    steady: f32,
    /// Height of the hips above the feet, metres.
    height: f32,
    /// How far the feet come down behind the hips, metres: what it takes to stay in place.
    back: f32,
}

const TROT: Trot =
    Trot { frequency: 2.5, lift: 0.09, brake: 0.2, level: 0.3, steady: 0.03, height: 0.275, back: 0.03 };

impl Trot {
    /// Where a foot should be at `phase` (turns) of its stride, below its hip; the first half of it swings.
    fn foot(&self, phase: f32, hip: [f32; 2], [forward, left, turn]: [f32; 3], velocity: Vector) -> [f32; 3] {
        let phase = phase.rem_euclid(1.0);
        let wanted = [forward - turn * hip[1], left + turn * hip[0]];
        // Half of the way that the ground goes past during a stance.
        let half = wanted.map(|speed| 0.25 * speed / self.frequency);
        let excess = [velocity.x - forward, velocity.y - left].map(|speed| self.brake * speed);
        let (along, lift) = if phase < 0.5 {
            let swing = 2.0 * phase;
            (-(std::f32::consts::PI * swing).cos(), self.lift * (std::f32::consts::PI * swing).sin())
        } else {
            (1.0 - 2.0 * (2.0 * phase - 1.0), 0.0)
        };
        // The correction is put in by the swing and stays through the stance.
        let share = if phase < 0.5 { 2.0 * phase } else { 1.0 };
        let [x, y] = [0, 1].map(|i| along * half[i] + share * excess[i]);
        [x - self.back, y, lift - self.height]
    }
}

/// Joints of a leg whose foot is at x, y, z from its hip's axis; `side` is 1 to the left and −1 to the right.
fn solve(x: f32, y: f32, z: f32, side: f32) -> [f32; 3] {
    let offset = side * OFFSET;
    let drop = (y * y + z * z - offset * offset).max(0.01).sqrt();
    let roll = z.atan2(y) - (-drop).atan2(offset);
    let roll = (roll + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI;
    let length = x.hypot(drop).min(1.99 * LIMB);
    let knee = -2.0 * (0.5 * length / LIMB).acos();
    [roll, (-x).atan2(drop) - 0.5 * knee, knee]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_reaches_where_it_is_put() {
        for side in [1.0, -1.0] {
            for foot in [[0.05, 0.03, -0.25], [-0.1, -0.04, -0.3], [0.0, 0.0, -0.27]] {
                let foot = Vector::new(foot[0], side * OFFSET + foot[1], foot[2]);
                let [roll, thigh, knee] = solve(foot.x, foot.y, foot.z, side);
                let limb = |angle: f32| Vector::new(-angle.sin(), 0.0, -angle.cos()) * LIMB;
                let plane = Vector::new(0.0, side * OFFSET, 0.0) + limb(thigh) + limb(thigh + knee);
                let (sin, cos) = roll.sin_cos();
                let reached =
                    Vector::new(plane.x, cos * plane.y - sin * plane.z, sin * plane.y + cos * plane.z);
                assert!((reached - foot).length() < 1e-5, "{reached} is not {foot}");
            }
        }
    }
}
