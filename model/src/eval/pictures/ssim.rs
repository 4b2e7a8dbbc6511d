//! [Structural similarity](https://doi.org/10.1109/TIP.2003.819861) of two frames, pixel by pixel.

/// Standard deviation of the Gaussian window in pixels, as in the paper.
const SIGMA: f32 = 1.5;
/// Half of the window's 11 pixels.
const REACH: usize = 5;
/// (0.01 · 255)² and (0.03 · 255)², which keep flat windows finite.
const C1: f32 = 6.502_5;
const C2: f32 = 58.522_5;

/// Structural similarity of the luma around each pixel, 1 where both are the same. At the border, the window is the part of
/// it that lies inside the frame, so that every pixel counts.
///
/// # Shapes
/// - a, b: HWC `uint8` frames, square
/// - output: one value a pixel, each in −1..1
pub fn ssim_map(a: &[u8], b: &[u8]) -> Vec<f32> {
    let (a, b) = (luma(a), luma(b));
    let product = |x: &[f32], y: &[f32]| blur(&x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>());
    let (mean_a, mean_b) = (blur(&a), blur(&b));
    let (aa, bb, ab) = (product(&a, &a), product(&b, &b), product(&a, &b));
    (0..a.len())
        .map(|i| {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (var_a, var_b, cov) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
            (2.0 * ma * mb + C1) * (2.0 * cov + C2) / ((ma * ma + mb * mb + C1) * (var_a + var_b + C2))
        })
        .collect()
}

/// Luma after Rec. 601.
fn luma(frame: &[u8]) -> Vec<f32> {
    let weigh = |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
    frame.chunks_exact(3).map(weigh).collect()
}

/// Gaussian mean around each pixel, rows first.
fn blur(image: &[f32]) -> Vec<f32> {
    let along_rows = blur_rows(image);
    blur_rows(&along_rows)
}

/// Blurs each row and writes it as a column, so that twice gives both directions.
fn blur_rows(image: &[f32]) -> Vec<f32> {
    let kernel: [f32; 2 * REACH + 1] = std::array::from_fn(|i| {
        let distance = i as f32 - REACH as f32;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    });
    let side = image.len().isqrt();
    let mut out = vec![0.0; image.len()];
    for (y, row) in image.chunks_exact(side).enumerate() {
        for x in 0..side {
            let (first, last) = (x.saturating_sub(REACH), (x + REACH).min(side - 1));
            let weights = &kernel[first + REACH - x..=last + REACH - x];
            let sum: f32 = row[first..=last].iter().zip(weights).map(|(value, weight)| value * weight).sum();
            out[x * side + y] = sum / weights.iter().sum::<f32>();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FrameSize;

    const FRAME_SIDE: usize = FrameSize::Px64.side();
    const FRAME_BYTES: usize = FrameSize::Px64.bytes();

    fn mean(map: &[f32]) -> f32 {
        map.iter().sum::<f32>() / map.len() as f32
    }

    #[test]
    fn a_frame_is_like_itself_and_less_like_another() {
        let frame: Vec<u8> = (0..FRAME_BYTES).map(|i| (i * i % 251) as u8).collect();
        assert!(ssim_map(&frame, &frame).iter().all(|value| (value - 1.0).abs() < 1e-4));
        let noisy: Vec<u8> =
            frame.iter().enumerate().map(|(i, v)| v.saturating_add((i * 7 % 60) as u8)).collect();
        let more: Vec<u8> =
            frame.iter().enumerate().map(|(i, v)| v.saturating_add((i * 7 % 160) as u8)).collect();
        let (little, much) = (mean(&ssim_map(&frame, &noisy)), mean(&ssim_map(&frame, &more)));
        assert!(little < 0.999 && much < little, "{little} {much}");
    }

    /// Two flat frames have no structure: what is left is the luminance term, (2ab + C1) / (a² + b² + C1).
    #[test]
    fn flat_frames_are_compared_by_their_luminance() {
        let map = ssim_map(&vec![100; FRAME_BYTES], &vec![150; FRAME_BYTES]);
        let expected = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0 * 100.0 + 150.0 * 150.0 + 6.5025);
        assert!(map.iter().all(|value| (value - expected).abs() < 1e-3), "{} {expected}", map[0]);
    }

    /// A change is felt within the window and nowhere else.
    #[test]
    fn a_change_is_local() {
        let frame = vec![90; FRAME_BYTES];
        let mut other = frame.clone();
        let at = (20 * FRAME_SIDE + 30) * 3;
        other[at..at + 3].fill(200);
        let map = ssim_map(&frame, &other);
        assert!(map[20 * FRAME_SIDE + 30] < 0.7);
        assert!((map[20 * FRAME_SIDE + 30 + REACH + 1] - 1.0).abs() < 1e-4);
        assert!((map[50 * FRAME_SIDE + 50] - 1.0).abs() < 1e-4);
    }
}
