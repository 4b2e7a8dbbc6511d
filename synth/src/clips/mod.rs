//! Clips: episodes of random, scripted and noisy behaviour, recorded in parallel and written in order.

mod episode;
mod error;
mod options;
mod recorder;
mod trajectory;
mod write;

pub use episode::Episode;
pub use error::SynthError;
pub use options::{DatasetSummary, SynthOptions, SynthProgress, SynthSummary};
pub use recorder::Recorder;
pub use trajectory::{Link, Sensor, Trajectory};
pub use write::write_dataset;
