//! Attention within a frame, as products, and over time, along each lane's ring.

use pulp::Arch;

use super::elementwise::{softmax, softmax_rows};
use super::product::{Packed, Start, View, product};
use super::ring::Ring;
use super::vector::vector_fns;
use crate::config::{FRAME_TOKENS, StackConfig};

/// Values that one vector register, or two, hold.
const CHUNK: usize = 16;

/// Memory that attention works in, kept from step to step.
#[derive(Default)]
pub struct AttentionScratch {
    keys: Packed,
    values: Packed,
    scores: Vec<f32>,
    bias: Vec<f32>,
}

impl AttentionScratch {
    /// Values of keys, values, scores and biases that attention among `tokens` tokens and over `context` frames takes.
    pub fn room(heads: Heads, tokens: usize, context: usize) -> [usize; 4] {
        let stride = context.next_multiple_of(CHUNK);
        let scores = heads.groups * tokens * tokens.next_multiple_of(CHUNK);
        [
            Packed::room(heads.head_dim, tokens),
            Packed::room(tokens, heads.head_dim),
            scores.max(stride),
            heads.kv_heads * heads.groups * stride,
        ]
    }

    /// Memory for so many values of each.
    pub fn with_room([keys, values, scores, bias]: [usize; 4]) -> Self {
        Self {
            keys: Packed::with_room(keys),
            values: Packed::with_room(values),
            scores: vec![0.0; scores],
            bias: Vec::with_capacity(bias),
        }
    }
}

/// How queries, keys and values lie in a row.
#[derive(Clone, Copy)]
pub struct Heads {
    pub head_dim: usize,
    pub kv_heads: usize,
    /// Query heads that share a key head.
    pub groups: usize,
}

impl Heads {
    pub fn new(stack: &StackConfig) -> Self {
        let groups = stack.heads / stack.kv_heads;
        Self { head_dim: stack.head_dim(), kv_heads: stack.kv_heads, groups }
    }

    fn width(&self) -> usize {
        self.kv_heads * self.groups * self.head_dim
    }

    /// Values of one row of queries, keys and values.
    pub fn row(&self) -> usize {
        self.width() + 2 * self.kv_heads * self.head_dim
    }

    fn query(&self, head: usize) -> usize {
        head * self.head_dim
    }

    fn key(&self, kv_head: usize) -> usize {
        self.width() + kv_head * self.head_dim
    }

    fn value(&self, kv_head: usize) -> usize {
        self.key(self.kv_heads + kv_head)
    }
}

/// Each token of one frame attends to all of them.
///
/// # Shapes
/// - qkv: `[tokens, heads.row()]`, normalised
/// - mixed: `[tokens, width]`
pub fn within_frame(
    arch: Arch,
    heads: Heads,
    (qkv, tokens): (&[f32], usize),
    mixed: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let (row, head_dim) = (heads.row(), heads.head_dim);
    let stride = tokens.next_multiple_of(CHUNK);
    scratch.scores.resize(scratch.scores.len().max(heads.groups * tokens * stride), 0.0);
    for kv_head in 0..heads.kv_heads {
        scratch.keys.shape(head_dim, tokens);
        scratch.values.shape(tokens, head_dim);
        for (token, qkv) in qkv.chunks_exact(row).enumerate() {
            scratch.keys.set_column(token, &qkv[heads.key(kv_head)..][..head_dim]);
            scratch.values.set_row(token, &qkv[heads.value(kv_head)..][..head_dim]);
        }
        let scores = &mut scratch.scores[..heads.groups * tokens * stride];
        for group in 0..heads.groups {
            let queries = View::new(heads.query(kv_head * heads.groups + group), row);
            let to = View::new(group * tokens * stride, stride);
            product(arch, tokens, (qkv, queries), (&scratch.keys, Start::Zero), (scores, to));
        }
        softmax_rows(arch, scores, tokens, stride);
        for group in 0..heads.groups {
            let from = View::new(group * tokens * stride, stride);
            let to = View::new(heads.query(kv_head * heads.groups + group), heads.width());
            product(arch, tokens, (scores, from), (&scratch.values, Start::Zero), (mixed, to));
        }
    }
}

