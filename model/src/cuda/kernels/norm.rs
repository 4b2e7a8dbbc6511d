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
                qkv[first + i] = qkv[first + i] * factor;
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
