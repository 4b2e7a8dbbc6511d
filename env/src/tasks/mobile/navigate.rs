//! `Navigate-v0`: drive among obstacles to a goal by what range sensors tell.

use std::f32::consts::{PI, TAU};
use std::sync::LazyLock;

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::draw::with_fixed_draw;
use crate::physics::{Look, World, cylinder_collider, world_groups};
use crate::registry::{TaskEntry, term};
use crate::robot::{Robot, RobotModel};
use crate::sensor::RangeFinder;
use crate::tasks::storage::add_built_in;
use crate::tasks::{built_in, keep_within, stored_in_world, wrap_angle};
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 400;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Navigate-v0",
    scenario: "navigate",
    summary: "Drive a two-wheeled robot among obstacles to a goal by what range sensors tell.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Navigate::action_space,
    state_space: &Navigate::state_space,
    reward_terms: &[
        term("reward/progress", "metres that the robot came nearer to the goal"),
        term("reward/clearance", "-0.1 for a step with an obstacle nearer than 5 cm"),
        term("reward/time", "-0.01 for every step"),
        term("reward/success", "+5 at the goal"),
    ],
    make: &|| Box::new(Navigate::new()),
};

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/diff_drive.xml")));

const ARENA_HALF: f32 = 2.5;
const OBSTACLES: usize = 7;
const GOAL_RADIUS: f32 = 0.25;
const ROBOT_RADIUS: f32 = 0.2;
const RAYS: usize = 24;
const RANGE_MAX: f32 = 2.0;
/// rad/s of a wheel at full action, and its radius (m).
const WHEEL_SPEED: f32 = 12.0;
const STEP_COST: f32 = 0.01;
const CLOSE: f32 = 0.05;

/// A robot with two driven wheels and two casters finds its way between pillars in a walled square of 5 m.
///
/// # Action space
/// `Box(2)`: wanted speed of the left and the right wheel (8 cm radius), −1..1 for −12..12 rad/s; speed servos of at
/// most 4 N·m drive them.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | distance to the goal | ±8 | m |
/// | 1–2 | sine and cosine of the goal's bearing from the robot's nose | ±1 | |
/// | 3 | forward speed | ±3 | m/s |
/// | 4 | yaw rate | ±20 | rad/s |
/// | 5–28 | distances along 24 rays all around, from behind by the left; 2 if there is nothing nearer | ±2 | m |
///
/// # Reward
/// `reward/progress` metres that the distance to the goal shrank, `reward/clearance` −0.1 for a step that ends with an
/// obstacle within 5 cm of the hull, `reward/time` −0.01, `reward/success` +5 within 25 cm of the goal.
///
/// # Start and end
/// Robot, goal and seven pillars (radius 0.12–0.25 m) stand anywhere at least 0.75 m (robot and goal) and 0.35 m (pillars)
/// apart; robot and goal are at least 2 m apart. The episode terminates with success at the goal and is truncated after
/// 400 steps.
#[derive(Serialize, Deserialize)]
pub struct Navigate {
    world: World,
    robot: Robot,
    chassis: RigidBodyHandle,
    goal: [f32; 2],
    ranges: RangeFinder,
}

/// Where things stand at the start.
struct Layout {
    robot: [f32; 3],
    goal: [f32; 2],
    pillars: Vec<([f32; 2], f32)>,
}

impl Layout {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let mut layout = Self { robot: [-1.5, 0.0, 0.0], goal: [1.5, 0.0], pillars: Vec::new() };
        let reach = ARENA_HALF - 0.4;
        let point = |draw: &mut Draw<'_>| [draw.within(-reach..reach), draw.within(-reach..reach)];
        let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        for _ in 0..100 {
            let (start, goal) = (point(draw), point(draw));
            if distance(start, goal) >= 2.0 {
                layout.robot = [start[0], start[1], draw.within(-PI..PI)];
                layout.goal = goal;
                break;
            }
        }
        let start = [layout.robot[0], layout.robot[1]];
        for _ in 0..1_000 {
            if layout.pillars.len() == OBSTACLES {
                break;
            }
            let (center, radius) = (point(draw), draw.within(0.12..0.25_f32));
            let free = [start, layout.goal].iter().all(|end| distance(*end, center) > radius + 0.55)
                && layout.pillars.iter().all(|(other, r)| distance(*other, center) > radius + r + 0.65);
            if free {
                layout.pillars.push((center, radius));
            }
        }
        // What found no room waits behind the wall: scenes of a task have the same things.
        for i in layout.pillars.len()..OBSTACLES {
            layout.pillars.push(([ARENA_HALF + 0.5, i as f32 * 0.4 - ARENA_HALF], 0.15));
        }
        layout
    }
}

