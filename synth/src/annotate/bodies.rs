//! Sizes, masses and speeds of a clip's instances.

use bevy::math::{DQuat, DVec3};
use worldstep_env::scene::SEMANTIC_CLASSES;
use worldstep_env::{Instance, Scene, Shape};

use super::ray_cast::vector;
use crate::clips::Trajectory;

/// What rules need to know of the instances, in the scene's order.
#[derive(Clone, Debug)]
pub struct Bodies {
    /// Kilograms; infinite for what is fixed or of unknown mass.
    pub mass: Vec<f64>,
    /// Distance of the origin to the farthest point of the body, metres.
    pub reach: Vec<f64>,
    /// Whether it moves at a command and not as physics has it: kinematic things and robots. What actions only push is
    /// not driven.
    pub driven: Vec<bool>,
    /// `(len + 1) × K`: greatest speed of any point of the body, m/s.
    pub speed: Vec<f64>,
    ids: Vec<u16>,
}

impl Bodies {
    /// Of the instances of `trajectory`.
    pub fn new(trajectory: &Trajectory) -> Self {
        let scene = &trajectory.scene;
        let count = scene.instances.len();
        let mass = |index: usize| trajectory.physical.get(index).map_or(f64::INFINITY, |row| row[0].into());
        let reach: Vec<f64> = scene.instances.iter().map(|instance| reach(scene, &instance.shape)).collect();
        let mut speed = Vec::with_capacity((trajectory.len + 1) * count);
        for row in 0..=trajectory.len {
            let velocities = trajectory.velocities_at(row);
            speed.extend(velocities.iter().zip(&reach).map(|(velocity, reach)| {
                vector(velocity.linear).length() + vector(velocity.angular).length() * reach
            }));
        }
        let mass: Vec<f64> = (0..count).map(mass).collect();
        let driven = scene.instances.iter().zip(&mass).map(|(instance, mass)| {
            let soft = matches!(instance.shape, Shape::Soft { .. });
            instance.moving && !soft && (!mass.is_finite() || is_of_class(instance, &["robot"]))
        });
        let mut bodies = Self {
            driven: driven.collect(),
            mass,
            reach,
            speed,
            ids: scene.instances.iter().map(|instance| instance.id).collect(),
        };
        bodies.set_soft_speeds(trajectory);
        bodies
    }

    /// Position of the instance with this id.
    pub fn index(&self, id: u16) -> Option<usize> {
        // Ids count from 1 in the scene's order, with rare exceptions.
        let guess = usize::from(id).wrapping_sub(1);
        if self.ids.get(guess) == Some(&id) {
            return Some(guess);
        }
        self.ids.iter().position(|other| *other == id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Greatest speed of any point of body `index` in row `row`, m/s.
    pub fn speed(&self, row: usize, index: usize) -> f64 {
        self.speed.get(row * self.ids.len() + index).copied().unwrap_or(0.0)
    }

    /// Soft things move as their corners do.
    fn set_soft_speeds(&mut self, trajectory: &Trajectory) {
        let (scene, count) = (&trajectory.scene, self.ids.len());
        let mut first = 0;
        for (index, instance) in scene.instances.iter().enumerate() {
            let Shape::Soft { mesh } = instance.shape else { continue };
            let corners = scene.meshes.get(mesh as usize).map_or(0, |mesh| mesh.vertices.len());
            for row in 0..trajectory.len {
                let (now, next) = (trajectory.soft_at(row), trajectory.soft_at(row + 1));
                let range = first..(first + corners).min(now.len());
                let moved = now[range.clone()]
                    .iter()
                    .zip(&next[range])
                    .map(|(now, next)| vector(*now).distance(vector(*next)))
                    .fold(0.0, f64::max);
                self.speed[row * count + index] = moved * f64::from(trajectory.fps);
            }
            if trajectory.len > 0 {
                self.speed[trajectory.len * count + index] = self.speed[(trajectory.len - 1) * count + index];
            }
            first += corners;
        }
    }
}

/// Distance of a shape's origin to its farthest point, metres.
fn reach(scene: &Scene, shape: &Shape) -> f64 {
    match shape {
        Shape::Cuboid { half_extents } => vector(*half_extents).length(),
        Shape::Sphere { radius } => (*radius).into(),
        Shape::Cylinder { radius, half_height } => f64::from(*radius).hypot((*half_height).into()),
        Shape::Capsule { radius, half_height } => f64::from(*radius) + f64::from(*half_height),
        Shape::Mesh { mesh } | Shape::Soft { mesh } => scene.meshes.get(*mesh as usize).map_or(0.0, |mesh| {
            mesh.vertices.iter().map(|corner| vector(*corner).length()).fold(0.0, f64::max)
        }),
    }
}

/// Whether an instance is of one of these classes of [`SEMANTIC_CLASSES`].
pub fn is_of_class(instance: &Instance, classes: &[&str]) -> bool {
    SEMANTIC_CLASSES.get(usize::from(instance.semantic)).is_some_and(|class| classes.contains(class))
}

/// The rotation of a pose.
pub fn turn(quat_xyzw: [f32; 4]) -> DQuat {
    DQuat::from_array(quat_xyzw.map(f64::from)).normalize()
}

/// World up in the frame of a body that is turned like this.
pub fn up_in_body(quat_xyzw: [f32; 4]) -> DVec3 {
    turn(quat_xyzw).conjugate() * DVec3::Z
}
