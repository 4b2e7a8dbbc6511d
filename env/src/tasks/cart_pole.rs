//! `CartPole-v0`: keep a pole upright on a cart.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World, decode, encode};
use crate::registry::{TaskEntry, term};
use crate::{Action, Buffer, Camera, Draw, EnvError, Outcome, Space, Task, scene};

/// Control steps (frames) in a simulated second.
pub const FPS: u32 = 50;
/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 500;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "CartPole-v0",
    scenario: "cart-pole",
    summary: "Keep a pole upright on a cart that a force pushes along a rail.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &CartPole::action_space,
    state_space: &CartPole::state_space,
    reward_terms: &[
        term("reward/alive", "+1 for every step that the pole is up"),
        term("reward/effort", "minus the squared force, scaled"),
    ],
    make: &|| Box::new(CartPole::new()),
};

const CART_HALF: [f32; 3] = [0.4, 0.25, 0.2];
const CART_MASS: f32 = 1.0;
const POLE_RADIUS: f32 = 0.1;
const POLE_HALF_LENGTH: f32 = 0.75;
const POLE_MASS: f32 = 0.1;
const FORCE_MAX: f32 = 10.0;
const EFFORT_COST: f32 = 0.05;
const CART_X_MAX: f32 = 2.4;
/// 12 degrees.
const ANGLE_MAX: f32 = 0.209_44;
const BOUNDS: [f32; 4] = [4.8, 20.0, 0.5, 20.0];
/// Force for each unit of state in N: places the poles of the linearised system at −1.2 ± 0.75i and −3.5 ± 0.87i 1/s.
const GAINS: [f32; 4] = [2.72, 4.72, 46.1, 14.4];

/// A pole stands on a cart that a force pushes along a rail; keep it up.
///
/// The dynamics and limits are those of Barto, Sutton and Anderson (1983) as in Gymnasium's `CartPole-v1`, with a pole
/// of 1.5 m so that 64 pixels show it, and with a continuous force.
///
/// # Action space
/// `Box(1)`: force on the cart along x, −1..1 for −10..10 N.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | cart position x | ±4.8 | m |
/// | 1 | cart velocity | ±20 | m/s |
/// | 2 | pole angle from upright, positive towards +x | ±0.5 | rad |
/// | 3 | pole angular velocity | ±20 | rad/s |
///
/// # Reward
/// `reward/alive` +1 for every step that ends within the limits, `reward/effort` −0.05 × action².
///
/// # Start and end
/// The cart starts within ±0.8 m at up to ±0.1 m/s, the pole within ±0.06 rad at up to ±0.1 rad/s. The episode
/// terminates when the pole leans more than 12° (0.209 rad) or the cart is beyond ±2.4 m, and is truncated after 500
/// steps, which counts as success.
#[derive(Serialize, Deserialize)]
pub struct CartPole {
    world: World,
    cart: RigidBodyHandle,
    pole: RigidBodyHandle,
    steps: u32,
}

