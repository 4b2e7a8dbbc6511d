//! `ShellGame-v0`: say under which of three cups the ball is after they were shuffled.

use std::f32::consts::{PI, TAU};

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
    id: "ShellGame-v0",
    scenario: "shell-game",
    summary: "Watch three cups being shuffled, and say under which the ball is.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &ShellGame::action_space,
    state_space: &ShellGame::state_space,
    reward_terms: &[
        term("reward/right", "+1 for naming the cup with the ball"),
        term("reward/wrong", "-1 for naming another one"),
    ],
    make: &|| Box::new(ShellGame::new()),
};

const CUPS: usize = 3;
const PLACES: [f32; CUPS] = [-0.45, 0.0, 0.45];
const CUP_RADIUS: f32 = 0.15;
const CUP_HALF_HEIGHT: f32 = 0.13;
const WALL: f32 = 0.04;
const BALL_RADIUS: f32 = 0.07;
/// How high the cups start, metres, and in how many steps they come down.
const LIFT: f32 = 0.4;
const LOWERING: u32 = 14;
const SWAP: u32 = 14;
const SWAPS: [usize; 2] = [3, 6];
const BOUNDS: [f32; 12] = [1.0; 12];

/// A ball lies between three cups that stand in the air; they come down over it and change places.
///
/// Nothing drives the ball but the cup around it. Once it is hidden, only memory says where it is.
///
/// # Action space
/// `Discrete(4)`: 0 waits, 1–3 name the left, middle or right cup. Naming counts when the cups have come to rest.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | 1 while the ball can be seen | ±1 | |
/// | 1–2 | its x and y then, else 0 | ±1 | m |
/// | 3–5, 6–8 | x of each cup, y of each cup | ±1 | m |
/// | 9 | height of the cups above the table | ±1 | m |
/// | 10 | 1 when the cups have come to rest and naming counts | ±1 | |
/// | 11 | share of the swaps that is done | ±1 | |
///
/// # Reward
/// `reward/right` +1, `reward/wrong` −1.
///
/// # Start and end
/// The ball is under any of the cups; three to six swaps of two cups follow, 0.7 s each. The episode terminates when a cup
/// is named, with success if it is the right one, and is truncated after 160 steps.
#[derive(Serialize, Deserialize)]
pub struct ShellGame {
    world: World,
    cups: [RigidBodyHandle; CUPS],
    ball: RigidBodyHandle,
    /// Which places change, and which way round they go.
    swaps: Vec<([usize; 2], bool)>,
    /// The cup that stands at each place.
    at: [usize; CUPS],
    steps: u32,
}

impl ShellGame {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::Discrete { n: 4, start: 0 }
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build(0, Vec::new())
    }

    fn build(place: usize, swaps: Vec<([usize; 2], bool)>) -> Self {
        let mut world = World::new(FPS, 4, Camera::new([0.0, -2.6, 1.9], [0.0, 0.0, 0.15], 0.56));
        let table = [1.0, 0.7, 0.1];
        world.add(
            Look::fixed("table", Shape::Cuboid { half_extents: table }, [0.10, 0.22, 0.12])
                .of_class("ground"),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -table[2])),
            ColliderBuilder::cuboid(table[0], table[1], table[2]).friction(0.4),
        );
        let look = Look::moving("ball", Shape::Sphere { radius: BALL_RADIUS }, [0.8, 0.1, 0.05]);
        let (ball, _) = world.add(
            look,
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(PLACES[place], 0.0, BALL_RADIUS))
                .linear_damping(0.5)
                .angular_damping(1.0)
                .can_sleep(false),
            ColliderBuilder::ball(BALL_RADIUS).friction(0.4).density(200.0),
        );
        let cups = PLACES.map(|x| add_cup(&mut world, x));
        Self { world, cups, ball, swaps, at: [0, 1, 2], steps: 0 }
    }

    /// Steps until naming counts.
    fn shuffled_at(&self) -> u32 {
        LOWERING + SWAP * self.swaps.len() as u32
    }

    fn at_rest(&self) -> bool {
        self.steps >= self.shuffled_at()
    }

    fn cup_height(&self) -> f32 {
        LIFT * (1.0 - self.steps as f32 / LOWERING as f32).max(0.0)
    }

    /// Where the cups are to be after this step.
    fn move_cups(&mut self) {
        let z = CUP_HALF_HEIGHT + self.cup_height();
        let mut places: [Vector; CUPS] = std::array::from_fn(|place| Vector::new(PLACES[place], 0.0, z));
        if self.steps > LOWERING
            && let Some((pair, left_round)) =
                self.swaps.get(((self.steps - LOWERING - 1) / SWAP) as usize).copied()
        {
            let done = ((self.steps - LOWERING - 1) % SWAP + 1) as f32 / SWAP as f32;
            // Half a circle, gently begun and ended.
            let angle = 0.5 * PI * (1.0 - (PI * done).cos());
            let [a, b] = pair.map(|place| PLACES[place]);
            let (middle, radius) = (0.5 * (a + b), 0.5 * (b - a));
            let side = if left_round { 1.0 } else { -1.0 };
            for (place, sign) in [(pair[0], -1.0), (pair[1], 1.0)] {
                // Long ways round are flattened, or the outer cups would leave the table.
                let depth = radius.min(0.32);
                places[place].x = middle + sign * radius * angle.cos();
                places[place].y = sign * side * depth * angle.sin();
            }
            if (self.steps - LOWERING).is_multiple_of(SWAP) {
                self.at.swap(pair[0], pair[1]);
                for (place, x) in PLACES.iter().enumerate() {
                    places[place] = Vector::new(*x, 0.0, z);
                }
            }
        }
        for (place, position) in places.into_iter().enumerate() {
            let cup = self.cups[self.at[place]];
            self.world.body_mut(cup).set_next_kinematic_translation(position);
        }
    }

    /// The place whose cup stands over the ball.
    fn answer(&self) -> usize {
        let ball = self.world.body(self.ball).translation().x;
        let away = |place: &usize| (PLACES[*place] - ball).abs();
        (0..CUPS).min_by(|a, b| away(a).total_cmp(&away(b))).unwrap_or(0)
    }
}

