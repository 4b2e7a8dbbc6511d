//! Eyes of truth: a headless Bevy renderer that draws every environment in one pass, and the dataset writer.
//!
//! Task → poses → **frames** → pixel observations ([`RenderedVectorEnv`]) or clips on disk ([`write_dataset`]).

pub mod annotate;
pub mod clips;
pub mod curate;
pub mod export;
mod eyes;
pub mod inspect;
pub mod lerobot;
pub mod render;
mod rendered_env;
pub mod scenario;

pub use clips::{DatasetSummary, SynthError, SynthOptions, SynthProgress, SynthSummary, write_dataset};
pub use eyes::{Eyes, LaneAt};
pub use render::{Channels, Frames, Moment, RenderConfig, RenderError, Renderer, View};
pub use rendered_env::RenderedVectorEnv;
pub use scenario::{Randomisation, Scenario, ScenarioOptions, UnitKind, UnitRequest};
