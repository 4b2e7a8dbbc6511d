use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::soft_skin::{Skin, tube_rings};
use super::{Look, World};
use crate::{EnvError, Mesh, Pose, Shape};

/// A soft body of a [`World`].
pub type SoftId = SoftBodyHandle;

/// Most particles of one soft body.
const PARTICLES_MAX: usize = 4_096;

/// What a soft body is like before anything has moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SoftShape {
    /// A solid box.
    Cuboid {
        /// Of its centre.
        pose: Pose,
        /// Metres.
        half_extents: [f32; 3],
        /// Particles along each edge, 2 or more.
        particles: [usize; 3],
    },
    /// A flat sheet whose corner is at `pose` and which lies along its x and y.
    Cloth {
        /// Of the corner.
        pose: Pose,
        /// Metres along x and y.
        size: [f32; 2],
        /// Particles along x and y, 2 or more.
        particles: [usize; 2],
    },
    /// A straight rope.
    Rope {
        /// World frame, metres.
        from: [f32; 3],
        /// World frame, metres.
        to: [f32; 3],
        /// Particles, 3 or more.
        particles: usize,
    },
}

/// What a soft body is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftMaterial {
    /// Mass of the whole, kg.
    pub mass: f32,
    /// Half its thickness: how far off its drawn surface things touch a box, half a cloth, a rope's radius. Metres.
    pub radius: f32,
    /// Natural frequency against stretching, Hz.
    pub stretch_hz: f32,
    /// Natural frequency against bending, Hz.
    pub bend_hz: f32,
    /// Damping of either, 1 is critical.
    pub damping: f32,
    /// Air drag, 1/s.
    pub drag: f32,
    /// Friction coefficient.
    pub friction: f32,
}

impl Default for SoftMaterial {
    fn default() -> Self {
        Self {
            mass: 0.5,
            radius: 0.005,
            stretch_hz: 20.0,
            bend_hz: 5.0,
            damping: 0.3,
            drag: 0.2,
            friction: 0.6,
        }
    }
}

/// The drawn side of a soft body.
#[derive(Serialize, Deserialize)]
pub(super) struct SoftBodySlot {
    /// Position in the scene's instances.
    pub instance: usize,
    pub handle: SoftId,
    pub skin: Skin,
}

impl World {
    /// Adds a soft body that is seen and labelled; `pinned` particles stay where they are until moved.
    ///
    /// The look's shape is replaced by the soft body's own mesh. Particles of a box and a cloth count with z, then y,
    /// then x running; those of a rope from `from` to `to`.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if it has too few or too many particles, or `pinned` names one that is not there.
    pub fn add_soft(
        &mut self,
        look: Look,
        shape: &SoftShape,
        material: &SoftMaterial,
        pinned: &[u32],
    ) -> Result<SoftId, EnvError> {
        let count = check(shape, pinned)?;
        let builder = builder(shape)
            .particle_mass(material.mass / count as f32)
            .material(springs(material))
            .particle_radius(material.radius)
            .linear_damping(material.drag)
            .can_sleep(false)
            .surface_collider(ColliderBuilder::ball(material.radius).friction(material.friction))
            .pinned_particles(pinned.iter().copied());
        let handle = self.physics.insert_soft_body(builder);
        let (skin, mesh) = self.skin_of(handle, shape, material.radius);
        self.scene.meshes.push(mesh);
        let root = self.physics.soft_bodies[handle].root_body();
        self.physics.bodies[root].user_data = self.bodies.len() as u128 + 1;
        let shape = Shape::Soft { mesh: self.scene.meshes.len() as u32 - 1 };
        self.soft.push(SoftBodySlot { instance: self.bodies.len(), handle, skin });
        self.show(Look { shape, ..look }, root);
        Ok(handle)
    }

    fn skin_of(&self, handle: SoftId, shape: &SoftShape, radius: f32) -> (Skin, Mesh) {
        let body = &self.physics.soft_bodies[handle];
        let (skin, triangles) = match shape {
            SoftShape::Cuboid { .. } => Skin::surface(body.boundary(), radius),
            SoftShape::Cloth { .. } => Skin::sheet(body.boundary()),
            SoftShape::Rope { .. } => tube_rings(body.num_particles(), radius),
        };
        let mut vertices = Vec::new();
        skin.vertices(body, &mut vertices);
        let round = !matches!(shape, SoftShape::Cuboid { .. });
        let two_sided = matches!(shape, SoftShape::Cloth { .. });
        (skin, Mesh { vertices, triangles, smooth: round, two_sided })
    }

