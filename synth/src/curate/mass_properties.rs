//! Centre of mass and inertia of a shape of mass 1, uniformly filled.

use bevy::math::{DMat3, DVec3};
use worldstep_env::{Mesh, Scene, Shape};

/// Of a body of 1 kg.
#[derive(Clone, Copy, Debug)]
pub struct MassProperties {
    /// Centre of mass in the object's frame, metres.
    pub center: DVec3,
    /// About the centre of mass, object's axes, m².
    pub inertia: DMat3,
}

impl MassProperties {
    /// Of `shape`, which is one of `scene`'s.
    pub fn new(scene: &Scene, shape: &Shape) -> Self {
        match *shape {
            Shape::Cuboid { half_extents } => {
                let squares = DVec3::from_array(half_extents.map(|half| f64::from(half).powi(2)));
                Self::centered((squares.element_sum() - squares) / 3.0)
            }
            Shape::Sphere { radius } => Self::centered(DVec3::splat(0.4 * f64::from(radius).powi(2))),
            Shape::Cylinder { radius, half_height } => {
                let (r2, h2) = (f64::from(radius).powi(2), f64::from(half_height).powi(2));
                Self::centered(DVec3::new(r2 / 4.0 + h2 / 3.0, r2 / 4.0 + h2 / 3.0, r2 / 2.0))
            }
            Shape::Capsule { radius, half_height } => Self::capsule(radius.into(), half_height.into()),
            Shape::Mesh { mesh } | Shape::Soft { mesh } => {
                scene.meshes.get(mesh as usize).map_or(Self::centered(DVec3::ZERO), Self::mesh)
            }
        }
    }

    fn centered(diagonal: DVec3) -> Self {
        Self { center: DVec3::ZERO, inertia: DMat3::from_diagonal(diagonal) }
    }

    fn capsule(radius: f64, half_height: f64) -> Self {
        let (r2, h) = (radius * radius, half_height);
        // Volumes over π r²: the tube, and both half spheres.
        let (tube, ends) = (2.0 * h, 4.0 / 3.0 * radius);
        let along = (tube * r2 / 2.0 + ends * 0.4 * r2) / (tube + ends);
        let end_across = 0.4 * r2 + h * h + 0.75 * h * radius;
        let across = (tube * (r2 / 4.0 + h * h / 3.0) + ends * end_across) / (tube + ends);
        Self::centered(DVec3::new(across, across, along))
    }

    /// The sum over tetrahedra between the origin and each face; a mesh that encloses nothing is a point.
    fn mesh(mesh: &Mesh) -> Self {
        let (mut volume, mut first, mut second) = (0.0, DVec3::ZERO, DMat3::ZERO);
        for triangle in &mesh.triangles {
            let corner = |i: usize| mesh.vertices.get(triangle[i] as usize).copied().unwrap_or_default();
            let [a, b, c] = [0, 1, 2].map(|i| DVec3::from_array(corner(i).map(f64::from)));
            let six_volumes = a.dot(b.cross(c));
            let sum = a + b + c;
            volume += six_volumes / 6.0;
            first += six_volumes / 24.0 * sum;
            // ∫ x xᵀ over the tetrahedron.
            let squares = outer(a) + outer(b) + outer(c) + outer(sum);
            second += squares * (six_volumes / 120.0);
        }
        if volume <= 0.0 {
            return Self::centered(DVec3::ZERO);
        }
        let center = first / volume;
        let spread = second * (1.0 / volume) - outer(center);
        let trace = spread.x_axis.x + spread.y_axis.y + spread.z_axis.z;
        Self { center, inertia: DMat3::from_diagonal(DVec3::splat(trace)) - spread }
    }
}

fn outer(v: DVec3) -> DMat3 {
    DMat3::from_cols(v * v.x, v * v.y, v * v.z)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn box_mesh(half: [f32; 3], shift: f32) -> Mesh {
        let corner = |i: usize| {
            std::array::from_fn(|axis| if i >> axis & 1 == 0 { -half[axis] } else { half[axis] } + shift)
        };
        let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        let triangles = quads.iter().flat_map(|[a, b, c, d]| [[*a, *b, *c], [*a, *c, *d]]).collect();
        Mesh { vertices: (0..8).map(corner).collect(), triangles, smooth: false, two_sided: false }
    }

    #[test]
    fn a_box_of_triangles_is_as_heavy_to_turn_as_a_box() {
        let half = [0.2, 0.3, 0.5];
        let mesh = MassProperties::mesh(&box_mesh(half, 0.25));
        assert!((mesh.center - DVec3::splat(0.25)).length() < 1e-6, "{mesh:?}");
        // (b² + c²) / 12 of the full extents.
        let expected = DVec3::new(0.34, 0.29, 0.13) / 3.0;
        let found = DVec3::new(mesh.inertia.x_axis.x, mesh.inertia.y_axis.y, mesh.inertia.z_axis.z);
        assert!((found - expected).length() < 1e-6, "{found} instead of {expected}");
        assert!(mesh.inertia.x_axis.y.abs() < 1e-7);
    }

    #[test]
    fn a_capsule_without_length_is_a_sphere() {
        let capsule = MassProperties::capsule(0.3, 0.0);
        assert!((capsule.inertia.x_axis.x - 0.4 * 0.09).abs() < 1e-12);
        assert!((capsule.inertia.z_axis.z - 0.4 * 0.09).abs() < 1e-12);
    }
}
