use std::io::Cursor;

use image::DynamicImage;
use tiff::decoder::{Decoder, DecodingResult};

use crate::lerobot::{Column, ImageCoding};

/// Appends the raw values of an image file of a `side × side` frame to `out`.
///
/// # Errors
/// Says what the image is and what it should be.
pub fn decode(bytes: &[u8], (coding, side): (ImageCoding, usize), out: &mut Column) -> Result<(), String> {
    let [height, width, _] = coding.file_shape(side);
    let size = |found: (u32, u32)| {
        if found == (width as u32, height as u32) {
            return Ok(());
        }
        Err(format!("is {} × {} pixels, expected {width} × {height}", found.0, found.1))
    };
    match (coding, out) {
        (ImageCoding::Float32(_), Column::F32(out)) => {
            let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
            size(decoder.dimensions().map_err(|error| error.to_string())?)?;
            match decoder.read_image().map_err(|error| error.to_string())? {
                DecodingResult::F32(values) => out.extend(values),
                _ => return Err("is no float32 TIFF".to_owned()),
            }
        }
        (ImageCoding::Rgb8, Column::U8(out)) => match png(bytes)? {
            DynamicImage::ImageRgb8(image) => {
                size(image.dimensions())?;
                out.extend(image.into_raw());
            }
            other => return Err(format!("is {:?}, expected 8-bit RGB", other.color())),
        },
        (ImageCoding::Gray16, Column::U16(out)) => match png(bytes)? {
            DynamicImage::ImageLuma16(image) => {
                size(image.dimensions())?;
                out.extend(image.into_raw());
            }
            other => return Err(format!("is {:?}, expected 16-bit grey", other.color())),
        },
        _ => return Err("belongs into a column of another kind".to_owned()),
    }
    Ok(())
}

fn png(bytes: &[u8]) -> Result<DynamicImage, String> {
    image::load_from_memory_with_format(bytes, image::ImageFormat::Png).map_err(|error| error.to_string())
}
