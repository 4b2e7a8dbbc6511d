use rapier3d::prelude::*;

use crate::Mesh;

/// Pieces of a circle that round shapes are drawn with.
const SEGMENTS: u32 = 12;
/// Half of the side of the square that stands for an endless plane, metres.
const PLANE_HALF: f32 = 20.0;

/// One mesh of all `shapes`, in the body's frame.
pub(super) fn mesh(shapes: &[(SharedShape, Pose)]) -> Mesh {
    let mut mesh = Mesh::default();
    for (shape, place) in shapes {
        add(&mut mesh, shape, *place);
    }
    mesh
}

fn add(mesh: &mut Mesh, shape: &SharedShape, place: Pose) {
    let (corners, triangles) = match shape.as_typed_shape() {
        TypedShape::Ball(ball) => ball.to_trimesh(SEGMENTS, SEGMENTS / 2),
        TypedShape::Cuboid(cuboid) => cuboid.to_trimesh(),
        TypedShape::Capsule(capsule) => capsule.to_trimesh(SEGMENTS, SEGMENTS / 2),
        TypedShape::Cylinder(cylinder) => cylinder.to_trimesh(SEGMENTS),
        TypedShape::Cone(cone) => cone.to_trimesh(SEGMENTS),
        TypedShape::ConvexPolyhedron(hull) => hull.to_trimesh(),
        TypedShape::HeightField(field) => field.to_trimesh(),
        TypedShape::TriMesh(triangles) => (triangles.vertices().to_vec(), triangles.indices().to_vec()),
        TypedShape::HalfSpace(plane) => square(plane.normal),
        TypedShape::Compound(parts) => {
            return parts.shapes().iter().for_each(|(part_place, part)| add(mesh, part, place * *part_place));
        }
        _ => return,
    };
    let first = mesh.vertices.len() as u32;
    mesh.vertices.extend(corners.into_iter().map(|corner| (place * corner).to_array()));
    mesh.triangles.extend(triangles.into_iter().map(|triangle| triangle.map(|corner| corner + first)));
}

/// A large square with this normal through the origin.
fn square(normal: Vector) -> (Vec<Vector>, Vec<[u32; 3]>) {
    let turn = Rotation::from_rotation_arc(Vector::Z, normal);
    let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    let corners = corners.map(|[x, y]| turn * Vector::new(x * PLANE_HALF, y * PLANE_HALF, 0.0));
    (corners.to_vec(), vec![[0, 1, 2], [0, 2, 3]])
}

/// sRGB to linear, by the usual power.
pub(super) fn linear(value: f32) -> f32 {
    value.max(0.0).powf(2.2)
}
