use std::fmt::Write as _;

use super::markup::png_uri;
use crate::eval::Rollout;

/// Frames of a strip.
const FRAMES: usize = 14;

/// One clip as three strips of frames: truth, dream, difference; the first frame is the last one that the model was shown.
pub fn film(rollout: &Rollout) -> String {
    let last = rollout.context_frames - 1;
    let dreamt = rollout.frames.saturating_sub(rollout.context_frames);
    let every = dreamt.div_ceil(FRAMES - 1).max(1);
    let shown: Vec<usize> = (0..=dreamt).step_by(every).map(|step| last + step).collect();
    let difference: Vec<u8> =
        rollout.truth.iter().zip(&rollout.dream).map(|(a, b)| 255 - a.abs_diff(*b)).collect();
    let mut out = format!("<figure class=film><figcaption>seed {}</figcaption>", rollout.seed);
    for (name, frames) in [("truth", &rollout.truth), ("dream", &rollout.dream), ("difference", &difference)]
    {
        let (pixels, [width, height]) = strip(frames, rollout.frames, &shown);
        let uri = png_uri(&pixels, width, height);
        let _ = write!(out, "<div class=strip><span>{name}</span><img src=\"{uri}\" alt=\"{name}\"></div>");
    }
    let step = |frame: &usize| match frame - last {
        0 => "<span>seen</span>".to_owned(),
        step => format!("<b>{step}</b>"),
    };
    let steps: String = shown.iter().map(step).collect();
    let columns = shown.len();
    let _ = write!(
        out,
        "<div class=strip><span>steps ahead</span><div class=steps \
         style=\"grid-template-columns:repeat({columns},1fr)\">{steps}</div></div></figure>"
    );
    out
}

/// Some of `count` square frames side by side, and the picture's width and height.
fn strip(frames: &[u8], count: usize, shown: &[usize]) -> (Vec<u8>, [usize; 2]) {
    let bytes = frames.len() / count.max(1);
    let side = (bytes / 3).isqrt();
    let row = side * 3;
    let mut pixels = Vec::with_capacity(shown.len() * bytes);
    for y in 0..side {
        for frame in shown {
            pixels.extend_from_slice(&frames[frame * bytes + y * row..][..row]);
        }
    }
    (pixels, [shown.len() * side, side])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FrameSize;

    const FRAME_SIDE: usize = FrameSize::Px64.side();
    const FRAME_BYTES: usize = FrameSize::Px64.bytes();

    #[test]
    fn strips_hold_the_chosen_frames_side_by_side() {
        let frames: Vec<u8> = (0..3u8).flat_map(|value| vec![value; FRAME_BYTES]).collect();
        let (pixels, size) = strip(&frames, 3, &[0, 2]);
        assert_eq!((size, pixels.len()), ([128, 64], 2 * FRAME_BYTES));
        assert_eq!((pixels[0], pixels[FRAME_SIDE * 3], pixels[2 * FRAME_SIDE * 3]), (0, 2, 0));
    }

    #[test]
    fn a_film_has_three_strips() {
        let frames = vec![9; 10 * FRAME_BYTES];
        let rollout =
            Rollout { seed: 7, context_frames: 4, frames: 10, truth: frames.clone(), dream: frames };
        let drawn = film(&rollout);
        assert_eq!(drawn.matches("data:image/png;base64,").count(), 3);
        assert!(drawn.contains("seed 7") && drawn.contains("<b>6</b>") && !drawn.contains("<b>7</b>"));
    }
}
