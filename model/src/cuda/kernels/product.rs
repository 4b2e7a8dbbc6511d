use cubecl::prelude::*;
use cubek_matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek_matmul::launch::launch_ref;
use cubek_std::InputBinding;

use super::narrow::{narrow, narrow_product};
use super::norm::{add_norm_rows, norm_rows};
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::fp8::narrowed;
use crate::cuda::memory::{COLUMNS, tile_rows};
use crate::cuda::meter::Cost;

/// Rows that a unit makes at once: each weight is read once for all of them.
const ROWS: usize = 4;

/// A product that NVIDIA's library is tried with: rows, length, columns, all different.
const CHECKED: [usize; 3] = [80, 64, 48];

/// `c = a · b + bias`.
pub struct Product<'a, S: Stored> {
    /// `[m, k]`.
    pub a: &'a Buffer<S>,
    /// `[k, n]`; `n` is a multiple of [`COLUMNS`].
    pub b: Factor<'a, S>,
    /// `[n]`.
    pub bias: Option<&'a Buffer<f32>>,
    /// `[m, n]`.
    pub c: &'a Buffer<f32>,
    /// Rows, products' length, columns.
    pub size: [usize; 3],
}

/// The second factor of a product.
pub enum Factor<'a, S: Stored> {
    /// As it is.
    Wide(&'a Buffer<S>),
    /// In [eight bits](crate::cuda::fp8); the first factor is rounded to such in `room`, `[m, k]`.
    Narrow {
        /// Transposed: `[n, k]`.
        bytes: &'a Buffer<u8>,
        /// What its numbers are to be multiplied by.
        scale: f32,
        /// Where the first factor goes.
        room: &'a Buffer<u8>,
    },
}

impl<S: Stored> Clone for Factor<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Stored> Copy for Factor<'_, S> {}

impl<S: Stored> Clone for Product<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Stored> Copy for Product<'_, S> {}

impl<S: Stored> Product<'_, S> {
    fn cost(&self, adds: bool) -> Cost {
        let [m, k, n] = self.size;
        let to = m * n * size_of::<f32>() * if adds { 2 } else { 1 };
        let operand = match self.b {
            Factor::Wide(_) => size_of::<S>(),
            Factor::Narrow { .. } => 1,
        };
        let bytes = (m * k + k * n) * operand + to;
        Cost { kernel: "product", product: Some(self.size), flops: 2 * m * k * n, bytes }
    }
}

/// One unit a few rows of a few columns, kept in registers.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn product_kernel<S: Float, N: Size>(
    a: &[S],
    b: &[Vector<S, N>],
    bias: &[Vector<f32, N>],
    c: &mut [Vector<f32, N>],
    m: u32,
    #[comptime] k: usize,
    #[comptime] n: usize,
    #[comptime] has_bias: bool,
) {
    let m = m as usize;
    let column = ABSOLUTE_POS % n;
    let row = ABSOLUTE_POS / n * ROWS;
    if row < m {
        let mut from = Array::<usize>::new(ROWS);
        let mut sums = Array::<Vector<f32, N>>::new(ROWS);
        #[unroll]
        for r in 0..ROWS {
            // Rows beyond the last are made of the last, and not written.
            from[r] = min(row + r, m - 1) * k;
            if comptime!(has_bias) {
                sums[r] = bias[column];
            } else {
                sums[r] = Vector::new(0.0f32);
            }
        }
        for i in 0..k {
            let weights: Vector<f32, N> = Vector::cast_from(b[i * n + column]);
            #[unroll]
            for r in 0..ROWS {
                sums[r] += Vector::new(f32::cast_from(a[from[r] + i])) * weights;
            }
        }
        #[unroll]
        for r in 0..ROWS {
            if row + r < m {
                c[(row + r) * n + column] = sums[r];
            }
        }
    }
}

/// One unit a number.
#[cube(launch)]
fn add_bias_kernel(c: &mut [f32], bias: &[f32], m: u32, #[comptime] n: usize) {
    let at = ABSOLUTE_POS;
    if at < m as usize * n {
        c[at] += bias[at % n];
    }
}

