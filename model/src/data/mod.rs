//! The dataset on disk, decoded to memory: LeRobotDataset v3.0 as [`worldstep_env::dataset`] describes it.

mod annotations;
mod clips;
mod columns;
mod corpus;
mod error;
mod image_column;
pub mod lerobot;
mod load;
mod meta;
mod mix;
pub mod physics;

pub use annotations::{Annotation, Annotations, ClipFacts};
pub use clips::{ClipRange, Clips, PIXEL_ACTUATED, PIXEL_MOVING, Split, Targets};
pub use corpus::{Corpus, Part};
pub use error::DataError;
pub use load::load_all;
pub use mix::MixWeight;
pub use physics::{PhysicsFacts, Solid};
