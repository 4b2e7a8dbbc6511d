use std::io::Cursor;

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageFormat, RgbImage};
use zune_jpeg::JpegDecoder;

use crate::config::FrameSize;
use crate::data::clips::PIXEL_MOVING;

/// The part of a picture of `width × height` pixels that is seen: `crop` (left, top, width, height), or the largest
/// centred square.
///
/// # Errors
/// A line that says that it does not fit.
pub fn seen(width: u32, height: u32, crop: Option<[u32; 4]>) -> Result<[u32; 4], String> {
    let side = width.min(height);
    let [left, top, w, h] = crop.unwrap_or([(width - side) / 2, (height - side) / 2, side, side]);
    let fits = |from: u32, len: u32, all: u32| from.checked_add(len).is_some_and(|end| end <= all);
    if fits(left, w, width) && fits(top, h, height) {
        Ok([left, top, w, h])
    } else {
        Err(format!("crop is {w} × {h} pixels from ({left}, {top}), its pictures are {width} × {height}"))
    }
}

/// A PNG or JPEG file as a frame of `size`.
///
/// # Errors
/// A line that says what is wrong with it.
pub fn decode(file: &[u8], crop: Option<[u32; 4]>, size: FrameSize, out: &mut [u8]) -> Result<(), String> {
    let picture = picture(file)?;
    let [left, top, width, height] = seen(picture.width(), picture.height(), crop)?;
    let side = size.side() as u32;
    if (width, height) == (side, side) {
        out.copy_from_slice(&crop_imm(&picture, left, top, side, side).to_image());
    } else {
        let seen = crop_imm(&picture, left, top, width, height);
        out.copy_from_slice(&resize(&*seen, side, side, FilterType::Triangle));
    }
    Ok(())
}

fn picture(file: &[u8]) -> Result<RgbImage, String> {
    match image::guess_format(file) {
        Ok(ImageFormat::Jpeg) => jpeg(file),
        Ok(format @ (ImageFormat::Png | ImageFormat::Tiff)) => {
            let image = image::load_from_memory_with_format(file, format);
            Ok(image.map_err(|error| error.to_string())?.to_rgb8())
        }
        _ => Err("a picture is neither PNG nor JPEG".to_owned()),
    }
}

fn jpeg(file: &[u8]) -> Result<RgbImage, String> {
    let mut decoder = JpegDecoder::new(Cursor::new(file));
    let pixels = decoder.decode().map_err(|error| format!("{error:?}"))?;
    let (width, height) = decoder.dimensions().ok_or("a JPEG without a size")?;
    let size = (width as u32, height as u32);
    if pixels.len() == width * height {
        let rgb = pixels.iter().flat_map(|grey| [*grey; 3]).collect();
        return RgbImage::from_raw(size.0, size.1, rgb).ok_or_else(|| "a JPEG of another size".to_owned());
    }
    RgbImage::from_raw(size.0, size.1, pixels).ok_or_else(|| "a JPEG that is neither RGB nor grey".to_owned())
}

/// Appends the pixel classes of an episode's frames of `size`: what differs by more than `levels` from the frame before or
/// after is moving.
pub fn moving_pixels(frames: &[u8], size: FrameSize, levels: u8, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + frames.len() / 3, 0);
    let differs = |a: &[u8], b: &[u8]| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > levels);
    for (i, pixel) in frames.chunks_exact(3).enumerate().skip(size.pixels()) {
        let before = i - size.pixels();
        if differs(pixel, &frames[before * 3..before * 3 + 3]) {
            out[start + i] = PIXEL_MOVING;
            out[start + before] = PIXEL_MOVING;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SIZE: FrameSize = FrameSize::Px64;

    #[test]
    fn the_largest_centred_square_is_seen_and_crops_must_fit() {
        assert_eq!(seen(640, 480, None).unwrap(), [80, 0, 480, 480]);
        assert_eq!(seen(10, 10, Some([2, 3, 4, 5])).unwrap(), [2, 3, 4, 5]);
        assert!(seen(10, 10, Some([8, 0, 4, 4])).unwrap_err().contains("10 × 10"));
        assert!(seen(10, 10, Some([u32::MAX, 0, 4, 4])).is_err());
    }

    /// The left half is red, the right half blue.
    #[test]
    fn jpegs_are_pictures_too() {
        let file = include_bytes!("../../../tests/lerobot/red-blue.jpg");
        let mut frame = vec![0; SIZE.bytes()];
        decode(file, None, SIZE, &mut frame).unwrap();
        let pixel = |x: usize| <[u8; 3]>::try_from(&frame[(32 * SIZE.side() + x) * 3..][..3]).unwrap();
        let [[r, _, b], [other_r, _, other_b]] = [pixel(10), pixel(54)];
        assert!(r > 230 && b < 25 && other_r < 25 && other_b > 230, "{:?} {:?}", pixel(10), pixel(54));
        assert!(decode(&file[..150], None, SIZE, &mut frame).is_err());
        assert!(decode(b"GIF89a", None, SIZE, &mut frame).unwrap_err().contains("neither"));
    }

    #[test]
    fn foreground_is_what_changes_before_or_after() {
        let mut frames = vec![100; 3 * SIZE.bytes()];
        frames[SIZE.bytes() + 7] = 130;
        frames[SIZE.bytes() + 30] = 105;
        let mut classes = Vec::new();
        moving_pixels(&frames, SIZE, 12, &mut classes);
        let moving: Vec<_> = (0..classes.len()).filter(|i| classes[*i] == PIXEL_MOVING).collect();
        let pixels = SIZE.bytes() / 3;
        assert_eq!(moving, [2, pixels + 2, 2 * pixels + 2]);
    }
}
