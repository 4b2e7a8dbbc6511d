//! Eight-bit floating point, `E4M3` of Micikevicius et al. 2022 (<https://arxiv.org/abs/2209.05433>): a sign, four bits of
//! exponent, three of mantissa, no infinities, 448 at most.

/// The largest number.
pub const LARGEST: f32 = 448.0;
/// The smallest with a full mantissa.
pub const SMALLEST_NORMAL: f32 = 0.015_625;
/// Steps of the numbers below that: so many to 1.
pub const SUBNORMAL_STEPS: f32 = 512.0;
/// Bits of a 32-bit mantissa that are rounded away.
pub const DROPPED_BITS: u32 = 20;
/// What the exponents of both are apart, where the narrow one begins.
pub const EXPONENT_OFFSET: u32 = (127 - 7) << 3;

/// The nearest number as its byte; ties go to the even one, what is too large to the largest.
pub fn encode(value: f32) -> u8 {
    let size = value.abs().min(LARGEST);
    let code = if size < SMALLEST_NORMAL {
        (size * SUBNORMAL_STEPS).round_ties_even() as u32
    } else {
        let bits = size.to_bits();
        let tie = (1 << (DROPPED_BITS - 1)) - 1 + (bits >> DROPPED_BITS & 1);
        ((bits + tie) >> DROPPED_BITS) - EXPONENT_OFFSET
    };
    code as u8 | u8::from(value.is_sign_negative()) << 7
}

/// The number of a byte.
#[cfg(test)]
pub fn decode(code: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(code >> 3 & 15), u32::from(code & 7));
    let size = match exponent {
        0 => mantissa as f32 / SUBNORMAL_STEPS,
        _ => f32::from_bits((u32::from(code & 127) + EXPONENT_OFFSET) << DROPPED_BITS),
    };
    if code > 127 { -size } else { size }
}

/// A matrix of weights in eight bits, transposed, and what its numbers are to be multiplied by.
///
/// # Shapes
/// - values: `[rows, columns]`
/// - the bytes: `[columns, rows]`
pub fn narrowed(values: &[f32], columns: usize) -> (Vec<u8>, f32) {
    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = if most > 0.0 { most / LARGEST } else { 1.0 };
    let column = |column: usize| values[column..].iter().step_by(columns).map(|value| encode(value / scale));
    ((0..columns).flat_map(column).collect(), scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes but for the two that are no numbers.
    fn codes() -> impl Iterator<Item = u8> {
        (0..=255).filter(|code| code & 127 != 127)
    }

    #[test]
    fn every_number_is_its_own_nearest() {
        for code in codes() {
            assert_eq!(encode(decode(code)), code, "{code}: {}", decode(code));
        }
        assert_eq!([126, 8, 1].map(decode), [448.0, SMALLEST_NORMAL, 1.0 / 512.0]);
        assert_eq!([1e9, -1e9, 460.0].map(encode), [126, 254, 126]);
    }

    #[test]
    fn no_number_is_nearer() {
        let numbers: Vec<f32> = codes().map(decode).collect();
        for i in -4000..4000 {
            let value = (i as f32 / 500.0).powi(3);
            let apart = (decode(encode(value)) - value).abs();
            let least = numbers.iter().map(|number| (number - value).abs()).fold(f32::MAX, f32::min);
            assert!(apart <= least, "{value}: off by {apart}, {least} is possible");
        }
    }

    #[test]
    fn matrices_are_transposed_and_use_the_whole_range() {
        let values = [1.0, -2.0, 3.0, 0.5, 0.25, -0.125];
        let (bytes, scale) = narrowed(&values, 3);
        let found: Vec<f32> = bytes.iter().map(|code| decode(*code) * scale).collect();
        assert_eq!(found[4], 3.0);
        for (found, expected) in found.iter().zip([1.0, 0.5, -2.0, 0.25, 3.0, -0.125]) {
            assert!((found - expected).abs() <= expected.abs() / 16.0, "{found}, expected {expected}");
        }
    }
}
