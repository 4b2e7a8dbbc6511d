//! `CarryTower-v0`: carry a tower of blocks on a tray without letting it fall.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World};
use crate::registry::{TaskEntry, term};
use crate::tasks::{keep_within, stored_in_world};
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 160;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "CarryTower-v0",
    scenario: "carry-tower",
    summary: "Carry a tower of blocks on a tray to the other side without letting it fall.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &CarryTower::action_space,
    state_space: &CarryTower::state_space,
    reward_terms: &[
        term("reward/progress", "metres that the tray came nearer to its goal"),
        term("reward/fall", "-2 when a block falls"),
        term("reward/success", "+2 at rest on the goal with the tower standing"),
    ],
    make: &|| Box::new(CarryTower::new()),
};

const BLOCKS: usize = 5;
const TRAY_HALF: [f32; 3] = [0.22, 0.2, 0.02];
const ACCELERATION: f32 = 4.0;
const SPEED_MAX: f32 = 2.0;
const TRACK_HALF: f32 = 1.3;
const BOUNDS: [f32; 2 + 3 * BLOCKS + 1] =
    [2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.5];

/// Five blocks of random sizes and friction stand on a tray that slides along x.
///
/// # Action space
/// `Box(1)`: acceleration of the tray, −1..1 for −4..4 m/s²; its speed is limited to ±2 m/s and it stops at ±1.3 m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1 | tray position and speed along x | ±2 | m, m/s |
/// | 2–16 | for each block from below: x from the tray's middle (m), height of its centre above the tray (m), sine of its lean towards +x | ±1 | |
/// | 17 | goal minus tray position | ±2.5 | m |
///
/// # Reward
/// `reward/progress` metres nearer to the goal, `reward/fall` −2, `reward/success` +2.
///
/// # Start and end
/// The tray starts at rest at −1 ± 0.1 m, the goal is at 1 ± 0.1 m; blocks are 11–15 cm wide and 9–11 cm high, each up to 1 cm
/// off the middle. The episode terminates without success when a block leans more than 0.5 rad or is 4 cm lower than it
/// was, with success when the tray is within 3 cm of the goal and slower than 0.05 m/s; it is truncated after 160 steps.
#[derive(Serialize, Deserialize)]
pub struct CarryTower {
    world: World,
    tray: RigidBodyHandle,
    blocks: [RigidBodyHandle; BLOCKS],
    heights: [f32; BLOCKS],
    goal: f32,
    speed: f32,
}

/// A block's half extents, its offset from the middle, and its friction.
type Block = ([f32; 3], f32, f32);

