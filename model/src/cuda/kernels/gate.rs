use cubecl::prelude::*;

use crate::cuda::context::{Buffer, Context, Stored};

#[cube(launch)]
fn gated_kernel<S: Float>(rows: &[f32], out: &mut [S], count: u32, #[comptime] hidden: usize) {
    let at = ABSOLUTE_POS;
    if at < count as usize * hidden {
        let first = at / hidden * comptime!(2 * hidden) + at % hidden;
        let gate = rows[first];
        out[at] = S::cast_from(gate * rows[first + hidden] / (1.0f32 + (-gate).exp()));
    }
}

/// `silu(gate) * value` of [`FeedForward`](crate::feed_forward::FeedForward).
///
/// # Shapes
/// - rows: `[count, 2 * hidden]`, gates and then values
/// - out: `[count, hidden]`
pub fn gated<S: Stored>(
    context: &Context,
    rows: &Buffer<f32>,
    out: &Buffer<S>,
    (count, hidden): (usize, usize),
) {
    let (cubes, dim) = context.each(count * hidden);
    gated_kernel::launch::<S>(context.client(), cubes, dim, rows.arg(), out.arg(), count as u32, hidden);
    context.launched();
}
