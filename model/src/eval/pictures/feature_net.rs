//! A frozen network to compare frames by: three convolutions with random weights of a fixed seed.
//!
//! Nothing was trained, so distances are the same for every data set and every model, today and tomorrow. Random
//! features follow perceived differences less well than trained ones, but far better than pixels
//! ([Zhang et al. 2018](https://arxiv.org/abs/1801.03924), table 5).

use rand::{RngExt as _, SeedableRng};
use worldstep_env::Rng;

/// Names the weights: another seed is another metric.
const SEED: u64 = 0x5eed_fea7;
/// Channels of the picture and of the three levels.
const CHANNELS: [usize; LEVELS + 1] = [3, 12, 24, 48];
/// Levels of the network, each half the side of the one before.
pub const LEVELS: usize = 3;
/// Side of a filter; its step is 2.
const FILTER: usize = 4;

/// The network's weights: `levels × [FILTER, FILTER, in, out]`.
pub struct FeatureNet {
    weights: [Vec<f32>; LEVELS],
}

/// What the network says of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Each level `side × side × channels`; the first one's side is half the frame's, each further one's half of the one
    /// before.
    pub levels: [Vec<f32>; LEVELS],
}

impl Default for FeatureNet {
    fn default() -> Self {
        let mut rng = Rng::seed_from_u64(SEED);
        let weights = std::array::from_fn(|level| {
            let (inputs, outputs) = (CHANNELS[level], CHANNELS[level + 1]);
            let bound = (6.0 / (FILTER * FILTER * inputs) as f32).sqrt();
            let mut weights: Vec<f32> =
                (0..FILTER * FILTER * inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect();
            center(&mut weights, outputs);
            weights
        });
        Self { weights }
    }
}

/// Takes the mean off each filter, so that a flat patch gives nothing and structure is what counts.
fn center(weights: &mut [f32], outputs: usize) {
    let taps = (weights.len() / outputs) as f32;
    for out in 0..outputs {
        let mean = weights.iter().skip(out).step_by(outputs).sum::<f32>() / taps;
        weights.iter_mut().skip(out).step_by(outputs).for_each(|weight| *weight -= mean);
    }
}

/// Channels of a level's maps.
pub fn channels(level: usize) -> usize {
    CHANNELS[level + 1]
}

impl Features {
    /// Side of a level's maps.
    pub fn side(&self, level: usize) -> usize {
        (self.levels[level].len() / channels(level)).isqrt()
    }
}

impl FeatureNet {
    /// Features of one square frame, HWC `uint8`.
    pub fn features(&self, frame: &[u8]) -> Features {
        let side = (frame.len() / 3).isqrt();
        let mut input: Vec<f32> = frame.iter().map(|value| f32::from(*value) / 127.5 - 1.0).collect();
        let levels = std::array::from_fn(|level| {
            let out = convolve(&input, side >> level, CHANNELS[level], &self.weights[level]);
            input.clone_from(&out);
            out
        });
        Features { levels }
    }
}

/// Convolution with step 2 and the border repeated, then rectification.
fn convolve(input: &[f32], size: usize, inputs: usize, weights: &[f32]) -> Vec<f32> {
    let outputs = weights.len() / (FILTER * FILTER * inputs);
    let half = size / 2;
    let mut out = vec![0.0; half * half * outputs];
    let inside = |at: usize, tap: usize| (2 * at + tap).saturating_sub(1).min(size - 1);
    for (position, sums) in out.chunks_exact_mut(outputs).enumerate() {
        let (y, x) = (position / half, position % half);
        for tap in 0..FILTER * FILTER {
            let from = (inside(y, tap / FILTER) * size + inside(x, tap % FILTER)) * inputs;
            let rows = &weights[tap * inputs * outputs..(tap + 1) * inputs * outputs];
            for (value, row) in input[from..from + inputs].iter().zip(rows.chunks_exact(outputs)) {
                sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
            }
        }
        sums.iter_mut().for_each(|sum| *sum = sum.max(0.0));
    }
    out
}

/// Squared distance of two frames' features at each place, with the features of a place scaled to length 1, averaged over
/// the levels: 0 for equal frames. Each level's map is spread over the places of the first one's.
pub fn distance_map(a: &Features, b: &Features) -> Vec<f32> {
    let fine = a.side(0);
    let mut map = vec![0.0; fine * fine];
    for level in 0..LEVELS {
        let (width, size) = (channels(level), a.side(level));
        let places = a.levels[level].chunks_exact(width).zip(b.levels[level].chunks_exact(width));
        let distances: Vec<f32> = places.map(|(a, b)| unit_distance(a, b)).collect();
        for (place, sum) in map.iter_mut().enumerate() {
            let (y, x) = (place / fine * size / fine, place % fine * size / fine);
            *sum += distances[y * size + x] / LEVELS as f32;
        }
    }
    map
}

/// ‖a/|a| − b/|b|‖², with a floor under the lengths, so that a flat patch is near another flat one.
fn unit_distance(a: &[f32], b: &[f32]) -> f32 {
    /// Length of the features of faint structure.
    const FLOOR: f32 = 0.05;
    let length = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() + FLOOR * FLOOR).sqrt();
    let (la, lb) = (length(a), length(b));
    a.iter().zip(b).map(|(a, b)| (a / la - b / lb).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FrameSize;

    const FRAME_SIDE: usize = FrameSize::Px64.side();
    const FRAME_BYTES: usize = FrameSize::Px64.bytes();

    fn disc(x: f32, y: f32) -> Vec<u8> {
        let inside = |i: usize| ((i % 64) as f32 - x).powi(2) + ((i / 64) as f32 - y).powi(2) < 36.0;
        (0..FRAME_SIDE * FRAME_SIDE)
            .flat_map(|i| if inside(i) { [230, 120, 40] } else { [150, 170, 190] })
            .collect()
    }

    fn distance(a: &[u8], b: &[u8]) -> f32 {
        let net = FeatureNet::default();
        let map = distance_map(&net.features(a), &net.features(b));
        map.iter().sum::<f32>() / map.len() as f32
    }

    #[test]
    fn distance_is_nought_for_the_same_and_grows_with_displacement() {
        let (here, near, far) = (disc(20.0, 30.0), disc(22.0, 30.0), disc(40.0, 30.0));
        assert_eq!(distance(&here, &here), 0.0);
        let (little, much) = (distance(&here, &near), distance(&here, &far));
        assert!(0.0 < little && little < 0.8 * much, "{little} {much}");
        assert!((distance(&far, &here) - much).abs() < 1e-6, "it is symmetric");
    }

    /// What pixels cannot tell apart well: the object gone, or the same energy of error spread as a change of brightness.
    #[test]
    fn a_missing_object_is_further_than_a_change_of_brightness_with_the_same_squared_error() {
        let frame = disc(30.0, 30.0);
        let gone: Vec<u8> = [150, 170, 190].repeat(FRAME_SIDE * FRAME_SIDE);
        let squares = |other: &[u8]| -> f64 {
            frame.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
        };
        let step = (squares(&gone) / FRAME_BYTES as f64).sqrt().round() as u8;
        let brighter: Vec<u8> = frame.iter().map(|value| value.saturating_add(step)).collect();
        assert!(distance(&frame, &gone) > 2.0 * distance(&frame, &brighter));
    }

    #[test]
    fn the_weights_are_frozen() {
        let weights = &FeatureNet::default().weights;
        let bits = weights
            .iter()
            .flatten()
            .fold(crate::fnv::EMPTY, |hash, weight| crate::fnv::extend(hash, &weight.to_le_bytes()));
        assert_eq!(
            bits, 0xecfc_ffec_7b62_aaac,
            "a change of the weights changes every distance ever published"
        );
    }
}
