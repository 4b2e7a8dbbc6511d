use image::ImageFormat;
use worldstep_env::dataset::InstanceLabel;

use super::clips::{PIXEL_ACTUATED, PIXEL_MOVING};
use crate::config::FrameSize;

/// Why an image of the dataset is of no use.
pub enum ImageFault {
    /// It cannot be decoded.
    Damaged(String),
    /// It is `width × height`.
    Size(u32, u32),
}

fn check_size((width, height): (u32, u32), size: FrameSize) -> Result<(), ImageFault> {
    let side = size.side() as u32;
    if (width, height) == (side, side) { Ok(()) } else { Err(ImageFault::Size(width, height)) }
}

/// Decodes an 8-bit RGB PNG of `size` into HWC bytes.
pub fn rgb(png: &[u8], size: FrameSize, out: &mut [u8]) -> Result<(), ImageFault> {
    let image = image::load_from_memory_with_format(png, ImageFormat::Png);
    let image = image.map_err(|error| ImageFault::Damaged(error.to_string()))?;
    check_size((image.width(), image.height()), size)?;
    out.copy_from_slice(&image.to_rgb8());
    Ok(())
}

/// Decodes a 16-bit PNG of instance ids into [`PIXEL_MOVING`] and [`PIXEL_ACTUATED`] bits.
pub fn instances(
    png: &[u8],
    labels: &[InstanceLabel],
    size: FrameSize,
    out: &mut [u8],
) -> Result<(), ImageFault> {
    let image = image::load_from_memory_with_format(png, ImageFormat::Png);
    let image = image.map_err(|error| ImageFault::Damaged(error.to_string()))?;
    check_size((image.width(), image.height()), size)?;
    let bits = |id: u16| {
        let label = labels.iter().find(|label| label.id == id);
        label.map_or(0, |label| {
            u8::from(label.moving) * PIXEL_MOVING + u8::from(label.actuated) * PIXEL_ACTUATED
        })
    };
    let luma = image.to_luma16();
    for (out, id) in out.iter_mut().zip(luma.as_raw()) {
        *out = bits(*id);
    }
    Ok(())
}

/// Decodes a 16-bit PNG of instance ids into 1 + the position in `moving` of the object that each pixel shows, else 0.
pub fn silhouettes(png: &[u8], moving: &[(usize, u16)], out: &mut [u8]) -> Result<(), String> {
    let image =
        image::load_from_memory_with_format(png, ImageFormat::Png).map_err(|error| error.to_string())?;
    let luma = image.to_luma16();
    if luma.as_raw().len() != out.len() {
        return Err(format!("an instance image is {} × {} pixels", image.width(), image.height()));
    }
    for (out, id) in out.iter_mut().zip(luma.as_raw()) {
        let object = moving.iter().position(|(_, moving)| moving == id);
        *out = object.map_or(0, |object| object as u8 + 1);
    }
    Ok(())
}