/// Multiplies; sums are 32 bits wide. By NVIDIA's library where the context has it, else by the matrix units of the device or
/// the tiles of the processor's cache (cubek's kernels), else by units that each keep a few numbers in registers.
pub fn product<S: Stored>(context: &Context, p: &Product<'_, S>) {
    if by_library(context, p, false) {
        return;
    }
    match p.b {
        Factor::Narrow { bytes, scale, room } => {
            let [m, k, _] = p.size;
            narrow(context, p.a, room, m * k);
            narrow_product(context, [room, bytes], p.c, (p.size, scale));
            if let Some(bias) = p.bias {
                add_bias(context, p, bias);
            }
        }
        Factor::Wide(b) => {
            if by_tiles(context, p, b).is_err() {
                by_units(context, p, b);
            }
        }
    }
}

/// Adds `a · b` to `stream`, and normalises what that gives into `normed`; `p.c` is room for the product.
///
/// # Shapes
/// - stream, normed: as `p.c`
pub fn add_product<S: Stored>(
    context: &Context,
    p: &Product<'_, S>,
    stream: &Buffer<f32>,
    normed: &Buffer<S>,
) {
    let [rows, _, width] = p.size;
    if by_library(context, &Product { c: stream, ..*p }, true) {
        return norm_rows(context, stream, normed, (rows, width));
    }
    product(context, p);
    add_norm_rows(context, [stream, p.c], normed, (rows, width));
}

