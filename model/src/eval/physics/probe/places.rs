use nalgebra::{DMatrix, DVector};

use super::blob::Blob;

/// Terms of a cubic in x and y, and the size.
const TERMS: usize = 11;
/// Pulls the weights of terms that the sights do not settle to 0.
const RIDGE: f64 = 1e-6;

/// From an object's place and size in the image to its position: least squares over a cubic, which follows the
/// perspective of a camera that stands still.
#[derive(Debug)]
pub struct Places {
    /// `[TERMS, 3]`.
    weights: DMatrix<f64>,
    /// Sizes that were seen; others are taken as the nearest of them.
    sizes: [f64; 2],
    /// Half of the frame's side, pixels.
    half: f64,
}

impl Places {
    /// Of sights in frames of `side` pixels.
    pub fn fit(sights: &[(Blob, [f64; 3])], side: usize) -> Self {
        let half = 0.5 * side as f64;
        let sizes = sights.iter().map(|(blob, _)| size(blob, half));
        let sizes = [sizes.clone().fold(f64::MAX, f64::min), sizes.fold(0.0, f64::max)];
        let mut normal = DMatrix::identity(TERMS, TERMS) * (RIDGE * sights.len() as f64);
        let mut right = DMatrix::zeros(TERMS, 3);
        for (blob, position) in sights {
            let terms = DVector::from_row_slice(&terms(blob, sizes, half));
            normal.ger(1.0, &terms, &terms, 1.0);
            right.ger(1.0, &terms, &DVector::from_row_slice(position), 1.0);
        }
        let weights = normal.cholesky().map(|factor| factor.solve(&right));
        Self { weights: weights.unwrap_or_else(|| DMatrix::zeros(TERMS, 3)), sizes, half }
    }

    pub fn position(&self, blob: &Blob) -> [f64; 3] {
        let terms = DVector::from_row_slice(&terms(blob, self.sizes, self.half));
        let position = self.weights.tr_mul(&terms);
        [position[0], position[1], position[2]]
    }
}

/// Side of a square as large, in half frames.
fn size(blob: &Blob, half: f64) -> f64 {
    f64::from(blob.weight).sqrt() / half
}

fn terms(blob: &Blob, sizes: [f64; 2], half: f64) -> [f64; TERMS] {
    let [x, y] = blob.center.map(|at| f64::from(at) / half - 1.0);
    let size = size(blob, half).clamp(sizes[0], sizes[1]);
    [1.0, x, y, x * x, x * y, y * y, x * x * x, x * x * y, x * y * y, y * y * y, size]
}
