use cubecl::prelude::*;

use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::layout::Heads;
use crate::cuda::meter::Cost;

/// One temporal layer's ring, and where in it each lane of a pass stands.
pub struct Ring<'a, S: Stored> {
    /// `[lanes, tokens * kv heads, frames, head_dim]`.
    pub keys: &'a Buffer<S>,
    /// As `keys`.
    pub values: &'a Buffer<S>,
    /// For each lane of the pass, which of the ring's lanes it is.
    pub lanes: &'a Buffer<u32>,
    /// The place of its newest frame.
    pub newest: &'a Buffer<u32>,
    /// Frames that it can see, the newest included.
    pub ages: &'a Buffer<u32>,
    /// Places in a ring.
    pub frames: usize,
}

/// What attention reads and writes.
pub struct Span<'a, S: Stored> {
    /// `[rows, heads.row()]`, normalised.
    pub qkv: &'a Buffer<f32>,
    /// `[rows, query heads * head_dim]`.
    pub mixed: &'a Buffer<S>,
    /// Tokens of all frames.
    pub rows: usize,
    /// Tokens of one frame.
    pub tokens: usize,
    /// How a row is divided.
    pub heads: Heads,
}

/// Takes one more score and value into a running softmax (Milakov and Gimelshein 2018,
/// <https://arxiv.org/abs/1805.02867>): what the sums so far are to be multiplied by, and the weight of the new value.
#[cube]
fn join(top: f32, score: f32) -> (f32, f32, f32) {
    let highest = max(top, score);
    (highest, (top - highest).exp(), (score - highest).exp())
}

/// One cube a head of a frame, one unit a query at a time.
#[cube(launch)]
fn within_frame_kernel<S: Float>(
    qkv: &[f32],
    mixed: &mut [S],
    #[comptime] tokens: usize,
    #[comptime] heads: Heads,
    #[comptime] staged: bool,
) {
    let frame = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let dim = comptime!(heads.dim);
    let row = comptime!(heads.parts() * heads.dim);
    let key_head = head / comptime!(heads.query / heads.kv);
    let key_at = comptime!(heads.query) + key_head;
    let value_at = comptime!(heads.query + heads.kv) + key_head;
    let first = frame * tokens * row;
    // On a GPU every query of the cube reads all keys: they are fetched once.
    let mut near_keys = Shared::<[f32]>::new_slice(comptime!(if staged { tokens * heads.dim } else { 1 }));
    let mut near_values = Shared::<[f32]>::new_slice(comptime!(if staged { tokens * heads.dim } else { 1 }));
    if comptime!(staged) {
        for i in range_stepped(UNIT_POS as usize, tokens * dim, CUBE_DIM as usize) {
            let at = first + i / dim * row + i % dim;
            near_keys[i] = qkv[at + key_at * dim];
            near_values[i] = qkv[at + value_at * dim];
        }
        sync_cube();
    }
    for token in range_stepped(UNIT_POS as usize, tokens, CUBE_DIM as usize) {
        let query_at = first + token * row + head * dim;
        let mut query = Array::<f32>::new(dim);
        let mut sums = Array::<f32>::new(dim);
        #[unroll]
        for i in 0..dim {
            query[i] = qkv[query_at + i];
            sums[i] = 0.0f32;
        }
        let mut top = f32::new(-1e30f32);
        let mut total = 0.0f32;
        for other in 0..tokens {
            let at = first + other * row;
            let mut score = 0.0f32;
            #[unroll]
            for i in 0..dim {
                if comptime!(staged) {
                    score += query[i] * near_keys[other * dim + i];
                } else {
                    score += query[i] * qkv[at + key_at * dim + i];
                }
            }
            let (highest, keep, weight) = join(top, score);
            top = highest;
            total = total * keep + weight;
            #[unroll]
            for i in 0..dim {
                if comptime!(staged) {
                    sums[i] = sums[i] * keep + weight * near_values[other * dim + i];
                } else {
                    sums[i] = sums[i] * keep + weight * qkv[at + value_at * dim + i];
                }
            }
        }
        let to = ((frame * tokens + token) * comptime!(heads.query) + head) * dim;
        #[unroll]
        for i in 0..dim {
            mixed[to + i] = S::cast_from(sums[i] / total);
        }
    }
}

