use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Pixels of white between two panels.
const GAP: usize = 2;
/// Seconds that the last frame is held, so that the loop's start is seen.
const HOLD_LAST_S: u16 = 1;

/// An animated PNG of several films side by side; each film is `frames × side × side × 3`, and all are equally long.
///
/// # Errors
/// If the file cannot be written.
pub fn write_side_by_side(path: &Path, films: &[&[u8]], side: usize, fps: u16) -> Result<()> {
    let frame_len = side * side * 3;
    let frames = films.iter().map(|film| film.len() / frame_len).min().unwrap_or(0);
    let width = films.len() * (side + GAP) - GAP;
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width as u32, side as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(frames as u32, 0)?;
    encoder.set_frame_delay(1, fps)?;
    let mut writer = encoder.write_header()?;
    let mut canvas = vec![255; width * side * 3];
    for frame in 0..frames {
        for (panel, film) in films.iter().enumerate() {
            let image = &film[frame * frame_len..(frame + 1) * frame_len];
            for (y, row) in image.chunks_exact(side * 3).enumerate() {
                let start = (y * width + panel * (side + GAP)) * 3;
                canvas[start..start + row.len()].copy_from_slice(row);
            }
        }
        if frame + 1 == frames {
            writer.set_frame_delay(HOLD_LAST_S, 1)?;
        }
        writer.write_image_data(&canvas)?;
    }
    writer.finish()?;
    Ok(())
}

/// Absolute difference of two films, inverted so that equal pixels are white.
pub fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| 255 - a.abs_diff(*b)).collect()
}
