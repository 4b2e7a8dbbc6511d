use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

use super::Pose;

/// A pinhole camera after OpenCV: x right, y down, z forward; pixels are square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Where the camera stands, world frame, metres.
    pub position: [f32; 3],
    /// The point that is at the image's centre.
    pub target: [f32; 3],
    /// What is up in the image, world frame; need not be a unit vector nor square to the view.
    pub up: [f32; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
}

impl Camera {
    /// A camera at `position` that looks at `target` with world z upright.
    pub const fn new(position: [f32; 3], target: [f32; 3], fov_y: f32) -> Self {
        Self { position, target, up: [0.0, 0.0, 1.0], fov_y }
    }

    /// Intrinsics for an image of `width × height` pixels, row-major 3×3, in pixels.
    pub fn intrinsics(&self, width: u32, height: u32) -> [f32; 9] {
        let focal = 0.5 * height as f32 / (0.5 * self.fov_y).tan();
        [focal, 0.0, 0.5 * width as f32, 0.0, focal, 0.5 * height as f32, 0.0, 0.0, 1.0]
    }

    /// The camera's pose, row-major 4×4: columns are the camera's x (right), y (down), z (forward) and position.
    ///
    /// The view must not be along `up`.
    pub fn world_from_camera(&self) -> [f32; 16] {
        let eye = Vector3::from(self.position);
        let forward = (Vector3::from(self.target) - eye).normalize();
        let right = forward.cross(&Vector3::from(self.up)).normalize();
        let down = forward.cross(&right);
        let mut out = [0.0; 16];
        for row in 0..3 {
            out[row * 4..row * 4 + 4].copy_from_slice(&[right[row], down[row], forward[row], eye[row]]);
        }
        out[15] = 1.0;
        out
    }
}

/// How a camera moves during an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum CameraMotion {
    /// Not at all.
    #[default]
    Fixed,
    /// Around the vertical through its target.
    Orbit {
        /// rad/s, counter-clockwise seen from above.
        rate: f32,
    },
    /// Stands still and turns after an instance.
    Track {
        /// Position of the instance in [`Scene::instances`](super::Scene::instances).
        instance: u32,
    },
    /// Rides on an instance (a wrist camera): position, target and up are in that instance's frame.
    Mounted {
        /// Position of the instance in [`Scene::instances`](super::Scene::instances).
        instance: u32,
    },
    /// Goes along with an instance without turning: position and target are relative to that instance's position, and
    /// keep to their own height (z).
    Follow {
        /// Position of the instance in [`Scene::instances`](super::Scene::instances).
        instance: u32,
    },
}

/// A camera with a name and a motion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraRig {
    /// Suffix of its features in a dataset, for instance `wrist`; empty for the main camera.
    pub name: String,
    /// Where it is at the episode's start; for [`CameraMotion::Mounted`], in the carrier's frame.
    pub camera: Camera,
    /// How it moves.
    pub motion: CameraMotion,
}

impl CameraRig {
    /// The camera `time_s` seconds into the episode, when the scene's instances are at `poses`.
    pub fn at(&self, time_s: f32, poses: &[Pose]) -> Camera {
        moved(self.camera, self.motion, time_s, poses)
    }
}

/// Where a camera with this motion is after `time_s` seconds, when the scene's instances are at `poses`.
pub(super) fn moved(camera: Camera, motion: CameraMotion, time_s: f32, poses: &[Pose]) -> Camera {
    let pose_of = |instance: u32| poses.get(instance as usize);
    match motion {
        CameraMotion::Fixed => camera,
        CameraMotion::Orbit { rate } => {
            let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), rate * time_s);
            let target = Vector3::from(camera.target);
            let position = target + turn * (Vector3::from(camera.position) - target);
            Camera { position: position.into(), up: (turn * Vector3::from(camera.up)).into(), ..camera }
        }
        CameraMotion::Track { instance } => {
            pose_of(instance).map_or(camera, |pose| Camera { target: pose.position, ..camera })
        }
        CameraMotion::Follow { instance } => pose_of(instance).map_or(camera, |pose| {
            let along = |[x, y, z]: [f32; 3]| [x + pose.position[0], y + pose.position[1], z];
            Camera { position: along(camera.position), target: along(camera.target), ..camera }
        }),
        CameraMotion::Mounted { instance } => {
            let Some(pose) = pose_of(instance) else { return camera };
            let [x, y, z, w] = pose.quat_xyzw;
            let turn = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z));
            let place = |point: [f32; 3]| -> [f32; 3] {
                (Vector3::from(pose.position) + turn * Vector3::from(point)).into()
            };
            Camera {
                position: place(camera.position),
                target: place(camera.target),
                up: (turn * Vector3::from(camera.up)).into(),
                ..camera
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig(motion: CameraMotion) -> CameraRig {
        let camera = Camera::new([2.0, 0.0, 1.0], [0.0, 0.0, 1.0], 0.8);
        CameraRig { name: String::new(), camera, motion }
    }

    fn near(a: [f32; 3], b: [f32; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn an_orbit_keeps_distance_and_target() {
        let camera = rig(CameraMotion::Orbit { rate: std::f32::consts::FRAC_PI_2 }).at(1.0, &[]);
        assert!(near(camera.position, [0.0, 2.0, 1.0]), "{camera:?}");
        assert_eq!(camera.target, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_tracking_camera_looks_at_its_instance_and_a_mounted_one_rides_on_it() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let poses = [Pose { position: [0.0, 3.0, 0.0], quat_xyzw: [0.0, 0.0, half, half] }];
        let tracking = rig(CameraMotion::Track { instance: 0 }).at(0.0, &poses);
        assert_eq!((tracking.position, tracking.target), ([2.0, 0.0, 1.0], [0.0, 3.0, 0.0]));
        // It follows over ground, and keeps its height and direction.
        let following = rig(CameraMotion::Follow { instance: 0 }).at(0.0, &poses);
        assert_eq!((following.position, following.target), ([2.0, 3.0, 1.0], [0.0, 3.0, 1.0]));
        // A quarter turn to the left takes the carrier's x to the world's y.
        let mounted = rig(CameraMotion::Mounted { instance: 0 }).at(0.0, &poses);
        assert!(
            near(mounted.position, [0.0, 5.0, 1.0]) && near(mounted.target, [0.0, 3.0, 1.0]),
            "{mounted:?}"
        );
    }
}
