//! The Rapier world behind a task, with the scene that shows it.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Camera, CameraMotion, EnvError, Instance, Scene, Shape, Surface, scene};

/// A Rapier world with the scene that shows it; body `i` is instance `i`.
#[derive(Serialize, Deserialize)]
pub struct World {
    pub(crate) physics: PhysicsWorld,
    bodies: Vec<RigidBodyHandle>,
    scene: Scene,
    substeps: u32,
}

/// How a visible thing looks and what it may do.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Name within the task.
    pub name: &'static str,
    /// Visual shape; the collider is the caller's.
    pub shape: Shape,
    /// Linear base colour.
    pub color_linear: [f32; 3],
    /// Position of its class in [`scene::SEMANTIC_CLASSES`].
    pub semantic: u16,
    /// Texture and highlight.
    pub surface: Surface,
    /// Foreground: it can move.
    pub moving: bool,
    /// The action moves it directly.
    pub actuated: bool,
}

impl Look {
    /// A thing that never moves.
    pub fn fixed(name: &'static str, shape: Shape, color_linear: [f32; 3]) -> Self {
        let semantic = default_class(&shape);
        let surface = Surface::default();
        Self { name, shape, color_linear, semantic, surface, moving: false, actuated: false }
    }

    /// This, as a thing of class `class` of [`scene::SEMANTIC_CLASSES`]; unknown names change nothing.
    pub fn of_class(self, class: &str) -> Self {
        Self { semantic: scene::semantic_class(class).unwrap_or(self.semantic), ..self }
    }

    /// A thing that physics moves.
    pub fn moving(name: &'static str, shape: Shape, color_linear: [f32; 3]) -> Self {
        Self { moving: true, ..Self::fixed(name, shape, color_linear) }
    }

    /// A thing that the action moves.
    pub fn actuated(name: &'static str, shape: Shape, color_linear: [f32; 3]) -> Self {
        Self { actuated: true, ..Self::moving(name, shape, color_linear) }
    }
}

/// The class of a thing that is nothing but its shape.
fn default_class(shape: &Shape) -> u16 {
    let name = match shape {
        Shape::Cuboid { .. } => "block",
        Shape::Sphere { .. } => "ball",
        Shape::Cylinder { .. } => "cylinder",
        Shape::Capsule { .. } => "capsule",
        Shape::Mesh { .. } => "mesh",
        Shape::Soft { .. } => "soft_body",
    };
    scene::semantic_class(name).unwrap_or_default()
}

impl World {
    /// An empty world with gravity along −z that a control step of `1 / fps` seconds advances in `substeps`.
    pub fn new(fps: u32, substeps: u32, camera: Camera) -> Self {
        let mut physics = PhysicsWorld { gravity: Vector::new(0.0, 0.0, -9.81), ..PhysicsWorld::default() };
        physics.integration_parameters.dt = 1.0 / (fps * substeps) as f32;
        let light = nalgebra::Vector3::new(0.3, -0.6, 1.0).normalize();
        let scene = Scene {
            instances: Vec::new(),
            meshes: Vec::new(),
            camera,
            camera_motion: CameraMotion::Fixed,
            extra_cameras: Vec::new(),
            sky_linear: [0.42, 0.58, 0.80],
            light_direction: light.into(),
            light: None,
        };
        Self { physics, bodies: Vec::new(), scene, substeps }
    }

    /// Adds a solid body that is seen and labelled; ids count from 1 in the order of the calls.
    pub fn add(
        &mut self,
        look: Look,
        body: RigidBodyBuilder,
        collider: ColliderBuilder,
    ) -> (RigidBodyHandle, ColliderHandle) {
        let body = self.add_ghost(look, body);
        (body, self.physics.insert_collider(collider, Some(body)))
    }

    /// Adds a body that is seen and labelled but that nothing collides with.
    pub fn add_ghost(&mut self, look: Look, body: RigidBodyBuilder) -> RigidBodyHandle {
        let body = self.physics.insert_body(body);
        self.bodies.push(body);
        self.scene.instances.push(Instance {
            id: self.bodies.len() as u16,
            semantic: look.semantic,
            name: look.name.to_owned(),
            shape: look.shape,
            color_linear: look.color_linear,
            surface: look.surface,
            moving: look.moving,
            actuated: look.actuated,
        });
        body
    }

    /// Joins two bodies.
    pub fn join(&mut self, a: RigidBodyHandle, b: RigidBodyHandle, joint: impl Into<GenericJoint>) {
        self.physics.insert_impulse_joint(a, b, joint);
    }

    /// Adds a collider that is neither seen nor labelled.
    pub fn add_unseen(&mut self, collider: ColliderBuilder) {
        self.physics.insert_collider(collider, None);
    }

    /// Physics steps in one control step.
    pub fn substeps(&self) -> u32 {
        self.substeps
    }

    /// Advances one physics step (a substep of the control step).
    pub fn substep(&mut self) {
        self.physics.step();
    }

    /// Advances one control step.
    pub fn control_step(&mut self) {
        for _ in 0..self.substeps {
            self.substep();
        }
    }

    /// The scene as built.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The rigid body behind a handle.
    pub fn body(&self, handle: RigidBodyHandle) -> &RigidBody {
        &self.physics.bodies[handle]
    }

    /// The rigid body behind a handle, to drive it.
    pub fn body_mut(&mut self, handle: RigidBodyHandle) -> &mut RigidBody {
        &mut self.physics.bodies[handle]
    }

    /// Whether two colliders touch.
    pub fn touching(&self, a: ColliderHandle, b: ColliderHandle) -> bool {
        self.physics.narrow_phase.contact_pair(a, b).is_some_and(|pair| pair.has_any_active_contact())
    }

    /// Whether every body's pose and velocity is a number, and Rapier has disabled none because it was not.
    pub fn is_finite(&self) -> bool {
        self.bodies.iter().map(|handle| self.body(*handle)).all(|body| {
            body.is_enabled()
                && body.translation().is_finite()
                && body.rotation().is_finite()
                && body.linvel().is_finite()
                && body.angvel().is_finite()
        })
    }

    /// Writes the pose of each instance, in the scene's order.
    pub fn poses(&self, out: &mut Vec<scene::Pose>) {
        out.clear();
        out.extend(self.bodies.iter().map(|handle| {
            let body = self.body(*handle);
            scene::Pose { position: body.translation().to_array(), quat_xyzw: body.rotation().to_array() }
        }));
    }

    /// Writes the velocity of each instance, in the scene's order.
    pub fn velocities(&self, out: &mut Vec<scene::Velocity>) {
        out.clear();
        out.extend(self.bodies.iter().map(|handle| {
            let body = self.body(*handle);
            scene::Velocity { linear: body.linvel().to_array(), angular: body.angvel().to_array() }
        }));
    }
}

/// A task's or an environment's state as bytes.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EnvError> {
    postcard::to_stdvec(value).map_err(|error| EnvError::State { message: error.to_string() })
}

/// The inverse of [`encode`].
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EnvError> {
    postcard::from_bytes(bytes).map_err(|error| EnvError::State { message: error.to_string() })
}
