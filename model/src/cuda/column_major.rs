/// A product of matrices that lie row after row, in the terms of BLAS, for which they lie column after column.
///
/// Read so, the buffer of a matrix is its transpose. `c = a · b` is therefore `cᵀ = bᵀ · aᵀ`: BLAS is given `b` as its first
/// factor and `a` as its second, both as they are, and leaves `c` as it is wanted. A bias that is added to each of `c`'s rows
/// is one number for each row of BLAS's product. Where the second factor's buffer holds its columns one after another, BLAS is
/// told to transpose its first factor, whose columns are then `k` long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnMajor {
    /// Rows of BLAS's product, and of its first factor.
    pub m: usize,
    /// Its columns, and those of the second factor.
    pub n: usize,
    /// Columns of the first factor, rows of the second.
    pub k: usize,
}

impl ColumnMajor {
    /// Of `rows` rows, `k` values long, times as many rows of `columns`.
    pub fn new([rows, k, columns]: [usize; 3]) -> Self {
        Self { m: columns, n: rows, k }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What BLAS does with two buffers, each column beginning where the last one ended.
    fn blas(
        (size, transposes): (ColumnMajor, bool),
        first: &[f32],
        second: &[f32],
        bias: &[f32],
    ) -> Vec<f32> {
        let ColumnMajor { m, n, k } = size;
        let first = |row: usize, i: usize| if transposes { first[i + row * k] } else { first[row + i * m] };
        let at = |row: usize, column: usize| -> f32 {
            (0..k).map(|i| first(row, i) * second[i + column * k]).sum::<f32>() + bias[row]
        };
        (0..n)
            .flat_map(|column| (0..m).map(move |row| (row, column)))
            .map(|(row, column)| at(row, column))
            .collect()
    }

    #[test]
    fn blas_makes_of_rows_what_was_asked_for() {
        let size @ [rows, k, columns] = [3, 4, 5];
        let a: Vec<f32> = (0..rows * k).map(|i| i as f32 - 4.0).collect();
        let b: Vec<f32> = (0..k * columns).map(|i| (i * 7 % 11) as f32).collect();
        let bias: Vec<f32> = (0..columns).map(|i| 100.0 * i as f32).collect();
        let expected = (0..rows * columns).map(|i| {
            let (row, column) = (i / columns, i % columns);
            (0..k).map(|j| a[row * k + j] * b[j * columns + column]).sum::<f32>() + bias[column]
        });
        let expected: Vec<f32> = expected.collect();
        assert_eq!(blas((ColumnMajor::new(size), false), &b, &a, &bias), expected);
        let transposed: Vec<f32> = (0..k * columns).map(|i| b[i % k * columns + i / k]).collect();
        assert_eq!(blas((ColumnMajor::new(size), true), &transposed, &a, &bias), expected);
    }
}
