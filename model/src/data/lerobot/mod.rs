//! A LeRobotDataset v3.0 that Worldstep did not write: real robot video, or another simulator's. [`LerobotConfig`] says
//! which of its features are camera and action.
//!
//! Such data tell neither what moves nor where objects are: foreground is what differs from the frame before or after,
//! and of objects nothing is learned from them; nor of rewards and terminations, unless the configuration names them.

mod config;
mod dataset;
mod episodes;
mod frames;
mod rows;
mod video;

pub use config::{CONFIG_FILE, LerobotConfig, Merge};
pub use dataset::load;

use std::path::Path;

use super::error::DataError;

/// The cameras of the dataset in `dir`, with commas between.
///
/// # Errors
/// [`DataError`] if it does not say so, or is of another version.
pub fn cameras(dir: &Path) -> Result<String, DataError> {
    Ok(episodes::Info::load(dir)?.names(|kind| matches!(kind, "video" | "image")))
}
