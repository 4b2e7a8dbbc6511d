//! The shapes of family files as what is seen and as what collides.

use rapier3d::prelude::*;
use worldstep_env::physics::{World, capsule_collider, cylinder_collider, hull_collider};
use worldstep_env::{Mesh, Shape};

use super::file::ShapeFile;
use super::parameters::{ValueScope, evaluate};
use crate::scenario::expression::Expression;

/// Sides of round meshes.
const SIDES: u32 = 24;
/// Wall segments of a cup's collider.
const CUP_WALLS: u32 = 12;

/// What is seen, what collides, and how large it is.
pub(in crate::scenario) struct Solid {
    pub shape: Shape,
    pub collider: ColliderBuilder,
    /// Smallest extent, metres.
    pub extent: f32,
    /// Semantic class unless the file says another.
    pub class: &'static str,
}

/// Builds a shape; meshes are added to the world's scene.
pub(in crate::scenario) fn solid(
    file: &ShapeFile,
    scope: &ValueScope<'_>,
    world: &mut World,
    key: &str,
) -> Result<Solid, String> {
    let lengths = |expressions: &[Expression]| -> Result<Vec<f32>, String> {
        expressions.iter().enumerate().map(|(i, e)| length(e, scope, &format!("{key}[{i}]"))).collect()
    };
    let smallest = |lengths: &[f32]| lengths.iter().copied().fold(f32::INFINITY, f32::min);
    match file {
        ShapeFile::Box(extents) => {
            let extents = lengths(extents)?;
            let half = [0.5 * extents[0], 0.5 * extents[1], 0.5 * extents[2]];
            let collider = ColliderBuilder::cuboid(half[0], half[1], half[2]);
            let shape = Shape::Cuboid { half_extents: half };
            Ok(Solid { shape, collider, extent: smallest(&extents), class: "block" })
        }
        ShapeFile::Sphere(radius) => {
            let radius = length(radius, scope, key)?;
            let collider = ColliderBuilder::ball(radius);
            Ok(Solid { shape: Shape::Sphere { radius }, collider, extent: 2.0 * radius, class: "ball" })
        }
        ShapeFile::Cylinder(sizes) => {
            let sizes = lengths(sizes)?;
            let (radius, half_height) = (sizes[0], 0.5 * sizes[1]);
            let shape = Shape::Cylinder { radius, half_height };
            let collider = cylinder_collider(radius, half_height);
            Ok(Solid { shape, collider, extent: smallest(&[2.0 * radius, sizes[1]]), class: "cylinder" })
        }
        ShapeFile::Capsule(sizes) => {
            let sizes = lengths(sizes)?;
            let (radius, half_height) = (sizes[0], 0.5 * sizes[1] - sizes[0]);
            if half_height <= 0.0 {
                let wrong = "expected a height of more than twice the radius";
                return Err(format!("{key}: radius {radius}, height {}: {wrong}", sizes[1]));
            }
            let shape = Shape::Capsule { radius, half_height };
            Ok(Solid {
                shape,
                collider: capsule_collider(radius, half_height),
                extent: 2.0 * radius,
                class: "capsule",
            })
        }
        ShapeFile::Wedge(extents) => {
            let extents = lengths(extents)?;
            let (x, y, z) = (0.5 * extents[0], 0.5 * extents[1], extents[2]);
            let points = [[-x, -y, 0.0], [-x, y, 0.0], [x, -y, 0.0], [x, y, 0.0], [x, -y, z], [x, y, z]];
            hull(world, &points, smallest(&extents), key)
        }
        ShapeFile::Hull(points) => {
            let corners = points.iter().enumerate().map(|(i, point)| {
                let mut corner = [0.0; 3];
                for (axis, value) in corner.iter_mut().enumerate() {
                    *value = evaluate(&point[axis], scope, || format!("{key}[{i}][{axis}]"))? as f32;
                }
                Ok(corner)
            });
            let corners = corners.collect::<Result<Vec<_>, String>>()?;
            let extent = (0..3).map(|axis| spread(&corners, axis)).fold(f32::INFINITY, f32::min);
            hull(world, &corners, extent, key)
        }
        ShapeFile::Tray(sizes) => tray(world, &lengths(sizes)?),
        ShapeFile::Cup(sizes) => cup(world, &lengths(sizes)?),
        ShapeFile::Mesh(file) => file.solid(world, key),
    }
}

fn length(expression: &Expression, scope: &ValueScope<'_>, key: &str) -> Result<f32, String> {
    let value = evaluate(expression, scope, || key.to_owned())?;
    if value > 1e-4 && value < 1e4 {
        return Ok(value as f32);
    }
    Err(format!("{key}: a length of {value}, expected 0.0001 to 10000 metres"))
}

