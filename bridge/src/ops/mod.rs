//! What the people who keep a server running need: its figures for Prometheus and `worldstep top`, and its log.

mod board;
mod endpoint;
pub mod events;
mod exposition;
mod http;
pub mod logs;
mod process;
mod sessions;
mod snapshot;
mod throttle;

pub use board::Board;
pub use endpoint::{MetricsError, MetricsServer};
pub use exposition::exposition;
pub use process::ProcessFigures;
pub use sessions::{SessionRow, session_figures};
pub use snapshot::{PoolFigures, PoolKind, Snapshot, Summary, WorkFigures};
