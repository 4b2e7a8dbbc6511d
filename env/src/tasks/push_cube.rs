//! `PushCube-v0`: push a cube onto a target.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World, decode, encode};
use crate::registry::{TaskEntry, term};
use crate::{Action, Buffer, Camera, Draw, EnvError, Outcome, Space, Task, scene};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 20;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 150;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "PushCube-v0",
    scenario: "push-cube",
    summary: "Push a cube of unknown size, mass and friction onto a target with a planar pusher.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &PushCube::action_space,
    state_space: &PushCube::state_space,
    reward_terms: &[
        term("reward/reach", "minus the distance from pusher to cube, scaled"),
        term("reward/push", "minus the distance from cube to target"),
        term("reward/success", "+5 when the cube is on the target"),
    ],
    make: &|| Box::new(PushCube::new()),
};

const TABLE_HALF: f32 = 0.75;
const PUSHER_RADIUS: f32 = 0.04;
const PUSHER_HALF_HEIGHT: f32 = 0.07;
const PUSHER_SPEED: f32 = 0.5;
const PUSHER_MASS: f32 = 0.5;
const PUSHER_FORCE_MAX: f32 = 12.0;
const PUSHER_XY_MAX: f32 = 0.5;
const TARGET_RADIUS: f32 = 0.05;
const REACH_COST: f32 = 0.1;
const SUCCESS_REWARD: f32 = 5.0;

/// A planar pusher pushes a cube of random size, mass and friction onto a target disc.
///
/// Mass and friction show only in how the cube yields: the pusher's force is limited, so a heavy, rough cube slows it.
/// The size can be seen.
///
/// # Action space
/// `Box(2)`: wanted velocity of the pusher (0.5 kg) along x and y, −1..1 for −0.5..0.5 m/s. A drive of at most 12 N
/// along each axis keeps it; at ±0.5 m the wanted velocity outwards is zero.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–1 | pusher position x, y | ±0.6 | m |
/// | 2–3 | pusher velocity x, y | ±1 | m/s |
/// | 4–5 | cube position x, y | ±1 | m |
/// | 6–7 | sine and cosine of the cube's yaw | ±1 | |
/// | 8–9 | cube velocity x, y | ±5 | m/s |
/// | 10 | cube yaw rate | ±50 | rad/s |
/// | 11 | half of the cube's edge | 0..0.1 | m |
/// | 12–13 | target position x, y | ±0.5 | m |
///
/// # Reward
/// `reward/reach` −0.1 × distance from pusher to cube, `reward/push` − distance from cube to target, both in metres,
/// `reward/success` +5 when the cube's centre is within 5 cm of the target's.
///
/// # Start and end
/// The cube (half edge 5–8 cm, 0.1–1 kg, friction 0.3–0.8) starts within ±0.25 m at any yaw, the target within ±0.3 m
/// and at least 0.2 m from it, the pusher within ±0.4 m and clear of it. The episode terminates on success and is
/// truncated after 150 steps.
#[derive(Serialize, Deserialize)]
pub struct PushCube {
    world: World,
    pusher: RigidBodyHandle,
    cube: RigidBodyHandle,
    half_edge: f32,
    target: [f32; 2],
}

/// What is drawn at random at the start of an episode.
struct Layout {
    pusher: [f32; 2],
    target: [f32; 2],
    cube: [f32; 2],
    yaw: f32,
    half_edge: f32,
    mass: f32,
    friction: f32,
}

impl Layout {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let cube = [draw.within(-0.25..0.25), draw.within(-0.25..0.25)];
        Self {
            cube,
            target: draw_point(draw, 0.3, |point| distance(point, cube) > 0.2),
            pusher: draw_point(draw, 0.4, |point| distance(point, cube) > 0.2),
            yaw: draw.within(-0.785..0.785),
            half_edge: draw.within(0.05..0.08),
            mass: draw.within(0.1..1.0),
            friction: draw.within(0.3..0.8),
        }
    }
}

/// A uniform point of the square ±`range` that `accept` takes; a tenth of the square at least must be acceptable.
fn draw_point(draw: &mut Draw<'_>, range: f32, accept: impl Fn([f32; 2]) -> bool) -> [f32; 2] {
    const TRIES_MAX: u32 = 1_000;
    let mut point = [range, range];
    for _ in 0..TRIES_MAX {
        point = [draw.anywhere(-range..range), draw.anywhere(-range..range)];
        if accept(point) {
            break;
        }
    }
    point
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    let [x, y] = [a[0] - b[0], a[1] - b[1]];
    (x * x + y * y).sqrt()
}

