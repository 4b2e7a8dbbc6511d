use cubecl::prelude::*;
use cubek_matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek_matmul::launch::launch_ref;
use cubek_std::InputBinding;

use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::memory::{COLUMNS, tile_rows};

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
    /// Room for `m * n` numbers, which a product that is added may be made in first; without it, units make it.
    pub room: Option<&'a Buffer<f32>>,
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

/// One unit a number.
#[cube(launch)]
fn finish_kernel(
    c: &mut [f32],
    room: &[f32],
    bias: &[f32],
    m: u32,
    #[comptime] n: usize,
    #[comptime] has_bias: bool,
    #[comptime] adds: bool,
) {
    let at = ABSOLUTE_POS;
    if at < m as usize * n {
        let mut value = c[at];
        if comptime!(adds) {
            value += room[at];
        }
        if comptime!(has_bias) {
            value += bias[at % n];
        }
        c[at] = value;
    }
}

/// Multiplies; sums are 32 bits wide. By the matrix units of the device or the tiles of the processor's cache (cubek's
/// kernels) where all rows are taken, else by units that each keep a few numbers in registers.
pub fn product<S: Stored>(context: &Context, p: &Product<'_, S>) {
    let in_tiles = p.rows_of == RowsOf::ALL && (!p.adds || p.room.is_some());
    if !in_tiles || by_tiles(context, p).is_err() {
        by_units(context, p);
    }
}

/// # Errors
/// What cubek has against it: a shape, or a device without what its kernel needs.
fn by_tiles<S: Stored>(context: &Context, p: &Product<'_, S>) -> Result<(), MatmulSetupError> {
    let ([count, k, n], room) = (p.size, p.room.filter(|_| p.adds));
    // Matrix units take whole tiles: where there is room for them, rows that mean nothing are made too.
    let (filled_up, out) = (tile_rows(count), room.unwrap_or(p.c));
    let there_is_room = filled_up * k <= p.a.len() && filled_up * n <= out.len();
    let m = if there_is_room { filled_up } else { count };
    let mut elements = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: S::elem_type_native(),
        rhs: S::elem_type_native(),
        out: f32::elem_type_native(),
    });
    let a = InputBinding::new(p.a.matrix(m, k), S::elem_type_native());
    let b = InputBinding::new(p.b.matrix(k, n), S::elem_type_native());
    launch_ref(context.tiles(), context.client(), a, b, out.matrix(m, n), &mut elements)?;
    context.launched();
    if room.is_some() || p.bias.is_some() {
        let [nothing, _] = context.nothing::<f32>();
        let (room, bias) = (room.unwrap_or(&nothing).arg(), p.bias.unwrap_or(&nothing).arg());
        let (cubes, dim) = context.each(count * n);
        let (c, has_bias) = (p.c.arg(), p.bias.is_some());
        finish_kernel::launch(context.client(), cubes, dim, c, room, bias, count as u32, n, has_bias, p.adds);
        context.launched();
    }
    Ok(())
}

fn by_units<S: Stored>(context: &Context, p: &Product<'_, S>) {
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
                let room = Buffer::empty(context, m * n);
                let mut p = Product {
                    room: None,
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
                p.room = Some(&room);
                by_tiles(context, &p).unwrap();
                let mut thrice = vec![0.0; m * n];
                c.read(context, &mut thrice);
                close(&thrice, &by_hand(([m, k, n], RowsOf::ALL), &a, &b, |r, c| twice[r * n + c]), 1e-5);
                (p.bias, p.adds, p.room) = (Some(&dbias), false, None);
                by_units(context, &p);
                c.read(context, &mut twice);
                by_tiles(context, &p).unwrap();
                c.read(context, &mut thrice);
                close(&thrice, &twice, 1e-5);
            }
        });
    }

    /// What lies in the rows that fill a tile up, numbers or not, stays there.
    #[test]
    fn rows_that_fill_a_tile_up_reach_no_other() {
        on_processor(|context| {
            let [m, k, n] = [7, 16, 16];
            let filled_up = tile_rows(m);
            let (b, bias) = (numbers(k * n, 2), numbers(n, 3));
            let mut a = numbers(m * k, 1);
            let start = numbers(m * n, 4);
            let mut c = start.clone();
            a.resize(filled_up * k, f32::NAN);
            c.resize(filled_up * n, f32::NAN);
            let [da, db, dbias, dc] = [&a, &b, &bias, &c].map(|values| Buffer::of(context, values));
            let room = Buffer::of(context, &vec![f32::NAN; filled_up * n]);
            let (size, rows_of) = ([m, k, n], RowsOf::ALL);
            let mut p =
                Product { a: &da, rows_of, b: &db, bias: None, c: &dc, size, adds: true, room: Some(&room) };
            by_tiles(context, &p).unwrap();
            let mut found = vec![0.0; m * n];
            dc.read(context, &mut found);
            close(&found, &by_hand((size, rows_of), &a, &b, |r, c| start[r * n + c]), 1e-5);
            (p.bias, p.adds, p.room) = (Some(&dbias), false, None);
            by_tiles(context, &p).unwrap();
            dc.read(context, &mut found);
            close(&found, &by_hand((size, rows_of), &a, &b, |_, c| bias[c]), 1e-5);
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
            product(
                context,
                &Product { a: &da, rows_of, b: &db, bias: None, c: &c, size, adds: false, room: None },
            );
            let mut found = vec![0.0; m * n];
            c.read(context, &mut found);
            close(&found, &by_hand((size, rows_of), &a, &b, |_, _| 0.0), 1e-5);
        });
    }
}
