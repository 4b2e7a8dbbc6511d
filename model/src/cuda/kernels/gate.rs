use cubecl::prelude::*;

use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::meter::Cost;

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
    let bytes = count * hidden * (2 * size_of::<f32>() + size_of::<S>());
    context.launched(Cost::new("gated activation", 5 * count * hidden, bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    #[test]
    fn gates_open_and_close() {
        on_processor(|context| {
            let (count, hidden) = (7, 13);
            let rows: Vec<f32> = numbers(count * 2 * hidden, 1).iter().map(|x| x * 8.0).collect();
            let (device, out) = (Buffer::of(context, &rows), Buffer::<f32>::empty(context, count * hidden));
            gated(context, &device, &out, (count, hidden));
            let mut found = vec![0.0; count * hidden];
            out.read(context, &mut found);
            let expected = rows.chunks(2 * hidden).flat_map(|row| {
                let (gates, values) = row.split_at(hidden);
                gates.iter().zip(values).map(|(g, v)| g / (1.0 + (-g).exp()) * v).collect::<Vec<_>>()
            });
            close(&found, &expected.collect::<Vec<_>>(), 1e-5);
        });
    }
}
