//! What a policy would get from the dream: rewards, ends of episodes, pictures that last, and surprise at the impossible.

mod drift;
mod ending;
mod reward;
mod surprise;

use serde::{Deserialize, Serialize};

pub use drift::{Drift, DriftBlock, drift};
pub use ending::{Accuracy, DreamtEndings, Endings, best_threshold};
pub use reward::{RewardErrors, Rewards};
pub use surprise::{Surprise, surprise};

/// The dream as a simulator, on one set of clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulatorReport {
    /// Rewards; null where the clips tell none.
    pub reward: Option<RewardErrors>,
    /// Probability above which a step is taken to end the episode, [`TaskCard::ends_above`](crate::model::TaskCard).
    pub termination_threshold: f32,
    /// Ends of episodes by that threshold, one step ahead of the true frames; null where the clips tell none.
    pub termination_one_step: Option<Accuracy>,
    /// Ends of whole dreams, of clips that are not longer than what is dreamt; null where the clips tell none.
    pub termination_dreamt: Option<DreamtEndings>,
    /// Mean entropy of the next frame's codes after true frames, nats.
    pub uncertainty: f64,
    /// Dreams of hundreds of steps; null for other sets than the first.
    pub drift: Option<Drift>,
    /// Possible and impossible twins; null where there are none.
    pub surprise: Option<Surprise>,
}
