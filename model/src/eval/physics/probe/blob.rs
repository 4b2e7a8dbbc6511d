/// Moves of the window towards the weight in it; it rests after a few.
const MOVES: usize = 6;
/// Percentile of the silhouettes' half sides that the window has, and the pixels that are added.
const EXTENT: f64 = 0.95;
const MARGIN: usize = 1;

/// Where most of an object lies in the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    /// x, y in pixels.
    pub center: [f32; 2],
    /// Sum of the weights in the window.
    pub weight: f32,
}

/// Half width and half height of the window that holds nearly every silhouette of `label`.
pub fn extent<'a>(silhouettes: impl Iterator<Item = &'a [u8]>, label: u8) -> Option<[usize; 2]> {
    let (mut widths, mut heights) = (Vec::new(), Vec::new());
    for silhouette in silhouettes {
        let side = silhouette.len().isqrt();
        let pixels = || silhouette.iter().enumerate().filter(|(_, other)| **other == label).map(|(i, _)| i);
        let span = |places: &mut dyn Iterator<Item = usize>| {
            let (low, high) =
                places.fold((usize::MAX, 0), |(low, high), at| (at.min(low), (at + 1).max(high)));
            high.checked_sub(low)
        };
        widths.extend(span(&mut pixels().map(|pixel| pixel % side)));
        heights.extend(span(&mut pixels().map(|pixel| pixel / side)));
    }
    let half = |sides: &mut Vec<usize>| {
        sides.sort_unstable();
        sides.get((sides.len() as f64 * EXTENT) as usize).map(|side| side.div_ceil(2) + MARGIN)
    };
    Some([half(&mut widths)?, half(&mut heights)?])
}

/// The window with the most weight, moved to where the weight in it is centred; `None` in an empty picture.
pub fn find(weights: &[f32], [half_width, half_height]: [usize; 2]) -> Option<Blob> {
    let (sums, side) = (summed(weights), weights.len().isqrt());
    let mut best = (0.0, 0);
    for pixel in 0..weights.len() {
        let (x, y) = (pixel % side, pixel / side);
        let (left, right) = (x.saturating_sub(half_width), (x + half_width + 1).min(side));
        let (top, bottom) = (y.saturating_sub(half_height), (y + half_height + 1).min(side));
        let at = |y: usize, x: usize| sums[y * (side + 1) + x];
        let sum = at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left);
        if sum > best.0 + 1e-6 {
            best = (sum, pixel);
        }
    }
    if best.0 <= 0.0 {
        return None;
    }
    let mut blob = Blob { center: [(best.1 % side) as f32, (best.1 / side) as f32], weight: best.0 as f32 };
    for _ in 0..MOVES {
        let moved = centered(weights, blob.center, [half_width, half_height])?;
        let rests = moved == blob;
        blob = moved;
        if rests {
            break;
        }
    }
    Some(blob)
}

/// Centre and sum of the weight in the window about `center`.
fn centered(weights: &[f32], center: [f32; 2], [half_width, half_height]: [usize; 2]) -> Option<Blob> {
    let side = weights.len().isqrt();
    let range = |at: f32, half: usize| {
        let at = at.round() as usize;
        at.saturating_sub(half)..(at + half + 1).min(side)
    };
    let (mut sum, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for y in range(center[1], half_height) {
        for x in range(center[0], half_width) {
            let weight = weights[y * side + x];
            sum += weight;
            x_sum += weight * x as f32;
            y_sum += weight * y as f32;
        }
    }
    (sum > 0.0).then(|| Blob { center: [x_sum / sum, y_sum / sum], weight: sum })
}

/// `[side + 1, side + 1]`: the sum of the weights above and left of each corner.
fn summed(weights: &[f32]) -> Vec<f64> {
    let side = weights.len().isqrt();
    let width = side + 1;
    let mut sums = vec![0.0; width * width];
    for y in 0..side {
        let mut row = 0.0;
        for x in 0..side {
            row += f64::from(weights[y * side + x]);
            sums[(y + 1) * width + x + 1] = sums[y * width + x + 1] + row;
        }
    }
    sums
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FRAME_SIDE: usize = 64;

    fn with(pixels: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut weights = vec![0.0; FRAME_SIDE * FRAME_SIDE];
        for (x, y, weight) in pixels {
            weights[y * FRAME_SIDE + x] = *weight;
        }
        weights
    }

    #[test]
    fn the_heavier_of_two_blobs_is_found() {
        let weights = with(&[(10, 10, 1.0), (40, 30, 1.0), (42, 30, 1.0), (41, 33, 1.0)]);
        let blob = find(&weights, [4, 4]).unwrap();
        assert_eq!(blob, Blob { center: [41.0, 31.0], weight: 3.0 });
        assert_eq!(find(&with(&[]), [4, 4]), None);
    }

    #[test]
    fn a_window_holds_the_silhouettes() {
        let mut silhouette = vec![0; FRAME_SIDE * FRAME_SIDE];
        for (x, y) in [(10, 20), (14, 20), (12, 29)] {
            silhouette[y * FRAME_SIDE + x] = 2;
        }
        assert_eq!(extent([&silhouette[..]].into_iter(), 2), Some([3 + MARGIN, 5 + MARGIN]));
        assert_eq!(extent([&silhouette[..]].into_iter(), 1), None);
    }
}
