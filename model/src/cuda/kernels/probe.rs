//! What a device can do at most, as its own kernels find it.

use cubecl::prelude::*;

use super::product::{Factor, Product, product};
use crate::cuda::context::{Buffer, Context, Stored};
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

/// Additions and multiplications a second of a product of `side`³, and bytes a second of copying `numbers` numbers.
pub fn peaks<S: Stored>(context: &Context, side: usize, numbers: usize) -> (f64, f64) {
    let rate = |found: &[KernelTime], of: fn(&KernelTime) -> f64| {
        found.first().map_or(f64::NAN, |time| of(time) / time.seconds)
    };
    let [x, y] = [(); 2].map(|()| Buffer::empty(context, numbers));
    let copied = context.metered(RUNS, || copy(context, &x, &y));
    let [a, b] = [(); 2].map(|()| Buffer::of(context, &vec![S::nearest(0.5); side * side]));
    let c = Buffer::empty(context, side * side);
    let p = Product { a: &a, b: Factor::Wide(&b), bias: None, c: &c, size: [side; 3] };
    let multiplied = context.metered(RUNS, || product(context, &p));
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
            let (flops, bytes) = peaks::<f32>(context, 64, 1 << 16);
            assert!(flops > 1e6 && flops < 1e16, "{flops}");
            assert!(bytes > 1e6 && bytes < 1e14, "{bytes}");
        });
    }
}