/// Each token attends to every token of its own frame.
pub fn within_frame<S: Stored>(context: &Context, span: &Span<'_, S>) {
    let frames = (span.rows / span.tokens) as u32;
    let count = CubeCount::Static(frames, span.heads.query as u32, 1);
    // Keys and values of one head.
    let bytes = 2 * span.tokens * span.heads.dim * size_of::<f32>();
    let (units, staged) = context.units(span.tokens, bytes);
    let (qkv, mixed) = (span.qkv.arg(), span.mixed.arg());
    let dim = CubeDim::new_1d(units);
    within_frame_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        qkv,
        mixed,
        span.tokens,
        span.heads,
        staged,
    );
    let (heads, rows) = (span.heads, span.rows);
    let mixed = rows * heads.query * heads.dim;
    let bytes = rows * heads.row() * size_of::<f32>() + mixed * size_of::<S>();
    context.launched(Cost::new("attention within the frame", 4 * span.tokens * mixed, bytes));
}

/// Bytes that a unit fetches at once.
const FETCH_BYTES: usize = 16;

/// One unit a head of a token, along its lane's ring from the newest frame to the oldest. Keys and values are fetched some
/// at a time.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn over_time_kernel<S: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    keys: &[Vector<S, N>],
    values: &[Vector<S, N>],
    distance_bias: &[f32],
    lanes: &[u32],
    newest: &[u32],
    ages: &[u32],
    mixed: &mut [Vector<S, N>],
    rows: u32,
    #[comptime] heads: Heads,
    #[comptime] tokens: usize,
    #[comptime] frames: usize,
    #[comptime] fetched: usize,
) {
    let parts = comptime!(heads.dim / fetched);
    let row_parts = comptime!(heads.parts() * heads.dim / fetched);
    let item = ABSOLUTE_POS;
    if item < rows as usize * comptime!(heads.query) {
        let row = item / comptime!(heads.query);
        let head = item % comptime!(heads.query);
        let lane = lanes[row / tokens] as usize;
        let slot = row % tokens * comptime!(heads.kv) + head / comptime!(heads.query / heads.kv);
        let ring = (lane * comptime!(tokens * heads.kv) + slot) * frames * parts;
        let newest_place = newest[row / tokens] as usize;
        let mut query = Array::<Vector<f32, N>>::new(parts);
        let mut sums = Array::<Vector<f32, N>>::new(parts);
        #[unroll]
        for part in 0..parts {
            query[part] = qkv[row * row_parts + head * parts + part];
            sums[part] = Vector::new(0.0f32);
        }
        let mut top = f32::new(-1e30f32);
        let mut total = 0.0f32;
        for distance in 0..ages[row / tokens] as usize {
            let at = ring + (newest_place + frames - distance) % frames * parts;
            let mut products = Vector::<f32, N>::new(0.0f32);
            #[unroll]
            for part in 0..parts {
                products += query[part] * Vector::cast_from(keys[at + part]);
            }
            let mut score = distance_bias[head * frames + distance];
            #[unroll]
            for i in 0..fetched {
                score += products.extract(i);
            }
            let (highest, keep, weight) = join(top, score);
            top = highest;
            total = total * keep + weight;
            let (keep, weight) = (Vector::<f32, N>::new(keep), Vector::<f32, N>::new(weight));
            #[unroll]
            for part in 0..parts {
                sums[part] = sums[part] * keep + weight * Vector::cast_from(values[at + part]);
            }
        }
        let share = Vector::<f32, N>::new(1.0f32 / total);
        #[unroll]
        for part in 0..parts {
            mixed[item * parts + part] = Vector::cast_from(sums[part] * share);
        }
    }
}

/// How many values of `bytes` each a unit fetches at once of heads of `dim`.
fn fetched(dim: usize, bytes: usize) -> usize {
    let most = FETCH_BYTES / bytes;
    (0..).map(|half| most >> half).find(|count| dim.is_multiple_of(*count)).unwrap_or(1)
}

