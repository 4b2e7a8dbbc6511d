/// Side of the wheel that explains the colours, pixels.
const SIDE: usize = 56;

/// Colour of a flow, 1 being the longest: its direction is the hue, its length the strength; no flow is white.
pub fn color(x: f32, y: f32) -> [u8; 3] {
    let turn = (y.atan2(x) / std::f32::consts::TAU).rem_euclid(1.0);
    // The root shows slow motion beside fast.
    hsv(turn, x.hypot(y).min(1.0).sqrt(), 1.0)
}

/// Hue (0 to 1), saturation and value as RGB.
pub fn hsv(hue: f32, saturation: f32, value: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let k = ([5.0, 3.0, 1.0][channel] + hue * 6.0) % 6.0;
        let part = k.min(4.0 - k).clamp(0.0, 1.0);
        ((value - value * saturation * part) * 255.0).round() as u8
    })
}

/// A disc of all directions, as RGB pixels, and its side.
pub fn legend() -> (Vec<u8>, usize) {
    let half = SIDE as f32 / 2.0;
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (dx, dy) = ((x as f32 + 0.5 - half) / half, (y as f32 + 0.5 - half) / half);
            pixels.extend(if dx.hypot(dy) <= 1.0 { color(dx, dy) } else { [255; 3] });
        }
    }
    (pixels, SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_have_different_colours_and_no_flow_is_white() {
        assert_eq!(color(0.0, 0.0), [255, 255, 255]);
        assert_eq!(color(1.0, 0.0), [255, 0, 0], "right is red");
        assert_eq!(hsv(1.0 / 3.0, 1.0, 1.0), [0, 255, 0]);
        assert_eq!(hsv(2.0 / 3.0, 1.0, 1.0), [0, 0, 255]);
        assert_ne!(color(0.0, 1.0), color(0.0, -1.0));
    }
}
