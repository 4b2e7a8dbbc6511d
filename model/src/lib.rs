//! Dream: a world model learned from rendered clips, wearing the same `reset`/`step` as the truth it was
//! learned from.
//!
//! Data goes one way: **dataset → frames → codes ([`tokenizer`]) → next codes ([`dynamics`]) → frames**.

#[cfg(test)]
// The tests' toy world is written from outside.
extern crate self as worldstep_model;

/// How actions become vectors.
pub mod action;
mod attention;
mod block;
pub mod cache;
mod card;
pub mod chart;
pub mod codec;
pub mod config;
pub mod cuda;
pub mod data;
/// Where the model computes.
pub mod device;
/// Codes → next codes, reward, termination, object states.
pub mod dynamics;
pub mod engine;
pub mod eval;
mod extend;
mod feed_forward;
mod fnv;
pub mod fsq;
/// The whole model and its folder.
pub mod model;
pub mod neural_env;
mod norm;
pub mod on_card;
pub mod packing;
pub mod precision;
mod refiner;
pub mod reward;
mod timeline;
/// Frames ↔ codes.
pub mod tokenizer;
pub mod train;
mod training_record;
mod watch;
