//! Soft bodies of a family: boxes that give way, cloth, ropes.

use rapier3d::prelude::*;
use serde::Deserialize;
use worldstep_env::physics::{Look, SoftId, SoftMaterial, SoftShape};
use worldstep_env::{Pose as WorldPose, Shape, scene};

use super::appearance::{self, Appearance};
use super::build::{Built, Materials, triple, turned};
use super::file::{ColorFile, Triple};
use super::parameters::{ValueScope, evaluate};
use crate::scenario::expression::Expression;

/// A soft body as it is written; lengths in metres.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct SoftFile {
    pub name: String,
    pub shape: SoftShapeFile,
    /// Particles along each edge: three numbers for a box, two for cloth, one for a rope.
    pub particles: Vec<usize>,
    /// Centre of a box or cloth; ropes say where they are themselves.
    pub position: Option<Triple>,
    /// Roll, pitch, yaw about the world's x, y, z, in this order.
    pub rotation: Option<Triple>,
    pub velocity: Option<Triple>,
    /// kg.
    pub mass: Expression,
    /// Half the thickness of cloth, a rope's radius; of a box, how far off things touch it, which is drawn.
    pub radius: Expression,
    /// Natural frequency against stretching, Hz.
    pub stretch: Expression,
    /// Natural frequency against bending, Hz.
    pub bend: Option<Expression>,
    /// Damping ratio.
    pub damping: Option<Expression>,
    /// Air drag, 1/s.
    pub drag: Option<Expression>,
    /// Without one it is drawn.
    pub friction: Option<Expression>,
    /// Particles that never move.
    #[serde(default)]
    pub pinned: Vec<u32>,
    /// Particles that are tied to bodies.
    #[serde(default)]
    pub ties: Vec<TieFile>,
    pub color: Option<ColorFile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum SoftShapeFile {
    /// Extents along x, y, z.
    Box(Triple),
    /// Extents along x and y.
    Cloth([Expression; 2]),
    /// From here to there, world frame.
    Rope([Triple; 2]),
}

/// A particle and the body that it is tied to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct TieFile {
    pub particle: usize,
    pub body: String,
}

impl SoftFile {
    /// Semantic class.
    pub fn class(&self) -> &'static str {
        match self.shape {
            SoftShapeFile::Box(_) => "soft_body",
            SoftShapeFile::Cloth(_) => "cloth",
            SoftShapeFile::Rope(_) => "rope",
        }
    }
}

/// Adds the family's soft bodies.
pub(super) fn add(materials: &mut Materials<'_>, built: &mut Built) -> Result<(), String> {
    for soft in &materials.file.soft {
        let key = format!("soft.{}", soft.name);
        let scope = ValueScope { values: materials.values, repeated: None };
        let shape = shape(soft, &scope, &key)?;
        let material = material(materials, soft, &key)?;
        let role = match &soft.color {
            Some(ColorFile::Role(role)) => role.as_str(),
            _ => "hero",
        };
        let color_linear = match &soft.color {
            Some(ColorFile::Linear(color)) => {
                appearance::note_color(materials, &soft.name, *color);
                *color
            }
            _ => Appearance::color(materials, role, &soft.name).map_err(|error| format!("{key}.{error}"))?,
        };
        let extent = extent(&shape, material.radius);
        let surface = Appearance::surface(materials, (role, &soft.name), extent, color_linear);
        // The shape is replaced by the soft body's own.
        let look = Look::moving(soft.name.clone(), Shape::Sphere { radius: 0.1 }, color_linear);
        let semantic = scene::semantic_class(soft.class()).unwrap_or_default();
        let actuated = materials.file.actuates(&soft.name);
        let look = Look { surface, semantic, actuated, ..look };
        let handle = built.world.add_soft(look, &shape, &material, &soft.pinned);
        let handle = handle.map_err(|error| format!("{key}: {error}"))?;
        start(soft, handle, &scope, built, &key)?;
        built.names.bodies.insert(soft.name.clone(), built.handles.len());
        built.handles.push(built.world.soft_body(handle).root_body());
    }
    Ok(())
}

