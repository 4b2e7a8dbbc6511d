use cubecl::prelude::*;

use super::attention::Ring;
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::layout::Heads;
use crate::cuda::meter::Cost;

/// Divides by the root mean square of `width` values: what they are to be multiplied by.
#[cube]
fn scale(square_sum: f32, #[comptime] width: usize) -> f32 {
    1.0f32 / (square_sum / f32::cast_from(width) + 1e-5f32).sqrt()
}

/// One plane a row (a warp of the GPU, one unit of the processor).
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn norm_rows_kernel<S: Float>(
    x: &mut [f32],
    added: &[f32],
    y: &mut [S],
    rows: u32,
    #[comptime] width: usize,
    #[comptime] plane: usize,
    #[comptime] adds: bool,
) {
    let row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    if row < rows as usize {
        let first = row * width;
        let mut sum = 0.0f32;
        for i in range_stepped(UNIT_POS_X as usize, width, plane) {
            let mut value = x[first + i];
            if comptime!(adds) {
                value += added[first + i];
                x[first + i] = value;
            }
            sum += value * value;
        }
        // The processor has no plane operations, not even for its planes of one unit.
        if comptime!(plane > 1) {
            sum = plane_sum(sum);
        }
        let factor = scale(sum, width);
        // Each unit reads what it wrote itself.
        for i in range_stepped(UNIT_POS_X as usize, width, plane) {
            y[first + i] = S::cast_from(x[first + i] * factor);
        }
    }
}

/// [RMS norm](crate::norm::rms_norm) of each row.
///
/// # Shapes
/// - x: `[rows, width]`, y: the same
pub fn norm_rows<S: Stored>(context: &Context, x: &Buffer<f32>, y: &Buffer<S>, size: (usize, usize)) {
    launch_norm(context, (x, None), y, size);
}

/// Adds `added` to each row of `x`, and [normalises](norm_rows) what that gives.
///
/// # Shapes
/// - x, added, y: `[rows, width]`
pub fn add_norm_rows<S: Stored>(
    context: &Context,
    [x, added]: [&Buffer<f32>; 2],
    y: &Buffer<S>,
    size: (usize, usize),
) {
    launch_norm(context, (x, Some(added)), y, size);
}

fn launch_norm<S: Stored>(
    context: &Context,
    (x, added): (&Buffer<f32>, Option<&Buffer<f32>>),
    y: &Buffer<S>,
    (rows, width): (usize, usize),
) {
    let (count, dim) = context.planes(rows);
    let [nothing, _] = context.nothing();
    norm_rows_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        x.arg(),
        added.unwrap_or(&nothing).arg(),
        y.arg(),
        rows as u32,
        width,
        dim.x as usize,
        added.is_some(),
    );
    // Read; with a sum read, read and written.
    let (kernel, wide) = if added.is_some() { ("residual and norm", 3) } else { ("norm", 1) };
    let numbers = rows * width;
    let bytes = numbers * (wide * size_of::<f32>() + size_of::<S>());
    context.launched(Cost::new(kernel, (2 + wide.min(2)) * numbers, bytes));
}

/// Queries, keys and values of some rows.
pub struct HeadRows<'a> {
    /// `[rows, heads.row()]`, normalised in place.
    pub qkv: &'a Buffer<f32>,
    /// `[head_dim]`, on queries.
    pub gain: &'a Buffer<f32>,
    /// Tokens of all frames.
    pub rows: usize,
    /// How a row is divided.
    pub heads: Heads,
}