impl PushCube {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 2], &[1.0; 2])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let mut high = [0.6, 0.6, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 50.0, 0.1, 0.5, 0.5];
        let mut low = high.map(|bound: f32| -bound);
        low[11] = 0.0;
        high[11] = 0.1;
        Space::bounded(&low, &high)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build(&Layout {
            pusher: [-0.3, 0.0],
            target: [0.25, 0.0],
            cube: [0.0; 2],
            yaw: 0.0,
            half_edge: 0.06,
            mass: 0.5,
            friction: 0.5,
        })
    }

    fn build(layout: &Layout) -> Self {
        let mut world = World::new(FPS, 5, camera());
        add_table(&mut world, layout.target);
        let half = layout.half_edge;
        let (cube, _) = world.add(
            Look::moving("cube", scene::Shape::Cuboid { half_extents: [half; 3] }, [0.70, 0.16, 0.04]),
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(layout.cube[0], layout.cube[1], half))
                .rotation(Vector::new(0.0, 0.0, layout.yaw))
                .can_sleep(false),
            rough(ColliderBuilder::cuboid(half, half, half), layout.friction).mass(layout.mass),
        );
        let shape = scene::Shape::Cylinder { radius: PUSHER_RADIUS, half_height: PUSHER_HALF_HEIGHT };
        // Rapier's cylinder stands along y.
        let upright = Vector::new(std::f32::consts::FRAC_PI_2, 0.0, 0.0);
        let collider = ColliderBuilder::cylinder(PUSHER_HALF_HEIGHT, PUSHER_RADIUS).rotation(upright);
        let [x, y] = layout.pusher;
        let (pusher, _) = world.add(
            Look::actuated("pusher", shape, [0.04, 0.25, 0.65]),
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(x, y, PUSHER_HALF_HEIGHT + 0.005))
                .enabled_translations(true, true, false)
                .lock_rotations()
                .can_sleep(false),
            rough(collider, 0.6).mass(PUSHER_MASS),
        );
        Self { world, pusher, cube, half_edge: half, target: layout.target }
    }

    /// One control step in which the pusher's drive works towards `wanted` velocity, m/s.
    fn drive(&mut self, wanted: [f32; 2]) {
        // The force that would reach the wanted velocity in one substep, as far as the drive has it.
        let strength = self.world.motor_gain();
        let gain = PUSHER_MASS * (FPS * self.world.substeps()) as f32;
        for _ in 0..self.world.substeps() {
            let pusher = self.world.body_mut(self.pusher);
            let velocity = pusher.linvel();
            let force = [wanted[0] - velocity.x, wanted[1] - velocity.y]
                .map(|error| (gain * error).clamp(-PUSHER_FORCE_MAX, PUSHER_FORCE_MAX) * strength);
            pusher.reset_forces(true);
            pusher.add_force(Vector::new(force[0], force[1], 0.0), true);
            self.world.substep();
        }
    }

    fn xy(&self, body: RigidBodyHandle) -> [f32; 2] {
        let position = self.world.body(body).translation();
        [position.x, position.y]
    }
}

impl Default for PushCube {
    fn default() -> Self {
        Self::new()
    }
}

fn camera() -> Camera {
    Camera::new([0.0, -1.25, 1.5], [0.0, -0.03, 0.0], 0.62)
}

/// Friction between two bodies is the product of their coefficients; the table's is 1.
fn rough(collider: ColliderBuilder, friction: f32) -> ColliderBuilder {
    collider.friction(friction).friction_combine_rule(CoefficientCombineRule::Multiply).restitution(0.0)
}

fn add_table(world: &mut World, target: [f32; 2]) {
    let half = [TABLE_HALF, TABLE_HALF, 0.05];
    world.add(
        Look::fixed("table", scene::Shape::Cuboid { half_extents: half }, [0.45, 0.42, 0.36]),
        RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -half[2])),
        rough(ColliderBuilder::cuboid(half[0], half[1], half[2]), 1.0),
    );
    let shape = scene::Shape::Cylinder { radius: TARGET_RADIUS, half_height: 0.002 };
    world.add_ghost(
        Look::fixed("target", shape, [0.05, 0.50, 0.10]),
        RigidBodyBuilder::fixed().translation(Vector::new(target[0], target[1], 0.001)),
    );
}

