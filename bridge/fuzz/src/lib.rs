//! Fuzz targets of the bridge. [`decode`] turns any bytes into messages and back; [`play`] plays several clients, some
//! of them confused and some malicious, against the session machine, beside a model of what it has to answer.
//!
//! `make fuzz` runs both under libFuzzer; `cargo test` plays a few thousand random inputs without it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a target reports what it found")]

mod allocation;
mod answers;
#[path = "../../src/tests/counting.rs"]
mod counting;
mod decode;
mod model;
mod own_engine;
mod scenario;
mod session;

pub use allocation::{CountingAllocator, live_bytes};
pub use decode::decode;
pub use scenario::{Ask, Operation, Scenario, Spoil};
pub use session::play;