    /// Writes the corners of every soft instance's mesh, in the scene's order; world frame, metres.
    pub fn soft_vertices(&self, out: &mut Vec<[f32; 3]>) {
        out.clear();
        for slot in &self.soft {
            slot.skin.vertices(&self.physics.soft_bodies[slot.handle], out);
        }
    }

    /// The soft body behind a handle.
    pub fn soft_body(&self, handle: SoftId) -> &SoftBody {
        &self.physics.soft_bodies[handle]
    }

    /// The soft body behind a handle, to drive its pinned particles.
    pub fn soft_body_mut(&mut self, handle: SoftId) -> &mut SoftBody {
        &mut self.physics.soft_bodies[handle]
    }

    /// Ties a particle to the place of `body` where it is now.
    pub fn tie(&mut self, soft: SoftId, particle: usize, body: RigidBodyHandle) {
        self.physics.soft_bodies[soft].attach_particle(particle, body, &self.physics.bodies);
    }

    /// Poses and velocities of soft instances: centre of mass and its velocity.
    pub(super) fn soft_motion(&self) -> impl Iterator<Item = (usize, Vector, Vector)> {
        self.soft.iter().map(|slot| {
            let body = &self.physics.soft_bodies[slot.handle];
            (slot.instance, body.center_of_mass(), mean_velocity(body))
        })
    }

    pub(super) fn soft_is_finite(&self) -> bool {
        self.soft.iter().all(|slot| {
            let body = &self.physics.soft_bodies[slot.handle];
            body.is_enabled()
                && body.particles().iter().all(|p| p.position().is_finite() && p.velocity().is_finite())
        })
    }
}

/// Velocity of the centre of mass.
pub(super) fn mean_velocity(body: &SoftBody) -> Vector {
    let sum: Vector = body.particles().iter().map(|particle| particle.velocity() * particle.mass()).sum();
    sum / body.mass().max(f32::MIN_POSITIVE)
}

/// Particles of a shape, if there is a reasonable number of them.
fn check(shape: &SoftShape, pinned: &[u32]) -> Result<usize, EnvError> {
    let (counts, least) = match shape {
        SoftShape::Cuboid { particles, .. } => (particles.to_vec(), 2),
        SoftShape::Cloth { particles, .. } => (particles.to_vec(), 2),
        SoftShape::Rope { particles, .. } => (vec![*particles], 3),
    };
    let count = counts.iter().fold(1_usize, |product, count| product.saturating_mul(*count));
    if counts.iter().any(|count| *count < least) || count > PARTICLES_MAX {
        let message = format!(
            "a soft body of {counts:?} particles, expected at least {least} each way and at most {PARTICLES_MAX}"
        );
        return Err(EnvError::Argument { message });
    }
    if let Some(particle) = pinned.iter().find(|particle| **particle as usize >= count) {
        let message = format!("particle {particle} is pinned, expected 0..{count}");
        return Err(EnvError::Argument { message });
    }
    Ok(count)
}

fn springs(material: &SoftMaterial) -> SoftBodyMaterial {
    let stretch = SpringCoefficients::new(material.stretch_hz, material.damping);
    let bend = SpringCoefficients::new(material.bend_hz, material.damping);
    SoftBodyMaterial {
        edge_softness: stretch,
        volume_softness: stretch,
        bend_softness: bend,
        ..SoftBodyMaterial::default()
    }
}

fn builder(shape: &SoftShape) -> SoftBodyBuilder {
    match *shape {
        SoftShape::Cuboid { pose, half_extents, particles: [x, y, z] } => {
            let mut builder = SoftBodyBuilder::cuboid(Vector::ZERO, Vector::from(half_extents), x, y, z);
            let rotation = Rotation::from_array(pose.quat_xyzw);
            for position in &mut builder.positions {
                *position = Vector::from(pose.position) + rotation * *position;
            }
            builder.volume_preservation(true)
        }
        SoftShape::Cloth { pose, size, particles: [x, y] } => {
            let rotation = Rotation::from_array(pose.quat_xyzw);
            let du = rotation * Vector::X * (size[0] / (x - 1) as f32);
            let dv = rotation * Vector::Y * (size[1] / (y - 1) as f32);
            SoftBodyBuilder::cloth(Vector::from(pose.position), du, dv, x, y).self_contacts(true)
        }
        SoftShape::Rope { from, to, particles } => {
            SoftBodyBuilder::rope(Vector::from(from), Vector::from(to), particles)
        }
    }
}
