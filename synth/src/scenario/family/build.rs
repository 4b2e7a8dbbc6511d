//! From a family's file and drawn values to a world.

use std::collections::BTreeMap;

use rapier3d::prelude::*;
use worldstep_env::physics::{Look, World};
use worldstep_env::{Camera, Shape, scene};

use super::appearance::{self, Appearance};
use super::file::{BodyFile, FamilyFile, Motion, Triple};
use super::motion::Names;
use super::parameters::{ValueScope, evaluate};
use super::{distractors, joints, shapes, soft};
use crate::scenario::expression::Expression;
use crate::scenario::randomisation::Randomisation;
use crate::scenario::range::Draws;

/// Most members of one group of repeated bodies.
pub(in crate::scenario) const REPEAT_MAX: usize = 64;

/// A world that was just built, with what it takes to drive it.
pub(in crate::scenario) struct Built {
    pub world: World,
    pub names: Names,
    /// By position in the scene.
    pub handles: Vec<RigidBodyHandle>,
    /// By name.
    pub joints: BTreeMap<String, ImpulseJointHandle>,
}

/// What building draws from.
pub(in crate::scenario) struct Materials<'a> {
    pub file: &'a FamilyFile,
    pub values: &'a BTreeMap<String, f64>,
    pub randomisation: &'a Randomisation,
    pub draws: &'a mut Draws,
}

impl Materials<'_> {
    /// Builds the whole world. Bodies that are alone come first, then soft, then repeated ones, then distractors.
    pub fn build(&mut self) -> Result<Built, String> {
        let camera = Camera::new([0.0, -1.0, 0.0], [0.0; 3], 0.8);
        let mut world = World::new(self.file.fps, self.file.substeps, camera);
        world.set_gravity([0.0, 0.0, -self.values["gravity"] as f32]);
        let names = Names { signals: self.file.signals.clone(), ..Names::default() };
        let handles = Vec::new();
        let mut built = Built { world, names, handles, joints: BTreeMap::new() };
        let file = self.file;
        for body in file.bodies.iter().filter(|body| body.repeat.is_none()) {
            self.add(&mut built, body, body.name.clone(), None)?;
        }
        soft::add(self, &mut built)?;
        for body in &file.bodies {
            let Some(repeat) = &body.repeat else { continue };
            let count = self.count(repeat, body)?;
            let first = built.handles.len();
            for i in 0..count {
                self.add(&mut built, body, format!("{}_{i}", body.name), Some((i, count)))?;
            }
            built.names.groups.insert(body.name.clone(), first..first + count);
        }
        let region = appearance::Region::evaluate(&file.region, self.values)?;
        let view = appearance::stage(self, &mut built, &region)?;
        if file.distractors {
            distractors::add(self, &mut built, &region, view)?;
        }
        joints::add(self, &mut built)?;
        Ok(built)
    }

    fn count(&self, repeat: &Expression, body: &BodyFile) -> Result<usize, String> {
        let scope = ValueScope { values: self.values, repeated: None };
        let key = || format!("bodies.{}.repeat", body.name);
        let count = evaluate(repeat, &scope, key)?;
        let most = body.repeat_max();
        if count >= 0.0 && count <= most as f64 && count.fract() == 0.0 {
            return Ok(count as usize);
        }
        Err(format!("{}: gives {count}, expected a whole number in 0 to repeat_max = {most}", key()))
    }

    fn add(
        &mut self,
        built: &mut Built,
        body: &BodyFile,
        name: String,
        repeated: Option<(usize, usize)>,
    ) -> Result<(), String> {
        let key = format!("bodies.{}", body.name);
        let scope = ValueScope { values: self.values, repeated };
        let solid = shapes::solid(&body.shape, &scope, &mut built.world, &format!("{key}.shape"))?;
        let class = body.class.as_deref().unwrap_or(solid.class);
        let Some(semantic) = scene::semantic_class(class) else {
            let known = scene::SEMANTIC_CLASSES.join(", ");
            return Err(format!("{key}.class: {class:?} is unknown; there are {known}"));
        };
        let rigid = rigid_body(body, &scope, &key)?;
        let collider = self.material(body, &scope, (&name, &key), solid.collider)?;
        let looks = Appearance::draw(self, body, &name, solid.extent)?;
        let look = Look {
            name: name.clone().into(),
            shape: solid.shape,
            color_linear: looks.color_linear,
            semantic,
            surface: looks.surface,
            moving: body.motion != Motion::Fixed,
            actuated: self.file.actuates(&body.name),
        };
        let handle = match (body.solid, body.motion) {
            (true, _) => built.world.add(look, rigid, collider).0,
            // Physics moves it, so it needs the mass that its collider brings.
            (false, Motion::Dynamic) => {
                built.world.add(look, rigid, collider.collision_groups(InteractionGroups::none())).0
            }
            (false, _) => built.world.add_ghost(look, rigid),
        };
        built.names.bodies.insert(name, built.handles.len());
        built.handles.push(handle);
        Ok(())
    }

    /// Mass, friction and restitution: what the file says, or what is drawn.
    fn material(
        &mut self,
        body: &BodyFile,
        scope: &ValueScope<'_>,
        (name, key): (&str, &str),
        collider: ColliderBuilder,
    ) -> Result<ColliderBuilder, String> {
        let physics = &self.randomisation.physics;
        let within = |expression: &Expression, field: &str, low: f64, high: f64| {
            let value = evaluate(expression, scope, || format!("{key}.{field}"))?;
            if (low..=high).contains(&value) {
                return Ok(value as f32);
            }
            Err(format!("{key}.{field}: gives {value}, expected {low} to {high}"))
        };
        let friction = match &body.friction {
            Some(expression) => within(expression, "friction", 0.0, 10.0)?,
            None => {
                let name = format!("physics.{name}.friction");
                self.draws.draw(&name, &physics.friction, physics.enabled) as f32
            }
        };
        let restitution = match &body.restitution {
            Some(expression) => within(expression, "restitution", 0.0, 1.0)?,
            None if body.motion != Motion::Dynamic => 0.0,
            None => {
                let name = format!("physics.{name}.restitution");
                self.draws.draw(&name, &physics.restitution, physics.enabled) as f32
            }
        };
        let collider = collider
            .friction(friction)
            .restitution(restitution)
            .restitution_combine_rule(CoefficientCombineRule::Max);
        Ok(match (&body.mass, &body.density) {
            (Some(_), Some(_)) => return Err(format!("{key}: mass and density, expected one of them")),
            (Some(mass), None) => collider.mass(within(mass, "mass", 1e-4, 1e6)?),
            (None, Some(density)) => collider.density(within(density, "density", 1e-2, 1e5)?),
            (None, None) if body.motion == Motion::Dynamic => {
                let name = format!("physics.{name}.density");
                collider.density(self.draws.draw(&name, &physics.density, physics.enabled) as f32)
            }
            (None, None) => collider,
        })
    }
}