impl CarryTower {
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
        Self::build(-1.0, 1.0, [([0.055, 0.055, 0.04], 0.0, 0.6); BLOCKS])
    }

    fn build(start: f32, goal: f32, blocks: [Block; BLOCKS]) -> Self {
        let mut world = World::new(FPS, 5, Camera::new([0.0, -4.0, 1.0], [0.0, 0.0, 0.3], 0.76));
        let floor = [2.6, 1.0, 0.05];
        world.add(
            Look::fixed("ground", Shape::Cuboid { half_extents: floor }, [0.16, 0.17, 0.15])
                .of_class("ground"),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -floor[2] - 0.1)),
            ColliderBuilder::cuboid(floor[0], floor[1], floor[2]),
        );
        let mark = Shape::Cuboid { half_extents: [TRAY_HALF[0], TRAY_HALF[1], 0.005] };
        world.add_ghost(
            Look::fixed("goal", mark, [0.05, 0.5, 0.1]),
            RigidBodyBuilder::fixed().translation(Vector::new(goal, 0.0, -0.09)),
        );
        let (tray, _) = world.add(
            Look::actuated("tray", Shape::Cuboid { half_extents: TRAY_HALF }, [0.3, 0.3, 0.32])
                .of_class("support"),
            RigidBodyBuilder::kinematic_velocity_based().translation(Vector::new(start, 0.0, -TRAY_HALF[2])),
            ColliderBuilder::cuboid(TRAY_HALF[0], TRAY_HALF[1], TRAY_HALF[2]).friction(0.7),
        );
        let mut top = 0.0;
        let mut heights = [0.0; BLOCKS];
        let colors =
            [[0.7, 0.1, 0.05], [0.75, 0.5, 0.05], [0.1, 0.45, 0.12], [0.1, 0.25, 0.7], [0.4, 0.1, 0.5]];
        let blocks = std::array::from_fn(|i| {
            let (half, offset, friction) = blocks[i];
            heights[i] = top + half[2];
            top += 2.0 * half[2];
            let place = Vector::new(start + offset, 0.0, heights[i]);
            let (block, _) = world.add(
                Look::moving("block", Shape::Cuboid { half_extents: half }, colors[i]),
                RigidBodyBuilder::dynamic().translation(place).can_sleep(false),
                ColliderBuilder::cuboid(half[0], half[1], half[2]).density(500.0).friction(friction),
            );
            block
        });
        Self { world, tray, blocks, heights, goal, speed: 0.0 }
    }

    fn tray_x(&self) -> f32 {
        self.world.body(self.tray).translation().x
    }

    /// x from the tray's middle, height above the tray and sine of the lean of a block.
    fn block(&self, i: usize) -> [f32; 3] {
        let body = self.world.body(self.blocks[i]);
        let at = body.translation();
        [at.x - self.tray_x(), at.z, (*body.rotation() * Vector::Z).x]
    }

    fn fallen(&self) -> bool {
        (0..BLOCKS).any(|i| {
            let [_, z, _] = self.block(i);
            let up = (*self.world.body(self.blocks[i]).rotation() * Vector::Z).z;
            z < self.heights[i] - 0.04 || up < 0.5_f32.cos()
        })
    }
}

impl Default for CarryTower {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for CarryTower {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let near = |draw: &mut Draw<'_>, middle: f32| middle + draw.within(-0.1..0.1);
        let (start, goal) = (near(draw, -1.0), near(draw, 1.0));
        let blocks = [(); BLOCKS].map(|()| {
            let width = draw.within(0.055..0.075);
            let half = [width, width, draw.within(0.045..0.055)];
            (half, draw.within(-0.01..0.01), draw.within(0.4..0.8))
        });
        *self = Self::build(start, goal, blocks);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let before = self.tray_x();
        let dt = 1.0 / FPS as f32;
        self.speed = (self.speed + ACCELERATION * action.scalar() * dt).clamp(-SPEED_MAX, SPEED_MAX);
        let ahead = before + self.speed * dt;
        if ahead.abs() > TRACK_HALF {
            self.speed = 0.0;
        }
        let speed = self.speed;
        self.world.body_mut(self.tray).set_linvel(Vector::new(speed, 0.0, 0.0), true);
        self.world.control_step();
        let now = self.tray_x();
        let fallen = self.fallen();
        let arrived = !fallen && (self.goal - now).abs() < 0.03 && self.speed.abs() < 0.05;
        Outcome {
            terms: [
                (self.goal - before).abs() - (self.goal - now).abs(),
                if fallen { -2.0 } else { 0.0 },
                if arrived { 2.0 } else { 0.0 },
                0.0,
            ],
            terminated: fallen || arrived,
            success: arrived,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        out.extend([self.tray_x(), self.speed]);
        (0..BLOCKS).for_each(|i| out.extend(self.block(i)));
        out.push(self.goal - self.tray_x());
        keep_within(&mut out[start..], BOUNDS);
    }

    /// Speeds up and slows down at 0.7 m/s² at most: the speed from which that stops on the goal.
    fn expert(&self, out: &mut Buffer) {
        const GENTLE: f32 = 0.7;
        let left = self.goal - self.tray_x();
        let wanted = (2.0 * GENTLE * left.abs()).sqrt().min(3.0 * left.abs()).copysign(left);
        let acceleration = ((wanted - self.speed) * FPS as f32).clamp(-1.5 * GENTLE, GENTLE);
        if let Buffer::F32(out) = out {
            out.push((acceleration / ACCELERATION).clamp(-1.0, 1.0));
        }
    }

    stored_in_world!(world);
}
