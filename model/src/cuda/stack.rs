//! Blocks of a stack, on the rows of some frames at once.

use super::context::{Buffer, Context, Stored};
use super::kernels::{
    Factor, HeadRows, Product, Ring, Span, add_product, gated, norm_heads, norm_rows, over_time, product,
    within_frame,
};
use super::layout::Heads;
use super::memory::tile_rows;
use super::weights::{Attention, Block, Matrix};
use crate::config::StackConfig;

/// What blocks work in, for so many rows at most.
pub struct Work<S> {
    /// `[rows, width]`: the residual stream.
    pub stream: Buffer<f32>,
    /// `[rows, width]`.
    pub normed: Buffer<S>,
    /// `[rows, heads.row()]`.
    qkv: Buffer<f32>,
    /// `[rows, width]`.
    mixed: Buffer<S>,
    /// `[rows, 2 * hidden]`.
    gates: Buffer<f32>,
    /// `[rows, hidden]`.
    hidden: Buffer<S>,
    /// `[rows, width]`: what is to be added to the stream.
    pub branch: Buffer<f32>,
    /// `[rows, max(width, hidden)]`: first factors in eight bits, where blocks multiply such.
    narrow: Option<Buffer<u8>>,
}

impl<S: Stored> Work<S> {
    /// Room for `rows` rows of `stack`, and for those that fill up the last tile.
    pub fn new(context: &Context, stack: &StackConfig, (rows, is_narrow): (usize, bool)) -> Self {
        let rows = tile_rows(rows);
        let [width, row, hidden] = [stack.width, Heads::new(stack).row(), stack.hidden];
        Self {
            stream: Buffer::empty(context, rows * width),
            normed: Buffer::empty(context, rows * width),
            qkv: Buffer::empty(context, rows * row),
            mixed: Buffer::empty(context, rows * width),
            gates: Buffer::empty(context, rows * 2 * hidden),
            hidden: Buffer::empty(context, rows * hidden),
            branch: Buffer::empty(context, rows * width),
            narrow: is_narrow.then(|| Buffer::empty(context, rows * width.max(hidden))),
        }
    }

    /// Whether products of blocks are made of numbers of eight bits.
    pub fn is_narrow(&self) -> bool {
        self.narrow.is_some()
    }
}

/// A stack's blocks on the rows of one pass.
pub struct Pass<'a, S> {
    pub context: &'a Context,
    pub work: &'a Work<S>,
    pub stack: &'a StackConfig,
    /// Tokens of one frame.
    pub tokens: usize,
    /// Tokens of all frames.
    pub rows: usize,
}

