use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sensor;
use crate::Space;
use crate::physics::World;

/// Largest force that is told, N.
const FORCE_MAX: f32 = 1e5;

/// Forces that press on bodies, a foot's sole or a fingertip: for each, the sum of the normal forces of its contacts, N, as
/// Rapier's last physics step solved them. Above 0 it touches something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactForce {
    /// Which, in the order of the readings.
    pub bodies: Vec<RigidBodyHandle>,
}

impl Sensor for ContactForce {
    fn space(&self) -> Space {
        let n = self.bodies.len();
        Space::bounded(&vec![0.0; n], &vec![FORCE_MAX; n])
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        out.extend(self.bodies.iter().map(|body| world.pressure(*body).clamp(0.0, FORCE_MAX)));
    }
}