impl Navigate {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 2], &[1.0; 2])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let bounds = bounds();
        Space::bounded(&bounds.map(|bound| -bound), &bounds)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build(&with_fixed_draw(Layout::draw))
    }

    fn build(layout: &Layout) -> Self {
        let mut camera = Camera::new([0.0, -0.01, 7.5], [0.0; 3], 0.72);
        camera.up = [0.0, 1.0, 0.0];
        let mut world = World::new(FPS, 2, camera);
        add_arena(&mut world);
        for (center, radius) in &layout.pillars {
            let shape = Shape::Cylinder { radius: *radius, half_height: 0.25 };
            world.add(
                Look::fixed("pillar", shape, [0.45, 0.12, 0.08]).of_class("wall"),
                RigidBodyBuilder::fixed().translation(Vector::new(center[0], center[1], 0.25)),
                cylinder_collider(*radius, 0.25).collision_groups(world_groups()),
            );
        }
        let disc = Shape::Cylinder { radius: GOAL_RADIUS, half_height: 0.01 };
        world.add_ghost(
            Look::fixed("goal", disc, [0.05, 0.5, 0.1]),
            RigidBodyBuilder::fixed().translation(Vector::new(layout.goal[0], layout.goal[1], 0.01)),
        );
        let robot = add_built_in(&mut world, &ROBOT);
        let chassis = robot.link("chassis").unwrap_or_else(|| unreachable!("the robot has a chassis"));
        let [x, y, yaw] = layout.robot;
        let pose = Pose::from_parts(Vector::new(x, y, 0.1), Rotation::from_rotation_z(yaw));
        robot.set_base(&mut world, chassis, pose);
        let ranges = RangeFinder { rays: RAYS, view: TAU, range_max: RANGE_MAX, origin: [0.0, 0.0, 0.05] };
        Self { world, robot, chassis, goal: layout.goal, ranges }
    }

    /// Distance to the goal, and its bearing from the robot's nose.
    fn goal_seen(&self) -> [f32; 2] {
        let chassis = self.world.body(self.chassis);
        let at = chassis.translation();
        let nose = *chassis.rotation() * Vector::X;
        let [dx, dy] = [self.goal[0] - at.x, self.goal[1] - at.y];
        [dx.hypot(dy), wrap_angle(dy.atan2(dx) - nose.y.atan2(nose.x))]
    }

    fn read_ranges(&self) -> impl Iterator<Item = f32> {
        let own = |body| self.robot.bodies().any(|link| link == body);
        self.ranges.read(&self.world, self.chassis, own)
    }
}

fn bounds() -> [f32; 5 + RAYS] {
    let mut bounds = [RANGE_MAX; 5 + RAYS];
    bounds[..5].copy_from_slice(&[8.0, 1.0, 1.0, 3.0, 20.0]);
    bounds
}

fn add_arena(world: &mut World) {
    let slab =
        |half: [f32; 3]| ColliderBuilder::cuboid(half[0], half[1], half[2]).collision_groups(world_groups());
    let half = [ARENA_HALF, ARENA_HALF, 0.05];
    world.add(
        Look::fixed("ground", Shape::Cuboid { half_extents: half }, [0.16, 0.17, 0.15]).of_class("ground"),
        RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -half[2])),
        slab(half).friction(0.8),
    );
    for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
        let half = if x == 0.0 { [ARENA_HALF + 0.1, 0.05, 0.15] } else { [0.05, ARENA_HALF + 0.1, 0.15] };
        let center = Vector::new(x * (ARENA_HALF + 0.05), y * (ARENA_HALF + 0.05), half[2]);
        world.add(
            Look::fixed("wall", Shape::Cuboid { half_extents: half }, [0.30, 0.30, 0.32]).of_class("wall"),
            RigidBodyBuilder::fixed().translation(center),
            slab(half),
        );
    }
}

impl Default for Navigate {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Navigate {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::build(&Layout::draw(draw));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(wheels) = action else { return Outcome::default() };
        let [before, _] = self.goal_seen();
        self.robot.command(&mut self.world, &[wheels[0] * WHEEL_SPEED, wheels[1] * WHEEL_SPEED]);
        self.robot.control_step(&mut self.world);
        let [distance, _] = self.goal_seen();
        let close = self.read_ranges().any(|range| range < ROBOT_RADIUS + CLOSE);
        let arrived = distance < GOAL_RADIUS;
        Outcome {
            terms: [
                before - distance,
                if close { -0.1 } else { 0.0 },
                -STEP_COST,
                if arrived { 5.0 } else { 0.0 },
            ],
            terminated: arrived,
            success: arrived,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [distance, bearing] = self.goal_seen();
        let chassis = self.world.body(self.chassis);
        let nose = *chassis.rotation() * Vector::X;
        let start = out.len();
        let (speed, turning) = (chassis.linvel().dot(nose), chassis.angvel().z);
        out.extend([distance, bearing.sin(), bearing.cos(), speed, turning]);
        out.extend(self.read_ranges());
        keep_within(&mut out[start..], bounds());
    }

    /// Steers for the free direction nearest to the goal's: a vector-field histogram (Borenstein and Koren, 1991) of the
    /// range readings.
    fn expert(&self, out: &mut Buffer) {
        let [distance, bearing] = self.goal_seen();
        let ranges: Vec<_> = self.read_ranges().collect();
        // A direction is free as far as no reading within a robot's width of it ends before that.
        let clear = |direction: f32| {
            ranges.iter().enumerate().fold(RANGE_MAX, |clear: f32, (i, range)| {
                let off = wrap_angle(self.ranges.direction(i) - direction);
                let beside = range * off.sin().abs();
                if off.cos() > 0.0 && beside < ROBOT_RADIUS + 0.08 {
                    clear.min(range * off.cos())
                } else {
                    clear
                }
            })
        };
        let candidates = (0..72).map(|i| wrap_angle(i as f32 * TAU / 72.0));
        let cost = |direction: f32| {
            let free = clear(direction).min(distance);
            let blocked = (0.9_f32.min(distance) - free).max(0.0);
            wrap_angle(direction - bearing).abs() + 0.25 * direction.abs() + 8.0 * blocked
        };
        let best = candidates.fold(bearing, |best, next| if cost(next) < cost(best) { next } else { best });
        let turn = (1.6 * best).clamp(-0.7, 0.7);
        let ahead = 0.65 * best.cos().max(0.0) * (1.6 * (clear(0.0) - 0.25)).clamp(0.0, 1.0);
        if let Buffer::F32(out) = out {
            out.extend([ahead - 0.6 * turn, ahead + 0.6 * turn].map(|wheel| wheel.clamp(-1.0, 1.0)));
        }
    }

    stored_in_world!(world);
}
