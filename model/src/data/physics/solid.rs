use worldstep_env::{Pose, Shape};

use super::dot;

/// A box that stands still, in the world frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Solid {
    /// Metres.
    pub center: [f32; 3],
    /// Unit vectors of its own x, y, z.
    pub axes: [[f32; 3]; 3],
    /// Along its own x, y, z, metres.
    pub half_extents: [f32; 3],
}

impl Solid {
    /// The box that `shape` is at `pose`, if it is one.
    pub fn new(shape: &Shape, pose: &Pose) -> Option<Self> {
        let Shape::Cuboid { half_extents } = shape else { return None };
        Some(Self { center: pose.position, axes: axes(pose.quat_xyzw), half_extents: *half_extents })
    }

    /// Distance of `point` from its surface, metres; negative inside.
    pub fn distance(&self, point: [f32; 3]) -> f32 {
        let away = [0, 1, 2].map(|axis| point[axis] - self.center[axis]);
        let beyond = [0, 1, 2].map(|axis| dot(self.axes[axis], away).abs() - self.half_extents[axis]);
        let outside = beyond.map(|distance| distance.max(0.0));
        let inside = beyond[0].max(beyond[1]).max(beyond[2]).min(0.0);
        dot(outside, outside).sqrt() + inside
    }
}

/// Images of the unit vectors under the rotation `xyzw`.
fn axes([x, y, z, w]: [f32; 4]) -> [[f32; 3]; 3] {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)],
        [2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)],
        [2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// Radius of the largest sphere about the origin of `shape` that it holds, metres; 0 for triangles, of which
/// nothing is known.
pub fn inner_radius_m(shape: &Shape) -> f32 {
    match shape {
        Shape::Cuboid { half_extents: [x, y, z] } => x.min(*y).min(*z),
        Shape::Sphere { radius } | Shape::Capsule { radius, .. } => *radius,
        Shape::Cylinder { radius, half_height } => radius.min(*half_height),
        Shape::Mesh { .. } | Shape::Soft { .. } => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn near(found: f32, expected: f32) {
        assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
    }

    #[test]
    fn a_turned_box_has_its_distances() {
        let half_extents = [2.0, 1.0, 0.5];
        let turned = std::f32::consts::FRAC_1_SQRT_2;
        // A quarter turn about z: its long side lies along the world's y.
        let pose = Pose { position: [1.0, 0.0, 0.0], quat_xyzw: [0.0, 0.0, turned, turned] };
        let solid = Solid::new(&Shape::Cuboid { half_extents }, &pose).unwrap();
        near(solid.distance([3.0, 0.0, 0.0]), 1.0);
        near(solid.distance([1.0, 3.0, 0.0]), 1.0);
        near(solid.distance([5.0, 0.0, 4.5]), 5.0);
        near(solid.distance([1.0, 0.0, 0.4]), -0.1);
    }

    #[test]
    fn the_inner_sphere_fits_in_every_shape() {
        near(inner_radius_m(&Shape::Cuboid { half_extents: [0.3, 0.1, 0.2] }), 0.1);
        near(inner_radius_m(&Shape::Sphere { radius: 0.25 }), 0.25);
        near(inner_radius_m(&Shape::Cylinder { radius: 0.3, half_height: 0.1 }), 0.1);
        near(inner_radius_m(&Shape::Capsule { radius: 0.05, half_height: 0.5 }), 0.05);
    }
}
