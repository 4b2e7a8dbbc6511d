//! Fuzz targets of truth. [`live`] resets, steps, saves, forges and loads the environments of a task, wildly in one lane
//! and beside a lane that must not notice; [`build`] reads damaged robots' files.
//!
//! `make fuzz` runs both under libFuzzer; `cargo test` plays some thousand random inputs without it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a target reports what it found")]

mod file;
mod life;

pub use file::{Damage, File, build};
pub use life::{Life, Operation, live};

/// Leaves panics to whoever catches them: `TruthEnv` turns one of Rapier's into a truncated episode, while libFuzzer's own
/// hook ends the process before that. One that nobody catches ends it still. Only what the targets themselves find is told.
pub fn forgive_caught_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if panic.location().is_some_and(|place| place.file().contains("fuzz")) {
            eprintln!("{panic}");
        }
    }));
}
