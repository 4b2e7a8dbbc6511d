//! Clips: units of trajectories, simulated ahead by workers, drawn and written in order.
//!
//! Unit → **trajectories** (pure functions of scenario, seed and options) → annotated → curated → pixels → files.

mod disk;
mod draw;
mod error;
mod options;
mod pipeline;
mod plan;
mod sensor;
mod sequence;
mod stages;
mod trajectory;
mod unit;
mod write;

pub use error::SynthError;
pub use options::{DatasetSummary, SynthOptions, SynthProgress, SynthSummary};
pub use stages::Stage;
pub use trajectory::{Link, Sensor, Trajectory};
pub use unit::{ATTEMPTS_MAX, VAL_EVERY};
pub use write::write_dataset;
