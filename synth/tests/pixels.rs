//! Pixels are exact: ids, metric depth and projection of known scenes, and tiles that never touch each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use worldstep_env::{
    AutoresetMode, Camera, CameraMotion, Instance, Pose, Scene, Shape, Surface, TruthSource as _,
    TruthVectorEnv, VectorEnv as _, registry::TASKS,
};
use worldstep_synth::{Channels, Frames, RenderConfig, RenderError, Renderer, View};

const SIDE: u32 = 64;
const PIXELS: usize = (SIDE * SIDE) as usize;

fn renderer(tiles: usize) -> Renderer {
    Renderer::new(RenderConfig { tiles, width: SIDE, height: SIDE }).unwrap()
}

fn instance(id: u16, shape: Shape) -> Instance {
    let color_linear = [0.8, 0.1, 0.1];
    Instance {
        id,
        semantic: 0,
        name: format!("thing {id}"),
        shape,
        color_linear,
        surface: Surface::default(),
        moving: true,
        actuated: false,
    }
}

fn at(position: [f32; 3]) -> Pose {
    Pose { position, quat_xyzw: [0.0, 0.0, 0.0, 1.0] }
}

/// A camera at the origin that looks along world x; its image plane is 2·tan(fov/2) wide at one metre.
fn scene(instances: Vec<Instance>) -> Scene {
    Scene {
        instances,
        meshes: Vec::new(),
        camera: Camera::new([0.0; 3], [1.0, 0.0, 0.0], std::f32::consts::FRAC_PI_2),
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.2, 0.4, 0.8],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

fn draw(renderer: &mut Renderer, views: &[View<'_>]) -> Frames {
    let mut frames = Frames::default();
    renderer.render(views, Channels::Labels, &mut frames).unwrap();
    frames
}

#[test]
fn a_cube_in_front_of_the_camera_has_exact_ids_and_depth() {
    let cube = scene(vec![instance(300, Shape::Cuboid { half_extents: [0.5; 3] })]);
    let poses = [at([2.5, 0.0, 0.0])];
    let frames = draw(&mut renderer(1), &[View::new(&cube, &poses)]);
    // The near face is 1 m wide, 2 m away; 64 pixels see 4 m there.
    let expected = |x: usize, y: usize| (24..40).contains(&x) && (24..40).contains(&y);
    for y in 0..SIDE as usize {
        for x in 0..SIDE as usize {
            let i = y * SIDE as usize + x;
            let (id, depth) = (frames.instance[i], frames.depth[i]);
            if expected(x, y) {
                assert_eq!(id, 300, "pixel {x} {y}");
                assert!((depth - 2.0).abs() < 1e-4, "pixel {x} {y} is {depth} m away");
            } else {
                assert_eq!((id, depth), (0, 0.0), "pixel {x} {y}");
            }
        }
    }
}

#[test]
fn a_sphere_and_a_cylinder_have_exact_depth() {
    let middle = 32 * SIDE as usize + 32;
    // The ray through pixel (32, 32) leans half a pixel, 1/64, to the right and down; a cylinder along z does not
    // notice the latter. Both surfaces are 0.5 m from a centre that is 3 m away.
    let expected = |squared: f32| (3.0 - (9.0 - squared * 8.75).sqrt()) / squared;
    let lean = 1.0 / 4096.0;
    let sphere = (Shape::Sphere { radius: 0.5 }, expected(1.0 + 2.0 * lean));
    let cylinder = (Shape::Cylinder { radius: 0.5, half_height: 1.0 }, expected(1.0 + lean));
    for (shape, expected) in [sphere, cylinder] {
        let one = scene(vec![instance(1, shape)]);
        let frames = draw(&mut renderer(1), &[View::new(&one, &[at([3.0, 0.0, 0.0])])]);
        assert!((frames.depth[middle] - expected).abs() < 1e-4, "{shape:?}: {}", frames.depth[middle]);
    }
}

/// A capsule is what its middle and its two ends are together, seen from any side.
#[test]
fn a_capsule_is_a_cylinder_and_two_balls() {
    let (radius, half_height) = (0.3, 0.4);
    let capsule = scene(vec![instance(1, Shape::Capsule { radius, half_height })]);
    let ball = Shape::Sphere { radius };
    let parts = scene(vec![
        instance(1, Shape::Cylinder { radius, half_height }),
        instance(1, ball),
        instance(1, ball),
    ]);
    let mut renderer = renderer(1);
    for (axis, angle) in [([0.0, 1.0, 0.0], 0.0_f32), ([0.0, 1.0, 0.0], 1.57), ([0.6, 0.8, 0.0], 0.9)] {
        let half = 0.5 * angle;
        let quat_xyzw = [axis[0] * half.sin(), axis[1] * half.sin(), axis[2] * half.sin(), half.cos()];
        let along = [
            2.0 * (quat_xyzw[0] * quat_xyzw[2] + quat_xyzw[3] * quat_xyzw[1]),
            2.0 * (quat_xyzw[1] * quat_xyzw[2] - quat_xyzw[3] * quat_xyzw[0]),
            1.0 - 2.0 * (quat_xyzw[0] * quat_xyzw[0] + quat_xyzw[1] * quat_xyzw[1]),
        ];
        let end = |sign: f32| {
            let position = [2.0 + sign * along[0], sign * along[1], sign * along[2]];
            Pose { position, quat_xyzw }
        };
        let whole = draw(&mut renderer, &[View::new(&capsule, &[end(0.0)])]);
        let poses = [end(0.0), end(half_height), end(-half_height)];
        let expected = draw(&mut renderer, &[View::new(&parts, &poses)]);
        assert!(whole.instance.iter().filter(|id| **id == 1).count() > 100);
        let differ = whole.instance.iter().zip(&expected.instance).filter(|(a, b)| a != b).count();
        assert!(differ <= 2, "{differ} pixels on the edge");
        for (i, (a, b)) in whole.depth.iter().zip(&expected.depth).enumerate() {
            let same = whole.instance[i] != expected.instance[i] || (a - b).abs() < 1e-4;
            assert!(same, "pixel {i}: {a} m, not {b}, turned by {angle}");
        }
    }
}

#[test]
fn what_is_nearer_hides_what_is_behind() {
    let shape = Shape::Cuboid { half_extents: [0.1, 0.5, 0.5] };
    let two = scene(vec![instance(1, shape), instance(2, shape)]);
    for (near, far) in [(0, 1), (1, 0)] {
        let mut poses = [at([4.0, 0.0, 0.0]); 2];
        poses[near] = at([2.0, 0.0, 0.0]);
        let frames = draw(&mut renderer(1), &[View::new(&two, &poses)]);
        assert_eq!(frames.instance[32 * SIDE as usize + 32], near as u16 + 1, "{far} is behind");
    }
}

#[test]
fn edges_are_antialiased_and_the_sky_is_srgb() {
    let ball = scene(vec![instance(1, Shape::Sphere { radius: 0.7 })]);
    let frames = draw(&mut renderer(1), &[View::new(&ball, &[at([2.0, 0.0, 0.0])])]);
    // Linear 0.2, 0.4, 0.8 as sRGB.
    for (channel, expected) in [124_i32, 170, 231].into_iter().enumerate() {
        assert!((i32::from(frames.rgb[channel]) - expected).abs() <= 1, "{:?}", &frames.rgb[..3]);
    }
    let mut colors: Vec<&[u8]> = frames.rgb.chunks_exact(3).collect();
    colors.sort_unstable();
    colors.dedup();
    assert!(colors.len() > 20, "only {} colours", colors.len());
}

/// World poses, scenes and lanes of all tasks, a few steps into their episodes.
fn all_tasks() -> Vec<(Scene, Vec<Pose>)> {
    let mut views = Vec::new();
    for task in &TASKS {
        let mut env = TruthVectorEnv::new(task, 6, AutoresetMode::NextStep).unwrap();
        env.reset_all(Some(5)).unwrap();
        for lane in 0..6 {
            let mut poses = Vec::new();
            env.poses(lane, &mut poses);
            views.push((env.scene(lane).clone(), poses));
        }
    }
    views
}

#[test]
fn a_tile_is_bitwise_the_same_whatever_is_beside_it() {
    let scenes = all_tasks();
    let views: Vec<_> = scenes.iter().map(|(scene, poses)| View::new(scene, poses)).collect();
    let together = draw(&mut renderer(views.len()), &views);
    // More views than tiles: several passes.
    assert!(draw(&mut renderer(4), &views) == together);
    let mut alone = renderer(1);
    for (i, view) in views.iter().enumerate() {
        let single = draw(&mut alone, std::slice::from_ref(view));
        assert!(single.rgb == together.rgb[i * PIXELS * 3..(i + 1) * PIXELS * 3], "rgb of view {i}");
        assert!(single.depth == together.depth[i * PIXELS..(i + 1) * PIXELS], "depth of view {i}");
        assert!(single.instance == together.instance[i * PIXELS..(i + 1) * PIXELS], "ids of view {i}");
    }
}

#[test]
fn an_empty_view_stays_empty_beside_a_full_one() {
    let full = scene(vec![instance(9, Shape::Sphere { radius: 50.0 })]);
    let empty = Scene { sky_linear: [0.0, 1.0, 0.0], ..scene(Vec::new()) };
    let poses = [at([60.0, 0.0, 0.0])];
    let views: Vec<_> =
        (0..9).map(|i| if i == 4 { View::new(&full, &poses) } else { View::new(&empty, &[]) }).collect();
    let frames = draw(&mut renderer(9), &views);
    for (i, ids) in frames.instance.chunks_exact(PIXELS).enumerate() {
        assert_eq!(ids.contains(&9), i == 4, "view {i}");
    }
    for (i, image) in frames.rgb.chunks_exact(PIXELS * 3).enumerate() {
        assert_eq!(image.chunks_exact(3).all(|pixel| *pixel == [0, 255, 0]), i != 4, "view {i}");
    }
}

#[test]
fn the_projected_centre_of_a_ball_is_the_middle_of_its_pixels() {
    let ball = scene(vec![instance(7, Shape::Sphere { radius: 0.12 })]);
    let ball = Scene { camera: Camera::new([0.3, -2.0, 1.1], [0.1, 0.4, 0.2], 0.8), ..ball };
    let k = ball.camera.intrinsics(SIDE, SIDE);
    let m = ball.camera.world_from_camera();
    let mut renderer = renderer(1);
    for center in [[0.1_f32, 0.2, 0.3], [-0.2, 0.3, 0.0], [0.3, 0.0, 0.6]] {
        let frames = draw(&mut renderer, &[View::new(&ball, &[at(center)])]);
        let offset: Vec<f32> = (0..3).map(|i| center[i] - m[i * 4 + 3]).collect();
        let in_camera: Vec<f32> = (0..3).map(|c| (0..3).map(|i| m[i * 4 + c] * offset[i]).sum()).collect();
        let u = k[0] * in_camera[0] / in_camera[2] + k[2];
        let v = k[4] * in_camera[1] / in_camera[2] + k[5];
        let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
        for (i, _) in frames.instance.iter().enumerate().filter(|(_, id)| **id == 7) {
            x += (i % SIDE as usize) as f32 + 0.5;
            y += (i / SIDE as usize) as f32 + 0.5;
            count += 1.0;
        }
        assert!(count > 20.0, "{count} pixels");
        let (dx, dy) = (x / count - u, y / count - v);
        assert!(dx.abs() < 0.35 && dy.abs() < 0.35, "off by {dx} {dy} pixels");
    }
}

#[test]
fn rgb_alone_is_the_rgb_of_all_channels() {
    let scenes = all_tasks();
    let views: Vec<_> = scenes.iter().map(|(scene, poses)| View::new(scene, poses)).collect();
    let mut renderer = renderer(views.len());
    let all = draw(&mut renderer, &views);
    let mut rgb = Frames::default();
    renderer.render(&views, Channels::Rgb, &mut rgb).unwrap();
    assert!(rgb.rgb == all.rgb);
    assert!(rgb.depth.is_empty() && rgb.instance.is_empty());
}

#[test]
fn poses_that_do_not_fit_their_scene_are_refused() {
    let one = scene(vec![instance(1, Shape::Sphere { radius: 0.5 })]);
    let mut renderer = renderer(1);
    let mut frames = Frames::default();
    let error = renderer.render(&[View::new(&one, &[])], Channels::Rgb, &mut frames).unwrap_err();
    assert!(matches!(error, RenderError::PoseCount { view: 0, poses: 0, instances: 1 }), "{error}");
    // And the renderer goes on.
    draw(&mut renderer, &[View::new(&one, &[at([2.0, 0.0, 0.0])])]);
}

#[test]
fn too_large_a_tile_is_refused_and_many_tiles_take_several_passes() {
    let config = RenderConfig { tiles: 1, width: 100_000, height: 16 };
    let error = Renderer::new(config).err().unwrap();
    assert!(matches!(error, RenderError::AtlasTooLarge { .. }), "{error}");
    Renderer::new(RenderConfig { tiles: 1_000_000, width: 256, height: 256 }).unwrap();
}

#[test]
fn what_is_submitted_is_collected_in_order_and_within_bounds() {
    let ball = scene(vec![instance(1, Shape::Sphere { radius: 0.5 })]);
    let poses: Vec<_> = (0..40).map(|i| [at([2.0, 0.05 * i as f32 - 1.0, 0.0])]).collect();
    let views: Vec<_> = poses.iter().map(|poses| View::new(&ball, poses)).collect();
    let mut renderer = renderer(3);
    let expected: Vec<_> = views.chunks(10).map(|views| draw(&mut renderer, views)).collect();
    for views in views.chunks(10) {
        renderer.submit(views, Channels::Labels).unwrap();
    }
    let error = renderer.submit(&views, Channels::Rgb).unwrap_err();
    assert!(matches!(error, RenderError::Submissions { waiting: 4, limit: 4 }), "{error}");
    let mut frames = Frames::default();
    let error = renderer.render(&views, Channels::Rgb, &mut frames).unwrap_err();
    assert!(matches!(error, RenderError::Submissions { waiting: 4, .. }), "{error}");
    for expected in expected {
        renderer.collect(&mut frames).unwrap();
        assert!(frames == expected);
    }
    let error = renderer.collect(&mut frames).unwrap_err();
    assert!(matches!(error, RenderError::Submissions { waiting: 0, .. }), "{error}");
    renderer.submit(&[], Channels::All).unwrap();
    renderer.collect(&mut frames).unwrap();
    assert!(frames == Frames::default());
}
