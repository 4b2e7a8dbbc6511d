use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

/// Corners of a ring around a rope.
const RING: usize = 8;
/// Where they are; written down, as sines differ between platforms.
const CIRCLE: [[f32; 2]; RING] = {
    const D: f32 = std::f32::consts::FRAC_1_SQRT_2;
    [[1.0, 0.0], [D, D], [0.0, 1.0], [-D, D], [-1.0, 0.0], [-D, -D], [0.0, -1.0], [D, -D]]
};

/// How the corners of a soft body's mesh follow its particles.
#[derive(Serialize, Deserialize)]
pub(super) enum Skin {
    /// Corners are particles.
    Sheet,
    /// Corners are the particles of a closed surface, moved outwards by the radius within which things touch it.
    Surface {
        /// Particle of each corner.
        particles: Vec<u32>,
        /// Corners of each triangle.
        triangles: Vec<[u32; 3]>,
        /// Metres.
        radius: f32,
    },
    /// Rings around a line of particles, and a corner at either end.
    Tube {
        /// Metres.
        radius: f32,
    },
}

impl Skin {
    /// A closed surface of the given triangles of particles.
    pub(super) fn surface(boundary: &[[u32; 3]], radius: f32) -> (Self, Vec<[u32; 3]>) {
        let mut particles: Vec<u32> = boundary.iter().flatten().copied().collect();
        particles.sort_unstable();
        particles.dedup();
        let corner = |particle: u32| particles.partition_point(|known| *known < particle) as u32;
        let triangles: Vec<_> = boundary.iter().map(|triangle| triangle.map(corner)).collect();
        (Self::Surface { particles, triangles: triangles.clone(), radius }, triangles)
    }

    /// A sheet of all particles.
    pub(super) fn sheet(boundary: &[[u32; 3]]) -> (Self, Vec<[u32; 3]>) {
        (Self::Sheet, boundary.to_vec())
    }

    /// Appends where the corners are.
    pub(super) fn vertices(&self, body: &SoftBody, out: &mut Vec<[f32; 3]>) {
        match self {
            Self::Sheet => out.extend(body.particle_positions().map(|position| position.to_array())),
            Self::Surface { particles, triangles, radius } => {
                let start = out.len();
                out.extend(particles.iter().map(|i| body.particle_position(*i as usize).to_array()));
                inflate(&mut out[start..], triangles, *radius);
            }
            Self::Tube { radius } => tube(body, *radius, out),
        }
    }
}

/// Moves the corners of a closed surface so far outwards that each face moves by about `distance`.
fn inflate(corners: &mut [[f32; 3]], triangles: &[[u32; 3]], distance: f32) {
    let at = |corners: &[[f32; 3]], i: u32| Vector::from(corners[i as usize]);
    let mut outward = vec![Vector::ZERO; corners.len()];
    let mut normals = Vec::with_capacity(triangles.len());
    for [a, b, c] in triangles {
        let origin = at(corners, *a);
        let area = (at(corners, *b) - origin).cross(at(corners, *c) - origin);
        normals.push(area.normalize_or_zero());
        for i in [a, b, c] {
            outward[*i as usize] += area;
        }
    }
    // A corner of a cube is moved farther than the middle of a face, so that all faces stand off alike.
    let mut least = vec![1.0_f32; corners.len()];
    for (triangle, normal) in triangles.iter().zip(&normals) {
        for i in triangle {
            let cosine = outward[*i as usize].normalize_or_zero().dot(*normal);
            least[*i as usize] = least[*i as usize].min(cosine);
        }
    }
    for ((corner, outward), least) in corners.iter_mut().zip(outward).zip(least) {
        let moved = Vector::from(*corner) + outward.normalize_or_zero() * (distance / least.max(0.4));
        *corner = moved.to_array();
    }
}

/// The triangles of a tube around a line of `particles`.
pub(super) fn tube_rings(particles: usize, radius: f32) -> (Skin, Vec<[u32; 3]>) {
    let corner = |ring: usize, side: usize| (ring * RING + side % RING) as u32;
    let mut triangles = Vec::new();
    for ring in 0..particles - 1 {
        for side in 0..RING {
            let [a, b] = [corner(ring, side), corner(ring, side + 1)];
            let [c, d] = [corner(ring + 1, side), corner(ring + 1, side + 1)];
            triangles.extend([[a, b, d], [a, d, c]]);
        }
    }
    let [first, last] = [(particles * RING) as u32, (particles * RING) as u32 + 1];
    for side in 0..RING {
        triangles.push([first, corner(0, side + 1), corner(0, side)]);
        triangles.push([last, corner(particles - 1, side), corner(particles - 1, side + 1)]);
    }
    (Skin::Tube { radius }, triangles)
}

/// Rings square to the line, turned as little as can be from one to the next.
fn tube(body: &SoftBody, radius: f32, out: &mut Vec<[f32; 3]>) {
    let line: Vec<Vector> = body.particle_positions().collect();
    let last = line.len() - 1;
    let along = |i: usize| (line[(i + 1).min(last)] - line[i.saturating_sub(1)]).normalize_or(Vector::X);
    let mut side = along(0).any_orthonormal_vector();
    for (i, center) in line.iter().enumerate() {
        let forward = along(i);
        side = (side - forward * side.dot(forward)).normalize_or(forward.any_orthonormal_vector());
        let up = forward.cross(side);
        out.extend(CIRCLE.map(|[x, y]| (*center + (side * x + up * y) * radius).to_array()));
    }
    out.push((line[0] - along(0) * radius).to_array());
    out.push((line[last] + along(last) * radius).to_array());
}
