use bevy::math::{Mat3, Quat, Vec3};
use worldstep_env::{Camera, Pose};

/// Where a camera stands; the pose sync. World (z up) goes straight to the OpenCV camera frame, so that no y-up frame
/// comes in between; the vertex stage alone flips the image's y.
pub(super) struct CameraFrame {
    pub camera_from_world: Mat3,
    pub position: Vec3,
}

impl CameraFrame {
    pub fn new(camera: &Camera) -> Self {
        let m = camera.world_from_camera();
        let columns =
            [Vec3::new(m[0], m[4], m[8]), Vec3::new(m[1], m[5], m[9]), Vec3::new(m[2], m[6], m[10])];
        let world_from_camera = Mat3::from_cols(columns[0], columns[1], columns[2]);
        Self { camera_from_world: world_from_camera.transpose(), position: Vec3::new(m[3], m[7], m[11]) }
    }

    /// Rows of `camera_from_object` of a thing at `pose`.
    pub fn rows_of(&self, pose: &Pose) -> [[f32; 4]; 3] {
        let world_from_object = Mat3::from_quat(Quat::from_array(pose.quat_xyzw).normalize());
        let rotation = (self.camera_from_world * world_from_object).transpose();
        let translation = self.camera_from_world * (Vec3::from(pose.position) - self.position);
        [
            rotation.x_axis.extend(translation.x).to_array(),
            rotation.y_axis.extend(translation.y).to_array(),
            rotation.z_axis.extend(translation.z).to_array(),
        ]
    }
}
