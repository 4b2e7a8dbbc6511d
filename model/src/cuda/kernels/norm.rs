use cubecl::prelude::*;

use super::attention::Ring;
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::layout::Heads;

/// Divides by the root mean square of `width` values: what they are to be multiplied by.
#[cube]
fn scale(square_sum: f32, #[comptime] width: usize) -> f32 {
    1.0f32 / (square_sum / f32::cast_from(width) + 1e-5f32).sqrt()
}

/// One plane a row (a warp of the GPU, one unit of the processor).
#[cube(launch)]
fn norm_rows_kernel<S: Float>(
    x: &[f32],
    y: &mut [S],
    rows: u32,
    #[comptime] width: usize,
    #[comptime] plane: usize,
) {
    let row = CUBE_POS * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    if row < rows as usize {
        let first = row * width;
        let mut sum = 0.0f32;
        for i in range_stepped(UNIT_POS_X as usize, width, plane) {
            sum += x[first + i] * x[first + i];
        }
        // The processor has no plane operations, not even for its planes of one unit.
        if comptime!(plane > 1) {
            sum = plane_sum(sum);
        }
        let factor = scale(sum, width);
        for i in range_stepped(UNIT_POS_X as usize, width, plane) {
            y[first + i] = S::cast_from(x[first + i] * factor);
        }
    }
}

/// [RMS norm](crate::norm::rms_norm) of each row.
///
/// # Shapes
/// - x: `[rows, width]`, y: the same
pub fn norm_rows<S: Stored>(
    context: &Context,
    x: &Buffer<f32>,
    y: &Buffer<S>,
    (rows, width): (usize, usize),
) {
    let (count, dim) = context.planes(rows);
    let plane = dim.x as usize;
    norm_rows_kernel::launch::<S>(context.client(), count, dim, x.arg(), y.arg(), rows as u32, width, plane);
    context.launched();
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
    context.launched();
}

#[cube(launch)]
fn take_rows_kernel<S: Float>(
    x: &[S],
    out: &mut [f32],
    count: u32,
    #[comptime] width: usize,
    #[comptime] first: usize,
    #[comptime] of: usize,
) {
    let at = ABSOLUTE_POS;
    if at < count as usize * width {
        out[at] = f32::cast_from(x[(at / width * of + first) * width + at % width]);
    }
}

/// Of every `of` rows the one at `first`.
///
/// # Shapes
/// - x: `[count * of, width]`
/// - out: `[count, width]`
pub fn take_rows<S: Stored>(
    context: &Context,
    x: &Buffer<S>,
    out: &Buffer<f32>,
    (count, width): (usize, usize),
    (first, of): (usize, usize),
) {
    let (cubes, dim) = context.each(count * width);
    take_rows_kernel::launch::<S>(
        context.client(),
        cubes,
        dim,
        x.arg(),
        out.arg(),
        count as u32,
        width,
        first,
        of,
    );
    context.launched();
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
            }
            let x = numbers(3 * 5 * 4, 2);
            let (dx, out) = (Buffer::of(context, &x), Buffer::empty(context, 3 * 4));
            take_rows(context, &dx, &out, (3, 4), (2, 5));
            let mut taken = vec![0.0; 12];
            out.read(context, &mut taken);
            assert_eq!(taken, [&x[8..12], &x[28..32], &x[48..52]].concat());
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
