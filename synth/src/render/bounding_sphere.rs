use bevy::math::{Vec2, Vec3};

/// A sphere around the corners of a thing, in the frame that they are given in, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoundingSphere {
    center: Vec3,
    radius: f32,
}

/// What a camera takes in: its lens as `Tile` of `geometry.wgsl` has it, and the tile's size in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub lens: [f32; 4],
    pub size: (u32, u32),
}

/// Nearest distance at which a thing counts as before the camera, metres; beyond `NEAR` of `geometry.wgsl`.
const NEAREST: f32 = 0.02;
/// What rounding may add to a sphere, as a part of its radius and of its distance.
const ROUNDING: f32 = 1e-4;

impl BoundingSphere {
    /// About the middle of the box around `points`.
    pub fn new(points: &[[f32; 3]]) -> Self {
        let points = || points.iter().copied().map(Vec3::from);
        let low = points().fold(Vec3::INFINITY, Vec3::min);
        let high = points().fold(Vec3::NEG_INFINITY, Vec3::max);
        let center = 0.5 * (low + high);
        let squared = points().map(|point| point.distance_squared(center)).fold(0.0, f32::max);
        Self { center, radius: squared.sqrt() }
    }

    /// Whether all of it lies before the camera and within the tile. False if a number is not finite.
    pub fn lies_within(&self, camera_from_object: &[[f32; 4]; 3], sight: &Sight) -> bool {
        let row = |row: &[f32; 4]| Vec3::from_slice(row).dot(self.center) + row[3];
        let [x, y, z] = [0, 1, 2].map(|axis| row(&camera_from_object[axis]));
        let radius = self.radius + ROUNDING * (self.radius + z.abs());
        let [focal, principal_x, principal_y, _] = sight.lens;
        // Distance to the plane through the camera and a side of the tile, `pixels` from the principal point.
        let inside = |along: f32, pixels: f32| {
            Vec2::new(z, along).dot(Vec2::new(pixels, focal)) >= radius * pixels.hypot(focal)
        };
        let (width, height) = (sight.size.0 as f32, sight.size.1 as f32);
        z - radius > NEAREST
            && inside(x, principal_x)
            && inside(-x, width - principal_x)
            && inside(y, principal_y)
            && inside(-y, height - principal_y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sphere_lies_within_a_tile_until_it_touches_a_side_or_the_camera() {
        let sphere = BoundingSphere::new(&[[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]);
        let sight = Sight { lens: [64.0, 32.0, 32.0, 0.0], size: (64, 64) };
        let within = |x: f32, y: f32, z: f32| {
            let rows = [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, z]];
            sphere.lies_within(&rows, &sight)
        };
        // At 4 m the picture is 4 m wide, and the sphere's rim leans outwards.
        let reach = 2.0 - 0.5 * 1.25_f32.sqrt();
        assert!(within(0.0, 0.0, 4.0));
        for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
            assert!(within(x * (reach - 0.01), y * (reach - 0.01), 4.0), "{x} {y}");
            assert!(!within(x * (reach + 0.01), y * (reach + 0.01), 4.0), "{x} {y}");
        }
        assert!(!within(0.0, 0.0, 0.5) && !within(0.0, 0.0, -4.0) && !within(f32::NAN, 0.0, 4.0));
    }
}
