use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sensor;
use crate::Space;
use crate::physics::World;

/// Positions and speeds further out are told as this, m and m/s or rad/s.
const BOUND: f32 = 1e3;

/// What a motion-capture system tells of bodies: of each its position (m), orientation (quaternion xyzw), velocity (m/s)
/// and angular velocity (rad/s), in the world's frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedBodies {
    /// Which, in the order of the readings.
    pub bodies: Vec<RigidBodyHandle>,
}

impl Sensor for TrackedBodies {
    fn space(&self) -> Space {
        let mut one = [BOUND; 13];
        one[3..7].fill(1.0);
        let high = one.repeat(self.bodies.len());
        let low: Vec<_> = high.iter().map(|bound| -bound).collect();
        Space::bounded(&low, &high)
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        for body in &self.bodies {
            let (body, start) = (world.body(*body), out.len());
            out.extend(body.translation().to_array());
            out.extend(body.rotation().to_array());
            out.extend(body.linvel().to_array());
            out.extend(body.angvel().to_array());
            out[start..].iter_mut().for_each(|value| *value = value.clamp(-BOUND, BOUND));
            out[start + 3..start + 7].iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
        }
    }
}
