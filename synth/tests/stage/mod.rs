//! Scenes to look at: things on a floor under a light.
#![allow(clippy::unwrap_used, dead_code)]

use worldstep_env::scene::semantic_class;
use worldstep_env::{Camera, CameraMotion, Instance, Light, Mesh, Pose, Scene, Shape, Surface};
use worldstep_synth::{Channels, Frames, RenderConfig, Renderer, View};

/// A thing in a scene, with its pose.
pub type Thing = (Instance, Pose);

pub fn renderer(tiles: usize, side: u32) -> Renderer {
    Renderer::new(RenderConfig { tiles, width: side, height: side }).unwrap()
}

pub fn at(position: [f32; 3]) -> Pose {
    Pose { position, quat_xyzw: [0.0, 0.0, 0.0, 1.0] }
}

/// Turned by `angle` about the unit vector `axis`.
pub fn turned(position: [f32; 3], axis: [f32; 3], angle: f32) -> Pose {
    let (sin, cos) = (0.5 * angle).sin_cos();
    Pose { position, quat_xyzw: [axis[0] * sin, axis[1] * sin, axis[2] * sin, cos] }
}

pub fn thing(shape: Shape, color_linear: [f32; 3], pose: Pose) -> Thing {
    let instance = Instance {
        id: 0,
        semantic: 0,
        name: "thing".to_owned(),
        shape,
        color_linear,
        surface: Surface::default(),
        moving: true,
        actuated: false,
    };
    (instance, pose)
}

/// A floor 8 m wide whose top is at height 0.
pub fn floor() -> Thing {
    let shape = Shape::Cuboid { half_extents: [4.0, 4.0, 0.1] };
    let (instance, pose) = thing(shape, [0.42, 0.40, 0.37], at([0.0, 0.0, -0.1]));
    (Instance { semantic: semantic_class("ground").unwrap(), moving: false, ..instance }, pose)
}

/// `things` with ids from 1, seen from the front and above, with the sun from the left and the front.
pub fn scene(things: Vec<Thing>, meshes: Vec<Mesh>) -> (Scene, Vec<Pose>) {
    let (mut instances, poses): (Vec<_>, Vec<_>) = things.into_iter().unzip();
    for (i, instance) in instances.iter_mut().enumerate() {
        instance.id = i as u16 + 1;
    }
    let scene = Scene {
        instances,
        meshes,
        camera: Camera::new([2.2, -2.0, 1.6], [0.0, 0.0, 0.25], 0.7),
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.22, 0.40, 0.72],
        light_direction: unit([-0.35, -0.65, 0.9]),
        light: Some(Light { shadow_center: [0.0; 3], shadow_radius: 2.0, ..Light::default() }),
    };
    (scene, poses)
}

pub fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    v.map(|x| x / length)
}

pub fn draw(renderer: &mut Renderer, views: &[View<'_>], channels: Channels) -> Frames {
    let mut frames = Frames::default();
    renderer.render(views, channels, &mut frames).unwrap();
    frames
}

/// All shapes without triangles on a floor.
pub fn solids() -> Vec<Thing> {
    let cuboid = Shape::Cuboid { half_extents: [0.22, 0.16, 0.18] };
    vec![
        floor(),
        thing(cuboid, [0.65, 0.10, 0.08], turned([-0.55, -0.1, 0.18], [0.0, 0.0, 1.0], 0.5)),
        thing(Shape::Sphere { radius: 0.2 }, [0.08, 0.25, 0.65], at([0.05, -0.45, 0.2])),
        thing(Shape::Cylinder { radius: 0.14, half_height: 0.3 }, [0.70, 0.48, 0.06], at([0.1, 0.35, 0.3])),
        thing(
            Shape::Capsule { radius: 0.1, half_height: 0.22 },
            [0.10, 0.50, 0.20],
            turned([0.65, 0.1, 0.1], [1.0, 0.0, 0.0], std::f32::consts::FRAC_PI_2),
        ),
        thing(Shape::Cuboid { half_extents: [0.04, 0.5, 0.35] }, [0.55, 0.55, 0.58], at([-0.95, 0.3, 0.35])),
    ]
}

/// A box of triangles.
pub fn cuboid(half: [f32; 3]) -> Mesh {
    let corner =
        |i: usize| std::array::from_fn(|axis| if i >> axis & 1 == 1 { half[axis] } else { -half[axis] });
    let quads = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];
    Mesh {
        vertices: (0..8).map(corner).collect(),
        triangles: quads.iter().flat_map(|[a, b, c, d]| [[*a, *b, *c], [*a, *c, *d]]).collect(),
        smooth: false,
        two_sided: false,
    }
}

/// A ball of triangles with smooth normals.
pub fn ball(radius: f32) -> Mesh {
    let (rings, sectors) = (24_u32, 48_u32);
    let mut mesh = Mesh { smooth: true, ..Mesh::default() };
    for ring in 0..=rings {
        let (z, r) = (std::f32::consts::PI * ring as f32 / rings as f32).sin_cos();
        for sector in 0..sectors {
            let (sin, cos) = (std::f32::consts::TAU * sector as f32 / sectors as f32).sin_cos();
            mesh.vertices.push([radius * z * cos, radius * z * sin, -radius * r]);
            if ring < rings {
                let next = (sector + 1) % sectors;
                let (a, b) = (ring * sectors + sector, ring * sectors + next);
                mesh.triangles.extend([[a, b, b + sectors], [a, b + sectors, a + sectors]]);
            }
        }
    }
    mesh
}

/// A sheet of `n × n` squares about the origin, in x and y.
pub fn sheet(n: u32, side: f32) -> Mesh {
    let mut mesh = Mesh { two_sided: true, smooth: true, ..Mesh::default() };
    for j in 0..=n {
        for i in 0..=n {
            mesh.vertices.push([side * (i as f32 / n as f32 - 0.5), side * (j as f32 / n as f32 - 0.5), 0.0]);
            if i < n && j < n {
                let a = j * (n + 1) + i;
                mesh.triangles.extend([[a, a + 1, a + n + 2], [a, a + n + 2, a + n + 1]]);
            }
        }
    }
    mesh
}
