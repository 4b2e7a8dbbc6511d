//! What happens to rows between two products. Loops over fixed chunks, which the compiler turns into vectors of whatever
//! width the machine has.

use super::vector::vector_fns;

/// Values that are summed side by side: the order of a sum depends on this, never on the machine's vectors.
const CHUNK: usize = 8;
/// As in [`rms_norm`](crate::norm::rms_norm).
const EPSILON: f32 = 1e-5;

/// Sum of `of(value)`, in [`CHUNK`] interleaved partial sums.
#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; CHUNK];
    let chunks = values.chunks_exact(CHUNK);
    let rest: f32 = chunks.remainder().iter().map(|value| of(*value)).sum();
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part += of(*value);
        }
    }
    parts.iter().sum::<f32>() + rest
}

#[inline(always)]
fn normalise(values: &mut [f32], gain: Option<&[f32]>) {
    let mean_square = sum(values, |value| value * value) / values.len() as f32;
    let scale = 1.0 / (mean_square + EPSILON).sqrt();
    match gain {
        Some(gain) => values.iter_mut().zip(gain).for_each(|(value, gain)| *value *= scale * gain),
        None => values.iter_mut().for_each(|value| *value *= scale),
    }
}

vector_fns! {
    /// RMS norm of each row of `width` values, from `input` to `output`.
    pub fn norm_rows<'a>(input: &'a [f32], output: &'a mut [f32], width: usize) {
        for (from, to) in input.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
            to.copy_from_slice(from);
            normalise(to, None);
        }
    }

    /// QK-norm: in each row of queries, keys and values, normalises queries (times `gain`) and keys over each head.
    pub fn norm_heads<'a>(rows: &'a mut [f32], gain: &'a [f32], heads: [usize; 2]) {
        let ([query_heads, kv_heads], head_dim) = (heads, gain.len());
        for row in rows.chunks_exact_mut((query_heads + 2 * kv_heads) * head_dim) {
            let (queries, rest) = row.split_at_mut(query_heads * head_dim);
            queries.chunks_exact_mut(head_dim).for_each(|head| normalise(head, Some(gain)));
            let keys = &mut rest[..kv_heads * head_dim];
            keys.chunks_exact_mut(head_dim).for_each(|head| normalise(head, None));
        }
    }

    /// `silu(gate) * value`, where each row of `rows` holds `hidden` gates and then as many values; packed into `output`.
    pub fn gated<'a>(rows: &'a [f32], output: &'a mut [f32], hidden: usize) {
        for (row, out) in rows.chunks_exact(2 * hidden).zip(output.chunks_exact_mut(hidden)) {
            let (gates, values) = row.split_at(hidden);
            for ((out, gate), value) in out.iter_mut().zip(gates).zip(values) {
                *out = gate * value / (1.0 + exp(-gate));
            }
        }
    }

    /// Adds to `sum` the entropies, in nats, of the softmaxes whose logits end at `ends`, one after the other:
    /// `H = ln Σ eˡ − Σ l·eˡ / Σ eˡ`, with logits relative to the largest of their softmax.
    pub fn add_entropies<'a>(logits: &'a [f32], ends: &'a [usize], sum: &'a mut f32) {
        const LOGITS_MAX: usize = 128;
        let mut weights = [0.0; LOGITS_MAX];
        let mut below = [0.0; LOGITS_MAX];
        let mut start = 0;
        for end in ends {
            let softmax = &logits[start..*end];
            let max = softmax.iter().copied().fold(f32::MIN, f32::max);
            // What is further below has no weight.
            let places = below[start..*end].iter_mut().zip(softmax);
            places.for_each(|(below, logit)| *below = (logit - max).max(-80.0));
            start = *end;
        }
        for (weight, below) in weights.iter_mut().zip(&below) {
            *weight = exp(*below);
        }
        let mut start = 0;
        for end in ends {
            let (mut total, mut weighted) = (0.0f32, 0.0);
            for (weight, logit) in weights[start..*end].iter().zip(&below[start..*end]) {
                total += weight;
                weighted += weight * logit;
            }
            // A difference of nearly equal numbers where one level is certain.
            *sum += (total.ln() - weighted / total).max(0.0);
            start = *end;
        }
    }

    /// Softmax over the first `len` of each row of `stride` values, a multiple of 16; the rest of the row becomes zeros.
    pub fn softmax_rows<'a>(rows: &'a mut [f32], len: usize, stride: usize) {
        for row in rows.chunks_exact_mut(stride) {
            softmax(row, len);
        }
    }
}