fn rigid_body(body: &BodyFile, scope: &ValueScope<'_>, key: &str) -> Result<RigidBodyBuilder, String> {
    let rigid = match body.motion {
        Motion::Dynamic => RigidBodyBuilder::dynamic(),
        Motion::Fixed => RigidBodyBuilder::fixed(),
        Motion::Kinematic => RigidBodyBuilder::kinematic_velocity_based(),
    };
    let optional = |values: &Option<Triple>, field: &str| match values {
        Some(values) => triple(values, scope, &format!("{key}.{field}")),
        None => Ok([0.0; 3]),
    };
    let position = triple(&body.position, scope, &format!("{key}.position"))?;
    let rotation = turned(optional(&body.rotation, "rotation")?);
    let mut rigid = rigid
        .pose(Pose::from_parts(Vector::from(position), rotation))
        .linvel(Vector::from(optional(&body.velocity, "velocity")?))
        .angvel(Vector::from(optional(&body.spin, "spin")?))
        .can_sleep(false)
        .ccd_enabled(body.motion == Motion::Dynamic && body.fast);
    if let Some(damping) = &body.damping {
        let [linear, angular] =
            [0, 1].map(|i| evaluate(&damping[i], scope, || format!("{key}.damping[{i}]")));
        rigid = rigid.linear_damping(linear? as f32).angular_damping(angular? as f32);
    }
    Ok(rigid)
}

/// The rotation by `roll`, `pitch`, `yaw` about the world's x, y, z, in this order.
pub(in crate::scenario) fn turned([roll, pitch, yaw]: [f32; 3]) -> Rotation {
    let turn = |axis, angle| Rotation::from_axis_angle(axis, angle);
    turn(Vector::Z, yaw) * turn(Vector::Y, pitch) * turn(Vector::X, roll)
}

/// Three values of a key.
pub(in crate::scenario) fn triple(
    values: &Triple,
    scope: &ValueScope<'_>,
    key: &str,
) -> Result<[f32; 3], String> {
    let mut out = [0.0; 3];
    for (i, value) in out.iter_mut().enumerate() {
        *value = evaluate(&values[i], scope, || format!("{key}[{i}]"))? as f32;
    }
    Ok(out)
}

/// Radius of the sphere about a shape's origin that holds it.
pub(in crate::scenario) fn bounding_radius(shape: &Shape, meshes: &[worldstep_env::Mesh]) -> f32 {
    let norm = |v: &[f32; 3]| (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    match shape {
        Shape::Cuboid { half_extents } => norm(half_extents),
        Shape::Sphere { radius } => *radius,
        Shape::Cylinder { radius, half_height } => norm(&[*radius, *half_height, 0.0]),
        Shape::Capsule { radius, half_height } => radius + half_height,
        Shape::Mesh { mesh } | Shape::Soft { mesh } => {
            meshes.get(*mesh as usize).map_or(0.0, |mesh| mesh.vertices.iter().map(norm).fold(0.0, f32::max))
        }
    }
}
