use cubecl::prelude::*;

use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::fp8::{DROPPED_BITS, EXPONENT_OFFSET, LARGEST, SMALLEST_NORMAL, SUBNORMAL_STEPS};
use crate::cuda::meter::Cost;

/// [`encode`](crate::cuda::fp8::encode) on the device.
#[cube]
fn encode(value: f32) -> u8 {
    let sign = (u32::reinterpret(value) >> 31u32) << 7u32;
    let size = min(value.abs(), LARGEST);
    let bits = u32::reinterpret(size);
    let tie = comptime!((1u32 << (DROPPED_BITS - 1)) - 1u32) + ((bits >> DROPPED_BITS) & 1u32);
    let normal = (bits + tie) >> DROPPED_BITS;
    let mut code = normal - EXPONENT_OFFSET;
    if size < SMALLEST_NORMAL {
        // Adding 2²³ leaves no room for a fraction: what is dropped goes to the even neighbour.
        let whole = size * SUBNORMAL_STEPS;
        let floor = u32::cast_from(whole);
        let rest = whole - f32::cast_from(floor);
        code = floor;
        if rest > 0.5f32 || (rest == 0.5f32 && (floor & 1u32) == 1u32) {
            code = floor + 1u32;
        }
    }
    u8::cast_from(code | sign)
}

/// The number of a byte.
#[cube]
fn decode(code: u8) -> f32 {
    let code = u32::cast_from(code);
    let size = code & 127u32;
    let mut value = f32::reinterpret((size + EXPONENT_OFFSET) << DROPPED_BITS);
    if size < 8u32 {
        value = f32::cast_from(size) / SUBNORMAL_STEPS;
    }
    if code > 127u32 {
        value = -value;
    }
    value
}

/// One unit a number.
#[cube(launch)]
fn narrow_kernel<S: Float>(x: &[S], y: &mut [u8], count: u32) {
    let at = ABSOLUTE_POS;
    if at < count as usize {
        y[at] = encode(f32::cast_from(x[at]));
    }
}

/// The nearest numbers of [eight bits](crate::cuda::fp8).
///
/// # Shapes
/// - x, y: `[count]`
pub fn narrow<S: Stored>(context: &Context, x: &Buffer<S>, y: &Buffer<u8>, count: usize) {
    let (cubes, dim) = context.each(count);
    narrow_kernel::launch::<S>(context.client(), cubes, dim, x.arg(), y.arg(), count as u32);
    context.launched(Cost::new("narrow", count, count * (size_of::<S>() + 1)));
}

/// One unit a number of the product.
#[cube(launch)]
fn narrow_product_kernel(
    a: &[u8],
    b: &[u8],
    c: &mut [f32],
    m: u32,
    scale: f32,
    #[comptime] k: usize,
    #[comptime] n: usize,
) {
    let at = ABSOLUTE_POS;
    if at < m as usize * n {
        let (row, column) = (at / n * k, at % n * k);
        let mut sum = 0.0f32;
        for i in 0..k {
            sum += decode(a[row + i]) * decode(b[column + i]);
        }
        c[at] = sum * scale;
    }
}

/// `c = scale · a · bᵀ`, summed in 32 bits: what a GPU's matrix units are held to.
///
/// # Shapes
/// - a: `[m, k]`, b: `[n, k]`, c: `[m, n]`
pub fn narrow_product(
    context: &Context,
    [a, b]: [&Buffer<u8>; 2],
    c: &Buffer<f32>,
    ([m, k, n], scale): ([usize; 3], f32),
) {
    let (cubes, dim) = context.each(m * n);
    let (a, b, c) = (a.arg(), b.arg(), c.arg());
    narrow_product_kernel::launch(context.client(), cubes, dim, a, b, c, m as u32, scale, k, n);
    let bytes = m * k + k * n + m * n * size_of::<f32>();
    context.launched(Cost { kernel: "product", product: Some([m, k, n]), flops: 2 * m * k * n, bytes });
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::fp8;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    #[test]
    fn numbers_are_narrowed_as_on_the_host() {
        on_processor(|context| {
            let mut values: Vec<f32> = (-3000..3000).map(|i| (i as f32 / 400.0).powi(3)).collect();
            // Ties of small numbers, of large ones, and what is too large.
            values.extend((0..32).map(|i| i as f32 / 1024.0));
            values.extend([17.0, 19.0, -17.0, 448.0, 464.0, 1e9, -1e9, 0.0, -0.0]);
            let (x, y) = (Buffer::of(context, &values), Buffer::empty(context, values.len()));
            narrow(context, &x, &y, values.len());
            let mut found = vec![0; values.len()];
            y.read(context, &mut found);
            for (value, found) in values.iter().zip(found) {
                assert_eq!(found, fp8::encode(*value), "{value}");
            }
        });
    }

    #[test]
    fn products_of_bytes_are_those_of_their_numbers() {
        on_processor(|context| {
            let [m, k, n] = [7, 20, 12];
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let a: Vec<u8> = a.iter().map(|value| fp8::encode(value * 3.0)).collect();
            let (b, scale) = fp8::narrowed(&b, n);
            let c = Buffer::empty(context, m * n);
            let [da, db] = [&a, &b].map(|bytes| Buffer::of(context, bytes));
            narrow_product(context, [&da, &db], &c, ([m, k, n], scale));
            let mut found = vec![0.0; m * n];
            c.read(context, &mut found);
            let expected = (0..m * n).map(|i| {
                let (row, column) = (i / n * k, i % n * k);
                (0..k).map(|i| fp8::decode(a[row + i]) * fp8::decode(b[column + i])).sum::<f32>() * scale
            });
            close(&found, &expected.collect::<Vec<_>>(), 1e-5);
        });
    }
}
