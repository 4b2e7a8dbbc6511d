//! Matrix products with one factor packed once: the engine's weights, and keys and values of one frame.

use pulp::{Arch, Simd, WithSimd};

/// Columns of a packed panel: two AVX-512 vectors, four of AVX2, eight of NEON.
pub const PANEL: usize = 32;

/// A matrix in panels of [`PANEL`] columns, each row by row, so that a product reads it in the order it lies in memory.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Packed {
    /// Packs `values`, `rows × columns`, row-major.
    pub fn new(values: &[f32], rows: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed
            .fill(rows, columns, |row, out| out.copy_from_slice(&values[row * columns..(row + 1) * columns]));
        packed
    }

    /// Values that a matrix takes, the rest of its last panel included.
    pub fn room(rows: usize, columns: usize) -> usize {
        columns.div_ceil(PANEL) * PANEL * rows
    }

    /// Nothing yet, with memory for `room` values.
    pub fn with_room(room: usize) -> Self {
        Self { rows: 0, columns: 0, values: Vec::with_capacity(room) }
    }

    /// Packs the rows of `parts` side by side.
    pub fn beside(parts: &[(&[f32], usize)], rows: usize) -> Self {
        let columns = parts.iter().map(|(_, columns)| columns).sum();
        let mut packed = Self::default();
        packed.fill(rows, columns, |row, out| {
            let mut at = 0;
            for (values, columns) in parts {
                out[at..at + columns].copy_from_slice(&values[row * columns..(row + 1) * columns]);
                at += columns;
            }
        });
        packed
    }

    /// Columns that hold values; the last panel is filled up with zeros.
    pub fn columns(&self) -> usize {
        self.columns
    }

    fn fill(&mut self, rows: usize, columns: usize, mut row_of: impl FnMut(usize, &mut [f32])) {
        self.shape(rows, columns);
        let mut whole = vec![0.0; columns];
        for row in 0..rows {
            row_of(row, &mut whole);
            self.set_row(row, &whole);
        }
    }

    /// Gives it another shape, all zeros, in the memory that it has.
    pub fn shape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        self.values.clear();
        self.values.resize(Self::room(rows, columns), 0.0);
    }

    /// Writes one row.
    pub fn set_row(&mut self, row: usize, values: &[f32]) {
        let rows = self.rows;
        for (panel, part) in values.chunks(PANEL).enumerate() {
            let at = (panel * rows + row) * PANEL;
            self.values[at..at + part.len()].copy_from_slice(part);
        }
    }

    /// Writes one column.
    pub fn set_column(&mut self, column: usize, values: &[f32]) {
        let at = column / PANEL * self.rows * PANEL + column % PANEL;
        for (to, from) in self.values[at..].iter_mut().step_by(PANEL).zip(values) {
            *to = *from;
        }
    }
}

/// A row-major matrix within a slice: its first value, and the distance from one row to the next.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub first: usize,
    pub stride: usize,
}

impl View {
    pub fn new(first: usize, stride: usize) -> Self {
        Self { first, stride }
    }
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// A row, the same for all.
    Bias(&'a [f32]),
    /// What the output holds already.
    Output,
}

/// `output = start + a · b` over `rows` rows of `a`, which lies in `input`.
///
/// Every value is one chain of fused multiply-adds along the shared dimension, whatever the number of rows: a batch of N
/// gives the same bits as N batches of one.
pub fn product(
    arch: Arch,
    rows: usize,
    (input, a): (&[f32], View),
    (b, start): (&Packed, Start<'_>),
    (output, c): (&mut [f32], View),
) {
    arch.dispatch(Product { rows, input, a, b, start, output, c });
}

struct Product<'a> {
    rows: usize,
    input: &'a [f32],
    a: View,
    b: &'a Packed,
    start: Start<'a>,
    output: &'a mut [f32],
    c: View,
}

impl WithSimd for Product<'_> {
    type Output = ();

    // Accumulators of a tile fill twelve registers; the panel's vectors and the factor take the rest.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 2, 6>(simd),
            8 => self.run::<S, 4, 3>(simd),
            4 => self.run::<S, 8, 2>(simd),
            _ => self.run::<S, PANEL, 1>(simd),
        }
    }
}

