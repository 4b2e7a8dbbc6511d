use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::attention::residual_linear;
use crate::block::Block;
use crate::config::{RefinerConfig, SPATIAL_TOKENS, StackConfig};
use crate::dynamics::TOKEN_LOGITS;
use crate::norm::rms_norm;
use crate::precision::linear;

/// Predicts some codes of the next frame again, given the others ([MaskGIT](https://arxiv.org/abs/2202.04200), in one or
/// two steps).
///
/// The dynamics predicts all codes of a frame side by side; drawn so, neighbours can contradict each other. This small
/// transformer within one frame reads what the dynamics thought of each token and the codes that are known already:
/// `logits += to_codes(norm(blocks(thought + embed(known) + position)))`. The last layer starts small, so that a fresh
/// refiner says what the dynamics says.
#[derive(Module, Debug)]
pub struct Refiner {
    embed_known: Linear,
    /// `[SPATIAL_TOKENS, width]`.
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    to_codes: Linear,
}

impl Refiner {
    /// Fresh weights; `stack` is the dynamics' own.
    pub fn new(config: &RefinerConfig, stack: &StackConfig, device: &Device) -> Self {
        Self {
            embed_known: LinearConfig::new(TOKEN_LOGITS, stack.width).init(device),
            position: Initializer::Normal { mean: 0.0, std: 0.3 }.init([SPATIAL_TOKENS, stack.width], device),
            blocks: (0..config.layers).map(|_| Block::new(stack, true, None, device)).collect(),
            to_codes: residual_linear(stack.width, TOKEN_LOGITS, device),
        }
    }

    /// What is to be added to the dynamics' logits.
    ///
    /// # Shapes
    /// - thoughts: `[frames * SPATIAL_TOKENS, width]`, as [`FrameOutput::spatial`](crate::dynamics::FrameOutput)
    /// - known: `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`, one-hot codes of the next frame, zeros where they are masked
    /// - output: `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`
    pub fn forward(&self, thoughts: Tensor<2>, known: Tensor<2>) -> Tensor<2> {
        let [rows, width] = thoughts.dims();
        let x = (thoughts + linear(&self.embed_known, known)).reshape([
            rows / SPATIAL_TOKENS,
            SPATIAL_TOKENS,
            width,
        ]);
        let x = (x + self.position.val().unsqueeze()).reshape([rows, width]);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, SPATIAL_TOKENS));
        linear(&self.to_codes, rms_norm(x))
    }
}
