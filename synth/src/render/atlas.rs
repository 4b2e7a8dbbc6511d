use super::RenderError;

/// Bytes that a row of a texture is padded to when it is copied to a buffer.
const ROW_ALIGNMENT: u32 = 256;

/// How the tiles of one pass lie in one texture: row by row, as near to a square as they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atlas {
    /// Tiles that it holds at most.
    pub tiles: usize,
    /// Width of a tile in pixels.
    pub tile_width: u32,
    /// Height of a tile in pixels.
    pub tile_height: u32,
    /// Tiles beside each other.
    pub columns: u32,
    /// Tiles above each other.
    pub rows: u32,
}

impl Atlas {
    /// Lays out `tiles` tiles in a texture whose sides are at most `limit` pixels.
    ///
    /// # Errors
    /// [`RenderError::AtlasTooLarge`] if they don't fit.
    pub fn new(tiles: usize, tile_width: u32, tile_height: u32, limit: u32) -> Result<Self, RenderError> {
        let too_large = RenderError::AtlasTooLarge { tiles, width: tile_width, height: tile_height, limit };
        if tiles == 0 || tile_width == 0 || tile_height == 0 {
            return Err(too_large);
        }
        let columns = (1..=tiles).find(|columns| columns * columns >= tiles).unwrap_or(tiles);
        let rows = tiles.div_ceil(columns);
        let atlas = Self {
            tiles,
            tile_width,
            tile_height,
            columns: columns.try_into().map_err(|_| too_large.clone())?,
            rows: rows.try_into().map_err(|_| too_large.clone())?,
        };
        let fits = |count: u32, side: u32| count.checked_mul(side).is_some_and(|size| size <= limit);
        if fits(atlas.columns, tile_width) && fits(atlas.rows, tile_height) {
            Ok(atlas)
        } else {
            Err(too_large)
        }
    }

    /// Width of the texture in pixels.
    pub fn width(&self) -> u32 {
        self.columns * self.tile_width
    }

    /// Height of the texture in pixels.
    pub fn height(&self) -> u32 {
        self.rows * self.tile_height
    }

    /// Bytes from one row to the next in a buffer that the texture is copied to.
    pub fn padded_row_bytes(&self, pixel_bytes: u32) -> u32 {
        (self.width() * pixel_bytes).next_multiple_of(ROW_ALIGNMENT)
    }

    /// As [`new`](Self::new), with as many of the tiles as fit, and cover at most `pixels_max` pixels if that is one.
    ///
    /// # Errors
    /// [`RenderError::AtlasTooLarge`] if not even one fits.
    pub fn fitting(
        tiles: usize,
        (tile_width, tile_height): (u32, u32),
        limit: u32,
        pixels_max: u64,
    ) -> Result<Self, RenderError> {
        let too_large = RenderError::AtlasTooLarge { tiles, width: tile_width, height: tile_height, limit };
        let pixels = u64::from(tile_width) * u64::from(tile_height);
        if tiles == 0 || pixels == 0 {
            return Err(too_large);
        }
        let mut count = tiles.min(usize::try_from(pixels_max / pixels).unwrap_or(usize::MAX).max(1));
        loop {
            match Self::new(count, tile_width, tile_height, limit) {
                Ok(atlas) => return Ok(atlas),
                Err(_) if count > 1 => count = count * 3 / 4,
                Err(_) => return Err(too_large),
            }
        }
    }

    /// Columns of the texture that the first `tiles` tiles cover, in pixels.
    pub fn used_width(&self, tiles: usize) -> u32 {
        (tiles as u32).min(self.columns) * self.tile_width
    }

    /// Rows of the texture that the first `tiles` tiles cover, in pixels.
    pub fn used_height(&self, tiles: usize) -> u32 {
        (tiles as u32).div_ceil(self.columns).min(self.rows) * self.tile_height
    }

    /// First byte of row `y` of `tile` in such a buffer.
    pub fn row_offset(&self, tile: usize, y: u32, pixel_bytes: u32) -> usize {
        let column = tile as u32 % self.columns;
        let row = tile as u32 / self.columns;
        let line = (row * self.tile_height + y) as usize;
        line * self.padded_row_bytes(pixel_bytes) as usize + (column * self.tile_width * pixel_bytes) as usize
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Atlas;

    #[test]
    fn rows_are_padded_and_tiles_lie_row_by_row() {
        let atlas = Atlas::new(3, 10, 8, 4096).unwrap();
        assert_eq!((atlas.columns, atlas.rows), (2, 2));
        assert_eq!(atlas.padded_row_bytes(4), 256);
        assert_eq!(atlas.row_offset(1, 0, 4), 40);
        assert_eq!(atlas.row_offset(2, 1, 4), 9 * 256);
        assert_eq!(atlas.used_height(2), 8);
        assert_eq!(atlas.used_height(3), 16);
    }

    #[test]
    fn as_many_tiles_as_fit_are_taken() {
        let fitting = |tiles, side, pixels| Atlas::fitting(tiles, (side, side), 8192, pixels).unwrap().tiles;
        assert_eq!(fitting(1024, 64, 1 << 22), 1024);
        assert_eq!(fitting(4096, 64, 1 << 22), 1024);
        assert_eq!(fitting(4096, 256, 1 << 22), 64);
        assert_eq!(fitting(16, 8192, 1 << 22), 1);
        assert!(fitting(4096, 256, u64::MAX) <= 1024);
        assert!(Atlas::fitting(1, (8193, 8), 8192, 1 << 22).is_err());
    }

    #[test]
    fn an_atlas_larger_than_a_texture_is_refused() {
        assert!(Atlas::new(64, 64, 64, 512).is_ok());
        assert!(Atlas::new(65, 64, 64, 512).is_err());
        assert!(Atlas::new(0, 64, 64, 512).is_err());
    }
}
