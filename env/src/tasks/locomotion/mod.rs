//! Robots that run along x: what they share. Each file has one robot's table, limits and gait.

mod gait;

pub mod ant;
pub mod half_cheetah;
pub mod hopper;
pub mod humanoid;
pub mod quadruped;
pub mod walker;

use std::iter::repeat_n;
use std::marker::PhantomData;

use rapier3d::prelude::{RigidBodyHandle, Vector};
use serde::{Deserialize, Serialize};

use super::storage::add_built_in;
use super::{keep_within, stored_in_world};
use crate::physics::World;
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::{Action, Buffer, Camera, CameraMotion, Draw, Outcome, RewardTerm, Space, Task};

pub use gait::{Gait, Swing};

/// Control steps (frames) in a simulated second, of all of them.
pub const FPS: u32 = 50;
/// Steps after which an episode is cut off, of all of them.
pub const MAX_EPISODE_STEPS: u32 = 500;

/// Rapier divides each into four of its own, which are 5 ms.
const SUBSTEPS: u32 = 1;
const HEIGHT_BOUND: f32 = 10.0;
const ANGLE_BOUND: f32 = 10.0;
const SPEED_BOUND: f32 = 60.0;

/// The reward's terms, of all of them.
const REWARD_TERMS: &[RewardTerm] = &[
    term("reward/forward", "speed along x, scaled"),
    term("reward/alive", "for every step that the robot is up"),
    term("reward/effort", "minus the squared actions, scaled"),
];

/// One robot and what is asked of it.
pub trait Body: Send + 'static {
    /// Limits, reward and gait.
    const CONFIG: Config;

    /// The robot.
    fn model() -> &'static RobotModel;
}

/// What differs between the robots.
pub struct Config {
    /// Joints at the front of the file that stand for the plane in which it moves: 3, or 0 for a free base.
    pub root_joints: usize,
    /// The torso's height has to stay within this, metres.
    pub height: [f32; 2],
    /// The torso may not lean further from its start than this, radians.
    pub lean_max: f32,
    /// Joints start within ± this of the file's pose, radians, and ± this, rad/s.
    pub noise: f32,
    /// Reward for each m/s.
    pub forward: f32,
    /// Reward for each step upright.
    pub alive: f32,
    /// Cost of each squared action.
    pub effort: f32,
    /// Distance along x that makes an episode a success, metres.
    pub goal: f32,
    /// Camera relative to the torso: position and target; heights are above ground.
    pub camera: [[f32; 3]; 2],
    /// What the expert does.
    pub gait: Gait,
}

/// A robot with the ground that it runs on.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Runner<B: Body> {
    world: World,
    robot: Robot,
    torso: RigidBodyHandle,
    start_x: f32,
    steps: u32,
    body: PhantomData<fn() -> B>,
}

impl<B: Body> Runner<B> {
    /// The registry's row.
    pub(super) const fn entry(id: &'static str, scenario: &'static str, summary: &'static str) -> TaskEntry {
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
        let joints = B::model().actuators().len();
        Space::bounded(&vec![-1.0; joints], &vec![1.0; joints])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let joints = B::model().joints().len() - B::CONFIG.root_joints;
        let bounds: Vec<f32> = bounds(joints, B::CONFIG.root_joints > 0).collect();
        let low: Vec<f32> = bounds.iter().map(|bound| -bound).collect();
        Space::bounded(&low, &bounds)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        let [position, target] = B::CONFIG.camera;
        let mut world = World::new(FPS, SUBSTEPS, Camera::new(position, target, 0.6));
        world.add_ground(1.0);
        let robot = add_built_in(&mut world, B::model());
        let torso = robot.link("torso").unwrap_or_else(|| unreachable!("every runner has a torso"));
        follow_torso(&mut world);
        Self { world, robot, torso, start_x: 0.0, steps: 0, body: PhantomData }
    }

    /// Height of the torso, and how far it leans forward and sideways (radians).
    fn posture(&self) -> [f32; 3] {
        let torso = self.world.body(self.torso);
        let up = *torso.rotation() * Vector::Z;
        [torso.translation().z, up.x.atan2(up.z), up.y.atan2(up.z)]
    }

