use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use tiff::encoder::{TiffEncoder, colortype::Gray32Float};

/// PNG of `side × side` 8-bit RGB pixels.
pub fn rgb_png(pixels: &[u8], side: u32) -> Result<Vec<u8>, String> {
    png(pixels, side, ExtendedColorType::Rgb8)
}

/// PNG of `side × side` 16-bit grey pixels.
pub fn gray_png(pixels: &[u16], side: u32) -> Result<Vec<u8>, String> {
    // The encoder takes native-endian samples and writes PNG's big-endian ones.
    png(bytemuck::cast_slice(pixels), side, ExtendedColorType::L16)
}

/// TIFF of float32 values, `side` wide and as high as they go, exact.
pub fn float_tiff(pixels: &[f32], side: u32) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::with_capacity(size_of_val(pixels) + 256));
    let height = pixels.len() as u32 / side;
    TiffEncoder::new(&mut bytes)
        .and_then(|mut encoder| encoder.write_image::<Gray32Float>(side, height, pixels))
        .map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

fn png(bytes: &[u8], side: u32, color: ExtendedColorType) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len() / 4);
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive)
        .write_image(bytes, side, side, color)
        .map_err(|error| error.to_string())?;
    Ok(out)
}