/// Velocity and ties.
fn start(
    soft: &SoftFile,
    handle: SoftId,
    scope: &ValueScope<'_>,
    built: &mut Built,
    key: &str,
) -> Result<(), String> {
    if let Some(velocity) = &soft.velocity {
        let velocity = Vector::from(triple(velocity, scope, &format!("{key}.velocity"))?);
        built.world.soft_body_mut(handle).apply_impulse(velocity, true);
    }
    for tie in &soft.ties {
        let position = built.names.bodies.get(&tie.body);
        let position = position.ok_or(format!("{key}.ties: there is no body {:?}", tie.body))?;
        let count = built.world.soft_body(handle).num_particles();
        if tie.particle >= count {
            return Err(format!("{key}.ties: particle {}, expected 0 to {}", tie.particle, count - 1));
        }
        built.world.tie(handle, tie.particle, built.handles[*position]);
    }
    Ok(())
}

fn shape(soft: &SoftFile, scope: &ValueScope<'_>, key: &str) -> Result<SoftShape, String> {
    let optional = |values: &Option<Triple>, field: &str| match values {
        Some(values) => triple(values, scope, &format!("{key}.{field}")),
        None => Ok([0.0; 3]),
    };
    let rotation = turned(optional(&soft.rotation, "rotation")?);
    let center = Vector::from(optional(&soft.position, "position")?);
    let pose = |corner: Vector| WorldPose {
        position: (center + rotation * corner).to_array(),
        quat_xyzw: rotation.to_array(),
    };
    let wrong = |expected: usize| format!("{key}.particles: expected {expected} numbers for this shape");
    match &soft.shape {
        SoftShapeFile::Box(extents) => {
            let half_extents = triple(extents, scope, &format!("{key}.shape"))?.map(|extent| 0.5 * extent);
            let particles = <[usize; 3]>::try_from(soft.particles.as_slice()).map_err(|_| wrong(3))?;
            Ok(SoftShape::Cuboid { pose: pose(Vector::ZERO), half_extents, particles })
        }
        SoftShapeFile::Cloth(size) => {
            let [x, y] = [0, 1].map(|i| evaluate(&size[i], scope, || format!("{key}.shape[{i}]")));
            let size = [x? as f32, y? as f32];
            let particles = <[usize; 2]>::try_from(soft.particles.as_slice()).map_err(|_| wrong(2))?;
            let corner = Vector::new(-0.5 * size[0], -0.5 * size[1], 0.0);
            Ok(SoftShape::Cloth { pose: pose(corner), size, particles })
        }
        SoftShapeFile::Rope([from, to]) => {
            let [particles] = <[usize; 1]>::try_from(soft.particles.as_slice()).map_err(|_| wrong(1))?;
            let (from, to) = (triple(from, scope, key)?, triple(to, scope, key)?);
            Ok(SoftShape::Rope { from, to, particles })
        }
    }
}

fn material(materials: &mut Materials<'_>, soft: &SoftFile, key: &str) -> Result<SoftMaterial, String> {
    let scope = ValueScope { values: materials.values, repeated: None };
    let value = |expression: &Expression, field: &str, [low, high]: [f64; 2]| {
        let value = evaluate(expression, &scope, || format!("{key}.{field}"))?;
        if (low..=high).contains(&value) {
            return Ok(value as f32);
        }
        Err(format!("{key}.{field}: gives {value}, expected {low} to {high}"))
    };
    let or = |expression: &Option<Expression>, field: &str, range, default: f32| match expression {
        Some(expression) => value(expression, field, range),
        None => Ok(default),
    };
    let plain = SoftMaterial::default();
    let physics = &materials.randomisation.physics;
    let drawn = format!("physics.{}.friction", soft.name);
    let friction = match &soft.friction {
        Some(friction) => value(friction, "friction", [0.0, 10.0])?,
        None => materials.draws.draw(&drawn, &physics.friction, physics.enabled) as f32,
    };
    Ok(SoftMaterial {
        mass: value(&soft.mass, "mass", [1e-3, 1e4])?,
        radius: value(&soft.radius, "radius", [1e-3, 1.0])?,
        stretch_hz: value(&soft.stretch, "stretch", [0.1, 1e3])?,
        bend_hz: or(&soft.bend, "bend", [0.0, 1e3], plain.bend_hz)?,
        damping: or(&soft.damping, "damping", [0.0, 100.0], plain.damping)?,
        drag: or(&soft.drag, "drag", [0.0, 100.0], plain.drag)?,
        friction,
    })
}

/// Smallest visible extent, metres.
fn extent(shape: &SoftShape, radius: f32) -> f32 {
    match shape {
        SoftShape::Cuboid { half_extents, .. } => {
            2.0 * half_extents.iter().copied().fold(f32::INFINITY, f32::min)
        }
        SoftShape::Cloth { size, .. } => 0.25 * size[0].min(size[1]),
        SoftShape::Rope { .. } => 4.0 * radius,
    }
}
