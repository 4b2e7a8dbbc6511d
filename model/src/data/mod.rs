//! The dataset on disk, decoded to memory: LeRobotDataset v3.0 as [`worldstep_env::dataset`] describes it.

mod clips;
mod columns;
mod error;
mod image_column;
mod meta;
pub mod physics;

pub use clips::{ClipRange, Clips, PIXEL_ACTUATED, PIXEL_MOVING, Split};
pub use error::DataError;
pub use physics::{PhysicsFacts, Solid};
