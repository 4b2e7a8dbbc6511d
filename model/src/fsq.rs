//! [Finite scalar quantisation](https://arxiv.org/abs/2309.15505): each of four values is bounded and rounded to a few
//! levels, so there is no codebook that could collapse.

use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{CODE_LOGITS, FSQ_LEVELS};

/// Values in one code.
pub const CODE_VALUES: usize = FSQ_LEVELS.len();

/// Steps between the levels −1 and 1 of each dimension.
pub const FSQ_STEPS: [f32; CODE_VALUES] = [7.0, 4.0, 4.0, 4.0];

/// One code as level indices, each in `0..FSQ_LEVELS[i]`.
pub type Code = [u8; CODE_VALUES];

/// Codes that there are.
pub const CODES: usize = FSQ_LEVELS[0] * FSQ_LEVELS[1] * FSQ_LEVELS[2] * FSQ_LEVELS[3];

/// The number of a code, its first dimension counting fastest: `l₀ + 8·(l₁ + 5·(l₂ + 5·l₃))`.
pub fn code_index(code: &Code) -> u16 {
    let levels = code.iter().zip(FSQ_LEVELS);
    levels.rev().fold(0, |index, (level, levels)| index * levels as u16 + u16::from(*level))
}

/// The code with the number `index`.
pub fn code_of(index: u16) -> Code {
    let mut rest = index;
    FSQ_LEVELS.map(|levels| {
        let level = rest % levels as u16;
        rest /= levels as u16;
        level as u8
    })
}

/// Bounds and rounds, passing the gradient straight through the rounding.
///
/// # Shapes
/// - z: `[rows, 4]`, any range
/// - output: `[rows, 4]`, level `l` of `L` as `2·l / (L − 1) − 1`, in ±1
pub fn quantize(z: Tensor<2>) -> Tensor<2> {
    let steps = steps(&z.device());
    // The slightly wider bound keeps the outermost levels as easy to reach as the others.
    let bounded = (z.tanh() * 1.1 + 1.0) * 0.5 * steps.clone();
    let rounded = bounded.clone().detach().round();
    let rounded =
        rounded.clone().max_pair(rounded.zeros_like()).min_pair(steps.clone().expand(rounded.shape()));
    let straight = bounded.clone() + (rounded - bounded.detach());
    straight * 2.0 / steps - 1.0
}

/// Level indices of quantised rows `[rows, 4]`, flat.
pub fn codes(quantized: &[f32]) -> Vec<u8> {
    let level = |(i, value): (usize, &f32)| {
        let steps = (FSQ_LEVELS[i % CODE_VALUES] - 1) as f32;
        ((value + 1.0) * 0.5 * steps).round().clamp(0.0, steps) as u8
    };
    quantized.iter().enumerate().map(level).collect()
}

/// Level indices of rows `[rows, 4]` of any range: [`quantize`] and [`codes`] in one, on plain values.
pub fn levels(z: &[f32], out: &mut [u8]) {
    for (i, (value, level)) in z.iter().zip(out).enumerate() {
        let steps = FSQ_STEPS[i % CODE_VALUES];
        let bounded = (value.tanh() * 1.1 + 1.0) * 0.5 * steps;
        *level = bounded.round().clamp(0.0, steps) as u8;
    }
}

/// The inverse of [`codes`]: values in ±1.
pub fn values(codes: &[u8]) -> Vec<f32> {
    let value = |(i, level): (usize, &u8)| {
        let steps = (FSQ_LEVELS[i % CODE_VALUES] - 1) as f32;
        f32::from(*level) * 2.0 / steps - 1.0
    };
    codes.iter().enumerate().map(value).collect()
}

/// Whether every level index is below its dimension's number of levels.
pub fn in_range(codes: &[u8]) -> bool {
    codes.iter().enumerate().all(|(i, level)| usize::from(*level) < FSQ_LEVELS[i % CODE_VALUES])
}

/// First logit of each FSQ dimension within a code's [`CODE_LOGITS`].
pub const LOGIT_OFFSETS: [usize; CODE_VALUES + 1] = [0, 8, 13, 18, CODE_LOGITS];

/// Writes the one-hot form of `code` into `out`, [`CODE_LOGITS`] zeros.
pub fn one_hot(code: &[u8], out: &mut [f32]) {
    for (dim, level) in code.iter().enumerate() {
        out[LOGIT_OFFSETS[dim] + usize::from(*level)] = 1.0;
    }
}

fn steps(device: &Device) -> Tensor<2> {
    let steps: Vec<f32> = FSQ_LEVELS.iter().map(|levels| (levels - 1) as f32).collect();
    Tensor::from_data(TensorData::new(steps, [1, CODE_VALUES]), device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::codec::plain;

    #[test]
    fn codes_are_numbered_without_gaps() {
        assert!((0..CODES as u16).all(|index| code_index(&code_of(index)) == index));
        assert!((0..CODES as u16).all(|index| in_range(&code_of(index))));
        assert_eq!((CODES, code_index(&[7, 4, 4, 4]), code_index(&[1, 1, 0, 0])), (1000, 999, 9));
    }

    #[test]
    fn levels_and_values_are_inverse() {
        let all: Vec<u8> = (0..8).flat_map(|a| [a, a % 5, (a + 1) % 5, (a + 2) % 5]).collect();
        assert_eq!(codes(&values(&all)), all);
        assert!(in_range(&all));
        assert!(!in_range(&[8, 0, 0, 0]) && !in_range(&[0, 0, 0, 0, 7, 4, 5, 4]));
    }

    #[test]
    fn quantised_rows_lie_on_levels() {
        let device = Device::flex();
        let z = Tensor::<2>::from_floats([[-9.0, 0.1, 9.0, 0.6], [0.0, 0.0, -0.2, 3.0]], &device);
        let rows = plain(quantize(z));
        for (got, want) in values(&codes(&rows)).iter().zip(&rows) {
            assert!((got - want).abs() < 1e-5, "{got} is not on the level {want}");
        }
        assert_eq!(codes(&rows)[..3], [0, 2, 4]);
    }

    #[test]
    fn plain_values_fall_on_the_same_levels() {
        let z: Vec<f32> = (0..4000).map(|i| (i as f32 - 2000.0) / 700.0 + 1e-4).collect();
        let rows = Tensor::from_data(TensorData::new(z.clone(), [1000, 4]), &Device::flex());
        let mut plainly = vec![0; z.len()];
        levels(&z, &mut plainly);
        assert_eq!(plainly, codes(&plain(quantize(rows))));
    }

    #[test]
    fn the_gradient_passes_the_rounding() {
        let device = Device::flex().autodiff();
        let z = Tensor::<2>::from_floats([[0.1, -0.2, 0.3, 0.4]], &device).require_grad();
        let grads = quantize(z.clone()).sum().backward();
        let grad = plain(z.grad(&grads).unwrap());
        assert!(grad.iter().all(|g| *g > 0.5), "{grad:?}");
    }
}