impl Product<'_> {
    /// Tiles of `M` rows and one panel, `V` vectors wide.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const M: usize>(mut self, simd: S) {
        let panels = self.b.columns.div_ceil(PANEL);
        for panel in 0..panels {
            let mut row = 0;
            while row + M <= self.rows {
                self.tile::<S, V, M>(simd, panel, row);
                row += M;
            }
            while row < self.rows {
                self.tile::<S, V, 1>(simd, panel, row);
                row += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const V: usize, const M: usize>(&mut self, simd: S, panel: usize, row: usize) {
        let depth = self.b.rows;
        let columns = PANEL.min(self.b.columns - panel * PANEL);
        let panel_values = &self.b.values[panel * depth * PANEL..(panel + 1) * depth * PANEL];
        let factors: [&[f32]; M] = std::array::from_fn(|m| {
            let at = self.a.first + (row + m) * self.a.stride;
            &self.input[at..at + depth]
        });
        let mut sums: [[S::f32s; V]; M] = std::array::from_fn(|m| {
            let at = self.c.first + (row + m) * self.c.stride + panel * PANEL;
            match self.start {
                Start::Zero => [simd.splat_f32s(0.0); V],
                Start::Bias(bias) => load(simd, &bias[panel * PANEL..panel * PANEL + columns]),
                Start::Output => load(simd, &self.output[at..at + columns]),
            }
        });
        let (vectors, _) = S::as_simd_f32s(panel_values);
        for (k, vectors) in (0..depth).zip(vectors.chunks_exact(V)) {
            for m in 0..M {
                let factor = simd.splat_f32s(factors[m][k]);
                for v in 0..V {
                    sums[m][v] = simd.mul_add_e_f32s(factor, vectors[v], sums[m][v]);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            let at = self.c.first + (row + m) * self.c.stride + panel * PANEL;
            store::<S, V>(sums, &mut self.output[at..at + columns]);
        }
    }
}

/// Up to a panel's row of values, the rest zeros.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, values: &[f32]) -> [S::f32s; V] {
    if values.len() == PANEL {
        let (vectors, _) = S::as_simd_f32s(values);
        return std::array::from_fn(|v| vectors[v]);
    }
    let mut whole = [0.0; PANEL];
    whole[..values.len()].copy_from_slice(values);
    let (vectors, _) = S::as_simd_f32s(&whole);
    let zero = simd.splat_f32s(0.0);
    std::array::from_fn(|v| vectors.get(v).copied().unwrap_or(zero))
}

#[inline(always)]
fn store<S: Simd, const V: usize>(sums: &[S::f32s; V], out: &mut [f32]) {
    if out.len() == PANEL {
        let (vectors, _) = S::as_mut_simd_f32s(out);
        for (to, from) in vectors.iter_mut().zip(sums) {
            *to = *from;
        }
        return;
    }
    let mut whole = [0.0; PANEL];
    let (vectors, _) = S::as_mut_simd_f32s(&mut whole);
    for (to, from) in vectors.iter_mut().zip(sums) {
        *to = *from;
    }
    out.copy_from_slice(&whole[..out.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, salt: usize) -> Vec<f32> {
        (0..rows * columns).map(|i| ((i * 7 + salt) % 23) as f32 * 0.25 - 2.5).collect()
    }

    fn expected(a: &[f32], b: &[f32], [rows, depth, columns]: [usize; 3], start: f32) -> Vec<f32> {
        let at = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            start + (0..depth).map(|k| a[row * depth + k] * b[k * columns + column]).sum::<f32>()
        };
        (0..rows * columns).map(at).collect()
    }

    // Multiples of a quarter this small add up without rounding.
    #[test]
    fn products_of_any_shape_are_right() {
        for shape @ [rows, depth, columns] in [[1, 1, 1], [7, 5, 33], [20, 24, 20], [13, 96, 92], [6, 3, 64]]
        {
            let (a, b) = (matrix(rows, depth, 1), matrix(depth, columns, 2));
            let packed = Packed::new(&b, depth, columns);
            let mut out = vec![1.5; rows * columns];
            let (from, to) = (View::new(0, depth), View::new(0, columns));
            product(Arch::new(), rows, (&a, from), (&packed, Start::Output), (&mut out, to));
            assert_eq!(out, expected(&a, &b, shape, 1.5), "{shape:?}");
            product(Arch::Scalar, rows, (&a, from), (&packed, Start::Zero), (&mut out, to));
            assert_eq!(out, expected(&a, &b, shape, 0.0), "{shape:?}");
            let bias = vec![-0.5; columns];
            product(Arch::new(), rows, (&a, from), (&packed, Start::Bias(&bias)), (&mut out, to));
            assert_eq!(out, expected(&a, &b, shape, -0.5), "{shape:?}");
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (a, b) = (matrix(20, 96, 3), matrix(96, 92, 4));
        let a: Vec<f32> = a.iter().map(|value| value.sin()).collect();
        let packed = Packed::new(&b, 96, 92);
        let run = |rows: usize, first: usize| {
            let mut out = vec![0.0; rows * 92];
            let from = View::new(first * 96, 96);
            product(Arch::new(), rows, (&a, from), (&packed, Start::Zero), (&mut out, View::new(0, 92)));
            out
        };
        let all = run(20, 0);
        for row in 0..20 {
            assert_eq!(run(1, row), all[row * 92..(row + 1) * 92], "row {row}");
        }
    }

    #[test]
    fn rows_and_columns_can_be_written_one_by_one() {
        let b = matrix(24, 40, 5);
        let (mut rows, mut columns) = (Packed::default(), Packed::default());
        rows.shape(24, 40);
        columns.shape(24, 40);
        for row in 0..24 {
            rows.set_row(row, &b[row * 40..(row + 1) * 40]);
        }
        for column in 0..40 {
            let values: Vec<f32> = (0..24).map(|row| b[row * 40 + column]).collect();
            columns.set_column(column, &values);
        }
        assert_eq!(rows.values, Packed::new(&b, 24, 40).values);
        assert_eq!(columns.values, rows.values);
    }
}