/// One plane a head of a row. With `ringed`, keys and values go to the newest place of their lane's ring, and nowhere else.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn norm_heads_kernel<S: Float>(
    qkv: &mut [f32],
    gain: &[f32],
    keys: &mut [S],
    values: &mut [S],
    lanes: &[u32],
    newest: &[u32],
    rows: u32,
    #[comptime] heads: Heads,
    #[comptime] tokens: usize,
    #[comptime] context: usize,
    #[comptime] ringed: bool,
    #[comptime] plane: usize,
) {
    let parts = comptime!(heads.query + 2 * heads.kv);
    let width = comptime!(heads.dim);
    let item = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    if item < rows as usize * parts {
        let row = item / parts;
        let head = item % parts;
        let first = item * width;
        let is_query = head < heads.query;
        let is_key = head >= heads.query && head < comptime!(heads.query + heads.kv);
        let mut sum = 0.0f32;
        for i in range_stepped(UNIT_POS_X as usize, width, plane) {
            sum += qkv[first + i] * qkv[first + i];
        }
        if comptime!(plane > 1) {
            sum = plane_sum(sum);
        }
        let factor = scale(sum, width);
        if is_query {
            for i in range_stepped(UNIT_POS_X as usize, width, plane) {
                qkv[first + i] = qkv[first + i] * factor * gain[i];
            }
        } else if comptime!(ringed) {
            let lane = lanes[row / tokens] as usize;
            let slot = row % tokens * heads.kv + (head - heads.query) % heads.kv;
            let place = newest[row / tokens] as usize;
            let to = ((lane * comptime!(tokens * heads.kv) + slot) * context + place) * width;
            for i in range_stepped(UNIT_POS_X as usize, width, plane) {
                if is_key {
                    keys[to + i] = S::cast_from(qkv[first + i] * factor);
                } else {
                    values[to + i] = S::cast_from(qkv[first + i]);
                }
            }
        } else if is_key {
            for i in range_stepped(UNIT_POS_X as usize, width, plane) {
                qkv[first + i] *= factor;
            }
        }
    }
}

/// QK-norm in place: queries (times the gain) and keys over each head. With a ring, keys and values are written to the
/// newest places of the ring instead.
pub fn norm_heads<S: Stored>(
    context: &Context,
    rows: &HeadRows<'_>,
    ring: Option<&Ring<'_, S>>,
    tokens: usize,
) {
    let items = rows.rows * rows.heads.parts();
    let (count, dim) = context.planes(items);
    let plane = dim.x as usize;
    let (qkv, gain) = (rows.qkv.arg(), rows.gain.arg());
    let ([no_keys, no_values], [nobody, nowhere]) = (context.nothing::<S>(), context.nothing::<u32>());
    let (keys, values, lanes, newest, frames) = match ring {
        Some(ring) => (ring.keys, ring.values, ring.lanes, ring.newest, ring.frames),
        None => (&no_keys, &no_values, &nobody, &nowhere, 1),
    };
    norm_heads_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        qkv,
        gain,
        keys.arg(),
        values.arg(),
        lanes.arg(),
        newest.arg(),
        rows.rows as u32,
        rows.heads,
        tokens,
        frames,
        ring.is_some(),
        plane,
    );
    // Keys are written where they are read, or to the ring, and values with them.
    let (kernel, kv) = match ring {
        Some(_) => ("norm heads into the ring", 2 * (size_of::<f32>() + size_of::<S>())),
        None => ("norm heads", 2 * size_of::<f32>()),
    };
    let kv = rows.heads.kv * kv;
    let bytes = rows.rows * rows.heads.dim * (2 * rows.heads.query * size_of::<f32>() + kv);
    context.launched(Cost::new(kernel, 4 * items * rows.heads.dim, bytes));
}

/// One unit a number.
#[cube(launch)]
fn take_rows_kernel<S: Float>(
    x: &[S],
    out: &mut [S],
    groups: u32,
    #[comptime] width: usize,
    #[comptime] rows_of: RowsOf,
) {
    let at = ABSOLUTE_POS;
    if at < groups as usize * comptime!(rows_of.count * width) {
        let row = at / width;
        let from = row / comptime!(rows_of.count) * comptime!(rows_of.of)
            + comptime!(rows_of.first)
            + row % comptime!(rows_of.count);
        out[at] = x[from * width + at % width];
    }
}

/// Some rows of each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowsOf {
    /// The first that is taken.
    pub first: usize,
    /// How many are taken.
    pub count: usize,
    /// Rows from one group to the next.
    pub of: usize,
}

