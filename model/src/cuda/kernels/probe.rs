//! What a device can do at most, as its own kernels find it.

use cubecl::prelude::*;

use super::product::{Factor, Product, number, product};
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::fp8::narrowed;
use crate::cuda::memory::COLUMNS;
use crate::cuda::meter::Cost;
use crate::cuda::profile::KernelTime;

/// Times that each probe is taken; the median counts.
const RUNS: usize = 5;

/// One unit some numbers.
#[cube(launch)]
fn copy_kernel<N: Size>(x: &[Vector<f32, N>], y: &mut [Vector<f32, N>]) {
    if ABSOLUTE_POS < x.len() {
        y[ABSOLUTE_POS] = x[ABSOLUTE_POS];
    }
}

fn copy(context: &Context, x: &Buffer<f32>, y: &Buffer<f32>) {
    let (count, dim) = context.each(x.len() / COLUMNS);
    copy_kernel::launch(context.client(), count, dim, COLUMNS, x.vectors(COLUMNS), y.vectors(COLUMNS));
    context.launched(Cost::new("copy", 0, 2 * x.len() * size_of::<f32>()));
}

/// Additions and multiplications a second of a product of `side`³, in eight bits if `is_narrow`, and bytes a second of copying
/// `numbers` numbers.
pub fn peaks<S: Stored>(context: &Context, (side, is_narrow): (usize, bool), numbers: usize) -> (f64, f64) {
    // Of a product in eight bits, not of what rounds its factor.
    let rate = |found: &[KernelTime], of: fn(&KernelTime) -> f64| {
        let most = found.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
        most.map_or(f64::NAN, |time| of(time) / time.seconds)
    };
    let [x, y] = [(); 2].map(|()| Buffer::empty(context, numbers));
    let copied = context.metered(RUNS, || copy(context, &x, &y));
    // Not all the same: a GPU multiplies what is the same faster.
    let values: Vec<f32> = (0..side * side).map(number).collect();
    let a = Buffer::of(context, &values.iter().map(|value| S::nearest(*value)).collect::<Vec<_>>());
    let c = Buffer::empty(context, side * side);
    let multiply = |b| {
        let p = Product { a: &a, b, bias: None, c: &c, size: [side; 3] };
        context.metered(RUNS, || product(context, &p))
    };
    let multiplied = if is_narrow {
        let (bytes, scale) = narrowed(&values, side);
        let (bytes, room) = (Buffer::of(context, &bytes), Buffer::empty(context, side * side));
        multiply(Factor::Narrow { bytes: &bytes, scale, room: &room })
    } else {
        multiply(Factor::Wide(&a))
    };
    (rate(&multiplied, |time| time.flops), rate(&copied, |time| time.bytes))
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{numbers, on_processor};

    #[test]
    fn copies_are_copies_and_rates_are_rates() {
        on_processor(|context| {
            let (x, y) = (Buffer::of(context, &numbers(64, 1)), Buffer::empty(context, 64));
            copy(context, &x, &y);
            let mut found = vec![0.0; 64];
            y.read(context, &mut found);
            assert_eq!(found, numbers(64, 1));
            for is_narrow in [false, true] {
                let (flops, bytes) = peaks::<f32>(context, (64, is_narrow), 1 << 16);
                assert!(flops > 1e6 && flops < 1e16, "{flops}");
                assert!(bytes > 1e6 && bytes < 1e14, "{bytes}");
            }
        });
    }
}
