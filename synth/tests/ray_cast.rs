//! The CPU ray caster agrees with projection, and triangles agree with the solids that they stand for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bevy::math::{DQuat, DVec3};
use worldstep_env::{Camera, CameraMotion, Instance, Mesh, Pose, Scene, Shape, Surface};
use worldstep_synth::annotate::{Eye, RayCaster};

fn scene(shapes: &[Shape], meshes: Vec<Mesh>) -> Scene {
    let instance = |(index, shape): (usize, &Shape)| Instance {
        id: index as u16 + 1,
        semantic: 0,
        name: format!("thing {index}"),
        shape: *shape,
        color_linear: [0.5; 3],
        surface: Surface::default(),
        moving: true,
        actuated: false,
    };
    Scene {
        instances: shapes.iter().enumerate().map(instance).collect(),
        meshes,
        camera: Camera::new([3.0, -4.0, 2.0], [0.0, 0.0, 0.5], 0.7),
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.0; 3],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

fn cube_mesh(half: f32, two_sided: bool) -> Mesh {
    let vertices =
        (0..8).map(|i| [0, 1, 2].map(|bit| if i >> bit & 1 == 0 { -half } else { half })).collect();
    let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles = quads.iter().flat_map(|[a, b, c, d]| [[*a, *b, *c], [*a, *c, *d]]).collect();
    Mesh { vertices, triangles, smooth: false, two_sided }
}

fn pose(position: [f32; 3], axis: DVec3, angle: f64) -> Pose {
    let turn = DQuat::from_axis_angle(axis.normalize(), angle);
    Pose { position, quat_xyzw: turn.to_array().map(|value| value as f32) }
}

#[test]
fn what_a_pixel_hits_projects_back_onto_it() {
    let shapes = [
        Shape::Cuboid { half_extents: [0.3, 0.4, 0.2] },
        Shape::Sphere { radius: 0.35 },
        Shape::Cylinder { radius: 0.2, half_height: 0.4 },
        Shape::Capsule { radius: 0.15, half_height: 0.3 },
    ];
    let scene = scene(&shapes, Vec::new());
    let poses = [
        pose([-0.6, 0.0, 0.5], DVec3::new(1.0, 2.0, 0.5), 0.8),
        pose([0.1, 0.2, 0.4], DVec3::X, 0.3),
        pose([0.8, 0.0, 0.5], DVec3::Y, 1.1),
        pose([0.0, -0.8, 0.6], DVec3::X, -0.7),
    ];
    let caster = RayCaster::new(&scene, &poses, &[]);
    let eye = Eye::new(&scene.camera);
    let [focal, _, cx, _, _, cy, ..] = scene.camera.intrinsics(64, 64).map(f64::from);
    let mut seen = [0; 4];
    for (x, y) in (0..64).flat_map(|y| (0..64).map(move |x| (x, y))) {
        let ray = eye.pixel_ray(x, y, 64, 64);
        let Some(hit) = caster.cast(&ray) else { continue };
        seen[hit.instance] += 1;
        let pose = &poses[hit.instance];
        let turn = DQuat::from_array(pose.quat_xyzw.map(f64::from)).normalize();
        let world = DVec3::from_array(pose.position.map(f64::from)) + turn * hit.object_point;
        let at = eye.camera_from_world(world);
        let pixel = [focal * at.x / at.z + cx, focal * at.y / at.z + cy];
        assert!((pixel[0] - f64::from(x) - 0.5).abs() < 1e-4, "{pixel:?} is not in column {x}");
        assert!((pixel[1] - f64::from(y) - 0.5).abs() < 1e-4, "{pixel:?} is not in row {y}");
        assert!((at.z - hit.depth).abs() < 1e-9, "depth {} of a point at {}", hit.depth, at.z);
        assert!(hit.normal.dot(ray.direction) <= 0.0 && (hit.normal.length() - 1.0).abs() < 1e-6);
    }
    assert!(seen.iter().all(|pixels| *pixels > 50), "{seen:?}");
}

#[test]
fn a_cube_of_triangles_is_hit_where_the_box_is() {
    let shapes = [Shape::Cuboid { half_extents: [0.4; 3] }, Shape::Mesh { mesh: 0 }, Shape::Soft { mesh: 1 }];
    let scene = scene(&shapes, vec![cube_mesh(0.4, false), cube_mesh(0.4, true)]);
    let place = pose([0.2, 0.1, 0.5], DVec3::new(0.3, 1.0, 0.2), 0.9);
    let turn = DQuat::from_array(place.quat_xyzw.map(f64::from)).normalize();
    let corners: Vec<[f32; 3]> = scene.meshes[1]
        .vertices
        .iter()
        .map(|corner| {
            let at = DVec3::from_array(place.position.map(f64::from));
            (at + turn * DVec3::from_array(corner.map(f64::from))).to_array().map(|value| value as f32)
        })
        .collect();
    let caster = RayCaster::new(&scene, &[place; 3], &corners);
    let eye = Eye::new(&scene.camera);
    let mut hits = 0;
    for (x, y) in (0..48).flat_map(|y| (0..48).map(move |x| (x, y))) {
        let ray = eye.pixel_ray(x, y, 48, 48);
        let [solid, rigid, soft] = [0, 1, 2].map(|index| caster.cast_one(index, &ray));
        assert_eq!(solid.is_some(), rigid.is_some(), "pixel {x} {y}");
        assert_eq!(solid.is_some(), soft.is_some(), "pixel {x} {y}");
        let (Some(solid), Some(rigid), Some(soft)) = (solid, rigid, soft) else { continue };
        hits += 1;
        for other in [rigid, soft] {
            assert!((solid.depth - other.depth).abs() < 1e-5, "{solid:?} {other:?}");
            assert!(solid.normal.distance(other.normal) < 1e-5, "{solid:?} {other:?}");
            assert!(solid.object_point.distance(other.object_point) < 1e-5, "{solid:?} {other:?}");
        }
    }
    assert!(hits > 100, "{hits} pixels");
}

#[test]
fn moving_a_caster_is_making_a_new_one() {
    let shapes = [Shape::Cuboid { half_extents: [0.4; 3] }, Shape::Soft { mesh: 0 }];
    let scene = scene(&shapes, vec![cube_mesh(0.3, true)]);
    let corners = |shift: f32| -> Vec<[f32; 3]> {
        scene.meshes[0].vertices.iter().map(|[x, y, z]| [x + shift, *y, z + 0.5]).collect()
    };
    let poses =
        |shift: f32| [pose([-0.9, shift, 0.4], DVec3::X, shift.into()), pose([0.0; 3], DVec3::X, 0.0)];
    let mut moved = RayCaster::new(&scene, &poses(0.0), &corners(0.0));
    moved.update(&scene, &poses(0.3), &corners(0.2));
    let fresh = RayCaster::new(&scene, &poses(0.3), &corners(0.2));
    let eye = Eye::new(&scene.camera);
    for (x, y) in (0..32).flat_map(|y| (0..32).map(move |x| (x, y))) {
        let ray = eye.pixel_ray(x, y, 32, 32);
        assert_eq!(moved.cast(&ray), fresh.cast(&ray), "pixel {x} {y}");
    }
}