/// Some rows of each of `groups` groups, one after another.
///
/// # Shapes
/// - x: `[groups * rows_of.of, width]`
/// - out: `[groups * rows_of.count, width]`
pub fn take_rows<S: Stored>(
    context: &Context,
    [x, out]: [&Buffer<S>; 2],
    (groups, width): (usize, usize),
    rows_of: RowsOf,
) {
    let (cubes, dim) = context.each(groups * rows_of.count * width);
    let (x, out) = (x.arg(), out.arg());
    take_rows_kernel::launch::<S>(context.client(), cubes, dim, x, out, groups as u32, width, rows_of);
    let bytes = 2 * groups * rows_of.count * width * size_of::<S>();
    context.launched(Cost::new("take rows", 0, bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    fn normed(values: &[f32]) -> Vec<f32> {
        let mean = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        values.iter().map(|x| x / (mean + 1e-5).sqrt()).collect()
    }

    #[test]
    fn rows_of_any_width_are_normalised_and_taken() {
        on_processor(|context| {
            for (rows, width) in [(1, 3), (7, 96), (33, 20)] {
                let x = numbers(rows * width, 1);
                let (dx, dy) = (Buffer::of(context, &x), Buffer::<f32>::empty(context, rows * width));
                norm_rows(context, &dx, &dy, (rows, width));
                let mut y = vec![0.0; rows * width];
                dy.read(context, &mut y);
                close(&y, &x.chunks(width).flat_map(normed).collect::<Vec<_>>(), 1e-5);
                let added = numbers(rows * width, 2);
                let sum: Vec<f32> = x.iter().zip(&added).map(|(x, added)| x + added).collect();
                add_norm_rows(context, [&dx, &Buffer::of(context, &added)], &dy, (rows, width));
                dy.read(context, &mut y);
                close(&y, &sum.chunks(width).flat_map(normed).collect::<Vec<_>>(), 1e-5);
                dx.read(context, &mut y);
                assert_eq!(y, sum);
            }
        });
    }

    #[test]
    fn some_rows_of_each_group_are_taken() {
        on_processor(|context| {
            let x = numbers(3 * 5 * 4, 2);
            let (dx, out) = (Buffer::of(context, &x), Buffer::empty(context, 3 * 2 * 4));
            take_rows(context, [&dx, &out], (3, 4), RowsOf { first: 2, count: 2, of: 5 });
            let mut taken = vec![0.0; 24];
            out.read(context, &mut taken);
            assert_eq!(taken, [&x[8..16], &x[28..36], &x[48..56]].concat());
        });
    }

    #[test]
    fn heads_are_normalised_in_place_or_into_a_ring() {
        const TOKENS: usize = 3;
        let heads = Heads { query: 4, kv: 2, dim: 5 };
        on_processor(|context| {
            let (lanes, frames) = (2, 4);
            let rows = lanes * TOKENS;
            let (qkv, gain) = (numbers(rows * heads.row(), 1), numbers(heads.dim, 2));
            let expected: Vec<Vec<f32>> = qkv
                .chunks(heads.dim)
                .enumerate()
                .map(|(i, head)| match i % heads.parts() {
                    0..4 => normed(head).iter().zip(&gain).map(|(x, g)| x * g).collect(),
                    4..6 => normed(head),
                    _ => head.to_vec(),
                })
                .collect();
            let dgain = Buffer::of(context, &gain);
            let device = Buffer::of(context, &qkv);
            let head_rows = HeadRows { qkv: &device, gain: &dgain, rows, heads };
            norm_heads::<f32>(context, &head_rows, None, TOKENS);
            let mut found = vec![0.0; qkv.len()];
            device.read(context, &mut found);
            close(&found, &expected.concat(), 1e-5);
            // Lane 0 of the pass is the ring's lane 2, at place 3; lane 1 its lane 0, at place 1.
            let ring_len = 3 * TOKENS * heads.kv * frames * heads.dim;
            let [keys, values] = [7.0_f32, 8.0].map(|fill| Buffer::of(context, &vec![fill; ring_len]));
            let [ring_lanes, newest, ages] =
                [[2, 0], [3, 1], [1, 1]].map(|v: [u32; 2]| Buffer::of(context, &v));
            let (lanes, newest, ages) = (&ring_lanes, &newest, &ages);
            let ring = Ring { keys: &keys, values: &values, lanes, newest, ages, frames };
            let device = Buffer::of(context, &qkv);
            norm_heads(context, &HeadRows { qkv: &device, ..head_rows }, Some(&ring), TOKENS);
            for (buffer, first, fill) in [(&keys, 4, 7.0), (&values, 6, 8.0)] {
                let mut ring = vec![0.0; ring_len];
                buffer.read(context, &mut ring);
                for (at, entry) in ring.chunks(heads.dim).enumerate() {
                    let (place, slot) = (at % frames, at / frames % (TOKENS * heads.kv));
                    let lane = at / frames / (TOKENS * heads.kv);
                    let row = match (lane, place) {
                        (2, 3) => slot / heads.kv,
                        (0, 1) => TOKENS + slot / heads.kv,
                        _ => {
                            assert_eq!(entry, [fill; 5], "lane {lane} place {place} was written");
                            continue;
                        }
                    };
                    close(entry, &expected[row * heads.parts() + first + slot % heads.kv], 1e-5);
                }
            }
        });
    }
}
