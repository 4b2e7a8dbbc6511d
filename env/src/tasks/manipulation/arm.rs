//! The arm of the manipulation tasks, and how its tool is moved.

use std::f32::consts::PI;
use std::sync::LazyLock;

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World};
use crate::robot::{Control, Robot, RobotModel};
use crate::tasks::storage::{add_built_in, built_in};
use crate::tasks::wrap_angle;
use crate::{Camera, Shape};

/// Control steps (frames) in a simulated second.
pub(super) const FPS: u32 = 20;
/// Farthest that one action moves the tool along an axis, metres, and turns it, radians.
pub(super) const REACH: f32 = 0.03;
pub(super) const TURN: f32 = 0.15;

const SUBSTEPS: u32 = 4;
/// Height of the shoulder, lengths of upper arm and forearm, and from the wrist to the fingertips, metres.
const SHOULDER: f32 = 0.3;
const UPPER: f32 = 0.35;
const FORE: f32 = 0.35;
const TOOL: f32 = 0.16;
/// How far a finger opens, metres.
pub(super) const OPENING: f32 = 0.045;
/// Joint of the left finger; the mount, which holds, is none.
const FINGER: usize = 6;
/// Where the tool may go: distance from the base, and height, metres.
const RADIUS: [f32; 2] = [0.2, 0.62];
const HEIGHT: [f32; 2] = [0.005, 0.45];
/// Where the tool starts.
const HOME: Tool = Tool { position: [0.4, 0.0, 0.25], yaw: 0.0, closed: 0.0 };

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| {
    built_in(include_str!("../robots/arm.urdf"))
        .with_control(Control::Position { stiffness: 1_000.0, damping: 60.0 })
        .with_gravity_compensation()
        .without_self_contacts()
});

/// Where the tool is or is to be; it always points down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Middle between the fingertips, metres.
    pub position: [f32; 3],
    /// The fingers close along y turned by this, radians.
    pub yaw: f32,
    /// 0 open to 1 closed.
    pub closed: f32,
}

/// The arm on its table, in a world of its own.
#[derive(Serialize, Deserialize)]
pub struct Arm {
    pub(super) world: World,
    robot: Robot,
    hand: RigidBodyHandle,
    /// Where the servos draw the tool.
    wanted: Tool,
}

impl Arm {
    pub(super) fn new() -> Self {
        let mut world = World::new(FPS, SUBSTEPS, Camera::new([0.45, -1.5, 0.85], [0.28, 0.0, 0.24], 0.62));
        let table = [0.6, 0.6, 0.05];
        world.add(
            Look::fixed("table", Shape::Cuboid { half_extents: table }, [0.30, 0.27, 0.22])
                .of_class("ground"),
            RigidBodyBuilder::fixed().translation(Vector::new(0.3, 0.0, -table[2])),
            ColliderBuilder::cuboid(table[0], table[1], table[2]).friction(0.6),
        );
        world.hold_firmly();
        let robot = add_built_in(&mut world, &ROBOT);
        let hand = robot.link("hand").unwrap_or_else(|| unreachable!("the arm has a hand"));
        for finger in ["left finger", "right finger"] {
            let body = robot.link(finger).unwrap_or_else(|| unreachable!("the hand has fingers"));
            world.set_friction(body, 1.5);
        }
        let mut arm = Self { world, robot, hand, wanted: HOME };
        let states: Vec<_> = arm.solve(HOME).into_iter().enumerate().map(|(i, at)| (i, [at, 0.0])).collect();
        arm.robot.set_joints(&mut arm.world, &states);
        arm
    }

    /// Moves what is wanted by an action: x, y, z, yaw (each −1..1), and the gripper (−1 open, 1 closed).
    pub(super) fn step(&mut self, action: &[f32]) {
        let [x, y, z] = self.wanted.position;
        let moved = [x + REACH * action[0], y + REACH * action[1], z + REACH * action[2]];
        let wanted = Tool {
            position: within_reach(moved),
            yaw: wrap_angle(self.wanted.yaw + TURN * action[3]).clamp(-2.8, 2.8),
            closed: 0.5 * (action[4] + 1.0),
        };
        self.wanted = wanted;
        let [yaw, shoulder, elbow, roll, pitch, turn, finger, _] = self.solve(wanted);
        self.robot.command(&mut self.world, &[yaw, shoulder, elbow, roll, pitch, turn, finger]);
        self.robot.control_step(&mut self.world);
    }

    /// Joint positions that put the tool there: the plane of upper arm and forearm is turned to the
    /// target, and the wrist points the tool down.
    fn solve(&self, tool: Tool) -> [f32; 8] {
        let [x, y, z] = tool.position;
        let (radius, height) = (x.hypot(y), z + TOOL - SHOULDER);
        let square = radius * radius + height * height;
        let bend = ((square - UPPER * UPPER - FORE * FORE) / (2.0 * UPPER * FORE)).clamp(-1.0, 1.0).acos();
        let shoulder = radius.atan2(height) - (FORE * bend.sin()).atan2(UPPER + FORE * bend.cos());
        let yaw = y.atan2(x);
        let finger = OPENING * (1.0 - tool.closed);
        [yaw, shoulder, bend, 0.0, PI - shoulder - bend, wrap_angle(yaw - tool.yaw), finger, finger]
    }

    /// Where the tool is now.
    pub fn tool(&self) -> Tool {
        let place = *self.world.body(self.hand).position();
        let tip = place * Vector::new(0.0, 0.0, TOOL - 0.06);
        let across = place.rotation * Vector::Y;
        let finger = self.finger();
        Tool {
            position: tip.to_array(),
            yaw: (-across.x).atan2(across.y),
            closed: 1.0 - (finger / OPENING).clamp(0.0, 1.0),
        }
    }

    /// Distance of a fingertip from the middle, metres.
    pub fn finger(&self) -> f32 {
        self.robot.joint_state(&self.world, FINGER)[0]
    }

    /// Where the servos draw the tool.
    pub fn wanted(&self) -> Tool {
        self.wanted
    }

    /// The action that brings the tool towards `goal`.
    pub fn towards(&self, goal: Tool) -> [f32; 5] {
        let along =
            |axis: usize| ((goal.position[axis] - self.wanted.position[axis]) / REACH).clamp(-1.0, 1.0);
        let turn = (wrap_angle(goal.yaw - self.wanted.yaw) / TURN).clamp(-1.0, 1.0);
        [along(0), along(1), along(2), turn, 2.0 * goal.closed - 1.0]
    }

    /// Centre of a body.
    pub(super) fn place(&self, body: RigidBodyHandle) -> [f32; 3] {
        self.world.body(body).translation().to_array()
    }
}

/// The nearest point that the tool can go to.
fn within_reach([x, y, z]: [f32; 3]) -> [f32; 3] {
    let radius = x.hypot(y).max(1e-3);
    let kept = radius.clamp(RADIUS[0], RADIUS[1]) / radius;
    [x * kept, y * kept, z.clamp(HEIGHT[0], HEIGHT[1])]
}

/// Distance of two points.
pub(super) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// Distance of two points seen from above.
pub(super) fn level(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}
