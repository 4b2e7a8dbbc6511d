//! `CatchBehindScreen-v0`: meet a ball that was hidden.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World, decode, encode};
use crate::registry::{TaskEntry, term};
use crate::{Action, Buffer, Camera, Draw, EnvError, Outcome, Space, Task, scene};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 100;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "CatchBehindScreen-v0",
    scenario: "catch-behind-screen",
    summary: "Meet a bouncing ball with a paddle after it has passed behind a screen.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &CatchBehindScreen::action_space,
    state_space: &CatchBehindScreen::state_space,
    reward_terms: &[
        term("reward/catch", "+1 when the ball's centre meets the paddle"),
        term("reward/miss", "-1 when the ball gets past the paddle or strikes only its edge"),
        term("reward/effort", "-0.005 for a step in which the paddle is told to move"),
    ],
    make: &|| Box::new(CatchBehindScreen::new()),
};

const LANE_LENGTH: f32 = 4.0;
const BALL_RADIUS: f32 = 0.25;
const LANE_HALF_WIDTH: f32 = 0.32;
const RESTITUTION: f32 = 0.85;
const SCREEN_X: [f32; 2] = [1.35, 2.75];
const PADDLE_X: f32 = 3.75;
const PADDLE_HALF: [f32; 3] = [0.1, 0.3, 0.35];
const PADDLE_Z: [f32; 2] = [0.35, 2.85];
const PADDLE_SPEED: f32 = 3.0;
const MOVE_COST: f32 = 0.005;

/// A ball tossed at a random speed bounces through a walled lane, passes behind a screen, and must be met by a paddle.
///
/// Whoever sees only pixels has to remember the ball while it is hidden, which it is for 5 to 30 frames.
///
/// # Action space
/// `Discrete(3)`: 0 stay, 1 up, 2 down. The paddle moves at 3 m/s (0.15 m a step) between z = 0.35 m and
/// 2.85 m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | ball position x, y, z | −1..6, −1..1, −1..5 | m |
/// | 3–5 | ball velocity x, y, z | ±20 | m/s |
/// | 6 | paddle height z | 0.35..2.85 | m |
/// | 7 | paddle velocity z | ±3 | m/s |
///
/// The state tells where the ball is even when the screen hides it.
///
/// # Reward
/// `reward/catch` +1 when the ball's centre meets the paddle, `reward/miss` −1 when the ball gets past or strikes only
/// its edge, `reward/effort` −0.005 for a step in which the paddle is told to move.
///
/// # Start and end
/// The ball starts at x = 0.3 m, height 1.0–2.2 m, with 1.0–1.7 m/s along x and −0.5–1.5 m/s along z; the paddle
/// anywhere on its rail. The episode terminates on catch or miss and is truncated after 100 steps.
#[derive(Serialize, Deserialize)]
pub struct CatchBehindScreen {
    world: World,
    ball: RigidBodyHandle,
    ball_collider: ColliderHandle,
    paddle: RigidBodyHandle,
    paddle_collider: ColliderHandle,
    paddle_velocity: f32,
}

impl CatchBehindScreen {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::Discrete { n: 3, start: 0 }
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(
            &[-1.0, -1.0, -1.0, -20.0, -20.0, -20.0, PADDLE_Z[0], -PADDLE_SPEED],
            &[6.0, 1.0, 5.0, 20.0, 20.0, 20.0, PADDLE_Z[1], PADDLE_SPEED],
        )
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build(&Toss { height: 1.5, velocity: [1.3, 0.0, 0.0], paddle_z: 1.0 })
    }

    fn build(toss: &Toss) -> Self {
        let mut world = World::new(FPS, 5, camera());
        add_lane(&mut world);
        let (ball, ball_collider) = world.add(
            Look::moving("ball", scene::Shape::Sphere { radius: BALL_RADIUS }, [0.90, 0.22, 0.03]),
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(0.3, 0.0, toss.height))
                .linvel(Vector::from(toss.velocity))
                .can_sleep(false)
                .ccd_enabled(true),
            bouncy(ColliderBuilder::ball(BALL_RADIUS)).density(60.0),
        );
        let [hx, hy, hz] = PADDLE_HALF;
        let (paddle, paddle_collider) = world.add(
            Look::actuated("paddle", scene::Shape::Cuboid { half_extents: PADDLE_HALF }, [0.05, 0.45, 0.12]),
            RigidBodyBuilder::kinematic_position_based().translation(Vector::new(
                PADDLE_X,
                0.0,
                toss.paddle_z,
            )),
            bouncy(ColliderBuilder::cuboid(hx, hy, hz)),
        );
        Self { world, ball, ball_collider, paddle, paddle_collider, paddle_velocity: 0.0 }
    }

    fn paddle_z(&self) -> f32 {
        self.world.body(self.paddle).translation().z
    }

    /// Height at which the ball will reach the paddle's face, from ballistic flight and bounces off the floor.
    fn intercept_height(&self) -> f32 {
        let ball = self.world.body(self.ball);
        let (position, velocity) = (ball.translation(), ball.linvel());
        let distance = PADDLE_X - PADDLE_HALF[0] - BALL_RADIUS - position.x;
        let dt = 0.005;
        let steps = (distance / velocity.x.max(0.1) / dt).clamp(0.0, 2_000.0) as u32;
        let (mut z, mut vz) = (position.z, velocity.z);
        for _ in 0..steps {
            vz -= 9.81 * dt;
            z += vz * dt;
            if z < BALL_RADIUS && vz < 0.0 {
                z = BALL_RADIUS;
                vz *= -RESTITUTION;
            }
        }
        z
    }
}