/// Each token of a lane's newest frame attends to the token of its own place in the frames of its ring, the newest included.
///
/// # Shapes
/// - distance_bias: `[query heads, frames]`, by how many frames ago
pub fn over_time<S: Stored>(
    context: &Context,
    span: &Span<'_, S>,
    ring: &Ring<'_, S>,
    distance_bias: &Buffer<f32>,
) {
    let (count, dim) = context.each(span.rows * span.heads.query);
    let fetched = fetched(span.heads.dim, size_of::<S>());
    over_time_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        fetched,
        span.qkv.vectors(fetched),
        ring.keys.vectors(fetched),
        ring.values.vectors(fetched),
        distance_bias.arg(),
        ring.lanes.arg(),
        ring.newest.arg(),
        ring.ages.arg(),
        span.mixed.vectors(fetched),
        span.rows as u32,
        span.heads,
        span.tokens,
        ring.frames,
        fetched,
    );
    let (heads, rows) = (span.heads, span.rows);
    let mixed = rows * heads.query * heads.dim;
    let (frames, ring) = (ring.frames, 2 * rows * heads.kv * ring.frames * heads.dim);
    let bytes = mixed * size_of::<f32>() + (ring + mixed) * size_of::<S>();
    context.launched(Cost::new("attention over time", 4 * frames * mixed, bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    /// Softmax of scores, and values summed by it.
    fn mix(scores: &[f32], values: &[&[f32]]) -> Vec<f32> {
        let top = scores.iter().copied().fold(f32::MIN, f32::max);
        let weights: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f32 = weights.iter().sum();
        let sum = |i: usize| weights.iter().zip(values).map(|(w, v)| w * v[i]).sum::<f32>() / total;
        (0..values[0].len()).map(sum).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn tokens_attend_to_their_own_frame() {
        on_processor(|context| {
            // More tokens than a cube has units, and heads that share keys.
            for (frames, tokens, heads) in
                [(3, 20, Heads { query: 4, kv: 2, dim: 6 }), (2, 65, Heads { query: 3, kv: 3, dim: 4 })]
            {
                let rows = frames * tokens;
                let qkv = numbers(rows * heads.row(), 5);
                let device = Buffer::of(context, &qkv);
                let mixed = Buffer::<f32>::empty(context, rows * heads.query * heads.dim);
                within_frame(context, &Span { qkv: &device, mixed: &mixed, rows, tokens, heads });
                let mut found = vec![0.0; rows * heads.query * heads.dim];
                mixed.read(context, &mut found);
                let head =
                    |row: usize, head: usize| &qkv[row * heads.row() + head * heads.dim..][..heads.dim];
                for (i, found) in found.chunks(heads.dim).enumerate() {
                    let (row, query) = (i / heads.query, i % heads.query);
                    let kv = query / (heads.query / heads.kv);
                    let own = row / tokens * tokens..(row / tokens + 1) * tokens;
                    let key = |other: usize| head(other, heads.query + kv);
                    let scores: Vec<f32> =
                        own.clone().map(|other| dot(head(row, query), key(other))).collect();
                    let values: Vec<&[f32]> =
                        own.map(|other| head(other, heads.query + heads.kv + kv)).collect();
                    close(found, &mix(&scores, &values), 1e-5);
                }
            }
        });
    }

    #[test]
    fn tokens_attend_to_their_place_in_as_many_frames_as_their_lane_has_seen() {
        const TOKENS: usize = 3;
        on_processor(|context| {
            for dim in [5, 6, 8] {
                let heads = Heads { query: 4, kv: 2, dim };
                let frames = 7;
                let (lanes, newest, ages) = ([2_u32, 0, 1], [6_u32, 2, 0], [1_u32, 7, 4]);
                let rows = lanes.len() * TOKENS;
                let qkv = numbers(rows * heads.row(), 1);
                let ring_len = 3 * TOKENS * heads.kv * frames * heads.dim;
                let (keys, values) = (numbers(ring_len, 2), numbers(ring_len, 3));
                let bias = numbers(heads.query * frames, 4);
                let [dq, dk, dv, db] =
                    [&qkv, &keys, &values, &bias].map(|values| Buffer::of(context, values));
                let [dlanes, dnewest, dages] =
                    [&lanes, &newest, &ages].map(|values| Buffer::of(context, values));
                let mixed = Buffer::<f32>::empty(context, rows * heads.query * heads.dim);
                let span = Span { qkv: &dq, mixed: &mixed, rows, tokens: TOKENS, heads };
                let (lanes_at, newest_at, ages_at) = (&dlanes, &dnewest, &dages);
                let ring = Ring {
                    keys: &dk,
                    values: &dv,
                    lanes: lanes_at,
                    newest: newest_at,
                    ages: ages_at,
                    frames,
                };
                over_time(context, &span, &ring, &db);
                let mut found = vec![0.0; rows * heads.query * heads.dim];
                mixed.read(context, &mut found);
                for (i, found) in found.chunks(heads.dim).enumerate() {
                    let (row, query) = (i / heads.query, i % heads.query);
                    let (lane, token, kv) = (row / TOKENS, row % TOKENS, query / 2);
                    let slot = (lanes[lane] as usize * TOKENS + token) * heads.kv + kv;
                    let at = |ago: usize| {
                        (slot * frames + (newest[lane] as usize + frames - ago) % frames) * heads.dim
                    };
                    let own = &qkv[row * heads.row() + query * heads.dim..][..heads.dim];
                    let ago = || 0..ages[lane] as usize;
                    let score =
                        |ago: usize| dot(own, &keys[at(ago)..][..heads.dim]) + bias[query * frames + ago];
                    let scores: Vec<f32> = ago().map(score).collect();
                    let seen: Vec<&[f32]> = ago().map(|ago| &values[at(ago)..][..heads.dim]).collect();
                    close(found, &mix(&scores, &seen), 1e-5);
                }
            }
        });
    }
}
