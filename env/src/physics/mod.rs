//! The Rapier world behind a task, with the scene that shows it.

mod contact_recorder;
mod forces;
mod friction_balance;
mod ground;
mod joints;
mod look;
mod motor_recorder;
mod shapes;
mod soft;
mod soft_skin;
mod vary;

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::contact_recorder::{Recorder, Scope};
use self::soft::SoftBodySlot;
use crate::record::{AppliedForce, Contact};
use crate::{Camera, CameraMotion, EnvError, Instance, Scene, scene};

pub use ground::world_groups;
pub use joints::JointId;
pub use look::Look;
pub use shapes::{capsule_collider, cylinder_collider, hull_collider, mesh_collider};
pub use soft::{SoftId, SoftMaterial, SoftShape};

/// A Rapier world with the scene that shows it; body `i` is instance `i`.
#[derive(Serialize, Deserialize)]
pub struct World {
    pub(crate) physics: PhysicsWorld,
    bodies: Vec<RigidBodyHandle>,
    soft: Vec<SoftBodySlot>,
    scene: Scene,
    substeps: u32,
    /// Bodies that a force of [`apply_force`](Self::apply_force) acts on until the control step ends.
    pushed: Vec<RigidBodyHandle>,
    motor_gain: f32,
    #[serde(skip)]
    recorder: Option<Box<Recorder>>,
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
        Self {
            physics,
            bodies: Vec::new(),
            soft: Vec::new(),
            scene,
            substeps,
            pushed: Vec::new(),
            motor_gain: 1.0,
            recorder: None,
        }
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
        let body = self.physics.insert_body(body.user_data(self.bodies.len() as u128 + 1));
        self.show(look, body);
        body
    }

    /// Makes a body that is in the world already the next instance of the scene.
    pub(crate) fn show_body(&mut self, look: Look, body: RigidBodyHandle) {
        self.body_mut(body).user_data = self.bodies.len() as u128 + 1;
        self.show(look, body);
    }

    /// Makes a body the next instance of the scene.
    fn show(&mut self, look: Look, body: RigidBodyHandle) {
        self.bodies.push(body);
        self.scene.instances.push(Instance {
            id: self.bodies.len() as u16,
            semantic: look.semantic,
            name: look.name.into_owned(),
            shape: look.shape,
            color_linear: look.color_linear,
            surface: look.surface,
            moving: look.moving,
            actuated: look.actuated,
        });
    }

    /// Adds a collider that is neither seen nor labelled.
    pub fn add_unseen(&mut self, collider: ColliderBuilder) {
        self.physics.insert_collider(collider, None);
    }

    /// Solves friction in every pass of the solver and makes contacts twice as stiff (60 Hz), so that what fingers hold
    /// does not creep out of them.
    ///
    /// Rapier leaves friction out of the pass that corrects penetration, which keeps tall stacks still; a cube between
    /// two fingers then sinks by millimetres a second and turns.
    pub fn hold_firmly(&mut self) {
        let parameters = &mut self.physics.integration_parameters;
        parameters.friction_in_bias_pass = true;
        parameters.contact_softness.natural_frequency = 60.0;
    }

    /// Parts that the solver divides each physics step into, 4 at first: each integrates, and corrects contacts and joints.
    /// Fewer are faster and softer.
    pub fn set_solver_iterations(&mut self, iterations: usize) {
        self.physics.integration_parameters.num_solver_iterations = iterations.max(1);
    }

    /// Physics steps in one control step.
    pub fn substeps(&self) -> u32 {
        self.substeps
    }

    /// Seconds of a control step.
    pub fn control_period(&self) -> f32 {
        self.physics.integration_parameters.dt * self.substeps as f32
    }

    /// Sum of the normal forces of a body's contacts in the last physics step, N.
    pub fn pressure(&self, body: RigidBodyHandle) -> f32 {
        let colliders = self.physics.bodies[body].colliders();
        let impulse: f32 = colliders
            .iter()
            .flat_map(|collider| self.physics.narrow_phase.contact_pairs_with(*collider))
            // Rapier solves neighbouring manifolds as one, and writes what it found into the points that it solved.
            .flat_map(ContactPair::solver_manifolds)
            .flat_map(|manifold| {
                manifold.data.solver_contacts.iter().map(|contact| {
                    let [index] = contact.contact_indices();
                    manifold.points[index as usize].data.impulse
                })
            })
            .sum();
        impulse / self.physics.integration_parameters.dt
    }

    /// What decides how long a control step takes, as bytes to compare.
    pub(crate) fn clock(&self) -> Result<Vec<u8>, EnvError> {
        encode(&(self.substeps, &self.physics.integration_parameters))
    }

    /// Advances one physics step (a substep of the control step).
    pub fn substep(&mut self) {
        let Some(mut recorder) = self.recorder.take() else {
            self.physics.step();
            return;
        };
        recorder.before_substep(&self.scope());
        self.physics.step();
        recorder.after_substep(&self.scope());
        self.recorder = Some(recorder);
    }

    fn scope(&self) -> Scope<'_> {
        Scope { physics: &self.physics, bodies: &self.bodies, soft: &self.soft, substeps: self.substeps }
    }

    /// Advances one control step.
    pub fn control_step(&mut self) {
        for _ in 0..self.substeps {
            self.substep();
        }
        self.release();
    }

    /// Turns recording of contacts and forces on or off; it changes nothing that happens. Off unless asked for.
    pub fn record(&mut self, on: bool) {
        self.recorder = on.then(Default::default);
    }

    /// What bodies did to each other in the last control step, by ids; empty unless [`record`](Self::record) is on.
    ///
    /// The impulses on a body with those of gravity and of applied forces make up its change of momentum. Normal
    /// impulses are the solver's. Friction is recovered from the momentum that bodies gained: exact where a body has
    /// one contact, shared by load where it has several, estimated between bodies that joints hold. A body that falls
    /// asleep loses its last slow motion to nobody; build bodies with `can_sleep(false)` where that matters.
    pub fn contacts(&self) -> &[Contact] {
        self.recorder.as_ref().map_or(&[], |recorder| &recorder.contacts)
    }

    /// Forces of scripts, tasks and joint motors in the last control step, by id; empty unless
    /// [`record`](Self::record) is on.
    pub fn forces(&self) -> &[AppliedForce] {
        self.recorder.as_ref().map_or(&[], |recorder| &recorder.forces)
    }

    /// Everything that the future depends on, as bytes.
    ///
    /// # Errors
    /// [`EnvError::State`] if the world cannot be encoded.
    pub fn save(&self) -> Result<Vec<u8>, EnvError> {
        encode(self)
    }

    /// Restores what [`save`](Self::save) gave; whether it records stays as it is.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes are no world; nothing has changed then.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        let recording = self.recorder.is_some();
        *self = decode(bytes)?;
        self.record(recording);
        Ok(())
    }

    /// The scene as built.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The scene, to set cameras, light and sky before it is seen.
    pub fn scene_mut(&mut self) -> &mut Scene {
        &mut self.scene
    }

    /// Sets with which others the colliders of a body interact.
    pub fn set_collision_groups(&mut self, body: RigidBodyHandle, groups: InteractionGroups) {
        let colliders = self.physics.bodies[body].colliders().to_vec();
        for collider in colliders {
            if let Some(collider) = self.physics.colliders.get_mut(collider) {
                collider.set_collision_groups(groups);
            }
        }
    }

    /// The body of the first instance of this name.
    pub fn body_of_instance(&self, name: &str) -> Option<RigidBodyHandle> {
        let instance = self.scene.instances.iter().position(|instance| instance.name == name)?;
        self.bodies.get(instance).copied()
    }

    /// The rigid body behind a handle.
    pub fn body(&self, handle: RigidBodyHandle) -> &RigidBody {
        &self.physics.bodies[handle]
    }

    /// The rigid body behind a handle, to drive it.
    pub fn body_mut(&mut self, handle: RigidBodyHandle) -> &mut RigidBody {
        &mut self.physics.bodies[handle]
    }

    /// Moves every body that is free to move by `offset` metres, for asking what a small difference becomes.
    pub fn displace(&mut self, offset: [f32; 3]) {
        for handle in self.bodies.clone() {
            let body = self.body_mut(handle);
            if body.is_dynamic() {
                body.set_translation(body.translation() + Vector::from(offset), true);
            }
        }
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
        }) && self.soft_is_finite()
            && self.motor_gain.is_finite()
    }

    /// Writes the pose of each instance, in the scene's order; of a soft one, its centre of mass and no turn.
    pub fn poses(&self, out: &mut Vec<scene::Pose>) {
        out.clear();
        out.extend(self.bodies.iter().map(|handle| {
            let body = self.body(*handle);
            scene::Pose { position: body.translation().to_array(), quat_xyzw: body.rotation().to_array() }
        }));
        for (instance, position, _) in self.soft_motion() {
            let quat_xyzw = Rotation::IDENTITY.to_array();
            out[instance] = scene::Pose { position: position.to_array(), quat_xyzw };
        }
    }

    /// Writes the velocity of each instance, in the scene's order; of a soft one, that of its centre of mass.
    pub fn velocities(&self, out: &mut Vec<scene::Velocity>) {
        out.clear();
        out.extend(self.bodies.iter().map(|handle| {
            let body = self.body(*handle);
            scene::Velocity { linear: body.linvel().to_array(), angular: body.angvel().to_array() }
        }));
        for (instance, _, velocity) in self.soft_motion() {
            out[instance] = scene::Velocity { linear: velocity.to_array(), angular: [0.0; 3] };
        }
    }
}

/// A task's state as bytes, for [`Task::save`](crate::Task::save).
///
/// # Errors
/// [`EnvError::State`] if it cannot be written, a map of unknown length for instance.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EnvError> {
    postcard::to_stdvec(value).map_err(|error| EnvError::State { message: error.to_string() })
}

/// The inverse of [`encode`].
///
/// # Errors
/// [`EnvError::State`] if the bytes are no such state.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EnvError> {
    postcard::from_bytes(bytes).map_err(|error| EnvError::State { message: error.to_string() })
}
