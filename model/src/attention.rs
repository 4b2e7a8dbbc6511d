use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use crate::cache::LayerCache;
use crate::config::{FRAME_TOKENS, StackConfig};
use crate::norm::rms_norm;
use crate::precision::{self, linear, product};
use crate::timeline::Timeline;

/// Queries, keys and values of some tokens, from one product.
///
/// Queries and keys are normalised over each head (QK-norm), which bounds the scores; `q_gain` lets the network sharpen
/// them. `kv_heads` keys and values serve `heads` queries ([grouped-query attention](https://arxiv.org/abs/2305.13245)).
#[derive(Module, Debug)]
pub struct Attention {
    qkv: Linear,
    out: Linear,
    q_gain: Param<Tensor<1>>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    /// Fresh weights.
    pub fn new(config: &StackConfig, device: &Device) -> Self {
        let (width, head_dim) = (config.width, config.head_dim());
        let qkv_width = (config.heads + 2 * config.kv_heads) * head_dim;
        Self {
            qkv: LinearConfig::new(width, qkv_width).with_bias(false).init(device),
            out: residual_linear(width, width, device),
            q_gain: Initializer::Constant { value: 1.0 / (head_dim as f64).sqrt() * 2.0 }
                .init([head_dim], device),
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim,
        }
    }

    /// Each token attends to every token of its own frame.
    ///
    /// # Shapes
    /// - x: `[frames * tokens, width]`
    /// - output: the same
    pub fn within_frame(&self, x: Tensor<2>, tokens: usize) -> Tensor<2> {
        let rows = x.dims()[0];
        let (frames, groups) = (rows / tokens, self.heads / self.kv_heads);
        let (q, k, v) = self.project(x);
        let per_head =
            |t: Tensor<2>| t.reshape([frames, tokens, self.kv_heads, self.head_dim]).swap_dims(1, 2);
        let q = q
            .reshape([frames, tokens, self.kv_heads, groups, self.head_dim])
            .permute([0, 2, 3, 1, 4])
            .reshape([frames, self.kv_heads, groups * tokens, self.head_dim]);
        let precision = precision::of(&self.qkv);
        let scores = product(q, per_head(k).swap_dims(2, 3), precision);
        let mixed = product(softmax(scores, 3), per_head(v), precision);
        let mixed = mixed
            .reshape([frames, self.kv_heads, groups, tokens, self.head_dim])
            .permute([0, 3, 1, 2, 4])
            .reshape([rows, self.heads * self.head_dim]);
        linear(&self.out, mixed)
    }

    /// Each token attends to the token of its own place in the frames that `timeline` allows. With a cache, `x` is one
    /// frame a lane, which is appended to the ring first.
    ///
    /// # Shapes
    /// - x: `[lanes * frames * FRAME_TOKENS, width]`
    /// - distance_bias: `[heads, context_frames]`
    /// - output: as x
    pub fn over_time(
        &self,
        x: Tensor<2>,
        distance_bias: Tensor<2>,
        timeline: &Timeline,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        let rows = x.dims()[0];
        let (frames, groups) = (timeline.frames(), self.heads / self.kv_heads);
        let lanes = rows / (frames * FRAME_TOKENS);
        let slots = FRAME_TOKENS * self.kv_heads;
        let (q, k, v) = self.project(x);
        let q = q.reshape([lanes, frames, slots, groups, self.head_dim]).permute([0, 2, 3, 1, 4]).reshape([
            lanes,
            slots,
            groups * frames,
            self.head_dim,
        ]);
        let per_frame = |t: Tensor<2>| t.reshape([lanes, frames, slots, self.head_dim]);
        let (k, v) = match cache {
            Some(cache) => cache.append(per_frame(k), per_frame(v)),
            None => (per_frame(k), per_frame(v)),
        };
        let keys = k.dims()[1];
        let precision = precision::of(&self.qkv);
        let scores = product(q, k.permute([0, 2, 3, 1]), precision);
        let bias = timeline.bias(distance_bias, self.kv_heads);
        let scores = scores.reshape([lanes, FRAME_TOKENS, self.kv_heads, groups * frames, keys]) + bias;
        let weights = softmax(scores, 4).reshape([lanes, slots, groups * frames, keys]);
        let mixed = product(weights, v.swap_dims(1, 2), precision)
            .reshape([lanes, slots, groups, frames, self.head_dim])
            .permute([0, 3, 1, 2, 4])
            .reshape([rows, self.heads * self.head_dim]);
        linear(&self.out, mixed)
    }

    /// Normalised queries `[rows, heads * head_dim]`, normalised keys and values `[rows, kv_heads * head_dim]`.
    fn project(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
        let rows = x.dims()[0];
        let (q_width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let qkv = linear(&self.qkv, x);
        let per_head = |t: Tensor<2>| rms_norm(t.reshape([-1, self.head_dim as isize]));
        let q = per_head(qkv.clone().narrow(1, 0, q_width)) * self.q_gain.val().unsqueeze();
        let k = per_head(qkv.clone().narrow(1, q_width, kv_width));
        let v = qkv.narrow(1, q_width + kv_width, kv_width);
        (q.reshape([rows, q_width]), k.reshape([rows, kv_width]), v)
    }
}

/// A linear layer that ends a residual branch: small at first, so that a fresh block is close to the identity.
pub fn residual_linear(input: usize, output: usize, device: &Device) -> Linear {
    LinearConfig::new(input, output)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: 0.02 })
        .init(device)
}
