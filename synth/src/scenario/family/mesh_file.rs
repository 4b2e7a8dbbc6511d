//! Shapes from files: the triangles of an OBJ or STL file are seen; their convex hull, or they themselves, collide.

use std::path::Path;

use serde::Deserialize;
use worldstep_env::Mesh;
use worldstep_env::physics::{World, hull_collider, mesh_collider};

use super::file::Motion;
use super::shapes::{Solid, spread};

/// Largest file.
const BYTES_MAX: u64 = 16 << 20;
/// Most triangles: each clip's record holds all of its scene.
const TRIANGLES_MAX: usize = 4096;
/// Least and greatest of a mesh's extents, metres.
const EXTENTS: [f32; 2] = [1e-4, 1e4];

/// A shape that is in a file of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
pub(in crate::scenario) struct MeshFile {
    file: String,
    scale: f32,
    collide: Collide,
    /// Empty until it is loaded.
    mesh: Mesh,
}

/// What of a mesh collides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Collide {
    /// Its convex hull.
    #[default]
    Hull,
    /// Each triangle; they enclose no volume, so only for what physics does not move.
    Triangles,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a file's name, or a table of `file`, `scale` and `collide` (\"hull\" or \"triangles\")"
)]
enum Written {
    Name(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: String,
    #[serde(default = "one")]
    scale: f32,
    #[serde(default)]
    collide: Collide,
}

fn one() -> f32 {
    1.0
}

impl From<Written> for MeshFile {
    fn from(written: Written) -> Self {
        let Table { file, scale, collide } = match written {
            Written::Name(file) => Table { file, scale: one(), collide: Collide::Hull },
            Written::Table(table) => table,
        };
        Self { file, scale, collide, mesh: Mesh::default() }
    }
}

impl MeshFile {
    /// Reads the file, whose name is relative to `folder`, for a body that moves so; gives the hash of its bytes.
    ///
    /// # Errors
    /// Says which file, what is wrong with it, and what would be right.
    pub fn load(&mut self, folder: &Path, motion: Motion) -> Result<blake3::Hash, String> {
        let path = folder.join(&self.file);
        let wrong = |message: String| format!("{}: {message}", path.display());
        if self.collide == Collide::Triangles && motion == Motion::Dynamic {
            let message = "collide = \"triangles\" on a dynamic body, expected \"hull\", or another motion";
            return Err(wrong(message.to_owned()));
        }
        let bytes = std::fs::metadata(&path).map_err(|error| wrong(error.to_string()))?.len();
        if bytes > BYTES_MAX {
            return Err(wrong(format!("{bytes} bytes, expected at most {BYTES_MAX}")));
        }
        let data = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let mut mesh = match ending.as_deref() {
            Some("obj") => obj(&data),
            Some("stl") => stl(&data),
            _ => Err("expected a file that ends in .obj or .stl".to_owned()),
        }
        .map_err(wrong)?;
        mesh.vertices.iter_mut().flatten().for_each(|value| *value *= self.scale);
        check(&mesh).map_err(wrong)?;
        self.mesh = mesh;
        Ok(blake3::hash(&data))
    }

    /// What is seen and what collides.
    pub fn solid(&self, world: &mut World, key: &str) -> Result<Solid, String> {
        let collider = match self.collide {
            Collide::Hull => hull_collider(&self.mesh.vertices).map(|(collider, _)| collider),
            Collide::Triangles => mesh_collider(&self.mesh),
        };
        let collider = collider.map_err(|error| format!("{key}: {}: {error}", self.file))?;
        let extents = [0, 1, 2].map(|axis| spread(&self.mesh.vertices, axis));
        let extent = extents.into_iter().fold(f32::INFINITY, f32::min).max(EXTENTS[0]);
        Ok(Solid { shape: world.add_mesh(self.mesh.clone()), collider, extent, class: "mesh" })
    }
}

/// Whether there is something to see, and numbers to tell where.
fn check(mesh: &Mesh) -> Result<(), String> {
    let triangles = mesh.triangles.len();
    if !(1..=TRIANGLES_MAX).contains(&triangles) {
        return Err(format!("{triangles} triangles, expected 1 to {TRIANGLES_MAX}"));
    }
    if !mesh.vertices.iter().flatten().all(|value| value.is_finite()) {
        return Err("a corner that is no number".to_owned());
    }
    let extent = (0..3).map(|axis| spread(&mesh.vertices, axis)).fold(0.0, f32::max);
    if !(EXTENTS[0]..=EXTENTS[1]).contains(&extent) {
        let [least, most] = EXTENTS;
        return Err(format!("{extent} m large after `scale`, expected {least} to {most}"));
    }
    Ok(())
}

fn obj(data: &[u8]) -> Result<Mesh, String> {
    let options = tobj::LoadOptions {
        triangulate: true,
        ignore_points: true,
        ignore_lines: true,
        ..Default::default()
    };
    // Colours come from the family, so no material is looked for.
    let no_materials = |_: &Path| Err(tobj::LoadError::OpenFileFailed);
    let (models, _) =
        tobj::load_obj_buf(&mut &*data, &options, no_materials).map_err(|error| error.to_string())?;
    let mut mesh = Mesh::default();
    for model in &models {
        let first = mesh.vertices.len() as u32;
        let corner = |i: u32| first + i;
        let triples = |values: &[u32]| [corner(values[0]), corner(values[1]), corner(values[2])];
        mesh.triangles.extend(model.mesh.indices.chunks_exact(3).map(triples));
        mesh.vertices.extend(model.mesh.positions.chunks_exact(3).map(|at| [at[0], at[1], at[2]]));
    }
    Ok(mesh)
}

fn stl(data: &[u8]) -> Result<Mesh, String> {
    let read = stl_io::read_stl(&mut std::io::Cursor::new(data)).map_err(|error| error.to_string())?;
    Ok(Mesh {
        vertices: read.vertices.iter().map(|at| [at[0], at[1], at[2]]).collect(),
        triangles: read.faces.iter().map(|face| face.vertices.map(|corner| corner as u32)).collect(),
        ..Mesh::default()
    })
}
