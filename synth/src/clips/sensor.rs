use rayon::prelude::*;

use super::Sensor;

/// Blur beyond this many standard deviations is nothing.
const BLUR_REACH: f32 = 3.0;
/// Standard deviation of the sum of eight uniform 16-bit numbers.
const SUM_STD: f32 = 53_510.0;
/// Mean of that sum.
const SUM_MEAN: f32 = 8.0 * 32_767.5;

/// Makes ideal colour images what `sensor` would have seen: first blur, then noise.
///
/// `rgb` holds images of `side × side × 3`. The noise of a value follows from `seed`, the camera, the image's and the
/// value's position alone.
pub fn expose(rgb: &mut [u8], side: usize, sensor: Sensor, (seed, camera): (u64, usize)) {
    if sensor.blur <= 0.0 && sensor.noise <= 0.0 {
        return;
    }
    let weights = blur_weights(sensor.blur, side);
    rgb.par_chunks_exact_mut(side * side * 3).enumerate().for_each(|(frame, image)| {
        let mut values: Vec<f32> = image.iter().map(|value| f32::from(*value)).collect();
        if weights.len() > 1 {
            values = blurred(&blurred(&values, side, &weights, 3), side, &weights, side * 3);
        }
        let stream = mix(seed ^ mix(camera as u64 ^ mix(frame as u64)));
        for (i, (out, value)) in image.iter_mut().zip(values).enumerate() {
            let noisy = value + sensor.noise * gaussian(stream.wrapping_add(i as u64));
            *out = noisy.round().clamp(0.0, 255.0) as u8;
        }
    });
}

/// Weights of a pixel and its neighbours on either side, nearest first; they sum to 1 over both sides.
fn blur_weights(std: f32, side: usize) -> Vec<f32> {
    if std <= 0.0 {
        return vec![1.0];
    }
    let reach = ((BLUR_REACH * std).ceil() as usize).min(side - 1);
    let weights: Vec<f32> =
        (0..=reach).map(|distance| (-0.5 * (distance as f32 / std).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f32>() - weights[0];
    weights.iter().map(|weight| weight / sum).collect()
}

/// Blurs along the axis on which neighbours are `step` values apart; the border is continued.
fn blurred(values: &[f32], side: usize, weights: &[f32], step: usize) -> Vec<f32> {
    let last = side as isize - 1;
    let at = |i: usize, offset: isize| {
        let place = (i / step % side) as isize;
        let moved = (place + offset).clamp(0, last) - place;
        values[(i as isize + moved * step as isize) as usize]
    };
    (0..values.len())
        .map(|i| {
            let sides = weights.iter().enumerate().skip(1);
            let around = sides.map(|(d, weight)| weight * (at(i, d as isize) + at(i, -(d as isize))));
            weights[0] * values[i] + around.sum::<f32>()
        })
        .collect()
}

/// A number with mean 0 and standard deviation 1, near enough Gaussian for a sensor (a sum of eight uniform numbers).
fn gaussian(counter: u64) -> f32 {
    let (a, b) = (mix(counter), mix(counter ^ 0x5851_f42d_4c95_7f2d));
    let sum: u64 = [a, b].iter().flat_map(|bits| (0..4).map(move |i| bits >> (16 * i) & 0xffff)).sum();
    (sum as f32 - SUM_MEAN) / SUM_STD
}

/// Steele, Lea and Flood's SplitMix64: every input bit moves every output bit.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    fn gray() -> Vec<u8> {
        vec![128; 2 * SIDE * SIDE * 3]
    }

    #[test]
    fn noise_has_the_spread_that_was_asked_for_and_differs_from_image_to_image() {
        let (mut a, mut b) = (gray(), gray());
        let sensor = Sensor { noise: 4.0, blur: 0.0 };
        expose(&mut a, SIDE, sensor, (7, 0));
        let n = a.len() as f32;
        let mean = a.iter().map(|v| f32::from(*v)).sum::<f32>() / n;
        let std = (a.iter().map(|v| (f32::from(*v) - mean).powi(2)).sum::<f32>() / n).sqrt();
        assert!((mean - 128.0).abs() < 0.3 && (std - 4.0).abs() < 0.2, "{mean} ± {std}");
        let (first, second) = a.split_at(a.len() / 2);
        assert_ne!(first, second);
        expose(&mut b, SIDE, sensor, (7, 0));
        assert_eq!(a, b);
        let mut other = gray();
        expose(&mut other, SIDE, sensor, (7, 1));
        assert_ne!(a, other);
    }

    #[test]
    fn blur_keeps_flat_colours_and_spreads_a_dot_evenly() {
        let mut flat = gray();
        expose(&mut flat, SIDE, Sensor { noise: 0.0, blur: 1.5 }, (0, 0));
        assert_eq!(flat, gray());
        let mut dot = vec![0; SIDE * SIDE * 3];
        let at = |x: usize, y: usize| (y * SIDE + x) * 3;
        dot[at(16, 16)] = 255;
        expose(&mut dot, SIDE, Sensor { noise: 0.0, blur: 1.0 }, (0, 0));
        assert!(dot[at(16, 16)] < 60 && dot[at(17, 16)] > 15, "{}", dot[at(16, 16)]);
        assert_eq!(dot[at(17, 16)], dot[at(15, 16)]);
        assert_eq!(dot[at(16, 17)], dot[at(17, 16)]);
        assert_eq!(dot[at(16, 16) + 1], 0, "colours do not mix");
    }

    #[test]
    fn a_perfect_sensor_changes_nothing() {
        let mut image = gray();
        expose(&mut image, SIDE, Sensor::default(), (3, 0));
        assert_eq!(image, gray());
    }
}
