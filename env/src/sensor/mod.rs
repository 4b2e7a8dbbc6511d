//! Sensors: what a robot can know of the world, each with its space, noise and delay.

mod noise;
mod range_finder;

pub use noise::Noise;
pub use range_finder::RangeFinder;
