//! `HumanoidStand-v0` and `HumanoidWalk-v0`: stay up after a push, and walk at a commanded speed.

use std::f32::consts::{PI, TAU};
use std::marker::PhantomData;
use std::sync::LazyLock;

use rapier3d::prelude::{Pose, RigidBodyHandle, Vector};
use serde::{Deserialize, Serialize};

use super::{FPS, follow_torso, torso_motion};
use crate::physics::World;
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::tasks::storage::add_built_in;
use crate::tasks::{built_in, keep_within, stored_in_world};
use crate::{Action, Buffer, Camera, Draw, Outcome, RewardTerm, Space, Task};

/// The registry's row of standing.
pub const STAND: TaskEntry =
    Humanoid::<Stand>::entry("HumanoidStand-v0", "humanoid-stand", "Stay on two legs after a push.");
/// The registry's row of walking.
pub const WALK: TaskEntry =
    Humanoid::<Walk>::entry("HumanoidWalk-v0", "humanoid-walk", "Walk on two legs at a commanded speed.");

/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 400;

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/humanoid.xml")));

const SUBSTEPS: u32 = 1;
const JOINTS: usize = 16;
const STATE: usize = 10 + 2 * JOINTS + 2;
/// Length of thigh and shin, metres; the ankle is this far above the sole, and the hip this far to a side.
const LIMB: f32 = 0.35;
const ANKLE: f32 = 0.065;
const HIP: f32 = 0.09;
/// Mass of the robot, kg.
const MASS: f32 = 35.7;
/// Standing pose, radians, in the order of the actions, and what an action of 1 adds.
const POSE: [f32; JOINTS] =
    [0.0, 0.0, -0.4, 0.8, -0.4, 0.0, 0.0, 0.0, -0.4, 0.8, -0.4, 0.0, 0.0, -0.4, 0.0, -0.4];
const REACH: [f32; JOINTS] = [0.4, 0.5, 0.9, 0.9, 0.6, 0.5, 0.4, 0.5, 0.9, 0.9, 0.6, 0.5, 0.8, 0.8, 0.8, 0.8];
/// The torso has fallen below this height above the lowest foot, metres, and beyond this lean, radians.
const HEIGHT_MIN: f32 = 0.5;
const LEAN_MAX: f32 = 0.8;
/// Error of an episode's mean velocity (m/s) that is a success.
const NEAR: f32 = 0.08;

const REWARD_TERMS: &[RewardTerm] = &[
    term("reward/velocity", "exp(−4 × squared error of the horizontal velocity)"),
    term("reward/upright", "cosine of the torso's lean, scaled"),
    term("reward/effort", "minus the squared change of the actions, scaled"),
];

/// What a humanoid is to do.
pub trait Goal: Send + 'static {
    /// Least and largest commanded speed, m/s.
    const SPEED: [f32; 2];
    /// Largest speed of the push at the start, m/s.
    const PUSH: f32;
}

/// To stand.
pub struct Stand;

impl Goal for Stand {
    const SPEED: [f32; 2] = [0.0, 0.0];
    const PUSH: f32 = 0.35;
}

/// To walk.
pub struct Walk;

impl Goal for Walk {
    const SPEED: [f32; 2] = [0.2, 0.4];
    const PUSH: f32 = 0.05;
}

/// A robot of 36 kg with two legs of six joints and two arms of two stays up after a push, or walks at a commanded
/// speed.
///
/// # Action space
/// `Box(16)`: positions that servos draw the joints to, −1..1 for ± a joint's reach about the standing pose (knees a little
/// bent): hip turn, hip side, hip, knee, ankle, ankle side (±0.4, 0.5, 0.9, 0.9, 0.6, 0.5 rad) of the left and of the right
/// leg, then shoulder and elbow (±0.8 rad) of the left and of the right arm.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | up, in the torso's frame | ±1 | |
/// | 3–5 | velocity, in the torso's frame | ±20 | m/s |
/// | 6–8 | angular velocity, in the torso's frame | ±40 | rad/s |
/// | 9 | commanded speed forward | ±1 | m/s |
/// | 10–25 | joints from the standing pose, in the order of the actions | ±4 | rad |
/// | 26–41 | their speeds | ±60 | rad/s |
/// | 42–43 | load on the left and the right foot, in weights of the robot | 0..20 | |
///
/// # Reward
/// `reward/velocity` exp(−4 × squared error of the horizontal velocity), `reward/upright` 0.5 × the cosine of the torso's
/// lean, `reward/effort` −0.01 × Σ of squared changes of the action.
///
/// # Start and end
/// The robot stands, joints within ±0.02 rad of its pose, and moves at up to ±0.35 m/s each way as if pushed (walking:
/// ±0.05 m/s, and a command of 0.2..0.4 m/s). The episode terminates when the torso is lower than 0.5 m above its lowest
/// foot or leans more than 0.8 rad, and is truncated after 400 steps, which counts as success if the mean velocity
/// over the whole of it is within 0.08 m/s of the commanded one.
pub type HumanoidStand = Humanoid<Stand>;
/// [`HumanoidStand`]'s robot walks at a commanded speed.
pub type HumanoidWalk = Humanoid<Walk>;