#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut parts = [f32::MIN; CHUNK];
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let chunks = values.chunks_exact(CHUNK);
    let rest = chunks.remainder().iter().copied().fold(f32::MIN, larger);
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part = larger(*part, *value);
        }
    }
    parts.into_iter().fold(rest, larger)
}

/// See [`softmax_rows`].
#[inline(always)]
pub fn softmax(row: &mut [f32], len: usize) {
    let used = len.next_multiple_of(16).min(row.len());
    row[len..].fill(f32::MIN);
    let max = largest(&row[..used]);
    row[..used].iter_mut().for_each(|value| *value = exp(*value - max));
    row[len..].fill(0.0);
    let scale = 1.0 / sum(&row[..len], |value| value);
    row[..len].iter_mut().for_each(|value| *value *= scale);
}

/// `eˣ` to about 2 units in the last place: `2ⁿ · eʳ` with `|r| ≤ ln 2 / 2` and a polynomial for `eʳ`. Arguments beyond
/// ±87 count as ±87.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut series = 1.987_569_1e-4f32;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0] {
        series = series.mul_add(r, coefficient);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    series * power
}

/// Pixels in ±1 as bytes, rounded and clamped as in [`frames`](crate::tokenizer::frames).
#[inline(always)]
pub fn to_bytes(values: &[f32], out: &mut [u8]) {
    for (to, from) in out.iter_mut().zip(values) {
        *to = ((from + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

    use super::*;

    #[test]
    fn the_exponential_is_as_good_as_single_precision_allows() {
        let mut worst = 0.0f64;
        for i in -80_000..=80_000 {
            let x = i as f32 * 1e-3;
            worst = worst.max((f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs());
        }
        assert!(worst < 3e-7, "relative error {worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::MIN) > 0.0 && exp(f32::MIN) < 1e-37);
    }

    #[test]
    fn a_softmax_sums_to_one_and_leaves_zeros_behind() {
        let mut row: Vec<f32> = (0..32).map(|i| i as f32 * 0.1).collect();
        softmax_rows(Arch::new(), &mut row, 20, 32);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[20..].iter().all(|value| *value == 0.0));
        assert!((row[1] / row[0] - 0.1f32.exp()).abs() < 1e-6);
    }

    #[test]
    fn rows_are_normalised_as_the_layer_does() {
        let row = [3.0, -1.0, 2.0, 0.5, 0.0, 7.0, -2.0, 1.0, 4.0, 0.1];
        let mut out = [0.0; 10];
        norm_rows(Arch::new(), &row, &mut out, 10);
        let scale = (row.iter().map(|value| value * value).sum::<f32>() / 10.0 + EPSILON).sqrt();
        for (got, value) in out.iter().zip(row) {
            assert!((got - value / scale).abs() < 1e-6);
        }
    }

    #[test]
    fn the_gate_opens_for_positive_values() {
        let mut out = [0.0; 2];
        gated(Arch::new(), &[2.0, -30.0, 3.0, 3.0], &mut out, 2);
        assert!((out[0] - 2.0 / (1.0 + (-2.0f32).exp()) * 3.0).abs() < 1e-6, "{out:?}");
        assert!(out[1].abs() < 1e-10);
    }
}
