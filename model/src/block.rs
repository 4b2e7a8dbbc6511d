use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::attention::Attention;
use crate::cache::LayerCache;
use crate::config::StackConfig;
use crate::feed_forward::FeedForward;
use crate::norm::rms_norm;
use crate::timeline::Timeline;
use crate::watch::{PassPart, Watch};

/// Attention over time: the layer and what it adds to a score for each head and distance.
#[derive(Module, Debug)]
pub struct TemporalAttention {
    attention: Attention,
    /// `[heads, context_frames]`.
    distance_bias: Param<Tensor<2>>,
}

impl TemporalAttention {
    /// Fresh weights: heads start with different reaches, so that some see motion from the first step on.
    pub fn new(config: &StackConfig, context_frames: usize, device: &Device) -> Self {
        Self {
            attention: Attention::new(config, device),
            distance_bias: Initializer::Normal { mean: 0.0, std: 1.0 }
                .init([config.heads, context_frames], device),
        }
    }

    fn forward(&self, x: Tensor<2>, timeline: &Timeline, cache: Option<&mut LayerCache>) -> Tensor<2> {
        self.attention.over_time(x, self.distance_bias.val(), timeline, cache)
    }
}

/// One transformer block: attention within the frame, over time, and a feed-forward layer, each on the normalised
/// residual stream and each optional but the last.
#[derive(Module, Debug)]
pub struct Block {
    spatial: Option<Attention>,
    temporal: Option<TemporalAttention>,
    feed_forward: FeedForward,
}

impl Block {
    /// Fresh weights.
    pub fn new(
        config: &StackConfig,
        spatial: bool,
        temporal_context: Option<usize>,
        device: &Device,
    ) -> Self {
        Self {
            spatial: spatial.then(|| Attention::new(config, device)),
            temporal: temporal_context.map(|context| TemporalAttention::new(config, context, device)),
            feed_forward: FeedForward::new(config, device),
        }
    }

    /// A block that knows no time.
    ///
    /// # Shapes
    /// - x: `[frames * tokens, width]`
    /// - output: the same
    pub fn forward(&self, mut x: Tensor<2>, tokens: usize) -> Tensor<2> {
        if let Some(spatial) = &self.spatial {
            x = x.clone() + spatial.within_frame(rms_norm(x), tokens);
        }
        x.clone() + self.feed_forward.forward(rms_norm(x))
    }

    /// A block that may look back. The same pass serves training (many frames, no cache) and stepping (one frame a
    /// lane, `caches` of the temporal layers that are still to come). `watch` is told of each part.
    ///
    /// # Shapes
    /// - x: `[lanes * frames * tokens, width]`
    /// - output: the same
    pub fn forward_in_time<'a>(
        &self,
        mut x: Tensor<2>,
        tokens: usize,
        timeline: &Timeline,
        caches: &mut impl Iterator<Item = &'a mut LayerCache>,
        watch: &mut impl Watch,
    ) -> Tensor<2> {
        if let Some(spatial) = &self.spatial {
            x = x.clone() + spatial.within_frame(rms_norm(x), tokens);
            watch.done(PassPart::WithinFrame);
        }
        if let Some(temporal) = &self.temporal {
            x = x.clone() + temporal.forward(rms_norm(x), timeline, caches.next());
            watch.done(PassPart::OverTime);
        }
        x = x.clone() + self.feed_forward.forward(rms_norm(x));
        watch.done(PassPart::FeedForward);
        x
    }
}
