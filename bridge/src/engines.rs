//! What stands behind a session: who makes engines.

mod beside;
mod local;
mod models;
mod placed;
mod replay;
mod starts;

pub use beside::TruthBeside;
pub use local::{Engines, FRAME_SIDE, audited, dream, dream_with, truth_depth, truth_pixels};
pub use models::{NoModel, model_folder, shipped_models};
pub use placed::Placed;
pub use replay::TruthReplay;
pub use starts::TruthStarts;

use worldstep_env::VectorEnv;

use crate::memory::EngineBytes;
use crate::wire::{CatalogueEntry, MakeRequest, Refusal};

/// Makes the engines that sessions ask for.
pub trait EngineFactory: Send + Sync {
    /// What can be made, for clients that ask.
    fn catalogue(&self) -> Vec<CatalogueEntry>;

    /// Whether steps of sessions with this request gain by waiting for one another: true where one call over many
    /// environments costs much less than several over fewer. Sessions share their engine in any case.
    fn gains_by_waiting(&self, request: &MakeRequest) -> bool;

    /// What an engine for this request takes, for [`Limits::memory_bytes_max`](crate::Limits); nothing is counted by
    /// default.
    fn bytes(&self, _request: &MakeRequest) -> EngineBytes {
        EngineBytes::default()
    }

    /// Makes an engine with `num_envs` environments; that is more than `request.num_envs` when several sessions share
    /// it.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownTask`](crate::ErrorCode), `Unsupported` or `Engine`.
    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal>;

    /// Whether an engine for this request may keep its observations on [`request.card`](MakeRequest::card), as far as can be
    /// told without making it.
    ///
    /// # Errors
    /// One line that says why they stay in host memory, and what would make it work.
    fn check_card(&self, _request: &MakeRequest) -> Result<(), String> {
        Err("the server has no engine on a card".to_owned())
    }

    /// As [`make`](Self::make), for a request that [`check_card`](Self::check_card) has let through.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    fn make_on_card(&self, request: &MakeRequest, num_envs: usize) -> Result<Placed, Refusal> {
        let why = self.check_card(request).err().unwrap_or_default();
        Ok(Placed::Host { env: self.make(request, num_envs)?, why })
    }
}