impl<S: Stored> Pass<'_, S> {
    /// One block; `ring` is its layer's, if it attends over time. It finds the stream [normalised](Self::norm), and leaves
    /// it so.
    pub fn block(&self, block: &Block<S>, ring: Option<&Ring<'_, S>>) {
        let (work, hidden) = (self.work, self.stack.hidden);
        if let Some(spatial) = &block.spatial {
            self.project(spatial, None);
            within_frame(self.context, &self.span());
            self.add(&work.mixed, self.factor(&spatial.out), self.stack.width);
        }
        if let (Some(temporal), Some(ring)) = (&block.temporal, ring) {
            self.project(&temporal.attention, Some(ring));
            over_time(self.context, &self.span(), ring, &temporal.distance_bias);
            self.add(&work.mixed, self.factor(&temporal.attention.out), self.stack.width);
        }
        self.multiply(&block.gate_value, &work.gates, 2 * hidden);
        gated(self.context, &work.gates, &work.hidden, (self.rows, hidden));
        self.add(&work.hidden, self.factor(&block.out), hidden);
    }

    /// The stream, normalised.
    pub fn norm(&self) {
        norm_rows(self.context, &self.work.stream, &self.work.normed, (self.rows, self.stack.width));
    }

    /// Adds `a · b` to the stream, `k` values long, and normalises that.
    pub fn add(&self, a: &Buffer<S>, b: Factor<'_, S>, k: usize) {
        let Work { stream, normed, branch, .. } = self.work;
        let p = Product { a, b, bias: None, c: branch, size: [self.rows, k, self.stack.width] };
        add_product(self.context, &p, stream, normed);
    }

    /// Normalised queries and keys, and values, of the whole stream.
    fn project(&self, weights: &Attention<S>, ring: Option<&Ring<'_, S>>) {
        let (heads, qkv) = (Heads::new(self.stack), &self.work.qkv);
        self.multiply(&weights.qkv, qkv, heads.row());
        let rows = HeadRows { qkv, gain: &weights.gain, rows: self.rows, heads };
        norm_heads(self.context, &rows, ring, self.tokens);
    }

    fn span(&self) -> Span<'_, S> {
        let (qkv, mixed) = (&self.work.qkv, &self.work.mixed);
        Span { qkv, mixed, rows: self.rows, tokens: self.tokens, heads: Heads::new(self.stack) }
    }

    /// `n` columns of the normalised stream's products.
    fn multiply(&self, b: &Matrix<S>, c: &Buffer<f32>, n: usize) {
        let (b, size) = (self.factor(b), [self.rows, self.stack.width, n]);
        product(self.context, &Product { a: &self.work.normed, b, bias: None, c, size });
    }

    fn factor<'b>(&'b self, matrix: &'b Matrix<S>) -> Factor<'b, S> {
        match (matrix, &self.work.narrow) {
            (Matrix::Wide(values), _) => Factor::Wide(values),
            (Matrix::Narrow(bytes, scale), Some(room)) => Factor::Narrow { bytes, scale: *scale, room },
            (Matrix::Narrow(..), None) => unreachable!("work of narrow blocks has room for narrow factors"),
        }
    }
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::Module;
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::codec::plain;
    use crate::config::{FRAME_TOKENS, ModelConfig, Preset};
    use crate::cuda::kernels::testing::{close, numbers, on_processor};
    use crate::cuda::weights::block_of;
    use crate::timeline::Timeline;

    const LANES: usize = 3;
    /// More than a ring holds.
    const FRAMES: usize = 7;
    const RING_FRAMES: usize = 4;

    #[derive(Module, Debug)]
    struct Layer {
        block: crate::block::Block,
    }

    /// Each kind of layer, of each stack of a model, beside burn's forward pass over the whole window: frame after frame for
    /// the kernels, all at once for burn.
    #[test]
    fn every_layer_says_what_burns_forward_pass_says() {
        for preset in [Preset::Nano, Preset::S] {
            let config = ModelConfig::new(preset, 3, 2);
            let kinds = [
                (&config.dynamics, true, Some(RING_FRAMES)),
                (&config.dynamics, true, None),
                (&config.encoder, false, None),
                (&config.decoder, true, None),
            ];
            for (stack, spatial, ring) in kinds {
                layer_agrees(stack, (spatial, ring));
            }
        }
    }

    fn layer_agrees(stack: &StackConfig, (spatial, ring): (bool, Option<usize>)) {
        let device = Device::flex();
        device.seed(3);
        let layer = Layer { block: crate::block::Block::new(stack, spatial, ring, &device) };
        let frame = FRAME_TOKENS * stack.width;
        let window = numbers(LANES * FRAMES * frame, 1);
        let x = TensorData::new(window.clone(), [LANES * FRAMES * FRAME_TOKENS, stack.width]);
        let timeline = Timeline::causal(FRAMES, RING_FRAMES, &device);
        let x = Tensor::from_data(x, &device);
        let expected =
            plain(layer.block.forward_in_time(x, FRAME_TOKENS, &timeline, &mut std::iter::empty(), &mut ()));
        on_processor(|context| {
            let block: Block<f32> = block_of(context, (&layer, "block"), stack, (spatial, ring)).unwrap();
            let work = Work::new(context, stack, (LANES * FRAME_TOKENS, false));
            let kept = LANES * FRAME_TOKENS * stack.kv_heads * RING_FRAMES * stack.head_dim();
            let [keys, values] = [(); 2].map(|()| Buffer::empty(context, kept));
            for t in 0..FRAMES {
                let at = |lane: usize| (lane * FRAMES + t) * frame..(lane * FRAMES + t + 1) * frame;
                let now: Vec<f32> = (0..LANES).flat_map(|lane| &window[at(lane)]).copied().collect();
                let newest = vec![(t % RING_FRAMES) as u32; LANES];
                let ages = vec![(t + 1).min(RING_FRAMES) as u32; LANES];
                let [lanes, newest, ages] =
                    [vec![0, 1, 2], newest, ages].map(|numbers| Buffer::of(context, &numbers));
                let (keys, values, frames) = (&keys, &values, RING_FRAMES);
                let places = Ring { keys, values, lanes: &lanes, newest: &newest, ages: &ages, frames };
                work.stream.write(context, now);
                let rows = LANES * FRAME_TOKENS;
                let pass = Pass { context, work: &work, stack, tokens: FRAME_TOKENS, rows };
                pass.norm();
                pass.block(&block, Some(&places));
                let mut found = vec![0.0; LANES * frame];
                work.stream.read(context, &mut found);
                for (lane, found) in found.chunks(frame).enumerate() {
                    close(found, &expected[at(lane)], 1e-4);
                }
            }
        });
    }
}
