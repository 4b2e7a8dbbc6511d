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

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};

    /// Row by row, as it is written.
    fn by_hand(
        p: ([usize; 3], RowsOf),
        a: &[f32],
        b: &[f32],
        start: impl Fn(usize, usize) -> f32,
    ) -> Vec<f32> {
        let ([m, k, n], rows_of) = p;
        let row = |r: usize| r / rows_of.count * rows_of.of + rows_of.first + r % rows_of.count;
        let sum = |r: usize, c: usize| (0..k).map(|i| a[row(r) * k + i] * b[i * n + c]).sum::<f32>();
        (0..m * n).map(|i| start(i / n, i % n) + sum(i / n, i % n)).collect()
    }

    #[test]
    fn products_of_any_number_of_rows_with_and_without_bias() {
        on_processor(|context| {
            // 7 and 1 rows are no multiple of what a unit makes, 5 no length of a vector.
            for [m, k, n] in [[7, 5, 12], [1, 96, 4], [64, 33, 8]] {
                let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
                let [da, db, dbias] = [&a, &b, &bias].map(|values| Buffer::of(context, values));
                let c = Buffer::of(context, &numbers(m * n, 4));
                let mut p = Product {
                    a: &da,
                    rows_of: RowsOf::ALL,
                    b: &db,
                    bias: Some(&dbias),
                    c: &c,
                    size: [m, k, n],
                    adds: false,
                };
                product(context, &p);
                let mut first = vec![0.0; m * n];
                c.read(context, &mut first);
                close(&first, &by_hand(([m, k, n], RowsOf::ALL), &a, &b, |_, c| bias[c]), 1e-5);
                (p.bias, p.adds) = (None, true);
                product(context, &p);
                let mut twice = vec![0.0; m * n];
                c.read(context, &mut twice);
                close(&twice, &by_hand(([m, k, n], RowsOf::ALL), &a, &b, |r, c| first[r * n + c]), 1e-5);
            }
        });
    }

    #[test]
    fn some_rows_of_each_group() {
        on_processor(|context| {
            let ([m, k, n], rows_of) = ([6, 9, 4], RowsOf { first: 1, count: 2, of: 5 });
            let (a, b) = (numbers(15 * k, 1), numbers(k * n, 2));
            let [da, db] = [&a, &b].map(|values| Buffer::of(context, values));
            let c = Buffer::empty(context, m * n);
            let size = [m, k, n];
            product(context, &Product { a: &da, rows_of, b: &db, bias: None, c: &c, size, adds: false });
            let mut found = vec![0.0; m * n];
            c.read(context, &mut found);
            close(&found, &by_hand((size, rows_of), &a, &b, |_, _| 0.0), 1e-5);
        });
    }
}
