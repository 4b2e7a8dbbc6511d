//! Families whose bodies have their shapes in OBJ or STL files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use std::fs::write;
use std::path::{Path, PathBuf};

use worldstep_env::Shape;
use worldstep_synth::Scenario;
use worldstep_synth::clips::Trajectory;

/// A pyramid with a square base, 0.4 m wide and 0.3 m high.
const OBJ: &str = "mtllib none.mtl\nv -0.2 -0.2 0\nv 0.2 -0.2 0\nv 0.2 0.2 0\nv -0.2 0.2 0\nv 0 0 0.3\n\
                   f 4 3 2 1\nf 1 2 5\nf 2 3 5\nf 3 4 5\nf 4 1 5\n";

const FAMILY: &str = r#"
name = "falling-part"
summary = "A part falls on the ground."
seconds = 2
distractors = false
[region]
center = [0, 0, 0.5]
size = [1.5, 1.5, 1.2]
[[bodies]]
name = "ground"
motion = "fixed"
shape = { box = [4, 4, 0.2] }
position = [0, 0, -0.1]
[[bodies]]
name = "part"
shape = { mesh = "part.obj" }
position = [0, 0, 0.6]
restitution = 0
[[actions]]
name = "push"
kind = "force"
body = "part"
direction = [1, 0, 0]
scale = 0.1
script = 0
[[outcomes]]
name = "on_the_ground"
when = "part.z < 0.1"
[[outcomes]]
name = "elsewhere"
"#;

/// A folder with a family's file and a part beside it.
fn folder(family: &str, part: (&str, &str)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("falling-part.toml");
    write(&path, family).unwrap();
    write(folder.path().join(part.0), part.1).unwrap();
    (folder, path)
}

fn find(path: &Path) -> Result<Scenario, String> {
    Scenario::find(path.to_str().unwrap()).map_err(|error| error.to_string())
}

fn clip(scenario: &Scenario) -> Trajectory {
    simulated::clip(scenario, 1)
}

fn stl_of(corners: &[[f32; 3]], triangles: &[[usize; 3]]) -> String {
    let facet = |triangle: &[usize; 3]| {
        let vertex = |i: &usize| format!("vertex {} {} {}\n", corners[*i][0], corners[*i][1], corners[*i][2]);
        let vertices: String = triangle.iter().map(vertex).collect();
        format!("facet normal 0 0 0\nouter loop\n{vertices}endloop\nendfacet\n")
    };
    format!("solid part\n{}endsolid part\n", triangles.iter().map(facet).collect::<String>())
}

#[test]
fn a_part_from_an_obj_file_is_seen_as_it_is_and_lies_on_its_hull() {
    let (_folder, path) = folder(FAMILY, ("part.obj", OBJ));
    let scenario = find(&path).unwrap();
    let clip = clip(&scenario);
    let Shape::Mesh { mesh } = clip.scene.instances[1].shape else { panic!("{:?}", clip.scene.instances[1]) };
    let mesh = &clip.scene.meshes[mesh as usize];
    assert_eq!((mesh.vertices.len(), mesh.triangles.len()), (5, 6));
    assert_eq!(clip.outcome, "on_the_ground");
    let end = clip.poses_at(clip.len)[1].position;
    assert!(end[2].abs() < 0.01, "it ends at {end:?}");
    assert!(clip.physical[1][0] > 1.0, "{:?} kg", clip.physical[1]);
}

#[test]
fn another_mesh_is_another_family_and_scale_counts() {
    let (first, path) = folder(FAMILY, ("part.obj", OBJ));
    let before = find(&path).unwrap().fingerprint().to_owned();
    write(first.path().join("part.obj"), OBJ.replace("0 0 0.3", "0 0 0.31")).unwrap();
    assert_ne!(find(&path).unwrap().fingerprint(), before);

    let corners = [[-200.0, -200.0, 0.0], [200.0, -200.0, 0.0], [0.0, 200.0, 0.0], [0.0, 0.0, 300.0]];
    let stl = stl_of(&corners, &[[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]);
    let family = FAMILY.replace("\"part.obj\"", "{ file = \"part.stl\", scale = 0.001 }");
    let (_folder, path) = folder(&family, ("part.stl", &stl));
    let clip = clip(&find(&path).unwrap());
    let mesh = &clip.scene.meshes[0];
    assert_eq!((mesh.vertices.len(), mesh.triangles.len()), (4, 4));
    let top = mesh.vertices.iter().map(|corner| corner[2]).fold(0.0, f32::max);
    assert!((top - 0.3).abs() < 1e-6, "{top} m high");
    assert_eq!(clip.outcome, "on_the_ground");
}

#[test]
fn what_is_wrong_with_a_mesh_file_is_said_with_its_name() {
    let flat = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n";
    let many = format!("{OBJ}{}", "f 1 2 5\n".repeat(5000));
    let triangles = "{ file = \"part.obj\", collide = \"triangles\" }";
    for (shape, part, parts) in [
        ("\"gone.obj\"", OBJ, &["gone.obj", "No such file"][..]),
        ("\"part.obj\"", flat, &["part.obj", "not in a plane"]),
        ("\"part.obj\"", "v 0 0 0\n", &["part.obj", "0 triangles"]),
        ("\"part.obj\"", "f 1 2 3\n", &["part.obj"]),
        ("\"part.obj\"", &many, &["part.obj", "5006 triangles", "4096"]),
        ("\"part.ply\"", OBJ, &["part.ply"]),
        (triangles, OBJ, &["part.obj", "triangles", "dynamic"]),
        ("{ file = \"part.obj\", scale = 1e9 }", OBJ, &["part.obj", "scale"]),
    ] {
        let (_folder, path) = folder(&FAMILY.replace("\"part.obj\"", shape), ("part.obj", part));
        let error = find(&path).unwrap_err();
        for expected in ["falling-part.toml", "bodies.part.shape"].iter().chain(parts) {
            assert!(error.contains(expected), "{shape}: {error}");
        }
    }
}