impl Task for PushCube {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::build(&Layout::draw(draw));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let Action::Box(action) = action else { return Outcome::default() };
        let at = self.xy(self.pusher);
        let velocity = [0, 1].map(|i| {
            let goal = at[i] + action[i] * PUSHER_SPEED / FPS as f32;
            (goal.clamp(-PUSHER_XY_MAX, PUSHER_XY_MAX) - at[i]) * FPS as f32
        });
        self.drive(velocity);
        let cube = self.xy(self.cube);
        let to_target = distance(cube, self.target);
        let success = to_target < TARGET_RADIUS;
        let reach = distance(self.xy(self.pusher), cube);
        Outcome {
            terms: [-REACH_COST * reach, -to_target, SUCCESS_REWARD * f32::from(success), 0.0],
            terminated: success,
            success,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let (pusher, cube) = (self.world.body(self.pusher), self.world.body(self.cube));
        let edge = *cube.rotation() * Vector::X;
        let length = (edge.x * edge.x + edge.y * edge.y).sqrt().max(1e-6);
        out.extend(self.xy(self.pusher).map(|value| value.clamp(-0.6, 0.6)));
        out.extend([pusher.linvel().x, pusher.linvel().y].map(|value| value.clamp(-1.0, 1.0)));
        out.extend(self.xy(self.cube).map(|value| value.clamp(-1.0, 1.0)));
        out.extend([edge.y, edge.x].map(|value| (value / length).clamp(-1.0, 1.0)));
        out.extend([cube.linvel().x, cube.linvel().y].map(|value| value.clamp(-5.0, 5.0)));
        out.push(cube.angvel().z.clamp(-50.0, 50.0));
        out.push(self.half_edge);
        out.extend(self.target);
    }

    fn expert(&self, out: &mut Buffer) {
        let Buffer::F32(out) = out else { return };
        let approach = Approach::new(self.xy(self.pusher), self.xy(self.cube), self.target, self.half_edge);
        out.extend(approach.velocity());
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

/// The expert's view: the pusher's place relative to the cube, along and across the line from cube to target.
struct Approach {
    /// Unit vector from cube to target.
    along: [f32; 2],
    /// Metres before (negative: behind) the cube's centre.
    ahead: f32,
    /// Metres to the left of the line.
    aside: f32,
    /// From the cube's centre at which the pusher clears its corners.
    clearance: f32,
    /// From the cube's centre at which the pusher may touch a face.
    contact: f32,
}

impl Approach {
    fn new(pusher: [f32; 2], cube: [f32; 2], target: [f32; 2], half_edge: f32) -> Self {
        let length = distance(cube, target).max(1e-4);
        let along = [(target[0] - cube[0]) / length, (target[1] - cube[1]) / length];
        let from_cube = [pusher[0] - cube[0], pusher[1] - cube[1]];
        Self {
            along,
            ahead: from_cube[0] * along[0] + from_cube[1] * along[1],
            aside: from_cube[1] * along[0] - from_cube[0] * along[1],
            clearance: half_edge * std::f32::consts::SQRT_2 + PUSHER_RADIUS + 0.02,
            contact: half_edge + PUSHER_RADIUS,
        }
    }

    /// Action that brings the pusher behind the cube, then pushes.
    fn velocity(&self) -> [f32; 2] {
        let behind = self.ahead < 0.0 && self.aside.abs() < 0.4 * self.contact;
        let (forward, left) = if behind { (1.0, -6.0 * self.aside / self.contact) } else { self.circle() };
        let longest = forward.abs().max(left.abs()).max(1.0);
        let (forward, left) = (forward / longest, left / longest);
        let [x, y] = self.along;
        [forward * x - left * y, forward * y + left * x].map(|value| value.clamp(-1.0, 1.0))
    }

    /// Around the cube on a circle that clears it, towards the point behind it.
    fn circle(&self) -> (f32, f32) {
        let radius = (self.ahead * self.ahead + self.aside * self.aside).sqrt().max(1e-4);
        let (out_forward, out_left) = (self.ahead / radius, self.aside / radius);
        let side = if self.aside < 0.0 { -1.0 } else { 1.0 };
        // The tangent that leads backwards: a quarter turn of the outward direction, on the pusher's own side.
        let (tangent_forward, tangent_left) = (-side * out_left, side * out_forward);
        let outward = ((self.clearance - radius) * 15.0).clamp(-1.0, 1.0);
        (tangent_forward + outward * out_forward, tangent_left + outward * out_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metres that a cube of this mass and friction is pushed along x in a second.
    fn pushed(mass: f32, friction: f32) -> f32 {
        let layout = Layout {
            pusher: [-0.12, 0.0],
            target: [0.45, 0.3],
            cube: [0.0; 2],
            yaw: 0.0,
            half_edge: 0.06,
            mass,
            friction,
        };
        let mut task = PushCube::build(&layout);
        for _ in 0..FPS {
            task.step(Action::Box(&[1.0, 0.0]));
        }
        task.xy(task.cube)[0]
    }

    #[test]
    fn a_heavy_rough_cube_yields_less_than_a_light_smooth_one() {
        let (light, heavy, rough) = (pushed(0.1, 0.3), pushed(3.0, 0.3), pushed(3.0, 0.8));
        assert!(light > heavy + 0.01, "light {light} m, heavy {heavy} m");
        assert!(heavy > rough + 0.01, "heavy {heavy} m, heavy and rough {rough} m");
        assert!(rough < 0.2, "12 N do not move a cube that takes 23 N: {rough} m");
    }
}
