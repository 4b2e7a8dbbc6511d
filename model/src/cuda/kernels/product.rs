use cubecl::prelude::*;

use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::memory::COLUMNS;

/// Rows that a unit makes at once: each weight is read once for all of them.
const ROWS: usize = 4;

/// Which rows of `a` a product takes: of every `of` rows, `count` from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowsOf {
    /// The first that is taken.
    pub first: usize,
    /// How many are taken.
    pub count: usize,
    /// Rows from one group to the next.
    pub of: usize,
}

impl RowsOf {
    /// All of them.
    pub const ALL: Self = Self { first: 0, count: 1, of: 1 };
}

/// `c = a · b + bias`, or `c += a · b`.
pub struct Product<'a, S: Stored> {
    /// `[rows, k]`, of which `rows_of` are taken.
    pub a: &'a Buffer<S>,
    /// Which rows.
    pub rows_of: RowsOf,
    /// `[k, n]`; `n` is a multiple of [`COLUMNS`].
    pub b: &'a Buffer<S>,
    /// `[n]`.
    pub bias: Option<&'a Buffer<f32>>,
    /// `[m, n]`.
    pub c: &'a Buffer<f32>,
    /// Rows that are made, products' length, columns.
    pub size: [usize; 3],
    /// Whether it is added to what `c` holds.
    pub adds: bool,
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
    #[comptime] rows_of: RowsOf,
    #[comptime] has_bias: bool,
    #[comptime] adds: bool,
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
            let taken = min(row + r, m - 1);
            from[r] = (taken / comptime!(rows_of.count) * comptime!(rows_of.of)
                + comptime!(rows_of.first)
                + taken % comptime!(rows_of.count))
                * k;
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
                let at = (row + r) * n + column;
                if comptime!(adds) {
                    c[at] += sums[r];
                } else {
                    c[at] = sums[r];
                }
            }
        }
    }
}

/// Multiplies; sums are 32 bits wide.
pub fn product<S: Stored>(context: &Context, p: &Product<'_, S>) {
    let [m, k, n] = p.size;
    let columns = n / COLUMNS;
    let [none, _] = context.nothing::<f32>();
    let bias = p.bias.unwrap_or(&none).vectors();
    let (count, dim) = context.each(m.div_ceil(ROWS) * columns);
    product_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        COLUMNS,
        p.a.arg(),
        p.b.vectors(),
        bias,
        p.c.vectors(),
        m as u32,
        k,
        columns,
        p.rows_of,
        p.bias.is_some(),
        p.adds,
    );
    context.launched();
}
