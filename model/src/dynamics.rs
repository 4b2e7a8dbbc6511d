use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::block::Block;
use crate::cache::Cache;
use crate::config::{
    ACTION_TOKEN, CODE_LOGITS, CODES_PER_TOKEN, FRAME_TOKENS, ModelConfig, NOISE_LEVELS, READOUT_TOKEN,
    SPATIAL_TOKENS,
};
use crate::norm::rms_norm;
use crate::precision::linear;
use crate::refiner::Refiner;
use crate::reward::REWARD_BINS;
use crate::timeline::Timeline;
use crate::watch::{PassPart, Watch};

/// Logits of one token: a softmax for each FSQ dimension of each of its codes.
pub const TOKEN_LOGITS: usize = CODES_PER_TOKEN * CODE_LOGITS;
pub use crate::config::OBJECT_VALUES;

/// What the dynamics is given of some frames.
#[derive(Clone, Debug)]
pub struct FrameInput {
    /// `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`, one-hot codes as [`one_hot_tokens`](crate::packing::one_hot_tokens)
    /// gives them.
    pub codes: Tensor<2>,
    /// `[frames, action_values + NOISE_LEVELS]`: the action taken on seeing the frame, then the one-hot level of the
    /// corruption that `codes` suffered.
    pub actions: Tensor<2>,
}

/// What the dynamics says of the step that follows each frame.
#[derive(Clone, Debug)]
pub struct FrameOutput {
    /// `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`: codes of the next frame.
    pub codes: Tensor<2>,
    /// `[frames, REWARD_BINS]`: two-hot logits of the reward that the action causes.
    pub reward: Tensor<2>,
    /// `[frames, 1]`: logit of termination.
    pub terminated: Tensor<2>,
    /// `[frames, tracked_objects * OBJECT_VALUES]`: normalised positions and velocities in the frame itself, hidden
    /// objects included.
    pub objects: Tensor<2>,
    /// `[frames, tracked_objects * PRESENCE_VALUES]`: logits that an object exists, and of the share of its silhouette that
    /// is seen in the frame itself; `None` for a model without this readout.
    pub presence: Option<Tensor<2>>,
    /// `[frames * SPATIAL_TOKENS, width]`: the normalised last state of each spatial token, which `codes` and the refiner
    /// read.
    pub spatial: Tensor<2>,
    /// `[frames, width]`: the same of the readout token, which all other readouts are made of.
    pub readout: Tensor<2>,
}

/// Block-causal transformer: one pass appends frame `t` and predicts frame `t + 1`.
#[derive(Module, Debug)]
pub struct Dynamics {
    embed_codes: Linear,
    embed_action: Linear,
    /// `[FRAME_TOKENS, width]`; all there is of readout and registers.
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    to_codes: Linear,
    /// How much a code's present value speaks for itself as the next one.
    persistence: Param<Tensor<1>>,
    to_reward: Linear,
    to_terminated: Linear,
    to_objects: Linear,
    to_presence: Option<Linear>,
    refiner: Option<Refiner>,
    context_frames: usize,
}

impl Dynamics {
    /// Fresh weights.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let stack = &config.dynamics;
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let temporal = |i: usize| (i.is_multiple_of(config.temporal_every)).then_some(config.context_frames);
        Self {
            embed_codes: linear(TOKEN_LOGITS, stack.width),
            embed_action: linear(config.action_values + NOISE_LEVELS, stack.width),
            position: Initializer::Normal { mean: 0.0, std: 0.3 }.init([FRAME_TOKENS, stack.width], device),
            blocks: (0..stack.layers).map(|i| Block::new(stack, true, temporal(i), device)).collect(),
            to_codes: linear(stack.width, TOKEN_LOGITS),
            persistence: Initializer::Constant { value: 3.0 }.init([TOKEN_LOGITS], device),
            to_reward: linear(stack.width, REWARD_BINS),
            to_terminated: linear(stack.width, 1),
            to_objects: linear(stack.width, config.object_values()),
            to_presence: config.presence.then(|| linear(stack.width, config.presence_values())),
            refiner: config.refiner.as_ref().map(|refiner| Refiner::new(refiner, stack, device)),
            context_frames: config.context_frames,
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.position.device()
    }

