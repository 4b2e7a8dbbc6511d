//! `Pour-v0`: pour balls from a cup into a box.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World};
use crate::registry::{TaskEntry, term};
use crate::tasks::{observe_within, stored_in_world};
use crate::{Action, Buffer, Camera, Draw, Mesh, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 160;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Pour-v0",
    scenario: "pour",
    summary: "Pour balls from a cup into a box without spilling them.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Pour::action_space,
    state_space: &Pour::state_space,
    reward_terms: &[
        term("reward/poured", "1/12 for each ball that comes to be in the box"),
        term("reward/spilled", "-1/12 for each ball that comes to be on the ground"),
    ],
    make: &|| Box::new(Pour::new()),
};

const BALLS: usize = 12;
const BALL_RADIUS: f32 = 0.035;
/// Half of the inside of cup and box, and the thickness of their walls, metres.
const CUP: [f32; 3] = [0.1, 0.1, 0.14];
const BOX: [f32; 3] = [0.17, 0.17, 0.09];
const WALL: f32 = 0.03;
const SPEED: f32 = 0.8;
const TURN: f32 = 1.5;
const PLACE_MAX: [f32; 2] = [0.68, 1.1];
const TILT_MAX: f32 = 2.6;
const SUCCESS: usize = 10;
const BOUNDS: [f32; 9] = [1.5, 1.5, 3.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5];

/// A cup with twelve balls hangs in the air beside a box, and is moved and tilted by its handle. Panes that nobody sees
/// stand around, 0.9 m to the sides and 0.4 m to front and back.
///
/// # Action space
/// `Box(3)`: speed of the cup along x and z, −1..1 for −0.8..0.8 m/s, and of its tilt towards +x, −1..1 for −1.5..1.5
/// rad/s. The cup stays within ±0.68 m and 0.2–1.1 m up, its tilt within 0 and 2.6 rad.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1 | cup position x, z | ±1.5 | m |
/// | 2 | tilt | ±3 | rad |
/// | 3 | box position x | ±1 | m |
/// | 4–6 | share of the balls in the cup, in the box, on the ground | ±1 | |
/// | 7–8 | mean x and z of the balls | ±1.5 | m |
///
/// # Reward
/// `reward/poured` 1/12 for each ball that comes to be in the box (and −1/12 if it leaves it), `reward/spilled` −1/12 for
/// each that comes to be on the ground.
///
/// # Start and end
/// The box stands at 0.2–0.6 m, the cup hangs at −0.5 ± 0.15 m, 0.6 ± 0.1 m up. The episode never terminates and is truncated
/// after 160 steps, which counts as success with ten balls or more in the box.
#[derive(Serialize, Deserialize)]
pub struct Pour {
    world: World,
    cup: RigidBodyHandle,
    balls: Vec<RigidBodyHandle>,
    box_x: f32,
    /// x, z and tilt of the cup.
    pose: [f32; 3],
    poured: usize,
    spilled: usize,
    steps: u32,
}

impl Pour {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 3], &[1.0; 3])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([-0.5, 0.6], 0.4)
    }

    fn build(place: [f32; 2], box_x: f32) -> Self {
        let mut world = World::new(FPS, 4, Camera::new([0.0, -3.3, 1.2], [0.0, 0.0, 0.5], 0.62));
        let ground = [2.0, 1.2, 0.05];
        world.add(
            Look::fixed("ground", Shape::Cuboid { half_extents: ground }, [0.16, 0.17, 0.15])
                .of_class("ground"),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -ground[2])),
            ColliderBuilder::cuboid(ground[0], ground[1], ground[2]).friction(0.8),
        );
        add_fence(&mut world);
        let (mesh, solid) = open_box(BOX);
        let shape = world.add_mesh(mesh);
        let at = Vector::new(box_x, 0.0, BOX[2] + WALL);
        world.add(
            Look::fixed("box", shape, [0.3, 0.16, 0.06]).of_class("container"),
            RigidBodyBuilder::fixed().translation(at),
            solid,
        );
        let (mesh, solid) = open_box(CUP);
        let shape = world.add_mesh(mesh);
        let (cup, _) = world.add(
            Look::actuated("cup", shape, [0.15, 0.3, 0.7]).of_class("container"),
            RigidBodyBuilder::kinematic_position_based().translation(Vector::new(place[0], 0.0, place[1])),
            solid,
        );
        let balls = (0..BALLS)
            .map(|i| {
                let [a, b, layer] = [i % 2, i / 2 % 2, i / 4].map(|i| i as f32);
                let offset = Vector::new(0.09 * a - 0.045, 0.09 * b - 0.045, 0.08 * layer - 0.1);
                let look = Look::moving("ball", Shape::Sphere { radius: BALL_RADIUS }, [0.75, 0.55, 0.05]);
                let body = RigidBodyBuilder::dynamic()
                    .translation(Vector::new(place[0], 0.0, place[1]) + offset)
                    .angular_damping(6.0)
                    .linear_damping(0.1)
                    .can_sleep(false);
                let solid = ColliderBuilder::ball(BALL_RADIUS).density(300.0).friction(0.4).restitution(0.1);
                world.add(look, body, solid).0
            })
            .collect();
        let pose = [place[0], place[1], 0.0];
        Self { world, cup, balls, box_x, pose, poured: 0, spilled: 0, steps: 0 }
    }

    /// How many balls are in the box, and how many on the ground.
    fn count(&self) -> [usize; 2] {
        let (mut poured, mut spilled) = (0, 0);
        for ball in &self.balls {
            let at = self.world.body(*ball).translation();
            let inside = (at.x - self.box_x).abs() < BOX[0] + 0.01 && at.y.abs() < BOX[1] + 0.01;
            if inside && at.z < 2.0 * BOX[2] + WALL {
                poured += 1;
            } else if at.z < 1.6 * BALL_RADIUS {
                spilled += 1;
            }
        }
        [poured, spilled]
    }

    /// The lip that balls run over, from the cup's middle, for a tilt.
    fn lip(tilt: f32) -> [f32; 2] {
        let (sin, cos) = tilt.sin_cos();
        [CUP[0] * cos + CUP[2] * sin, CUP[2] * cos - CUP[0] * sin]
    }
}

