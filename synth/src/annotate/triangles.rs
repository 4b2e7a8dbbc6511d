//! Where a ray meets a mesh.

use bevy::math::DVec3;
use worldstep_env::Mesh;

use super::ray_cast::vector;

/// Triangles that share a box; a ray that misses the box misses them all.
const CLUSTER: usize = 12;

/// A mesh with its corners somewhere, ready for rays.
#[derive(Clone, Debug)]
pub struct Triangles {
    faces: Vec<Face>,
    /// Boxes around [`CLUSTER`] consecutive faces.
    boxes: Vec<(DVec3, DVec3)>,
    two_sided: bool,
}

#[derive(Clone, Copy, Debug)]
struct Face {
    corner: DVec3,
    edges: [DVec3; 2],
    rest: [DVec3; 3],
    normals: [DVec3; 3],
}

/// What a ray meets first.
#[derive(Clone, Copy, Debug)]
pub struct TriangleHit {
    /// The ray's parameter.
    pub depth: f64,
    /// Unit normal in the frame of the corners, towards the ray's start for a two-sided mesh.
    pub normal: DVec3,
    /// The same point of the mesh as it was made.
    pub rest_point: DVec3,
}

impl Triangles {
    /// `mesh` with its corners at `corners`; triangles that name a corner that isn't there are left out.
    pub fn new(mesh: &Mesh, corners: &[[f32; 3]]) -> Self {
        let at = |corner: u32| corners.get(corner as usize).map(|corner| vector(*corner));
        let rest = |corner: u32| mesh.vertices.get(corner as usize).map(|corner| vector(*corner));
        let normals = mesh.smooth.then(|| vertex_normals(mesh, corners));
        let mut faces = Vec::with_capacity(mesh.triangles.len());
        for triangle in &mesh.triangles {
            let [Some(a), Some(b), Some(c)] = triangle.map(at) else { continue };
            let [Some(ra), Some(rb), Some(rc)] = triangle.map(rest) else { continue };
            let flat = (b - a).cross(c - a).normalize_or_zero();
            let normals =
                normals.as_ref().map_or([flat; 3], |all| triangle.map(|corner| all[corner as usize]));
            faces.push(Face { corner: a, edges: [b - a, c - a], rest: [ra, rb, rc], normals });
        }
        let boxes = faces.chunks(CLUSTER).map(bounds_of).collect();
        Self { faces, boxes, two_sided: mesh.two_sided }
    }

    /// Least and greatest corner of a box around everything.
    pub fn bounds(&self) -> (DVec3, DVec3) {
        let joined = self.boxes.iter().copied().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        joined.unwrap_or((DVec3::ZERO, DVec3::ZERO))
    }

    /// The first triangle beyond parameter `near` that the ray meets, from its outside unless the mesh is two-sided.
    pub fn cast(&self, origin: DVec3, direction: DVec3, near: f64) -> Option<TriangleHit> {
        let inverse = direction.recip();
        let mut first: Option<(f64, &Face, f64, f64)> = None;
        for (faces, bounds) in self.faces.chunks(CLUSTER).zip(&self.boxes) {
            if !crosses(bounds, origin, inverse) {
                continue;
            }
            for face in faces {
                let Some((depth, u, v)) = face.cast(origin, direction, self.two_sided) else { continue };
                if depth > near && first.is_none_or(|first| depth < first.0) {
                    first = Some((depth, face, u, v));
                }
            }
        }
        first.map(|(depth, face, u, v)| {
            let blend = |of: &[DVec3; 3]| (1.0 - u - v) * of[0] + u * of[1] + v * of[2];
            let normal = blend(&face.normals).normalize_or_zero();
            let away = self.two_sided && face.edges[0].cross(face.edges[1]).dot(direction) > 0.0;
            TriangleHit { depth, normal: if away { -normal } else { normal }, rest_point: blend(&face.rest) }
        })
    }
}

impl Face {
    /// Parameter and the weights of the second and third corner (Möller and Trumbore 1997).
    fn cast(&self, origin: DVec3, direction: DVec3, two_sided: bool) -> Option<(f64, f64, f64)> {
        let [ab, ac] = self.edges;
        let p = direction.cross(ac);
        let determinant = ab.dot(p);
        if determinant == 0.0 || (determinant < 0.0 && !two_sided) {
            return None;
        }
        let offset = origin - self.corner;
        let u = offset.dot(p) / determinant;
        if !(0.0..=1.0).contains(&u) {
            return None;
        }
        let q = offset.cross(ab);
        let v = direction.dot(q) / determinant;
        if v < 0.0 || u + v > 1.0 {
            return None;
        }
        Some((ac.dot(q) / determinant, u, v))
    }
}

/// Unit normals of a mesh's corners: the mean of the faces around them, weighted by area.
fn vertex_normals(mesh: &Mesh, corners: &[[f32; 3]]) -> Vec<DVec3> {
    let count = mesh.triangles.iter().flatten().map(|corner| *corner as usize + 1).max().unwrap_or(0);
    let mut normals = vec![DVec3::ZERO; count.max(corners.len())];
    for triangle in &mesh.triangles {
        let [Some(a), Some(b), Some(c)] = triangle.map(|corner| corners.get(corner as usize)) else {
            continue;
        };
        let area = (vector(*b) - vector(*a)).cross(vector(*c) - vector(*a));
        for corner in triangle {
            normals[*corner as usize] += area;
        }
    }
    normals.into_iter().map(DVec3::normalize_or_zero).collect()
}

fn bounds_of(faces: &[Face]) -> (DVec3, DVec3) {
    let (mut low, mut high) = (DVec3::INFINITY, DVec3::NEG_INFINITY);
    for face in faces {
        for corner in [face.corner, face.corner + face.edges[0], face.corner + face.edges[1]] {
            low = low.min(corner);
            high = high.max(corner);
        }
    }
    (low, high)
}

/// Whether a line crosses a box; `inverse` is 1 / direction. Slightly generous, so that flat boxes count.
fn crosses((low, high): &(DVec3, DVec3), origin: DVec3, inverse: DVec3) -> bool {
    const SLACK: DVec3 = DVec3::splat(1e-9);
    let (a, b) = ((*low - SLACK - origin) * inverse, (*high + SLACK - origin) * inverse);
    // The minimum of a number and NaN (a ray within a slab's face) is the number.
    let enter = a.x.min(b.x).max(a.y.min(b.y)).max(a.z.min(b.z));
    let leave = a.x.max(b.x).min(a.y.max(b.y)).min(a.z.max(b.z));
    enter <= leave
}
