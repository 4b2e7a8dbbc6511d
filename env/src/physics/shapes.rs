use rapier3d::parry::transformation::try_convex_hull;
use rapier3d::prelude::*;

use super::World;
use crate::{EnvError, Mesh, Shape};

/// Smallest volume of a convex hull, m³.
const VOLUME_MIN: f32 = 1e-9;

/// Rapier's cylinder stands along y; this one stands along the body's z, as [`Shape::Cylinder`] does.
pub fn cylinder_collider(radius: f32, half_height: f32) -> ColliderBuilder {
    let upright = Vector::new(std::f32::consts::FRAC_PI_2, 0.0, 0.0);
    ColliderBuilder::cylinder(half_height, radius).rotation(upright)
}

/// A capsule along the body's z, as [`Shape::Capsule`] is.
pub fn capsule_collider(radius: f32, half_height: f32) -> ColliderBuilder {
    ColliderBuilder::capsule_z(half_height, radius)
}

/// The convex hull of `points` (metres) as a collider and as the triangles that show it.
///
/// # Errors
/// [`EnvError::Argument`] if the points span no volume.
pub fn hull_collider(points: &[[f32; 3]]) -> Result<(ColliderBuilder, Mesh), EnvError> {
    let points: Vec<Vector> = points.iter().map(|point| Vector::from(*point)).collect();
    let flat = |why: String| EnvError::Argument {
        message: format!(
            "a convex hull of {} points: {why}; expected at least 4 that are not in a plane",
            points.len()
        ),
    };
    let (vertices, triangles) = try_convex_hull(&points).map_err(|error| flat(error.to_string()))?;
    let mesh = Mesh {
        vertices: vertices.iter().map(|vertex| vertex.to_array()).collect(),
        triangles,
        ..Mesh::default()
    };
    let collider = ColliderBuilder::convex_hull(&vertices).ok_or_else(|| flat("no hull".to_owned()))?;
    if collider.shape.mass_properties(1.0).mass() < VOLUME_MIN {
        return Err(flat("no volume".to_owned()));
    }
    Ok((collider, mesh))
}

/// Triangles that things collide with. Only for bodies that never move or are driven: triangles enclose no volume, so
/// give the body its mass yourself if physics is to move it.
///
/// # Errors
/// [`EnvError::Argument`] if the mesh is empty or a triangle names a corner that is not there.
pub fn mesh_collider(mesh: &Mesh) -> Result<ColliderBuilder, EnvError> {
    let corners = mesh.vertices.len() as u32;
    if let Some(triangle) = mesh.triangles.iter().find(|triangle| triangle.iter().any(|i| *i >= corners)) {
        let message = format!("a triangle with corners {triangle:?} in a mesh of {corners} corners");
        return Err(EnvError::Argument { message });
    }
    let vertices = mesh.vertices.iter().map(|vertex| Vector::from(*vertex)).collect();
    ColliderBuilder::trimesh(vertices, mesh.triangles.clone()).map_err(|error| EnvError::Argument {
        message: format!("a collider of {} triangles: {error}", mesh.triangles.len()),
    })
}

impl World {
    /// Adds triangles to the scene, for the look of a body to come.
    pub fn add_mesh(&mut self, mesh: Mesh) -> Shape {
        self.scene.meshes.push(mesh);
        Shape::Mesh { mesh: self.scene.meshes.len() as u32 - 1 }
    }
}