impl CartPole {
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
        Self::build([0.0; 4])
    }

    /// A world in the given state (the table's).
    fn build([x, x_dot, angle, angle_dot]: [f32; 4]) -> Self {
        let mut world = World::new(FPS, 2, camera());
        let rail = add_rail(&mut world);
        let (cart, _) = world.add(
            Look::actuated("cart", scene::Shape::Cuboid { half_extents: CART_HALF }, [0.05, 0.20, 0.60]),
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(x, 0.0, 0.0))
                .linvel(Vector::new(x_dot, 0.0, 0.0))
                .can_sleep(false),
            untouchable(ColliderBuilder::cuboid(CART_HALF[0], CART_HALF[1], CART_HALF[2])).mass(CART_MASS),
        );
        // Turning about y takes z towards x.
        let tilt = Rotation::from_rotation_y(angle);
        let offset = tilt * Vector::new(0.0, 0.0, POLE_HALF_LENGTH);
        let spin = Vector::new(0.0, angle_dot, 0.0);
        let shape = scene::Shape::Cylinder { radius: POLE_RADIUS, half_height: POLE_HALF_LENGTH };
        let (pole, _) = world.add(
            Look::moving("pole", shape, [0.75, 0.35, 0.05]),
            RigidBodyBuilder::dynamic()
                .pose(Pose::from_parts(Vector::new(x, 0.0, 0.0) + offset, tilt))
                .linvel(Vector::new(x_dot, 0.0, 0.0) + spin.cross(offset))
                .angvel(spin)
                .can_sleep(false),
            untouchable(ColliderBuilder::capsule_z(POLE_HALF_LENGTH - POLE_RADIUS, POLE_RADIUS))
                .mass(POLE_MASS),
        );
        let slide = PrismaticJointBuilder::new(Vector::X).local_anchor1(Vector::ZERO);
        world.join(rail, cart, slide.build());
        let hinge =
            RevoluteJointBuilder::new(Vector::Y).local_anchor2(Vector::new(0.0, 0.0, -POLE_HALF_LENGTH));
        world.join(cart, pole, hinge.build());
        Self { world, cart, pole, steps: 0 }
    }

    fn observe(&self) -> [f32; 4] {
        let (cart, pole) = (self.world.body(self.cart), self.world.body(self.pole));
        let up = *pole.rotation() * Vector::Z;
        [cart.translation().x, cart.linvel().x, up.x.atan2(up.z), pole.angvel().y]
    }
}

impl Default for CartPole {
    fn default() -> Self {
        Self::new()
    }
}

fn camera() -> Camera {
    Camera::new([0.0, -10.0, 1.0], [0.0, 0.0, 0.7], 0.56)
}

/// Only the joints hold cart and pole.
fn untouchable(collider: ColliderBuilder) -> ColliderBuilder {
    collider.collision_groups(InteractionGroups::none())
}

fn add_rail(world: &mut World) -> RigidBodyHandle {
    let mut slab = |name, center: [f32; 3], half: [f32; 3], color| {
        let look = Look::fixed(name, scene::Shape::Cuboid { half_extents: half }, color);
        world.add_ghost(look, RigidBodyBuilder::fixed().translation(Vector::from(center)))
    };
    slab("ground", [0.0, 0.0, -1.0], [6.0, 3.0, 0.1], [0.10, 0.09, 0.08]);
    slab("left end", [-CART_X_MAX - CART_HALF[0] - 0.05, 0.0, 0.0], [0.05, 0.1, 0.3], [0.4, 0.02, 0.02]);
    slab("right end", [CART_X_MAX + CART_HALF[0] + 0.05, 0.0, 0.0], [0.05, 0.1, 0.3], [0.4, 0.02, 0.02]);
    slab("rail", [0.0; 3], [CART_X_MAX + CART_HALF[0], 0.05, 0.06], [0.30, 0.30, 0.32])
}

impl Task for CartPole {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::build([0.8, 0.1, 0.06, 0.1].map(|range: f32| draw.within(-range..range)));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let action = action.scalar();
        let gain = self.world.motor_gain();
        let cart = self.world.body_mut(self.cart);
        cart.reset_forces(true);
        cart.add_force(Vector::new(action * FORCE_MAX * gain, 0.0, 0.0), true);
        self.world.control_step();
        self.steps += 1;
        let [x, _, angle, _] = self.observe();
        let fallen = angle.abs() > ANGLE_MAX || x.abs() > CART_X_MAX;
        Outcome {
            terms: [f32::from(!fallen), -EFFORT_COST * action * action, 0.0, 0.0],
            terminated: fallen,
            success: !fallen && self.steps >= MAX_EPISODE_STEPS,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        out.extend(self.observe().iter().zip(BOUNDS).map(|(value, bound)| value.clamp(-bound, bound)));
    }

    fn expert(&self, out: &mut Buffer) {
        let force: f32 = self.observe().iter().zip(GAINS).map(|(value, gain)| value * gain).sum();
        if let Buffer::F32(out) = out {
            out.push((force / FORCE_MAX).clamp(-1.0, 1.0));
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
