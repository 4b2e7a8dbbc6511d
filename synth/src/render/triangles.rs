//! Triangles of rigid meshes and of soft things, as `triangles.wgsl` takes them: three corners a triangle, none shared,
//! so that each vertex finds the whole of its triangle.
//!
//! The corners of a rigid mesh are in its object's frame and stored once a batch, however many tiles show it. Those of
//! a soft thing are in the world's frame and stored once a view.

use bevy::math::Vec3;
use bytemuck::{Pod, Zeroable};
use worldstep_env::{Mesh, Shape};

use super::RenderError;
use super::bounding_sphere::{BoundingSphere, Sight};
use super::shared_corners::append_shared;
use super::tile_batch::{Kind, Moment, View};

/// `Corner` of `triangles.wgsl`; rows of three numbers and one that is not used.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct CornerData {
    position: [f32; 4],
    normal: [f32; 4],
    rest: [f32; 4],
}

/// `CornerMotion` of `triangles.wgsl`, of the corner at the same place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct CornerMotionData {
    to_next: [f32; 4],
    to_previous: [f32; 4],
}

/// Corners of all triangles of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Corners {
    pub now: Vec<CornerData>,
    /// How they move beside their instance; empty unless everything is drawn.
    pub motions: Vec<CornerMotionData>,
    /// As `shared_corners` orders them, those of a thing where its corners are.
    pub shared: Vec<u32>,
}

/// The triangles of one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facets {
    /// In place of the half extents of [`InstanceData`](super::tile_batch): first corner, corners, 1 if both sides are
    /// seen.
    pub corners: [f32; 3],
    sphere: BoundingSphere,
}

impl Facets {
    /// How they are best drawn where their object stands.
    pub fn kind(&self, camera_from_object: &[[f32; 4]; 3], sight: &Sight) -> Kind {
        let [_, corners, two_sided] = self.corners;
        if corners < SHARED_CORNERS_MIN || !self.sphere.lies_within(camera_from_object, sight) {
            Kind::Triangles
        } else if two_sided > 0.0 {
            Kind::Sheet
        } else {
            Kind::Closed
        }
    }
}

/// Below this, a call of its own for a thing costs more than corners that are looked at three times.
const SHARED_CORNERS_MIN: f32 = 192.0;

/// Most corners of a batch: positions in the buffer are kept as floating-point numbers.
const CORNERS_MAX: usize = 1 << 24;

