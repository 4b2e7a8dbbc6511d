//! What a dream has to beat without having learned anything.

use crate::data::{ClipRange, Clips};

/// Frames over which a velocity is taken.
const VELOCITY_FRAMES: usize = 2;

/// The last frame of the context, `steps` times.
pub fn copy_last(clips: &Clips, range: &ClipRange, context: usize, steps: usize) -> Vec<u8> {
    clips.frame(range.start + context - 1).repeat(steps)
}

/// Each moving thing of the last frame seen goes on as fast as it did in the last frames, in the image and in whole
/// pixels; what it leaves behind is filled with what was seen there before, or else with the nearest background of the
/// same row. It is told the true silhouettes of the context: `labels(row)` has one value for each thing, 0 for none.
pub fn constant_velocity<'a>(
    clips: &Clips,
    range: &ClipRange,
    (context, steps): (usize, usize),
    labels: impl Fn(usize) -> &'a [u8],
) -> Vec<u8> {
    let last = range.start + context - 1;
    let before = last.saturating_sub(VELOCITY_FRAMES).max(range.start);
    let seen = labels(last);
    let things: Vec<(u8, [f32; 2])> = (1..=u8::MAX)
        .filter_map(|label| {
            let now = centroid(seen, label)?;
            let then = centroid(labels(before), label).unwrap_or(now);
            let frames = (last - before).max(1) as f32;
            Some((label, [(now[0] - then[0]) / frames, (now[1] - then[1]) / frames]))
        })
        .collect();
    let rows: Vec<usize> = (range.start..last).rev().collect();
    let background = background(clips, last, &rows, &labels);
    let mut film = background.repeat(steps);
    for (step, canvas) in film.chunks_exact_mut(clips.frame_size.bytes()).enumerate() {
        for (label, velocity) in &things {
            let shift = velocity.map(|speed| (speed * (step + 1) as f32).round() as isize);
            paint(clips.frame(last), seen, (*label, shift), canvas);
        }
    }
    film
}

/// Mean x and y of the pixels with `label`.
fn centroid(labels: &[u8], label: u8) -> Option<[f32; 2]> {
    let side = labels.len().isqrt();
    let (mut count, mut x, mut y) = (0, 0, 0);
    for (pixel, _) in labels.iter().enumerate().filter(|(_, other)| **other == label) {
        (count, x, y) = (count + 1, x + pixel % side, y + pixel / side);
    }
    (count > 0).then(|| [x as f32 / count as f32, y as f32 / count as f32])
}

/// The frame of row `last` without what moves; `earlier` are the rows before it, the latest first.
fn background<'a>(
    clips: &Clips,
    last: usize,
    earlier: &[usize],
    labels: &impl Fn(usize) -> &'a [u8],
) -> Vec<u8> {
    let mut canvas = clips.frame(last).to_vec();
    let (seen, side) = (labels(last), clips.frame_size.side());
    for pixel in (0..seen.len()).filter(|pixel| seen[*pixel] != 0) {
        let row_start = pixel / side * side;
        let uncovered = earlier.iter().find(|row| labels(**row)[pixel] == 0).map(|row| (*row, pixel));
        let nearest = || {
            let free = (row_start..row_start + side).filter(|other| seen[*other] == 0);
            free.min_by_key(|other| other.abs_diff(pixel)).map(|other| (last, other))
        };
        if let Some((row, from)) = uncovered.or_else(nearest) {
            canvas[pixel * 3..pixel * 3 + 3].copy_from_slice(&clips.frame(row)[from * 3..from * 3 + 3]);
        }
    }
    canvas
}

fn paint(frame: &[u8], labels: &[u8], (label, [dx, dy]): (u8, [isize; 2]), canvas: &mut [u8]) {
    let side = labels.len().isqrt();
    let inside = 0..side as isize;
    for (pixel, _) in labels.iter().enumerate().filter(|(_, other)| **other == label) {
        let (x, y) = ((pixel % side) as isize + dx, (pixel / side) as isize + dy);
        if inside.contains(&x) && inside.contains(&y) {
            let to = (y as usize * side + x as usize) * 3;
            canvas[to..to + 3].copy_from_slice(&frame[pixel * 3..pixel * 3 + 3]);
        }
    }
}
