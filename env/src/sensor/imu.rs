use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sensor;
use crate::Space;
use crate::physics::World;

/// Standard bounds of what inertial units tell, rad/s and m/s².
const TURN_MAX: f32 = 100.0;
const ACCELERATION_MAX: f32 = 1_000.0;

/// An inertial measurement unit, in its body's frame: angular velocity now (rad/s), and mean specific force since the reading
/// before (m/s², what an accelerometer feels: at rest the reaction to gravity, upwards).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imu {
    /// What it is fixed to.
    pub body: RigidBodyHandle,
    /// Where it sits, in the body's frame, metres.
    pub place: [f32; 3],
    /// Velocity at the last reading; none before the first, which takes the body for unaccelerated.
    last: Option<[f32; 3]>,
}

impl Imu {
    /// One at `place` (metres, in the frame of `body`).
    pub fn new(body: RigidBodyHandle, place: [f32; 3]) -> Self {
        Self { body, place, last: None }
    }
}

impl Sensor for Imu {
    fn space(&self) -> Space {
        let high = [TURN_MAX, TURN_MAX, TURN_MAX, ACCELERATION_MAX, ACCELERATION_MAX, ACCELERATION_MAX];
        Space::bounded(&high.map(|bound| -bound), &high)
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        let body = world.body(self.body);
        let into_body = body.rotation().inverse();
        let point = body.position() * Vector::from(self.place);
        let velocity = body.velocity_at_point(point);
        let change = self.last.map_or(Vector::ZERO, |last| velocity - Vector::from(last));
        let force = change / world.control_period() - Vector::from(world.gravity());
        self.last = Some(velocity.to_array());
        out.extend((into_body * body.angvel()).to_array().map(|x| x.clamp(-TURN_MAX, TURN_MAX)));
        out.extend((into_body * force).to_array().map(|x| x.clamp(-ACCELERATION_MAX, ACCELERATION_MAX)));
    }
}