    fn joint_states(&self) -> impl Iterator<Item = [f32; 2]> {
        (B::CONFIG.root_joints..B::model().joints().len())
            .map(|joint| self.robot.joint_state(&self.world, joint))
    }

    fn is_up(&self) -> bool {
        let [height, forward, sideways] = self.posture();
        let [low, high] = B::CONFIG.height;
        height >= low && height <= high && forward.abs().max(sideways.abs()) <= B::CONFIG.lean_max
    }
}

/// Lets the scene's camera go along with the torso.
fn follow_torso(world: &mut World) {
    let instance = world.scene().instances.iter().position(|instance| instance.name == "torso");
    world.scene_mut().camera_motion = CameraMotion::Follow { instance: instance.unwrap_or(0) as u32 };
}

/// Up, velocity and angular velocity in the torso's frame.
fn torso_motion(world: &World, torso: RigidBodyHandle) -> [Vector; 3] {
    let torso = world.body(torso);
    let turn = torso.rotation().inverse();
    [turn * Vector::Z, turn * torso.linvel(), turn * torso.angvel()]
}

/// ± bounds of the observation: posture, joints, velocity of the torso, speeds of the joints.
fn bounds(joints: usize, planar: bool) -> impl Iterator<Item = f32> {
    let (posture, velocity): (&[f32], usize) =
        if planar { (&[HEIGHT_BOUND, ANGLE_BOUND], 3) } else { (&[HEIGHT_BOUND, 1.0, 1.0, 1.0, 1.0], 6) };
    let moving = repeat_n(ANGLE_BOUND, joints).chain(repeat_n(SPEED_BOUND, velocity + joints));
    posture.iter().copied().chain(moving)
}

impl<B: Body> Default for Runner<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Body> Task for Runner<B> {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::new();
        let noise = B::CONFIG.noise;
        let mut draw = || draw.within(-noise..noise);
        let states: Vec<_> = (B::CONFIG.root_joints..B::model().joints().len())
            .map(|joint| (joint, [self.robot.joint_state(&self.world, joint)[0] + draw(), draw()]))
            .collect();
        self.robot.set_joints(&mut self.world, &states);
        self.start_x = self.world.body(self.torso).translation().x;
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(controls) = action else { return Outcome::default() };
        let before = self.world.body(self.torso).translation().x;
        self.robot.command(&mut self.world, controls);
        self.robot.control_step(&mut self.world);
        self.steps += 1;
        let now = self.world.body(self.torso).translation().x;
        let config = &B::CONFIG;
        let up = self.is_up();
        let effort: f32 = controls.iter().map(|control| control * control).sum();
        Outcome {
            terms: [
                config.forward * (now - before) * FPS as f32,
                if up { config.alive } else { 0.0 },
                -config.effort * effort,
                0.0,
            ],
            terminated: !up,
            success: up && self.steps >= MAX_EPISODE_STEPS && now - self.start_x >= config.goal,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        let torso = self.world.body(self.torso);
        let [height, lean, _] = self.posture();
        let (linear, angular) = (torso.linvel(), torso.angvel());
        out.push(height);
        let planar = B::CONFIG.root_joints > 0;
        if planar {
            out.push(lean);
        } else {
            out.extend(torso.rotation().to_array());
        }
        out.extend(self.joint_states().map(|[position, _]| position));
        if planar {
            out.extend([linear.x, linear.z, angular.y]);
        } else {
            out.extend(linear.to_array().into_iter().chain(angular.to_array()));
        }
        out.extend(self.joint_states().map(|[_, speed]| speed));
        let joints = B::model().joints().len() - B::CONFIG.root_joints;
        keep_within(&mut out[start..], bounds(joints, planar));
    }

    fn expert(&self, out: &mut Buffer) {
        let [_, lean, _] = self.posture();
        let rate = self.world.body(self.torso).angvel().y;
        let joints: Vec<_> = self.joint_states().collect();
        if let Buffer::F32(out) = out {
            B::CONFIG.gait.act(self.steps as f32 / FPS as f32, [lean, rate], &joints, out);
        }
    }

    stored_in_world!(world);
}