impl Default for CatchBehindScreen {
    fn default() -> Self {
        Self::new()
    }
}

/// What is drawn at random at the start of an episode.
struct Toss {
    height: f32,
    velocity: [f32; 3],
    paddle_z: f32,
}

fn camera() -> Camera {
    Camera::new([2.05, -9.0, 1.75], [2.05, 0.0, 1.55], 0.49)
}

fn bouncy(collider: ColliderBuilder) -> ColliderBuilder {
    collider
        .friction(0.0)
        .friction_combine_rule(CoefficientCombineRule::Min)
        .restitution(RESTITUTION)
        .restitution_combine_rule(CoefficientCombineRule::Max)
}

fn add_lane(world: &mut World) {
    let slab = |name, center: [f32; 3], half: [f32; 3], color| {
        let look = Look::fixed(name, scene::Shape::Cuboid { half_extents: half }, color);
        let body = RigidBodyBuilder::fixed().translation(Vector::from(center));
        (look, body, bouncy(ColliderBuilder::cuboid(half[0], half[1], half[2])))
    };
    let middle = 0.5 * LANE_LENGTH;
    let (look, body, collider) = slab("floor", [middle, 0.4, -0.1], [3.0, 1.0, 0.1], [0.10, 0.09, 0.08]);
    world.add(look, body, collider);
    let wall_y = LANE_HALF_WIDTH + 0.05;
    let (look, body, collider) =
        slab("back wall", [middle, wall_y, 1.6], [2.1, 0.05, 1.6], [0.55, 0.50, 0.42]);
    world.add(look, body, collider);
    let half_width = 0.5 * (SCREEN_X[1] - SCREEN_X[0]);
    let center = [SCREEN_X[0] + half_width, -0.45, 1.55];
    let (look, body, _) = slab("screen", center, [half_width, 0.02, 1.55], [0.12, 0.10, 0.32]);
    world.add_ghost(look, body);
    // The wall towards the camera is there for the ball only.
    world.add_unseen(
        bouncy(ColliderBuilder::cuboid(3.0, 0.05, 3.0)).translation(Vector::new(middle, -wall_y, 3.0)),
    );
}

impl Task for CatchBehindScreen {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let height = draw.within(1.0..2.2);
        let velocity = [draw.within(1.0..1.7), draw.within(-0.1..0.1), draw.within(-0.5..1.5)];
        let paddle_z = draw.within(PADDLE_Z[0]..PADDLE_Z[1]);
        *self = Self::build(&Toss { height, velocity, paddle_z });
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let direction = match action.scalar() as i64 {
            1 => 1.0,
            2 => -1.0,
            _ => 0.0,
        };
        let start = self.paddle_z();
        let substeps = self.world.substeps();
        let travel = direction * PADDLE_SPEED / (FPS * substeps) as f32;
        let (mut caught, mut grazed) = (false, false);
        for i in 1..=substeps {
            let z = (start + travel * i as f32).clamp(PADDLE_Z[0], PADDLE_Z[1]);
            let target = Vector::new(PADDLE_X, 0.0, z);
            self.world.body_mut(self.paddle).set_next_kinematic_translation(target);
            self.world.substep();
            if self.world.touching(self.ball_collider, self.paddle_collider) {
                let off_center = self.world.body(self.ball).translation().z - z;
                caught = off_center.abs() <= PADDLE_HALF[2];
                grazed = !caught;
                break;
            }
        }
        self.paddle_velocity = (self.paddle_z() - start) * FPS as f32;
        let passed = self.world.body(self.ball).translation().x > PADDLE_X + BALL_RADIUS;
        let missed = grazed || (passed && !caught);
        let effort = if direction == 0.0 { 0.0 } else { -MOVE_COST };
        Outcome {
            terms: [f32::from(caught), -f32::from(missed), effort, 0.0],
            terminated: caught || missed,
            success: caught,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let ball = self.world.body(self.ball);
        out.extend(ball.translation().to_array());
        out.extend(ball.linvel().to_array());
        out.extend([self.paddle_z(), self.paddle_velocity.clamp(-PADDLE_SPEED, PADDLE_SPEED)]);
    }

    fn expert(&self, out: &mut Buffer) {
        let error = self.intercept_height().clamp(PADDLE_Z[0], PADDLE_Z[1]) - self.paddle_z();
        let step = PADDLE_SPEED / FPS as f32;
        if let Buffer::I64(out) = out {
            out.push(if error > step {
                1
            } else if error < -step {
                2
            } else {
                0
            });
        }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    fn save(&self) -> Result<Vec<u8>, EnvError> {
        encode(self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        *self = decode(bytes)?;
        Ok(())
    }
}
