//! Pictures of a folder, for things whose texture is [`Texture::Image`](worldstep_env::Texture::Image).
//!
//! Read once, made square and equally large, and kept with smaller and smaller copies of each ("mip levels"), from
//! which the shader takes the one whose texels are about as large as pixels.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bevy::render::render_resource::{
    AddressMode, Extent3d, FilterMode, MipmapFilterMode, Origin3d, Sampler, SamplerDescriptor,
    TexelCopyBufferLayout, TexelCopyTextureInfo, TextureAspect, TextureDescriptor, TextureDimension,
    TextureFormat, TextureUsages, TextureView, TextureViewDescriptor, TextureViewDimension,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbaImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::RenderError;

/// Side of every picture once it is read, pixels.
const SIDE: u32 = 256;
/// Most pictures of a folder.
const PICTURES_MAX: usize = 256;
/// Endings of the files that are read.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Square pictures of equal size; none is one white one.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    images: Vec<RgbaImage>,
}

impl Pictures {
    /// Reads all PNG and JPEG files of `folder`, by name.
    ///
    /// # Errors
    /// [`RenderError::Pictures`] if there are none or too many, or if one can't be read.
    pub fn read(folder: &Path) -> Result<Self, RenderError> {
        let failed = |path: &Path, reason: String| RenderError::Pictures { path: path.to_owned(), reason };
        let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error.to_string()))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(folder, error.to_string()))?.path();
            if is_picture(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        match paths.len() {
            0 => return Err(failed(folder, "it holds no PNG or JPEG file".to_owned())),
            count if count > PICTURES_MAX => {
                return Err(failed(folder, format!("it holds {count} pictures; {PICTURES_MAX} is the most")));
            }
            _ => {}
        }
        let read = |path: &PathBuf| {
            let image = decode(path).map_err(|reason| failed(path, reason))?;
            Ok(resize(&image, SIDE, SIDE, FilterType::Triangle))
        };
        Ok(Self { images: paths.iter().map(read).collect::<Result<_, RenderError>>()? })
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// What a file shows, whatever it is called: what it is, its first bytes tell.
fn decode(path: &Path) -> Result<RgbaImage, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if !matches!(image::guess_format(&bytes), Ok(ImageFormat::Jpeg)) {
        return Ok(image::load_from_memory(&bytes).map_err(|error| error.to_string())?.into_rgba8());
    }
    let rgba = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(&bytes), rgba);
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let size = decoder.dimensions();
    size.and_then(|(width, height)| RgbaImage::from_raw(width as u32, height as u32, pixels))
        .ok_or_else(|| "its pixels are not as many as its size says".to_owned())
}

/// The pictures on the GPU.
pub struct PictureTexture {
    pub view: TextureView,
    pub sampler: Sampler,
}

impl PictureTexture {
    pub fn new(device: &RenderDevice, queue: &RenderQueue, pictures: &Pictures) -> Self {
        let white = RgbaImage::from_pixel(1, 1, image::Rgba([255; 4]));
        let images = if pictures.images.is_empty() { std::slice::from_ref(&white) } else { &pictures.images };
        let side = images[0].width();
        let levels = side.ilog2() + 1;
        let texture = device.create_texture(&TextureDescriptor {
            label: Some("pictures"),
            size: Extent3d { width: side, height: side, depth_or_array_layers: images.len() as u32 },
            mip_level_count: levels,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format: TextureFormat::Rgba8UnormSrgb,
            usage: TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST,
            view_formats: &[],
        });
        for (layer, image) in images.iter().enumerate() {
            for level in 0..levels {
                let side = side >> level;
                let copy = resize(image, side, side, FilterType::Triangle);
                let origin = Origin3d { x: 0, y: 0, z: layer as u32 };
                let target = TexelCopyTextureInfo {
                    texture: &texture,
                    mip_level: level,
                    origin,
                    aspect: TextureAspect::All,
                };
                let layout =
                    TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * side), rows_per_image: None };
                let size = Extent3d { width: side, height: side, depth_or_array_layers: 1 };
                queue.write_texture(target, copy.as_raw(), layout, size);
            }
        }
        let view = texture.create_view(&TextureViewDescriptor {
            dimension: Some(TextureViewDimension::D2Array),
            ..Default::default()
        });
        let sampler = device.create_sampler(&SamplerDescriptor {
            address_mode_u: AddressMode::Repeat,
            address_mode_v: AddressMode::Repeat,
            mag_filter: FilterMode::Linear,
            min_filter: FilterMode::Linear,
            mipmap_filter: MipmapFilterMode::Linear,
            ..Default::default()
        });
        Self { view, sampler }
    }
}