/// A cup upside down: eight walls about a hollow, a lid on top.
fn add_cup(world: &mut World, x: f32) -> RigidBodyHandle {
    let mut parts: Vec<(Pose, SharedShape)> = (0..8)
        .map(|i| {
            let turn = Rotation::from_rotation_z(TAU * i as f32 / 8.0);
            let side = CUP_RADIUS * (PI / 8.0).tan();
            let center = turn * Vector::new(CUP_RADIUS - 0.5 * WALL, 0.0, 0.0);
            (Pose::from_parts(center, turn), SharedShape::cuboid(0.5 * WALL, side, CUP_HALF_HEIGHT))
        })
        .collect();
    let lid = Vector::new(0.0, 0.0, CUP_HALF_HEIGHT - 0.5 * WALL);
    parts.push((Pose::from_translation(lid), SharedShape::cuboid(CUP_RADIUS, CUP_RADIUS, 0.5 * WALL)));
    let shape = Shape::Cylinder { radius: CUP_RADIUS, half_height: CUP_HALF_HEIGHT };
    let place = Vector::new(x, 0.0, CUP_HALF_HEIGHT + LIFT);
    let (cup, _) = world.add(
        Look::moving("cup", shape, [0.15, 0.3, 0.7]).of_class("container"),
        RigidBodyBuilder::kinematic_position_based().translation(place),
        ColliderBuilder::compound(parts).friction(0.2),
    );
    cup
}

impl Default for ShellGame {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for ShellGame {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let count = draw.count(SWAPS[0]..=SWAPS[1]);
        let swaps = (0..count).map(|_| ([[0, 1], [1, 2], [0, 2]][draw.index(0..3)], draw.coin())).collect();
        *self = Self::build(draw.index(0..CUPS), swaps);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let choice = action.scalar() as i64;
        let named = (choice > 0 && self.at_rest()).then(|| choice as usize - 1);
        self.steps += 1;
        self.move_cups();
        self.world.control_step();
        let right = named == Some(self.answer());
        Outcome {
            terms: [f32::from(right), if named.is_some() && !right { -1.0 } else { 0.0 }, 0.0, 0.0],
            terminated: named.is_some(),
            success: right,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let ball = self.world.body(self.ball).translation();
        // From the camera's side a ball is seen until the rim is lower than its top.
        let seen = self.cup_height() > 0.5 * BALL_RADIUS;
        let cups = self.cups.map(|cup| self.world.body(cup).translation());
        let shuffling =
            self.steps.saturating_sub(LOWERING) as f32 / (SWAP * self.swaps.len().max(1) as u32) as f32;
        let start = out.len();
        out.extend(if seen { [1.0, ball.x, ball.y] } else { [0.0; 3] });
        out.extend(cups.map(|cup| cup.x));
        out.extend(cups.map(|cup| cup.y));
        out.extend([self.cup_height(), f32::from(self.at_rest()), shuffling.min(1.0)]);
        keep_within(&mut out[start..], BOUNDS);
    }

    fn expert(&self, out: &mut Buffer) {
        if let Buffer::I64(out) = out {
            out.push(if self.at_rest() { self.answer() as i64 + 1 } else { 0 });
        }
    }

    stored_in_world!(world);
}
