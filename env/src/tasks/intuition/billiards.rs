//! `Billiards-v0`: play one ball with another into a pocket.

use std::f32::consts::PI;

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World};
use crate::registry::{TaskEntry, term};
use crate::tasks::{keep_within, stored_in_world};
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 300;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "Billiards-v0",
    scenario: "billiards-shot",
    summary: "Play the red ball with the white one into the marked pocket.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &Billiards::action_space,
    state_space: &Billiards::state_space,
    reward_terms: &[
        term("reward/pocket", "+1 when the red ball falls into the marked pocket"),
        term("reward/shot", "-0.1 for every shot"),
        term("reward/foul", "-0.5 when the white ball falls into it"),
    ],
    make: &|| Box::new(Billiards::new()),
};

const HALF: [f32; 2] = [0.9, 0.45];
const RADIUS: f32 = 0.04;
const MASS: f32 = 0.17;
const POCKET: f32 = 0.09;
const POCKETS: [[f32; 2]; 6] =
    [[-0.9, -0.45], [0.0, -0.45], [0.9, -0.45], [-0.9, 0.45], [0.0, 0.45], [0.9, 0.45]];
const SPEED: [f32; 2] = [0.3, 2.5];
/// Slower than this a ball lies still, m/s.
const STILL: f32 = 0.02;
const SHOTS_MAX: u32 = 3;
const BOUNDS: [f32; 12] = [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0];

/// A white and a red ball (8 cm) lie on a table of 1.8 m by 0.9 m; one of six pockets is marked.
///
/// # Action space
/// `Box(2)`: direction of the shot, −1..1 for −180..180° from x, and speed of the white ball, −1..1 for 0.3 to 2.5 m/s. An
/// action is a shot when both balls lie still and shots are left; otherwise it does nothing.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1, 2–3 | white ball x, y; red ball x, y | ±1 | m |
/// | 4–5, 6–7 | their velocities | ±3 | m/s |
/// | 8–9 | marked pocket x, y | ±1 | m |
/// | 10 | 1 if an action is a shot now | ±1 | |
/// | 11 | shots left / 3 | ±1 | |
///
/// # Reward
/// `reward/pocket` +1, `reward/shot` −0.1, `reward/foul` −0.5. A ball falls when its centre is within 9 cm of the marked
/// pocket's; the others are closed.
///
/// # Start and end
/// The red ball lies within ±0.6 m and ±0.25 m, the white one at least 0.3 m from it on the far side from the pocket, at
/// most 30° off the line. The episode terminates with success when the red ball falls, without when the white one does or
/// three shots have come to rest; it is truncated after 300 steps.
#[derive(Serialize, Deserialize)]
pub struct Billiards {
    world: World,
    white: RigidBodyHandle,
    red: RigidBodyHandle,
    pocket: [f32; 2],
    shots: u32,
}

impl Billiards {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 2], &[1.0; 2])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([-0.4, 0.0], [0.2, 0.0], [0.9, 0.45])
    }

    fn build(white: [f32; 2], red: [f32; 2], pocket: [f32; 2]) -> Self {
        let mut camera = Camera::new([0.0, -0.01, 3.0], [0.0; 3], 0.66);
        camera.up = [0.0, 1.0, 0.0];
        let mut world = World::new(FPS, 5, camera);
        add_table(&mut world);
        for place in POCKETS {
            let marked = place == pocket;
            let disc = Shape::Cylinder { radius: if marked { POCKET } else { 0.05 }, half_height: 0.003 };
            let color = if marked { [0.75, 0.6, 0.05] } else { [0.01, 0.01, 0.01] };
            world.add_ghost(
                Look::fixed("pocket", disc, color),
                RigidBodyBuilder::fixed().translation(Vector::new(place[0], place[1], 0.003)),
            );
        }
        let mut ball = |name, place: [f32; 2], color| {
            let look = Look::moving(name, Shape::Sphere { radius: RADIUS }, color);
            let body = RigidBodyBuilder::dynamic()
                .translation(Vector::new(place[0], place[1], RADIUS))
                .linear_damping(0.25)
                .angular_damping(0.25)
                .can_sleep(false)
                .ccd_enabled(true);
            let solid = ColliderBuilder::ball(RADIUS).mass(MASS).friction(0.1).restitution(0.92);
            world.add(look, body, solid).0
        };
        let white = ball("white", white, [0.85, 0.85, 0.8]);
        let red = ball("red", red, [0.7, 0.03, 0.03]);
        Self { world, white, red, pocket, shots: 0 }
    }

    fn place(&self, ball: RigidBodyHandle) -> [f32; 2] {
        let at = self.world.body(ball).translation();
        [at.x, at.y]
    }

    fn still(&self) -> bool {
        [self.white, self.red].iter().all(|ball| self.world.body(*ball).linvel().length() < STILL)
    }

    fn may_shoot(&self) -> bool {
        self.shots < SHOTS_MAX && self.still()
    }

    fn fallen(&self, ball: RigidBodyHandle) -> bool {
        let [x, y] = self.place(ball);
        (x - self.pocket[0]).hypot(y - self.pocket[1]) < POCKET
    }
}

