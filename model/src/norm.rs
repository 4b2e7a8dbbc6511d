use burn::tensor::Tensor;

const EPSILON: f32 = 1e-5;

/// [Root-mean-square normalisation](https://arxiv.org/abs/1910.07467) of each row, without a gain: the linear layer that
/// follows holds it.
///
/// `y = x / sqrt(mean(x²) + ε)`
///
/// # Shapes
/// - x: `[rows, width]`
/// - output: the same
pub fn rms_norm(x: Tensor<2>) -> Tensor<2> {
    let mean_square = (x.clone() * x.clone()).mean_dim(1);
    x * (mean_square + EPSILON).sqrt().recip()
}