/// Each token of a lane's newest frame attends to the token of its own place in the frames of the lane's ring, into which
/// its key and value are put first.
///
/// # Shapes
/// - qkv: `[FRAME_TOKENS, heads.row()]`, normalised
/// - distance_bias: `[query heads, context]`
/// - mixed: `[FRAME_TOKENS, width]`
pub fn over_time(
    arch: Arch,
    heads: Heads,
    (qkv, distance_bias): (&[f32], &[f32]),
    (ring, layer): (&mut Ring, usize),
    (mixed, scratch): (&mut [f32], &mut AttentionScratch),
) {
    let (query_heads, head_dim, stride) = (heads.kv_heads * heads.groups, heads.head_dim, ring.stride());
    scratch.bias.clear();
    scratch.bias.resize(query_heads * stride, 0.0);
    let biases = distance_bias.chunks_exact(distance_bias.len() / query_heads);
    for (to, bias) in scratch.bias.chunks_exact_mut(stride).zip(biases) {
        for (place, to) in to[..ring.age()].iter_mut().enumerate() {
            *to = bias[ring.distance(place)];
        }
    }
    scratch.scores.resize(scratch.scores.len().max(stride), 0.0);
    let scores = &mut scratch.scores[..stride];
    for (token, qkv) in qkv.chunks_exact(heads.row()).enumerate() {
        for kv_head in 0..heads.kv_heads {
            let part = |first: usize| &qkv[first..first + head_dim];
            let slot = token * heads.kv_heads + kv_head;
            ring.put(layer, slot, (part(heads.key(kv_head)), part(heads.value(kv_head))));
            let (keys, values) = ring.slot(layer, slot);
            for head in kv_head * heads.groups..(kv_head + 1) * heads.groups {
                let out = token * heads.width() + heads.query(head);
                scores.copy_from_slice(&scratch.bias[head * stride..(head + 1) * stride]);
                let past = Past { keys, values, age: ring.age() };
                attend(arch, part(heads.query(head)), past, scores, &mut mixed[out..out + head_dim]);
            }
        }
    }
    debug_assert_eq!(qkv.len(), FRAME_TOKENS * heads.row());
}

/// One slot of a ring.
struct Past<'a> {
    /// `[head_dim, stride]`.
    keys: &'a [f32],
    /// `[stride, head_dim]`.
    values: &'a [f32],
    age: usize,
}

vector_fns! {
    /// One query over the frames of one slot; `scores` holds the biases.
    fn attend<'a>(query: &'a [f32], past: Past<'a>, scores: &'a mut [f32], out: &'a mut [f32]) {
        let stride = scores.len();
        let (chunks, _) = scores.as_chunks_mut::<CHUNK>();
        for (i, chunk) in chunks.iter_mut().take(past.age.div_ceil(CHUNK)).enumerate() {
            let mut sums = *chunk;
            for (query, keys) in query.iter().zip(past.keys.chunks_exact(stride)) {
                let (keys, _) = keys.as_chunks::<CHUNK>();
                add_scaled(&mut sums, *query, &keys[i]);
            }
            *chunk = sums;
        }
        softmax(scores, past.age);
        mix(&scores[..past.age], past.values, out);
    }
}

#[inline(always)]
fn add_scaled<const N: usize>(sums: &mut [f32; N], factor: f32, values: &[f32; N]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = factor.mul_add(*value, *sum);
    }
}

/// `out = Σ weight · row` over rows of `out.len()` values.
#[inline(always)]
fn mix(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let width = out.len();
    let (chunks, rest) = out.as_chunks_mut::<8>();
    let rest_at = chunks.len() * 8;
    for (i, chunk) in chunks.iter_mut().enumerate() {
        let mut sums = [0.0; 8];
        for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            let (row, _) = row.as_chunks::<8>();
            add_scaled(&mut sums, *weight, &row[i]);
        }
        *chunk = sums;
    }
    for (i, out) in rest.iter_mut().enumerate() {
        let column = rows.chunks_exact(width).map(|row| row[rest_at + i]);
        *out = weights.iter().zip(column).map(|(weight, value)| weight * value).sum();
    }
}
