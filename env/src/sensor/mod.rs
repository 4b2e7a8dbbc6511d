//! Sensors: what a robot can know of the world. Each [`Sensor`] has its space; [`Sensed`] adds noise and latency to any of
//! them.

mod contact_force;
mod imu;
mod joint_state;
mod noise;
mod range_finder;
mod sensed;
mod tracked_bodies;

pub use contact_force::ContactForce;
pub use imu::Imu;
pub use joint_state::JointState;
pub use noise::Noise;
pub use range_finder::{RangeFinder, RangeScan};
pub use sensed::Sensed;
pub use tracked_bodies::TrackedBodies;

use crate::Space;
use crate::physics::World;

/// Something that is read once a control step.
pub trait Sensor {
    /// Space of one reading, a float32 box of one dimension, which readings are kept within.
    fn space(&self) -> Space;

    /// Appends the reading of the world as it is now to `out`.
    fn read(&mut self, world: &World, out: &mut Vec<f32>);
}