/// The robot with its ground.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Humanoid<G: Goal> {
    world: World,
    robot: Robot,
    torso: RigidBodyHandle,
    /// Bodies of the feet, left and right.
    feet: [RigidBodyHandle; 2],
    speed: f32,
    last: [f32; JOINTS],
    steps: u32,
    goal: PhantomData<fn() -> G>,
}

impl<G: Goal> Humanoid<G> {
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
        low[STATE - 2..].fill(0.0);
        Space::bounded(&low, &high)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build(0.5 * (G::SPEED[0] + G::SPEED[1]), [0.0; JOINTS], [0.0; 2])
    }

    fn build(speed: f32, noise: [f32; JOINTS], push: [f32; 2]) -> Self {
        let mut world = World::new(FPS, SUBSTEPS, Camera::new([0.6, -3.2, 1.3], [0.1, 0.0, 0.75], 0.6));
        world.add_ground(1.0);
        let robot = add_built_in(&mut world, &ROBOT);
        let link = |name: &str| robot.link(name).unwrap_or_else(|| unreachable!("the robot has a {name}"));
        let (torso, feet) = (link("torso"), ["left foot", "right foot"].map(link));
        let states: Vec<_> = (0..JOINTS).map(|joint| (joint, [POSE[joint] + noise[joint], 0.0])).collect();
        robot.set_joints(&mut world, &states);
        let height = 2.0 * LIMB * POSE[2].cos() + ANKLE + 0.005;
        robot.set_base(&mut world, torso, Pose::translation(0.0, 0.0, height));
        robot.set_base_velocity(&mut world, torso, [push[0], push[1], 0.0]);
        follow_torso(&mut world);
        Self { world, robot, torso, feet, speed, last: [0.0; JOINTS], steps: 0, goal: PhantomData }
    }

    /// Up, velocity and angular velocity in the torso's frame.
    fn motion(&self) -> [Vector; 3] {
        torso_motion(&self.world, self.torso)
    }

    /// How far the mean velocity since the start is from the commanded one, m/s.
    fn mean_error(&self) -> f32 {
        let seconds = self.steps as f32 / FPS as f32;
        let place = self.world.body(self.torso).translation();
        let [x, y] = [place.x, place.y].map(|way| way / seconds);
        (x - self.speed).hypot(y)
    }

    fn is_up(&self) -> bool {
        let feet = self.feet.iter().map(|foot| self.world.body(*foot).translation().z - ANKLE);
        let height = self.world.body(self.torso).translation().z - feet.fold(f32::MAX, f32::min);
        let [up, ..] = self.motion();
        height >= HEIGHT_MIN && up.z >= LEAN_MAX.cos()
    }
}

/// Bounds of the observation.
fn bounds() -> [f32; STATE] {
    let mut bounds = [1.0; STATE];
    bounds[3..6].fill(20.0);
    bounds[6..9].fill(40.0);
    bounds[10..10 + JOINTS].fill(4.0);
    bounds[10 + JOINTS..10 + 2 * JOINTS].fill(60.0);
    bounds[STATE - 2..].fill(20.0);
    bounds
}

impl<G: Goal> Default for Humanoid<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Goal> Task for Humanoid<G> {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let [slow, fast] = G::SPEED;
        let speed = if fast > slow { draw.within(slow..fast) } else { slow };
        let noise = std::array::from_fn(|_| draw.within(-0.02..0.02));
        let push = [(); 2].map(|()| draw.within(-G::PUSH..G::PUSH));
        *self = Self::build(speed, noise, push);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(values) = action else { return Outcome::default() };
        let targets: [f32; JOINTS] = std::array::from_fn(|i| POSE[i] + REACH[i] * values[i]);
        self.robot.command(&mut self.world, &targets);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let [up, velocity, _] = self.motion();
        let error = (velocity.x - self.speed).hypot(velocity.y);
        let changes: f32 = values.iter().zip(self.last).map(|(now, last)| (now - last) * (now - last)).sum();
        self.last.copy_from_slice(values);
        let is_up = self.is_up();
        Outcome {
            terms: [(-4.0 * error * error).exp(), 0.5 * up.z, -0.01 * changes, 0.0],
            terminated: !is_up,
            success: is_up && self.steps >= MAX_EPISODE_STEPS && self.mean_error() < NEAR,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        out.extend(self.motion().into_iter().flat_map(|vector| vector.to_array()));
        out.push(self.speed);
        let joints = || (0..JOINTS).map(|joint| self.robot.joint_state(&self.world, joint));
        out.extend(joints().enumerate().map(|(i, [position, _])| position - POSE[i]));
        out.extend(joints().map(|[_, speed]| speed));
        out.extend(self.feet.iter().map(|foot| self.world.pressure(*foot) / (MASS * 9.81)));
        keep_within(&mut out[start..], bounds());
    }