    /// Many consecutive frames of each lane at once, each seeing only itself and the past.
    ///
    /// # Shapes
    /// - input: `lanes * frames` frames, a lane's frames adjacent
    /// - output: as many frames
    pub fn forward(&self, input: FrameInput, frames: usize) -> FrameOutput {
        self.forward_watched(input, frames, &mut ())
    }

    /// As [`forward`](Self::forward), while `watch` looks on.
    pub(crate) fn forward_watched(
        &self,
        input: FrameInput,
        frames: usize,
        watch: &mut impl Watch,
    ) -> FrameOutput {
        let timeline = Timeline::causal(frames, self.context_frames, &input.codes.device());
        self.pass(input, &timeline, None, watch)
    }

    /// One frame of each lane, appended to `cache` where `mask` is true. The output of the other lanes is meaningless.
    pub fn step(&self, input: FrameInput, mask: &[bool], cache: &mut Cache) -> FrameOutput {
        let timeline = cache.advance(mask);
        let output = self.pass(input, &timeline, Some(cache), &mut ());
        cache.settle();
        output
    }

    /// Logits of the next frames' codes, given some of these codes; `None` if the model has no refiner.
    ///
    /// # Shapes
    /// - spatial, codes: as in [`FrameOutput`]
    /// - known: as `codes`, one-hot, zeros for the codes that are to be predicted
    /// - output: as `codes`
    pub fn refine(&self, spatial: Tensor<2>, codes: Tensor<2>, known: Tensor<2>) -> Option<Tensor<2>> {
        self.refiner.as_ref().map(|refiner| refiner.forward(spatial, known) + codes)
    }

    fn pass(
        &self,
        input: FrameInput,
        timeline: &Timeline,
        cache: Option<&mut Cache>,
        watch: &mut impl Watch,
    ) -> FrameOutput {
        let mut caches = cache.map(Cache::layers_mut).unwrap_or_default().iter_mut();
        let codes = input.codes.clone();
        let x = self.embed(input);
        watch.done(PassPart::Embed);
        let [frames, _, width] = x.dims();
        let x = self.blocks.iter().fold(x.reshape([frames * FRAME_TOKENS, width]), |x, block| {
            block.forward_in_time(x, FRAME_TOKENS, timeline, &mut caches, watch)
        });
        let x = rms_norm(x).reshape([frames, FRAME_TOKENS, width]);
        let spatial = x.clone().narrow(1, 0, SPATIAL_TOKENS).reshape([frames * SPATIAL_TOKENS, width]);
        let readout = x.narrow(1, READOUT_TOKEN, 1).reshape([frames, width]);
        let output = FrameOutput {
            codes: linear(&self.to_codes, spatial.clone()) + codes * self.persistence.val().unsqueeze(),
            reward: linear(&self.to_reward, readout.clone()),
            terminated: linear(&self.to_terminated, readout.clone()),
            presence: self.to_presence.as_ref().map(|head| linear(head, readout.clone())),
            objects: linear(&self.to_objects, readout.clone()),
            spatial,
            readout,
        };
        watch.done(PassPart::Heads);
        output
    }

    /// `[frames, FRAME_TOKENS, width]`.
    fn embed(&self, input: FrameInput) -> Tensor<3> {
        let frames = input.actions.dims()[0];
        let codes = linear(&self.embed_codes, input.codes);
        let width = codes.dims()[1];
        let codes = codes.reshape([frames, SPATIAL_TOKENS, width]);
        let action = linear(&self.embed_action, input.actions).reshape([frames, 1, width]);
        let rest = Tensor::zeros([frames, FRAME_TOKENS - ACTION_TOKEN - 1, width], &codes.device());
        Tensor::cat(vec![codes, action, rest], 1) + self.position.val().unsqueeze()
    }
}
