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