/// The triangles of a batch while it is put together.
pub(super) struct TriangleTable<'a> {
    corners: &'a mut Corners,
    /// Whether flow is drawn.
    moves: bool,
    rigid: Vec<(&'a Mesh, Facets)>,
    /// Meshes of soft things, with the first corner of one that is made of it.
    soft: Vec<(&'a Mesh, usize)>,
}

impl<'a> TriangleTable<'a> {
    pub fn new(corners: &'a mut Corners, moves: bool) -> Self {
        corners.now.clear();
        corners.motions.clear();
        corners.shared.clear();
        Self { corners, moves, rigid: Vec::new(), soft: Vec::new() }
    }

    /// Corners of mesh `index` of `view`, the view at `place` in the batch.
    pub fn rigid(&mut self, place: usize, view: &View<'a>, index: u32) -> Result<Facets, RenderError> {
        let mesh = mesh_of(place, view, index)?;
        if let Some(facets) = known(&self.rigid, mesh) {
            return Ok(facets);
        }
        let facets = self.push(place, mesh, &mesh.vertices)?;
        append_shared(&mesh.triangles, mesh.vertices.len(), &mut self.corners.shared);
        if self.moves {
            self.corners.motions.resize_with(self.corners.now.len(), CornerMotionData::zeroed);
        }
        self.rigid.push((mesh, facets));
        Ok(facets)
    }

    /// Corners of the soft thing that is made of mesh `index` of `view`; `first` of the view's soft corners belong to
    /// other things.
    pub fn soft(
        &mut self,
        place: usize,
        view: &View<'a>,
        (index, first): (u32, usize),
    ) -> Result<Facets, RenderError> {
        let mesh = mesh_of(place, view, index)?;
        let end = first + mesh.vertices.len();
        let of = |moment: Moment<'a>| {
            moment.soft_vertices.get(first..end).ok_or_else(|| RenderError::Triangles {
                view: place,
                reason: format!(
                    "its soft things have at least {end} corners, and {} were given",
                    moment.soft_vertices.len()
                ),
            })
        };
        let now = of(view.now)?;
        let first_corner = self.corners.now.len();
        let facets = self.push(place, mesh, now)?;
        match known(&self.soft, mesh) {
            Some(start) => {
                let end = start + mesh.triangles.as_flattened().len();
                self.corners.shared.extend_from_within(start..end);
            }
            None => {
                append_shared(&mesh.triangles, mesh.vertices.len(), &mut self.corners.shared);
                self.soft.push((mesh, first_corner));
            }
        }
        if self.moves {
            let (next, previous) = (view.next.map(of).transpose()?, view.previous.map(of).transpose()?);
            for corner in mesh.triangles.as_flattened() {
                let i = *corner as usize;
                let to = |row: Option<&[[f32; 3]]>| {
                    let step = row.map_or(Vec3::ZERO, |row| Vec3::from(row[i]) - Vec3::from(now[i]));
                    step.extend(0.0).to_array()
                };
                self.corners.motions.push(CornerMotionData { to_next: to(next), to_previous: to(previous) });
            }
        }
        Ok(facets)
    }

    /// Appends the triangles of `mesh` with its corners at `positions`.
    fn push(&mut self, place: usize, mesh: &Mesh, positions: &[[f32; 3]]) -> Result<Facets, RenderError> {
        let failed = |reason: String| RenderError::Triangles { view: place, reason };
        let flat = mesh.triangles.as_flattened();
        if let Some(corner) = flat.iter().find(|corner| **corner as usize >= positions.len()) {
            return Err(failed(format!("a triangle has corner {corner} of {}", positions.len())));
        }
        let first = self.corners.now.len();
        if first + flat.len() > CORNERS_MAX {
            return Err(failed(format!("one pass draws {CORNERS_MAX} corners at most; draw fewer tiles")));
        }
        let smooth = if mesh.smooth { smooth_normals(mesh, positions) } else { Vec::new() };
        for triangle in &mesh.triangles {
            let face = face_normal(*triangle, positions).normalize_or(Vec3::Z);
            self.corners.now.extend(triangle.map(|corner| {
                let i = corner as usize;
                let normal = smooth.get(i).copied().unwrap_or(face);
                CornerData {
                    position: Vec3::from(positions[i]).extend(0.0).to_array(),
                    normal: normal.extend(0.0).to_array(),
                    rest: Vec3::from(mesh.vertices[i]).extend(0.0).to_array(),
                }
            }));
        }
        let corners = [first as f32, flat.len() as f32, if mesh.two_sided { 1.0 } else { 0.0 }];
        Ok(Facets { corners, sphere: BoundingSphere::new(positions) })
    }
}

/// What is known of `mesh`, or of one that is equal.
fn known<T: Copy>(all: &[(&Mesh, T)], mesh: &Mesh) -> Option<T> {
    let found = all.iter().find(|(other, _)| std::ptr::eq(*other, mesh) || *other == mesh);
    found.map(|(_, value)| *value)
}

fn mesh_of<'a>(place: usize, view: &View<'a>, index: u32) -> Result<&'a Mesh, RenderError> {
    view.scene.meshes.get(index as usize).ok_or_else(|| RenderError::Triangles {
        view: place,
        reason: format!("a thing is made of mesh {index}, and the scene has {}", view.scene.meshes.len()),
    })
}

/// Corners of `shape` that physics moves, in a scene with these meshes.
pub(super) fn soft_corners(shape: Shape, meshes: &[Mesh]) -> usize {
    match shape {
        Shape::Soft { mesh } => meshes.get(mesh as usize).map_or(0, |mesh| mesh.vertices.len()),
        _ => 0,
    }
}

/// Twice the area of a triangle, along its normal.
fn face_normal(triangle: [u32; 3], positions: &[[f32; 3]]) -> Vec3 {
    let [a, b, c] = triangle.map(|corner| Vec3::from(positions[corner as usize]));
    (b - a).cross(c - a)
}

/// The mean of the normals of the triangles around each corner, weighted by area.
fn smooth_normals(mesh: &Mesh, positions: &[[f32; 3]]) -> Vec<Vec3> {
    let mut normals = vec![Vec3::ZERO; positions.len()];
    for triangle in &mesh.triangles {
        let face = face_normal(*triangle, positions);
        triangle.iter().for_each(|corner| normals[*corner as usize] += face);
    }
    normals.iter().map(|normal| normal.normalize_or(Vec3::Z)).collect()
}