    /// The pelvis sways over the foot that stands while the other one swings; feet come down where they hold the velocity,
    /// and ankles and hips work against the torso's lean.
    fn expert(&self, out: &mut Buffer) {
        let [up, velocity, angular] = self.motion();
        let gait = GAIT;
        let walks = G::SPEED[1] > 0.0;
        let clock = gait.frequency * self.steps as f32 / FPS as f32;
        // Both feet stand at first, while the sway grows.
        let grown = if walks { clock.min(1.0) } else { 0.0 };
        let sway = grown * gait.sway * (TAU * (clock - gait.lead)).sin();
        let lean = [-up.x, -up.y];
        let Buffer::F32(out) = out else { return };
        let start = out.len();
        for side in [1.0_f32, -1.0] {
            let phase = (clock + if side > 0.0 { 0.0 } else { 0.5 }).rem_euclid(1.0);
            let half = 0.5 * gait.reach * gait.stance * self.speed / gait.frequency;
            let swings = phase >= gait.stance && walks && clock >= 0.5;
            let (along, lift) = if swings {
                let swing = (phase - gait.stance) / (1.0 - gait.stance);
                (-(PI * swing).cos(), gait.lift * (PI * swing).sin())
            } else if walks {
                (1.0 - 2.0 * phase / gait.stance, 0.0)
            } else {
                (0.0, 0.0)
            };
            let x = grown * along * half + gait.brake[0] * (velocity.x - self.speed);
            let y = side * HIP - sway + gait.brake[1] * velocity.y;
            let [side_angle, hip, knee] = solve(x, y - side * HIP, lift - gait.height);
            let pitch = gait.ankle[0] * lean[0] + gait.ankle[1] * angular.y;
            let roll = gait.side[0] * lean[1] - gait.side[1] * angular.x;
            // The sole stays level: what the leg's joints turn it by is taken back.
            let targets = [
                0.0,
                side_angle,
                hip,
                knee,
                -(hip + knee) + if swings { 0.0 } else { pitch },
                -side_angle + if swings { 0.0 } else { roll },
            ];
            out.extend(targets);
        }
        out.extend(POSE[12..].iter());
        for (i, value) in out[start..].iter_mut().enumerate() {
            *value = ((*value - POSE[i]) / REACH[i]).clamp(-1.0, 1.0);
        }
    }

    stored_in_world!(world);
}

/// The expert's gait.
struct Gait {
    /// Strides (of both legs) in a second.
    frequency: f32,
    /// Share of a stride that a foot stands.
    stance: f32,
    /// How high a foot is lifted, metres.
    lift: f32,
    /// Length of a step beside what the commanded speed asks for.
    reach: f32,
    /// How far the pelvis sways to each side, metres, and at which turn of the stride it passes the middle.
    sway: f32,
    /// See above.
    lead: f32,
    /// Seconds of excess velocity by which the feet are put further out, along and across.
    brake: [f32; 2],
    /// What the ankles turn for each radian of lean, and for each rad/s of it; forward and sideways.
    ankle: [f32; 2],
    /// See above.
    side: [f32; 2],
    /// Height of the hips above the ankles, metres.
    height: f32,
}

const GAIT: Gait = Gait {
    frequency: 1.8,
    stance: 0.646,
    lift: 0.07,
    reach: 1.3,
    sway: 0.027,
    lead: -0.02,
    brake: [0.21, 0.26],
    ankle: [1.0, 0.02],
    side: [0.0, -0.02],
    height: 0.637,
};

/// Hip side, hip and knee of a leg whose ankle is at x, y, z from its hip.
fn solve(x: f32, y: f32, z: f32) -> [f32; 3] {
    let drop = y.hypot(z);
    let length = x.hypot(drop).min(1.99 * LIMB);
    let knee = 2.0 * (0.5 * length / LIMB).acos();
    [y.atan2(-z), (-x).atan2(drop) - 0.5 * knee, knee]
}
