use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use crate::attention::residual_linear;
use crate::config::StackConfig;
use crate::precision::linear;

/// Gated feed-forward layer, [SwiGLU](https://arxiv.org/abs/2002.05202): `(silu(x·A) * x·B)·C`.
#[derive(Module, Debug)]
pub struct FeedForward {
    gate: Linear,
    value: Linear,
    out: Linear,
}

impl FeedForward {
    /// Fresh weights.
    pub fn new(config: &StackConfig, device: &Device) -> Self {
        let input = || LinearConfig::new(config.width, config.hidden).with_bias(false).init(device);
        Self { gate: input(), value: input(), out: residual_linear(config.hidden, config.width, device) }
    }

    /// # Shapes
    /// - x: `[rows, width]`
    /// - output: the same
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = silu(linear(&self.gate, x.clone()));
        linear(&self.out, gate * linear(&self.value, x))
    }
}
