//! What a world looks like: shapes, colours, cameras. Physics owns where things are; the renderer draws this.

use serde::{Deserialize, Serialize};

/// Position and orientation in the world frame (z up).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Position in metres.
    pub position: [f32; 3],
    /// Unit quaternion, `xyzw`.
    pub quat_xyzw: [f32; 4],
}

/// Linear and angular velocity in the world frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Velocity {
    /// m/s.
    pub linear: [f32; 3],
    /// rad/s.
    pub angular: [f32; 3],
}

/// A visual shape about its body's origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    /// Box with these half extents in metres.
    Cuboid {
        /// Along x, y, z.
        half_extents: [f32; 3],
    },
    /// Sphere.
    Sphere {
        /// Metres.
        radius: f32,
    },
    /// Cylinder whose axis is the body's z.
    Cylinder {
        /// Metres.
        radius: f32,
        /// Half of its length in metres.
        half_height: f32,
    },
}

/// One thing that is drawn and labelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Value of its pixels in the instance image; from 1, as 0 is the background.
    pub id: u16,
    /// Name within the task, for instance `ball`.
    pub name: String,
    /// Shape about the body's origin.
    pub shape: Shape,
    /// Linear (not sRGB) base colour.
    pub color_linear: [f32; 3],
    /// Whether it can move. Moving things are the foreground that models are weighed by.
    pub moving: bool,
    /// Whether the action moves it directly.
    pub actuated: bool,
}

/// A pinhole camera after OpenCV: x right, y down, z forward; pixels are square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Where the camera stands, world frame, metres.
    pub position: [f32; 3],
    /// The point that is at the image's centre.
    pub target: [f32; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
}

impl Camera {
    /// Intrinsics for an image of `width × height` pixels, row-major 3×3, in pixels.
    pub fn intrinsics(&self, width: u32, height: u32) -> [f32; 9] {
        let focal = 0.5 * height as f32 / (0.5 * self.fov_y).tan();
        [focal, 0.0, 0.5 * width as f32, 0.0, focal, 0.5 * height as f32, 0.0, 0.0, 1.0]
    }

    /// The camera's pose, row-major 4×4: columns are the camera's x (right), y (down), z (forward) and position.
    ///
    /// The view must not be vertical, as world z gives the image its upright.
    pub fn world_from_camera(&self) -> [f32; 16] {
        use nalgebra::Vector3;
        let eye = Vector3::from(self.position);
        let forward = (Vector3::from(self.target) - eye).normalize();
        let right = forward.cross(&Vector3::z()).normalize();
        let down = forward.cross(&right);
        let mut out = [0.0; 16];
        for row in 0..3 {
            out[row * 4..row * 4 + 4].copy_from_slice(&[right[row], down[row], forward[row], eye[row]]);
        }
        out[15] = 1.0;
        out
    }
}

/// Everything that is drawn for one episode of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Things with a pose, in the order that poses come in. Static things included.
    pub instances: Vec<Instance>,
    /// The camera that pixel observations come from.
    pub camera: Camera,
    /// Linear colour where nothing is.
    pub sky_linear: [f32; 3],
    /// Unit vector towards the light.
    pub light_direction: [f32; 3],
}
