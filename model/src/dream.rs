use burn::tensor::Device;
use rayon::prelude::*;

use crate::cache::{Cache, LaneCache};
use crate::config::ModelConfig;
use crate::dynamics::Dynamics;
use crate::packing::FRAME_CODE_BYTES;
use crate::rollout::{self, Prediction};

/// Lanes below which a share of its own costs more than it gains.
const SHARE_MIN: usize = 8;

/// The lanes' caches in shares that are stepped side by side.
///
/// The processor backend runs element-wise operations on one core, so one share a core keeps all of them busy; on a GPU
/// there is one share.
pub struct Dream {
    shares: Vec<Cache>,
    /// Lanes in each share but the last.
    share_lanes: usize,
    lanes: usize,
}

impl Dream {
    /// Empty caches for `lanes` lanes, at least one, in at most `shares` shares.
    pub fn new(config: &ModelConfig, lanes: usize, shares: usize, device: &Device) -> Self {
        let share_lanes = lanes.div_ceil(shares.max(1)).max(SHARE_MIN).min(lanes.max(1));
        let cache = |from| Cache::new(config, share_lanes.min(lanes - from), device);
        Self { shares: (0..lanes).step_by(share_lanes).map(cache).collect(), share_lanes, lanes }
    }

    /// As [`rollout::step`], share by share. Shares without a lane to step are not computed: their rows are zeros.
    pub fn step(
        &mut self,
        dynamics: &Dynamics,
        codes: &[u8],
        (actions, levels): (&[f32], &[usize]),
        mask: &[bool],
    ) -> Prediction {
        let (per_share, action_values) = (self.share_lanes, actions.len() / self.lanes);
        let parts: Vec<Option<Prediction>> = self
            .shares
            .par_iter_mut()
            .enumerate()
            .map(|(i, cache)| {
                let lanes = i * per_share..i * per_share + cache.lanes();
                let rows = |width: usize| lanes.start * width..lanes.end * width;
                mask[lanes.clone()].contains(&true).then(|| {
                    let conditions = (&actions[rows(action_values)], &levels[lanes.clone()]);
                    rollout::step(
                        dynamics,
                        &codes[rows(FRAME_CODE_BYTES)],
                        conditions,
                        &mask[lanes.clone()],
                        cache,
                    )
                })
            })
            .collect();
        let mut all = Prediction::default();
        for (cache, part) in self.shares.iter().zip(parts) {
            all.append(part.unwrap_or_else(|| Prediction::zeros(cache.lanes())));
        }
        all
    }

    /// What `lane` has seen.
    pub fn lane(&self, lane: usize) -> LaneCache {
        self.shares[lane / self.share_lanes].lane(lane % self.share_lanes)
    }

    /// Puts back what [`lane`](Self::lane) gave; false, and nothing is changed, if it does not fit.
    pub fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        self.shares[lane / self.share_lanes].set_lane(lane % self.share_lanes, saved)
    }
}
