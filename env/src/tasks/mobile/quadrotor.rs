//! The quadrotor that both flying tasks fly: a frame with four rotors.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::physics::{Look, World};
use crate::{Action, Camera, Mesh};

/// Control steps (frames) in a simulated second.
pub(super) const FPS: u32 = 50;
/// Largest distance of an observation, metres, speed, m/s, and angular velocity, rad/s.
pub(super) const BOUNDS: [f32; 18] =
    [10.0, 10.0, 10.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 20.0, 20.0, 20.0, 40.0, 40.0, 40.0];

const MASS: f32 = 0.6;
/// Half of the distance between neighbouring rotors, metres.
const ARM: f32 = 0.12;
/// Thrust of a rotor at full action, N: twice what it takes to hover.
const THRUST_MAX: f32 = 2.0 * MASS * 9.81 / 4.0;
/// Yaw torque for each N of thrust, metres.
const DRAG: f32 = 0.016;
/// Time in which a rotor gets two thirds of the way to a new thrust, seconds.
const ROTOR_LAG: f32 = 0.04;
const GRAVITY: f32 = 9.81;
/// Where the rotors are (in units of `ARM`) and which way they turn.
const ROTORS: [[f32; 3]; 4] = [[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0], [1.0, -1.0, -1.0]];

/// A quadrotor in a world of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Quadrotor {
    pub world: World,
    pub body: RigidBodyHandle,
    /// Thrust of each rotor as a share of the largest; lags behind the actions.
    thrust: [f32; 4],
}

impl Quadrotor {
    /// Hovering at `position` with velocities `linear` and `angular`, leaning by `lean` about x and y.
    pub fn new(
        camera: Camera,
        position: [f32; 3],
        lean: [f32; 2],
        linear: [f32; 3],
        angular: [f32; 3],
    ) -> Self {
        let mut world = World::new(FPS, 2, camera);
        let floor = crate::Shape::Cuboid { half_extents: [4.0, 4.0, 0.05] };
        world.add(
            Look::fixed("ground", floor, [0.16, 0.17, 0.15]).of_class("ground"),
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -0.05)),
            ColliderBuilder::cuboid(4.0, 4.0, 0.05),
        );
        let shape = world.add_mesh(frame());
        let turn = Rotation::from_rotation_x(lean[0]) * Rotation::from_rotation_y(lean[1]);
        let (body, _) = world.add(
            Look::actuated("quadrotor", shape, [0.15, 0.4, 0.8]).of_class("robot"),
            RigidBodyBuilder::dynamic()
                .pose(Pose::from_parts(Vector::from(position), turn))
                .linvel(Vector::from(linear))
                .angvel(Vector::from(angular))
                .can_sleep(false),
            ColliderBuilder::cuboid(ARM, ARM, 0.03).mass(MASS),
        );
        Self { world, body, thrust: [0.5; 4] }
    }

    /// Advances one control step; actions −1..1 ask for thrusts from none to the largest.
    pub fn step(&mut self, action: Action<'_>) {
        let Action::Box(wanted) = action else { return };
        for _ in 0..self.world.substeps() {
            let dt = 1.0 / (FPS * self.world.substeps()) as f32;
            for (thrust, wanted) in self.thrust.iter_mut().zip(wanted) {
                *thrust += (0.5 * (wanted + 1.0) - *thrust) * (dt / ROTOR_LAG).min(1.0);
            }
            let gain = self.world.motor_gain();
            let thrust = self.thrust.map(|thrust| thrust * gain);
            let body = self.world.body_mut(self.body);
            body.reset_forces(true);
            body.reset_torques(true);
            let place = *body.position();
            for (thrust, [x, y, spin]) in thrust.into_iter().zip(ROTORS) {
                let force = place.rotation * Vector::new(0.0, 0.0, thrust * THRUST_MAX);
                body.add_force_at_point(force, place * Vector::new(x * ARM, y * ARM, 0.0), true);
                body.add_torque(
                    place.rotation * Vector::new(0.0, 0.0, spin * DRAG * thrust * THRUST_MAX),
                    true,
                );
            }
            self.world.substep();
        }
    }

    pub fn position(&self) -> [f32; 3] {
        self.world.body(self.body).translation().to_array()
    }

    /// The vertical component of the frame's own up.
    pub fn upright(&self) -> f32 {
        (*self.world.body(self.body).rotation() * Vector::Z).z
    }

    /// Whether it has hit the ground or turned over.
    pub fn crashed(&self) -> bool {
        self.position()[2] < 0.08 || self.upright() < 0.0
    }

    /// The 18 values of the observation: target minus position, rotation matrix by columns, velocities.
    pub fn state(&self, target: [f32; 3], out: &mut Vec<f32>) {
        let body = self.world.body(self.body);
        let turn = *body.rotation();
        let to_target = Vector::from(target) - body.translation();
        let columns = [turn * Vector::X, turn * Vector::Y, turn * Vector::Z];
        let parts = [to_target].into_iter().chain(columns).chain([body.linvel(), body.angvel()]);
        let start = out.len();
        out.extend(parts.flat_map(|part| part.to_array()));
        crate::tasks::keep_within(&mut out[start..], BOUNDS);
    }

    /// Actions that fly to `target`: springs and dampers from position to acceleration, from there to attitude, and from
    /// attitude to the rotors (Mellinger and Kumar, 2011).
    pub fn fly_to(&self, target: [f32; 3], out: &mut Vec<f32>) {
        let body = self.world.body(self.body);
        let turn = *body.rotation();
        let error = (Vector::from(target) - body.translation()).clamp_length_max(1.0);
        let wanted = error * 4.0 - body.linvel() * 3.2 + Vector::new(0.0, 0.0, GRAVITY);
        // Leaning more than 35° is not asked for.
        let level = Vector::new(wanted.x, wanted.y, 0.0).clamp_length_max(0.7 * wanted.z.max(1.0));
        let wanted = Vector::new(level.x, level.y, wanted.z.max(1.0));
        let up = turn * Vector::Z;
        let lift = MASS * wanted.dot(up);
        // The turn that takes the frame's up to the wanted direction, in the frame's own axes.
        let lean = turn.inverse() * up.cross(wanted.normalize());
        let nose = turn * Vector::X;
        let yaw = nose.y.atan2(nose.x);
        let spin = turn.inverse() * body.angvel();
        let inertia = MASS * ARM * ARM * 0.67;
        let torque = [
            inertia * (140.0 * lean.x - 20.0 * spin.x),
            inertia * (140.0 * lean.y - 20.0 * spin.y),
            inertia * 2.0 * (-10.0 * yaw - 6.0 * spin.z),
        ];
        out.extend(ROTORS.map(|[x, y, way]| {
            let thrust = 0.25 * (lift + (torque[0] * y - torque[1] * x) / ARM + way * torque[2] / DRAG);
            (2.0 * thrust / THRUST_MAX - 1.0).clamp(-1.0, 1.0)
        }));
    }
}

/// Two crossed beams with a plate on each end.
fn frame() -> Mesh {
    let mut mesh = Mesh::default();
    for sign in [-1.0, 1.0] {
        mesh.add_cuboid([0.0, sign * ARM, 0.0], [ARM, 0.02, 0.015]);
        mesh.add_cuboid([sign * ARM, 0.0, 0.0], [0.02, ARM, 0.015]);
    }
    mesh.add_cuboid([0.0, 0.0, 0.02], [0.07, 0.05, 0.03]);
    for [x, y, _] in ROTORS {
        mesh.add_cuboid([x * ARM, y * ARM, 0.03], [0.08, 0.08, 0.008]);
    }
    mesh
}
