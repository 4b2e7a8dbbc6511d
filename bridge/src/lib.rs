//! The door: a ZeroMQ server that lets any process step truth or dream environments, one message a vector step.
//!
//! Bytes come in at [`serve`], the only part that knows sockets; [`wire`] turns them into requests, [`Service`] admits
//! them to their [`session`], and the [`batcher`] decides when the steps of several sessions become one call to the
//! engine of their [`pool`]. Everything but `serve` is told the time and can be tested without a clock.

pub mod batcher;
pub mod bench;
pub mod client;
mod containment;
mod desk;
pub mod engines;
mod limits;
mod memory;
pub mod metrics;
pub mod on_card;
pub mod ops;
mod owner;
mod place;
pub mod pool;
mod random;
pub mod security;
mod server;
mod service;
pub mod session;
pub mod shared_memory;
pub mod wire;
mod worker;
mod workshop;

pub use engines::EngineFactory;
pub use limits::Limits;
pub use memory::EngineBytes;
pub use owner::stop_when_stdin_closes;
pub use server::{ReadyInfo, ServeError, ServeOptions, serve};
pub use service::{Service, TokenSource};
pub use wire::{CatalogueEntry, Engine, ErrorCode, MakeRequest, Observation, Refusal};

// What tests and fuzz targets share names this crate as the latter do.
#[cfg(test)]
extern crate self as worldstep_bridge;

#[cfg(test)]
mod tests;
