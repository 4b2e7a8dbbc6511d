//! What a world looks like: shapes, colours, cameras. Physics owns where things are; the renderer draws this.

mod camera;
mod look;

use serde::{Deserialize, Serialize};

pub use camera::{Camera, CameraMotion, CameraRig};
pub use look::{Light, Mesh, Surface, Texture};

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
    /// Cylinder with half spheres at its ends, axis along the body's z.
    Capsule {
        /// Metres.
        radius: f32,
        /// Half of the distance between the half spheres' centres, metres.
        half_height: f32,
    },
    /// Rigid triangles: a convex hull or any mesh.
    Mesh {
        /// Position in [`Scene::meshes`].
        mesh: u32,
    },
    /// Triangles whose corners physics moves: cloth, rope, soft bodies. The mesh holds the corners at rest; where they
    /// are now comes beside the poses, in the world frame, for each soft instance in the scene's order.
    Soft {
        /// Position in [`Scene::meshes`].
        mesh: u32,
    },
}

/// One thing that is drawn and labelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Value of its pixels in the instance image; from 1, as 0 is the background.
    pub id: u16,
    /// What kind of thing it is: position in [`SEMANTIC_CLASSES`], the value of its pixels in the semantic image.
    pub semantic: u16,
    /// Name within the task, for instance `ball`.
    pub name: String,
    /// Shape about the body's origin.
    pub shape: Shape,
    /// Linear (not sRGB) base colour.
    pub color_linear: [f32; 3],
    /// Texture and highlight, drawn if the scene has a [`Light`].
    pub surface: Surface,
    /// Whether it can move. Moving things are the foreground that models are weighed by.
    pub moving: bool,
    /// Whether the action moves it directly.
    pub actuated: bool,
}

/// Names of the values of the semantic image; 0 is the background.
pub const SEMANTIC_CLASSES: [&str; 16] = [
    "background",
    "ground",
    "wall",
    "screen",
    "support",
    "ball",
    "block",
    "cylinder",
    "capsule",
    "mesh",
    "container",
    "joint_link",
    "robot",
    "soft_body",
    "cloth",
    "rope",
];

/// Position of a class in [`SEMANTIC_CLASSES`], if there is one of this name.
pub fn semantic_class(name: &str) -> Option<u16> {
    SEMANTIC_CLASSES.iter().position(|class| *class == name).map(|position| position as u16)
}

/// Everything that is drawn for one episode of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Things with a pose, in the order that poses come in. Static things included.
    pub instances: Vec<Instance>,
    /// Triangles of the instances that are made of some.
    pub meshes: Vec<Mesh>,
    /// The camera that pixel observations come from, at the episode's start.
    pub camera: Camera,
    /// How that camera moves.
    pub camera_motion: CameraMotion,
    /// Further cameras.
    pub extra_cameras: Vec<CameraRig>,
    /// Linear colour where nothing is.
    pub sky_linear: [f32; 3],
    /// Unit vector towards the light.
    pub light_direction: [f32; 3],
    /// Draw in full, with this light; `None` draws plainly.
    pub light: Option<Light>,
}

impl Scene {
    /// Names of the cameras: the main one, whose name is empty, and the further ones.
    pub fn camera_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("").chain(self.extra_cameras.iter().map(|rig| rig.name.as_str()))
    }

    /// Where the main camera is `time_s` seconds into the episode, with the instances at `poses`.
    pub fn camera_at(&self, time_s: f32, poses: &[Pose]) -> Camera {
        camera::moved(self.camera, self.camera_motion, time_s, poses)
    }

    /// Writes where each camera is `time_s` seconds into the episode, with the instances at `poses`; main one first.
    pub fn cameras_at(&self, time_s: f32, poses: &[Pose], out: &mut Vec<Camera>) {
        out.clear();
        out.push(self.camera_at(time_s, poses));
        out.extend(self.extra_cameras.iter().map(|rig| rig.at(time_s, poses)));
    }

    /// The instances whose corners physics moves, in order.
    pub fn soft_instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| matches!(instance.shape, Shape::Soft { .. }))
    }
}
