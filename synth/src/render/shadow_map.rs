//! One shadow map a tile, side by side in one depth texture, laid out as the tiles are.

use bevy::render::render_resource::{
    Extent3d, TextureDescriptor, TextureDimension, TextureUsages, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::RenderDevice;

use super::Atlas;
use super::targets::DEPTH_FORMAT;

/// Texels of a shadow map's side to pixels of the tile's longer one.
const TEXELS_PER_PIXEL: u32 = 2;
/// Most texels of a tile's shadow map on a side.
const SIDE_MAX: u32 = 512;

/// The texture that shadows are drawn to and looked up in.
pub struct ShadowMap {
    pub view: TextureView,
    /// Texels on a side of a tile's map.
    pub side: u32,
}

impl ShadowMap {
    /// As fine as the tiles' size asks for, and coarser only where that would not fit a texture.
    pub fn new(device: &RenderDevice, atlas: &Atlas) -> Self {
        let limit = device.limits().max_texture_dimension_2d;
        let side = side(atlas, limit);
        let texture = device.create_texture(&TextureDescriptor {
            label: Some("shadows"),
            size: Extent3d {
                width: atlas.columns * side,
                height: atlas.rows * side,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format: DEPTH_FORMAT,
            usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        Self { view: texture.create_view(&TextureViewDescriptor::default()), side }
    }
}

fn side(atlas: &Atlas, limit: u32) -> u32 {
    let wanted = (TEXELS_PER_PIXEL * atlas.tile_width.max(atlas.tile_height)).clamp(16, SIDE_MAX);
    wanted.min(limit / atlas.columns.max(atlas.rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shadow_maps_follow_the_tiles_until_the_texture_is_full() {
        let small = Atlas::new(4, 64, 48, 8192).unwrap();
        assert_eq!(side(&small, 8192), 128);
        let large = Atlas::new(4, 1024, 1024, 8192).unwrap();
        assert_eq!(side(&large, 8192), SIDE_MAX);
        let many = Atlas::new(4096, 128, 128, 8192).unwrap();
        assert_eq!(side(&many, 8192), 128);
    }
}