/// Whether NVIDIA's library made it, with the bias or the sum in the same kernel; without it, nothing was done.
#[cfg(feature = "cuda")]
fn by_library<S: Stored>(context: &Context, p: &Product<'_, S>, adds: bool) -> bool {
    use crate::cuda::column_major::ColumnMajor;
    use crate::cuda::cublas::{Operand, Operands, Shape};

    let Some(cublas) = context.cublas() else { return false };
    let [rows, k, n] = p.size;
    let (operand, scale) = match p.b {
        Factor::Narrow { scale, .. } => (Operand::Fp8, scale),
        Factor::Wide(_) if size_of::<S>() == size_of::<f32>() => (Operand::F32, 1.0),
        Factor::Wide(_) => (Operand::Bf16, 1.0),
    };
    // Matrix units take numbers of eight bits in whole tiles alone.
    let made = match operand {
        Operand::Fp8 => tile_rows(rows),
        Operand::F32 | Operand::Bf16 => rows,
    };
    debug_assert!(made * k <= p.a.len() && made * n <= p.c.len());
    let size = ColumnMajor::new([made, k, n]);
    let shape = Shape { size, operand, has_bias: p.bias.is_some(), adds };
    let operands = || {
        let bias = match p.bias {
            Some(bias) => Some(bias.address(context)?),
            None => None,
        };
        let (a, b) = match p.b {
            Factor::Wide(b) => (p.a.address(context)?, b.address(context)?),
            Factor::Narrow { bytes, room, .. } => {
                narrow(context, p.a, room, made * k);
                (room.address(context)?, bytes.address(context)?)
            }
        };
        Some(Operands { a, b, bias, c: p.c.address(context)?, scale })
    };
    let done = operands().ok_or_else(|| "a buffer has no address".to_owned());
    match done.and_then(|operands| cublas.multiply(context.client(), shape, operands)) {
        Ok(()) => {
            context.launched(p.cost(adds));
            true
        }
        Err(why) => {
            context.refuse_library(why);
            false
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn by_library<S: Stored>(_: &Context, _: &Product<'_, S>, _: bool) -> bool {
    false
}

/// Goes on without NVIDIA's library, if the context has it, where that does not say what units say: of a product with a bias,
/// of one that is added, and if they will be needed of one in eight bits.
pub fn check_library<S: Stored>(context: &Context, is_narrow: bool) {
    let is_right =
        || context.not_counting(|| agrees::<S>(context) && (!is_narrow || agrees_in_bytes::<S>(context)));
    if context.has_library() && !is_right() {
        context.refuse_library("cuBLASLt multiplies otherwise than expected".to_owned());
    }
}

/// Numbers between -1 and 1, whose products bfloat16 holds nearly all of.
pub(super) fn number(i: usize) -> f32 {
    ((i * 37 % 101) as f32 - 50.0) / 50.0
}

fn agrees<S: Stored>(context: &Context) -> bool {
    let size @ [m, k, n] = CHECKED;
    let stored = |count: usize| (0..count).map(|i| S::nearest(number(i))).collect::<Vec<_>>();
    let [a, b] = [stored(m * k), stored(k * n)].map(|values| Buffer::of(context, &values));
    let start: Vec<f32> = (0..m * n).map(number).collect();
    let bias = Buffer::of(context, &start[..n]);
    let [ours, added, with_bias] = [(); 3].map(|()| Buffer::of(context, &start));
    let p = Product { a: &a, b: Factor::Wide(&b), bias: None, c: &ours, size };
    by_units(context, &p, &b);
    by_library(context, &Product { bias: Some(&bias), c: &with_bias, ..p }, false)
        && by_library(context, &Product { c: &added, ..p }, true)
        && says(context, &added, &ours, |i| start[i])
        && says(context, &with_bias, &ours, |i| start[i % n])
}

fn agrees_in_bytes<S: Stored>(context: &Context) -> bool {
    let size @ [m, k, n] = CHECKED;
    let rows = tile_rows(m);
    let a: Vec<S> = (0..rows * k).map(|i| S::nearest(number(i))).collect();
    let b: Vec<f32> = (0..k * n).map(number).collect();
    let (a, (bytes, scale)) = (Buffer::of(context, &a), narrowed(&b, n));
    let (bytes, room) = (Buffer::of(context, &bytes), Buffer::empty(context, rows * k));
    let ours = Buffer::empty(context, rows * n);
    let start: Vec<f32> = (0..rows * n).map(number).collect();
    let [theirs, added] = [(); 2].map(|()| Buffer::of(context, &start));
    narrow(context, &a, &room, m * k);
    narrow_product(context, [&room, &bytes], &ours, (size, scale));
    let b = Factor::Narrow { bytes: &bytes, scale, room: &room };
    let p = Product { a: &a, b, bias: None, c: &theirs, size };
    by_library(context, &p, false)
        && by_library(context, &Product { c: &added, ..p }, true)
        && says(context, &theirs, &ours, |_| 0.0)
        && says(context, &added, &ours, |i| start[i])
}

/// Whether what was found is what units say and `more`, to rounding.
fn says(context: &Context, found: &Buffer<f32>, ours: &Buffer<f32>, more: impl Fn(usize) -> f32) -> bool {
    let [m, _, n] = CHECKED;
    let [found, ours] = [found, ours].map(|buffer| {
        let mut values = vec![0.0; m * n];
        buffer.read(context, &mut values);
        values
    });
    let is_close = |found: f32, expected: f32| (found - expected).abs() <= 1e-3 * expected.abs().max(1.0);
    (0..m * n).all(|i| is_close(found[i], ours[i] + more(i)))
}

/// # Errors
/// What cubek has against it: a shape, or a device without what its kernel needs.
fn by_tiles<S: Stored>(context: &Context, p: &Product<'_, S>, b: &Buffer<S>) -> Result<(), MatmulSetupError> {
    let [count, k, n] = p.size;
    // Matrix units take whole tiles: where there is room for them, rows that mean nothing are made too.
    let filled_up = tile_rows(count);
    let there_is_room = filled_up * k <= p.a.len() && filled_up * n <= p.c.len();
    let m = if there_is_room { filled_up } else { count };
    let mut elements = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: S::elem_type_native(),
        rhs: S::elem_type_native(),
        out: f32::elem_type_native(),
    });
    let a = InputBinding::new(p.a.matrix(m, k), S::elem_type_native());
    let b = InputBinding::new(b.matrix(k, n), S::elem_type_native());
    launch_ref(context.tiles(), context.client(), a, b, p.c.matrix(m, n), &mut elements)?;
    context.launched(p.cost(false));
    if let Some(bias) = p.bias {
        add_bias(context, p, bias);
    }
    Ok(())
}

fn add_bias<S: Stored>(context: &Context, p: &Product<'_, S>, bias: &Buffer<f32>) {
    let [m, _, n] = p.size;
    let (cubes, dim) = context.each(m * n);
    add_bias_kernel::launch(context.client(), cubes, dim, p.c.arg(), bias.arg(), m as u32, n);
    context.launched(Cost::new("bias", m * n, 2 * m * n * size_of::<f32>()));
}

fn by_units<S: Stored>(context: &Context, p: &Product<'_, S>, b: &Buffer<S>) {
    let [m, k, n] = p.size;
    let columns = n / COLUMNS;
    let [none, _] = context.nothing::<f32>();
    let bias = p.bias.unwrap_or(&none).vectors(COLUMNS);
    let (count, dim) = context.each(m.div_ceil(ROWS) * columns);
    product_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        COLUMNS,
        p.a.arg(),
        b.vectors(COLUMNS),
        bias,
        p.c.vectors(COLUMNS),
        m as u32,
        k,
        columns,
        p.bias.is_some(),
    );
    context.launched(p.cost(false));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    /// Row by row, as it is written.
    fn by_hand([m, k, n]: [usize; 3], a: &[f32], b: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let sum = |r: usize, c: usize| (0..k).map(|i| a[r * k + i] * b[i * n + c]).sum::<f32>();
        (0..m * n).map(|i| bias.map_or(0.0, |bias| bias[i % n]) + sum(i / n, i % n)).collect()
    }

    #[test]
    fn products_of_any_number_of_rows_with_and_without_bias() {
        on_processor(|context| {
            // 7 and 1 rows are no multiple of what a unit makes, 5 no length of a vector.
            for size @ [m, k, n] in [[7, 5, 12], [1, 96, 4], [64, 33, 8]] {
                let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
                let [da, db, dbias] = [&a, &b, &bias].map(|values| Buffer::of(context, values));
                let c = Buffer::of(context, &numbers(m * n, 4));
                for with_bias in [true, false] {
                    let p = Product {
                        a: &da,
                        b: Factor::Wide(&db),
                        bias: with_bias.then_some(&dbias),
                        c: &c,
                        size,
                    };
                    let expected = by_hand(size, &a, &b, with_bias.then_some(&bias));
                    let mut found = vec![0.0; m * n];
                    by_units(context, &p, &db);
                    c.read(context, &mut found);
                    close(&found, &expected, 1e-5);
                    c.write(context, vec![f32::NAN; m * n]);
                    by_tiles(context, &p, &db).unwrap();
                    c.read(context, &mut found);
                    close(&found, &expected, 1e-5);
                }
            }
        });
    }

    /// What lies in the rows that fill a tile up, numbers or not, reaches no other row.
    #[test]
    fn rows_that_fill_a_tile_up_reach_no_other() {
        on_processor(|context| {
            let size @ [m, k, n] = [7, 16, 16];
            let filled_up = tile_rows(m);
            let (b, bias) = (numbers(k * n, 2), numbers(n, 3));
            let mut a = numbers(m * k, 1);
            a.resize(filled_up * k, f32::NAN);
            let c = vec![f32::NAN; filled_up * n];
            let [da, db, dbias, dc] = [&a, &b, &bias, &c].map(|values| Buffer::of(context, values));
            let mut found = vec![0.0; m * n];
            for with_bias in [true, false] {
                let p =
                    Product { a: &da, b: Factor::Wide(&db), bias: with_bias.then_some(&dbias), c: &dc, size };
                by_tiles(context, &p, &db).unwrap();
                dc.read(context, &mut found);
                close(&found, &by_hand(size, &a, &b, with_bias.then_some(&bias)), 1e-5);
            }
        });
    }
}
