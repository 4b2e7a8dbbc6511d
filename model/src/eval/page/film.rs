use std::fmt::Write as _;

use super::markup::png_uri;
use crate::config::{FRAME_BYTES, FRAME_SIDE};
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
        let (pixels, width) = strip(frames, &shown);
        let uri = png_uri(&pixels, width, FRAME_SIDE);
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

/// Frames side by side, and the picture's width.
fn strip(frames: &[u8], shown: &[usize]) -> (Vec<u8>, usize) {
    let row = FRAME_SIDE * 3;
    let mut pixels = Vec::with_capacity(shown.len() * FRAME_BYTES);
    for y in 0..FRAME_SIDE {
        for frame in shown {
            pixels.extend_from_slice(&frames[frame * FRAME_BYTES + y * row..][..row]);
        }
    }
    (pixels, shown.len() * FRAME_SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_the_chosen_frames_side_by_side() {
        let frames: Vec<u8> = (0..3u8).flat_map(|value| vec![value; FRAME_BYTES]).collect();
        let (pixels, width) = strip(&frames, &[0, 2]);
        assert_eq!((width, pixels.len()), (128, 2 * FRAME_BYTES));
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