/// Extent along an axis.
pub(in crate::scenario) fn spread(points: &[[f32; 3]], axis: usize) -> f32 {
    let values = points.iter().map(|point| point[axis]);
    values.clone().fold(f32::NEG_INFINITY, f32::max) - values.fold(f32::INFINITY, f32::min)
}

fn hull(world: &mut World, points: &[[f32; 3]], extent: f32, key: &str) -> Result<Solid, String> {
    let (collider, mesh) = hull_collider(points).map_err(|error| format!("{key}: {error}"))?;
    Ok(Solid { shape: world.add_mesh(mesh), collider, extent, class: "mesh" })
}

/// Floor and four walls.
fn tray(world: &mut World, sizes: &[f32]) -> Result<Solid, String> {
    let [x, y, z, wall] = [0.5 * sizes[0], 0.5 * sizes[1], sizes[2], sizes[3]];
    let half = 0.5 * wall;
    let slabs = [
        ([0.0, 0.0, half], [x, y, half]),
        ([half - x, 0.0, 0.5 * z], [half, y, 0.5 * z]),
        ([x - half, 0.0, 0.5 * z], [half, y, 0.5 * z]),
        ([0.0, half - y, 0.5 * z], [x, half, 0.5 * z]),
        ([0.0, y - half, 0.5 * z], [x, half, 0.5 * z]),
    ];
    let parts = slabs.map(|(center, half)| {
        (Pose::from_translation(Vector::from(center)), SharedShape::cuboid(half[0], half[1], half[2]))
    });
    let collider = ColliderBuilder::compound(parts.to_vec());
    let corner = |x: f32, y: f32, z: f32| [[-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]];
    let (ix, iy) = (x - wall, y - wall);
    // Outside below and above, inside above and below.
    let rings = [corner(x, y, 0.0), corner(x, y, z), corner(ix, iy, z), corner(ix, iy, wall)];
    let mesh = revolved(&rings.map(|ring| ring.to_vec()));
    Ok(Solid { shape: world.add_mesh(mesh), collider, extent: z.min(2.0 * x), class: "container" })
}

/// A roof and a ring of walls.
fn cup(world: &mut World, sizes: &[f32]) -> Result<Solid, String> {
    let [radius, height, wall] = [sizes[0], sizes[1], sizes[2]];
    let half_width = radius * libm::tanf(std::f32::consts::PI / CUP_WALLS as f32);
    let mut parts: Vec<_> = (0..CUP_WALLS)
        .map(|i| {
            let angle = std::f32::consts::TAU * i as f32 / CUP_WALLS as f32;
            let turn = Rotation::from_axis_angle(Vector::Z, angle);
            let center = turn * Vector::new(radius - 0.5 * wall, 0.0, 0.5 * height);
            let shape = SharedShape::cuboid(0.5 * wall, half_width, 0.5 * height);
            (Pose::from_parts(center, turn), shape)
        })
        .collect();
    let upright = Rotation::from_axis_angle(Vector::X, std::f32::consts::FRAC_PI_2);
    let roof = Pose::from_parts(Vector::new(0.0, 0.0, height - 0.5 * wall), upright);
    parts.push((roof, SharedShape::cylinder(0.5 * wall, radius - wall)));
    let collider = ColliderBuilder::compound(parts);
    let ring = |radius: f32, z: f32| -> Vec<[f32; 3]> {
        (0..SIDES)
            .map(|i| {
                let angle = std::f32::consts::TAU * i as f32 / SIDES as f32;
                [radius * libm::cosf(angle), radius * libm::sinf(angle), z]
            })
            .collect()
    };
    let inside = radius - wall;
    // Inside above and below, outside below and above.
    let rings = [ring(inside, height - wall), ring(inside, 0.0), ring(radius, 0.0), ring(radius, height)];
    let mesh = revolved(&rings);
    Ok(Solid { shape: world.add_mesh(mesh), collider, extent: height.min(2.0 * radius), class: "container" })
}

/// Rings of equally many corners, joined one to the next, with a lid that faces down on the first and one that faces up
/// on the last. Rings turn left about z, so that a wall on the way up faces outwards and one on the way down inwards.
fn revolved(rings: &[Vec<[f32; 3]>]) -> Mesh {
    let sides = rings[0].len() as u32;
    let mut mesh = Mesh { vertices: rings.concat(), ..Mesh::default() };
    for ring in 0..rings.len() as u32 - 1 {
        for i in 0..sides {
            let next = (i + 1) % sides;
            let [a, b] = [ring * sides + i, ring * sides + next];
            let [c, d] = [a + sides, b + sides];
            mesh.triangles.extend([[a, b, d], [a, d, c]]);
        }
    }
    let last = (rings.len() as u32 - 1) * sides;
    for i in 1..sides - 1 {
        mesh.triangles.push([0, i + 1, i]);
        mesh.triangles.push([last, last + i, last + i + 1]);
    }
    mesh
}