fn add_table(world: &mut World) {
    let cloth = [HALF[0] + 0.12, HALF[1] + 0.12, 0.05];
    world.add(
        Look::fixed("cloth", Shape::Cuboid { half_extents: cloth }, [0.02, 0.22, 0.10]).of_class("ground"),
        RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -cloth[2])),
        ColliderBuilder::cuboid(cloth[0], cloth[1], cloth[2]).friction(0.25).restitution(0.2),
    );
    for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
        let half = if x == 0.0 { [HALF[0] + 0.1, 0.05, 0.05] } else { [0.05, HALF[1] + 0.1, 0.05] };
        let center = Vector::new(x * (HALF[0] + 0.05), y * (HALF[1] + 0.05), half[2]);
        world.add(
            Look::fixed("cushion", Shape::Cuboid { half_extents: half }, [0.2, 0.09, 0.03]).of_class("wall"),
            RigidBodyBuilder::fixed().translation(center),
            ColliderBuilder::cuboid(half[0], half[1], half[2]).friction(0.1).restitution(0.8),
        );
    }
}

impl Default for Billiards {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for Billiards {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let pocket = POCKETS[draw.index(0..POCKETS.len())];
        let red = [draw.within(-0.6..0.6_f32), draw.within(-0.25..0.25_f32)];
        let line = (red[1] - pocket[1]).atan2(red[0] - pocket[0]);
        let inside = |[x, y]: [f32; 2]| x.abs() < HALF[0] - RADIUS && y.abs() < HALF[1] - RADIUS;
        // At least one direction lies on the table: the line itself, 0.3 m long at the shortest, unless the red ball is
        // close to the far cushion; then the white one lies beside it.
        let mut white = [0.0, if red[1] > 0.0 { -0.3 } else { 0.3 }];
        for _ in 0..200 {
            let (angle, away) = (line + draw.within(-0.5..0.5), draw.within(0.3..0.8_f32));
            let place = [red[0] + away * angle.cos(), red[1] + away * angle.sin()];
            if inside(place) {
                white = place;
                break;
            }
        }
        *self = Self::build(white, red, pocket);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(values) = action else { return Outcome::default() };
        let shoots = self.may_shoot();
        if shoots {
            self.shots += 1;
            let angle = PI * values[0];
            let speed = SPEED[0] + 0.5 * (values[1] + 1.0) * (SPEED[1] - SPEED[0]);
            let along = Vector::new(angle.cos(), angle.sin(), 0.0) * speed;
            let white = self.world.body_mut(self.white);
            white.set_linvel(along, true);
            // It rolls from the start.
            white.set_angvel(Vector::Z.cross(along) / RADIUS, true);
        }
        self.world.control_step();
        let (pocketed, foul) = (self.fallen(self.red), self.fallen(self.white));
        let over = self.shots == SHOTS_MAX && self.still();
        Outcome {
            terms: [f32::from(pocketed), if shoots { -0.1 } else { 0.0 }, if foul { -0.5 } else { 0.0 }, 0.0],
            terminated: pocketed || foul || over,
            success: pocketed,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        for ball in [self.white, self.red] {
            out.extend(self.place(ball));
        }
        for ball in [self.white, self.red] {
            let speed = self.world.body(ball).linvel();
            out.extend([speed.x, speed.y]);
        }
        out.extend(self.pocket);
        out.extend([f32::from(self.may_shoot()), (SHOTS_MAX - self.shots) as f32 / SHOTS_MAX as f32]);
        keep_within(&mut out[start..], BOUNDS);
    }

    /// Aims at the ghost ball: where the white ball has to be when it meets the red one so that this leaves towards the
    /// pocket.
    fn expert(&self, out: &mut Buffer) {
        let (white, red) = (self.place(self.white), self.place(self.red));
        let [dx, dy] = [self.pocket[0] - red[0], self.pocket[1] - red[1]];
        let away = dx.hypot(dy).max(1e-3);
        let ghost = [red[0] - 2.0 * RADIUS * dx / away, red[1] - 2.0 * RADIUS * dy / away];
        let [ax, ay] = [ghost[0] - white[0], ghost[1] - white[1]];
        let reach = ax.hypot(ay).max(1e-3);
        let cut = ((ax * dx + ay * dy) / (reach * away)).max(0.25);
        // Enough to roll the red ball half a metre past the pocket, given what rolling and the cut take.
        let speed = (0.35 * (away + 0.5) + 0.35) / cut + 0.3 * reach;
        let share = 2.0 * (speed - SPEED[0]) / (SPEED[1] - SPEED[0]) - 1.0;
        if let Buffer::F32(out) = out {
            out.extend([(ay.atan2(ax) / PI).clamp(-1.0, 1.0), share.clamp(-1.0, 1.0)]);
        }
    }

    stored_in_world!(world);
}