/// Panes that nobody sees keep flung balls in the picture.
fn add_fence(world: &mut World) {
    const REACH: [f32; 2] = [0.9, 0.4];
    const TALL: f32 = 2.0;
    for side in [-1.0, 1.0] {
        let across = Vector::new(side * (REACH[0] + WALL), 0.0, TALL);
        world.add_unseen(ColliderBuilder::cuboid(WALL, REACH[1], TALL).translation(across));
        let along = Vector::new(0.0, side * (REACH[1] + WALL), TALL);
        world.add_unseen(ColliderBuilder::cuboid(REACH[0], WALL, TALL).translation(along));
    }
}

/// A box without a lid, `inside` half extents: what is seen and what is solid.
fn open_box(inside: [f32; 3]) -> (Mesh, ColliderBuilder) {
    let half = 0.5 * WALL;
    let [x, y, z] = inside;
    let plates = [
        ([0.0, 0.0, -z - half], [x + WALL, y + WALL, half]),
        ([x + half, 0.0, 0.0], [half, y + WALL, z]),
        ([-x - half, 0.0, 0.0], [half, y + WALL, z]),
        ([0.0, y + half, 0.0], [x, half, z]),
        ([0.0, -y - half, 0.0], [x, half, z]),
    ];
    let mut mesh = Mesh::default();
    for (center, half) in plates {
        mesh.add_cuboid(center, half);
    }
    let parts = plates.map(|(center, half)| {
        (Pose::from_translation(Vector::from(center)), SharedShape::cuboid(half[0], half[1], half[2]))
    });
    (mesh, ColliderBuilder::compound(parts.to_vec()).friction(0.2))
}

impl Default for Pour {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Pour {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let place = [-0.5 + draw.within(-0.15..0.15), 0.6 + draw.within(-0.1..0.1)];
        *self = Self::build(place, draw.within(0.2..0.6));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(values) = action else { return Outcome::default() };
        let dt = 1.0 / FPS as f32;
        let [x, z, tilt] = self.pose;
        self.pose = [
            (x + SPEED * values[0] * dt).clamp(-PLACE_MAX[0], PLACE_MAX[0]),
            (z + SPEED * values[1] * dt).clamp(0.2, PLACE_MAX[1]),
            (tilt + TURN * values[2] * dt).clamp(0.0, TILT_MAX),
        ];
        let [x, z, tilt] = self.pose;
        let wanted =
            rapier3d::prelude::Pose::from_parts(Vector::new(x, 0.0, z), Rotation::from_rotation_y(tilt));
        self.world.body_mut(self.cup).set_next_kinematic_position(wanted);
        self.world.control_step();
        self.steps += 1;
        let [poured, spilled] = self.count();
        let gained = |now: usize, before: usize| (now as f32 - before as f32) / BALLS as f32;
        let terms = [gained(poured, self.poured), -gained(spilled, self.spilled), 0.0, 0.0];
        (self.poured, self.spilled) = (poured, spilled);
        Outcome { terms, terminated: false, success: self.steps >= MAX_EPISODE_STEPS && poured >= SUCCESS }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let share = |count: usize| count as f32 / BALLS as f32;
        let sum: Vector = self.balls.iter().map(|ball| self.world.body(*ball).translation()).sum();
        let mean = sum / BALLS as f32;
        let held = BALLS - self.poured - self.spilled;
        let [x, z, tilt] = self.pose;
        let values =
            [x, z, tilt, self.box_x, share(held), share(self.poured), share(self.spilled), mean.x, mean.z];
        observe_within(out, &values, &BOUNDS);
    }

    /// Brings the lip over the box, then tilts while keeping it there.
    fn expert(&self, out: &mut Buffer) {
        let [x, z, tilt] = self.pose;
        let lip = Self::lip(tilt);
        let miss = [self.box_x - 0.04 - (x + lip[0]), 2.0 * BOX[2] + WALL + 0.08 - (z + lip[1])];
        let there = miss[0].abs() < 0.08 && (miss[1].abs() < 0.1 || tilt > 0.3);
        // High until it is there, so that the cup does not run into the box.
        let dz = if there || miss[0] < 0.25 { miss[1] } else { 0.55 - z };
        let turn = if there { 0.45 } else { 0.0 };
        if let Buffer::F32(out) = out {
            let speed = |away: f32| (4.0 * away / SPEED).clamp(-0.5, 0.5);
            out.extend([speed(miss[0]), speed(dz), turn]);
        }
    }

    stored_in_world!(world);
}
