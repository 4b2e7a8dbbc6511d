use nalgebra::{Isometry3, Matrix3, Point3, Quaternion, Translation3, UnitQuaternion, Vector3};

/// Nearest distance in front of a camera at which a point is projected, metres.
const NEAR_M: f64 = 1e-3;

/// A recorded camera: pixels to rays and back.
pub struct Pinhole {
    focal: [f64; 2],
    centre: [f64; 2],
    world_from_camera: Isometry3<f64>,
}

impl Pinhole {
    /// From a row of `camera.intrinsics` and one of `camera.world_from_camera`, both row-major.
    pub fn new(intrinsics: &[f32], world_from_camera: &[f32]) -> Self {
        let at = |index: usize| f64::from(world_from_camera[index]);
        let rotation = Matrix3::new(at(0), at(1), at(2), at(4), at(5), at(6), at(8), at(9), at(10));
        let rotation = UnitQuaternion::from_matrix_eps(&rotation, 1e-12, 50, UnitQuaternion::identity());
        Self {
            focal: [f64::from(intrinsics[0]), f64::from(intrinsics[4])],
            centre: [f64::from(intrinsics[2]), f64::from(intrinsics[5])],
            world_from_camera: Isometry3::from_parts(Translation3::new(at(3), at(7), at(11)), rotation),
        }
    }

    /// The world point at `depth` metres along the camera's axis under image position `(x, y)`, pixels.
    pub fn point(&self, (x, y): (f64, f64), depth: f64) -> Point3<f64> {
        let ray = [(x - self.centre[0]) / self.focal[0], (y - self.centre[1]) / self.focal[1]];
        self.world_from_camera * Point3::new(ray[0] * depth, ray[1] * depth, depth)
    }

    /// Where a world point is in the image, pixels; none behind the camera.
    pub fn project(&self, point: &Point3<f64>) -> Option<(f64, f64)> {
        let seen = self.world_from_camera.inverse_transform_point(point);
        (seen.z > NEAR_M).then(|| {
            (
                self.focal[0] * seen.x / seen.z + self.centre[0],
                self.focal[1] * seen.y / seen.z + self.centre[1],
            )
        })
    }
}

/// The pose in a row of `object.pose`: xyz, quaternion xyzw.
pub fn isometry(pose: &[f32]) -> Isometry3<f64> {
    let at = |index: usize| f64::from(pose[index]);
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(at(6), at(3), at(4), at(5)));
    Isometry3::from_parts(Translation3::new(at(0), at(1), at(2)), rotation)
}

/// Three values as a vector.
pub fn vector(values: &[f32]) -> Vector3<f64> {
    Vector3::new(f64::from(values[0]), f64::from(values[1]), f64::from(values[2]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use worldstep_env::Camera;

    use super::*;

    #[test]
    fn a_point_projects_to_where_it_was_taken_from() {
        let camera = Camera::new([1.0, -2.0, 1.5], [0.0, 0.3, 0.2], 0.8);
        let pinhole = Pinhole::new(&camera.intrinsics(64, 64), &camera.world_from_camera());
        let point = pinhole.point((10.5, 50.5), 2.5);
        let (x, y) = pinhole.project(&point).unwrap();
        assert!((x - 10.5).abs() < 1e-4 && (y - 50.5).abs() < 1e-4, "{x} {y}");
        let target = Point3::new(0.0, 0.3, 0.2);
        let (x, y) = pinhole.project(&target).unwrap();
        assert!((x - 32.0).abs() < 1e-3 && (y - 32.0).abs() < 1e-3, "{x} {y}");
    }
}
