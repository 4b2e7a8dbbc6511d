//! Triangles are drawn as exactly as shapes: a box of triangles is a box, soft things are where their corners are.
#![allow(clippy::unwrap_used)]

mod stage;

use stage::{at, ball, cuboid, draw, floor, renderer, scene, sheet, thing, turned};
use worldstep_env::{Camera, Light, Mesh, Pose, Scene, Shape, Surface, Texture};
use worldstep_synth::{Channels, Frames, Moment, RenderError, View};

const SIDE: u32 = 96;
const PIXELS: usize = (SIDE * SIDE) as usize;
const HALF: [f32; 3] = [0.3, 0.2, 0.25];

fn poses() -> [Pose; 3] {
    let axis = [0.36, 0.48, 0.8];
    [
        turned([-0.03, 0.02, 0.36], axis, 0.4),
        turned([0.0, 0.0, 0.4], axis, 0.5),
        turned([0.02, -0.05, 0.42], axis, 0.65),
    ]
}

/// A box between two rows, seen by a camera that moves too.
fn moving_box(shape: Shape, meshes: Vec<Mesh>, soft: [&[[f32; 3]]; 3]) -> (Scene, Frames) {
    let [before, now, after] = poses();
    let (scene, _) = scene(vec![thing(shape, [0.6, 0.3, 0.2], now)], meshes);
    let moment = |pose: &'static [Pose], shift: f32, soft_vertices| {
        let mut camera = scene.camera;
        camera.position[0] += shift;
        Moment { camera, poses: pose, soft_vertices }
    };
    let leak = |pose: Pose| -> &'static [Pose] { Box::leak(Box::new([pose])) };
    let view = View {
        scene: &scene,
        previous: Some(moment(leak(before), -0.02, soft[0])),
        now: moment(leak(now), 0.0, soft[1]),
        next: Some(moment(leak(after), 0.03, soft[2])),
    };
    let frames = draw(&mut renderer(1, SIDE), &[view], Channels::All);
    (scene, frames)
}

fn worst(a: &[f32], b: &[f32], width: usize, pixels: &[usize]) -> f32 {
    let values = pixels.iter().flat_map(|pixel| pixel * width..(pixel + 1) * width);
    values.map(|i| (a[i] - b[i]).abs()).fold(0.0, f32::max)
}

/// Compares all that is known of two pictures of one thing; all but a few pixels at its edges must agree.
fn assert_same(a: &Frames, b: &Frames, name: &str) {
    let differ = (0..PIXELS).filter(|i| a.instance[*i] != b.instance[*i]).count();
    assert!(differ <= 4, "{name}: {differ} pixels show different things");
    // Where two faces meet, either may be what a pixel shows.
    let same: Vec<usize> = (0..PIXELS)
        .filter(|i| a.instance[*i] == 1 && b.instance[*i] == 1)
        .filter(|i| worst(&a.normal, &b.normal, 3, &[*i]) < 0.5)
        .collect();
    let seen = a.instance.iter().filter(|id| **id == 1).count();
    assert!(same.len() > 500 && same.len() + 20 > seen, "{name}: {} of {seen} pixels", same.len());
    assert!(worst(&a.depth, &b.depth, 1, &same) < 1e-4, "{name}: depth");
    assert!(worst(&a.normal, &b.normal, 3, &same) < 1e-3, "{name}: normal");
    assert!(worst(&a.coordinates, &b.coordinates, 3, &same) < 2e-4, "{name}: coordinates");
    assert!(worst(&a.flow_forward, &b.flow_forward, 2, &same) < 2e-2, "{name}: forward flow");
    assert!(worst(&a.flow_backward, &b.flow_backward, 2, &same) < 2e-2, "{name}: backward flow");
}

fn place(pose: &Pose, points: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let [x, y, z, w] = pose.quat_xyzw;
    let cross = |a: [f32; 3], b: [f32; 3]| {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    };
    let turn = |p: [f32; 3]| {
        let t = cross([x, y, z], p).map(|v| 2.0 * v);
        let u = cross([x, y, z], t);
        std::array::from_fn(|i| p[i] + w * t[i] + u[i] + pose.position[i])
    };
    points.iter().map(|point| turn(*point)).collect()
}

#[test]
fn a_box_of_triangles_is_a_box_and_so_is_a_soft_one() {
    let none: [&[[f32; 3]]; 3] = [&[], &[], &[]];
    let (_, solid) = moving_box(Shape::Cuboid { half_extents: HALF }, Vec::new(), none);
    let (_, rigid) = moving_box(Shape::Mesh { mesh: 0 }, vec![cuboid(HALF)], none);
    assert_same(&solid, &rigid, "rigid");
    assert!(solid.flow_forward.iter().any(|flow| flow.abs() > 1.0));
    let placed = poses().map(|pose| place(&pose, &cuboid(HALF).vertices));
    let soft = [&placed[0][..], &placed[1][..], &placed[2][..]];
    let (_, soft) = moving_box(Shape::Soft { mesh: 0 }, vec![cuboid(HALF)], soft);
    assert_same(&solid, &soft, "soft");
}

#[test]
fn a_box_of_triangles_is_lit_and_casts_a_shadow_as_a_box_does() {
    let image = |shape, light| {
        let pose = turned([0.0, 0.0, 0.25], [0.0, 0.0, 1.0], 0.4);
        let (mut scene, poses) = scene(vec![floor(), thing(shape, [0.6; 3], pose)], vec![cuboid(HALF)]);
        scene.light = scene.light.filter(|_| light);
        draw(&mut renderer(1, SIDE), &[View::new(&scene, &poses)], Channels::Rgb).rgb
    };
    for light in [false, true] {
        let (solid, mesh) =
            (image(Shape::Cuboid { half_extents: HALF }, light), image(Shape::Mesh { mesh: 0 }, light));
        let differ = solid.iter().zip(&mesh).filter(|(a, b)| a.abs_diff(**b) > 12).count();
        // A shadow's edge may lie a texel aside.
        let allowed = if light { 0.02 } else { 0.002 };
        let share = differ as f64 / solid.len() as f64;
        assert!(share < allowed, "{share} of the values differ (light: {light})");
    }
}

#[test]
fn smooth_triangles_have_the_normals_of_the_ball_that_they_stand_for() {
    let known = |shape| {
        let (scene, poses) = scene(vec![thing(shape, [0.5; 3], at([0.0, 0.0, 0.3]))], vec![ball(0.4)]);
        draw(&mut renderer(1, SIDE), &[View::new(&scene, &poses)], Channels::All)
    };
    let (round, mesh) = (known(Shape::Sphere { radius: 0.4 }), known(Shape::Mesh { mesh: 0 }));
    let both: Vec<usize> =
        (0..PIXELS).filter(|i| round.instance[*i] == 1 && mesh.instance[*i] == 1).collect();
    assert!(both.len() > 500, "{}", both.len());
    let mut off: Vec<f32> = both.iter().map(|i| worst(&round.normal, &mesh.normal, 3, &[*i])).collect();
    off.sort_by(f32::total_cmp);
    assert!(off[off.len() * 9 / 10] < 0.03, "{}", off[off.len() * 9 / 10]);
}

#[test]
fn a_closed_thing_hides_its_inside_and_a_sheet_has_two_sides() {
    let visible = |two_sided, towards: f32| {
        let mesh = Mesh { two_sided, ..sheet(3, 1.0) };
        let turn = turned([0.0; 3], [1.0, 0.0, 0.0], if towards > 0.0 { 0.0 } else { std::f32::consts::PI });
        let (mut scene, poses) = scene(vec![thing(Shape::Mesh { mesh: 0 }, [0.5; 3], turn)], vec![mesh]);
        scene.camera = Camera::new([0.0, 0.1, 3.0], [0.0; 3], 0.6);
        let frames = draw(&mut renderer(1, SIDE), &[View::new(&scene, &poses)], Channels::All);
        let middle = PIXELS / 2 + SIDE as usize / 2;
        (frames.instance[middle] == 1, frames.normal[middle * 3 + 2])
    };
    assert!(visible(false, 1.0).0 && !visible(false, -1.0).0);
    // Normals look at the camera from either side.
    for towards in [1.0, -1.0] {
        let (seen, normal_z) = visible(true, towards);
        assert!(seen && normal_z < -0.9, "{towards}: {seen} {normal_z}");
    }
}

/// A wavy cloth, a ball and a floor of triangles that leave the picture, and a wall that the camera touches.
fn crowded(light: bool, phase: f32) -> (Scene, Vec<Pose>, Vec<[f32; 3]>) {
    let cloth = sheet(12, 1.2);
    let soft = cloth.vertices.iter().map(|[x, y, _]| {
        let z = 0.5 + 0.1 * (6.0 * x + phase).sin() * (5.0 * y).cos();
        [*x - 0.4, *y, z]
    });
    let soft = soft.collect();
    let meshes = vec![cloth, ball(0.3), sheet(5, 9.0), cuboid(HALF)];
    let texture = Texture::Checker { color_linear: [0.9; 3], size_m: 0.1 };
    let mut things = vec![
        thing(Shape::Mesh { mesh: 2 }, [0.4; 3], at([0.0; 3])),
        thing(Shape::Soft { mesh: 0 }, [0.7, 0.2, 0.2], at([0.0; 3])),
        thing(Shape::Mesh { mesh: 1 }, [0.2, 0.4, 0.7], at([0.6, 0.2, 0.3 + 0.01 * phase])),
        thing(Shape::Mesh { mesh: 3 }, [0.3, 0.6, 0.3], turned([2.38, -1.545, 1.5], [0.0, 0.0, 1.0], phase)),
    ];
    things[1].0.surface = Surface { texture, specular: 0.3, roughness: 0.4 };
    things[2].0.surface = Surface { texture: Texture::Plain, specular: 0.5, roughness: 0.3 };
    let (mut scene, poses) = scene(things, meshes);
    scene.light = scene.light.filter(|_| light);
    (scene, poses, soft)
}

#[test]
fn triangles_are_bitwise_the_same_wherever_their_tile_lies() {
    let scenes: Vec<_> = (0..13).map(|i| crowded(i % 3 != 0, 0.7 * i as f32)).collect();
    let views: Vec<_> = scenes
        .iter()
        .map(|(scene, poses, soft_vertices)| {
            let now = Moment { camera: scene.camera, poses, soft_vertices };
            View { scene, now, next: Some(now), previous: None }
        })
        .collect();
    let together = draw(&mut renderer(views.len(), SIDE), &views, Channels::All);
    let mut alone = renderer(1, SIDE);
    for (i, view) in views.iter().enumerate() {
        let single = draw(&mut alone, std::slice::from_ref(view), Channels::All);
        let pixels = i * PIXELS..(i + 1) * PIXELS;
        assert!(single.instance == together.instance[pixels.clone()], "ids of view {i}");
        assert!(single.depth == together.depth[pixels.clone()], "depth of view {i}");
        assert!(single.normal == together.normal[pixels.start * 3..pixels.end * 3], "normals of view {i}");
        assert!(single.rgb == together.rgb[pixels.start * 3..pixels.end * 3], "rgb of view {i}");
        for id in 1..=3 {
            assert!(single.instance.contains(&id), "thing {id} is seen in view {i}");
        }
        // Nothing moves.
        assert!(single.flow_forward.iter().all(|flow| *flow == 0.0), "flow of view {i}");
    }
}

/// A ball of triangles and a sheet, both in the picture as a whole; with `far`, also a corner that is not.
fn in_the_picture(far: bool) -> (Scene, Vec<Pose>) {
    let mut meshes = vec![ball(0.3), sheet(9, 1.0)];
    for mesh in meshes.iter_mut().filter(|_| far) {
        mesh.vertices.push([0.0, 0.0, -9.0]);
        let corner = mesh.vertices.len() as u32 - 1;
        mesh.triangles.push([corner; 3]);
    }
    let sheet_pose = turned([-0.3, 0.2, 0.45], [0.6, 0.0, 0.8], 0.5);
    let things = vec![
        floor(),
        thing(Shape::Mesh { mesh: 0 }, [0.2, 0.4, 0.7], at([0.35, 0.0, 0.3])),
        thing(Shape::Mesh { mesh: 1 }, [0.7, 0.2, 0.2], sheet_pose),
    ];
    let (mut scene, poses) = scene(things, meshes);
    // What is far off casts no shadow.
    scene.light = scene.light.map(|light| Light { shadow: 0.0, ..light });
    (scene, poses)
}

#[test]
fn triangles_that_share_corners_look_as_those_that_have_their_own() {
    let draw_one = |far: bool| {
        let (scene, poses) = in_the_picture(far);
        draw(&mut renderer(1, SIDE), &[View::new(&scene, &poses)], Channels::All)
    };
    let (shared, own) = (draw_one(false), draw_one(true));
    let differ = |a: &[u16], b: &[u16]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    assert!(differ(&shared.instance, &own.instance) <= 4);
    let off = shared.rgb.iter().zip(&own.rgb).filter(|(a, b)| a.abs_diff(**b) > 2).count();
    assert!(off <= 40, "{off} of {} values", own.rgb.len());
    for id in [2, 3] {
        assert!(shared.instance.iter().filter(|seen| **seen == id).count() > 300, "thing {id}");
    }
}

#[test]
fn a_floor_of_triangles_has_no_holes() {
    let (mut scene, poses) =
        scene(vec![thing(Shape::Mesh { mesh: 0 }, [0.5; 3], at([0.0; 3]))], vec![sheet(40, 30.0)]);
    scene.camera = Camera::new([0.03, 0.02, 0.7], [0.3, 0.2, 0.0], 0.9);
    let frames = draw(&mut renderer(1, SIDE), &[View::new(&scene, &poses)], Channels::Labels);
    assert!(frames.instance.iter().all(|id| *id == 1));
}

#[test]
fn triangles_that_do_not_fit_are_refused() {
    let shape = Shape::Soft { mesh: 0 };
    let (good, poses) = scene(vec![thing(shape, [0.5; 3], at([0.0; 3]))], vec![sheet(2, 1.0)]);
    let mut renderer = renderer(1, SIDE);
    let mut frames = Frames::default();
    let mut error = |scene: &Scene, soft_vertices: &[[f32; 3]]| {
        let now = Moment { camera: scene.camera, poses: &poses, soft_vertices };
        let view = View { scene, now, next: None, previous: None };
        match renderer.render(&[view], Channels::Rgb, &mut frames) {
            Err(error @ RenderError::Triangles { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let soft = good.meshes[0].vertices.clone();
    assert!(error(&good, &soft[..5]).contains("at least 9 corners, and 5 were given"));
    let missing = Scene { meshes: Vec::new(), ..good.clone() };
    assert!(error(&missing, &soft).contains("mesh 0, and the scene has 0"));
    let mut torn = good.clone();
    torn.meshes[0].triangles.push([0, 1, 9]);
    assert!(error(&torn, &soft).contains("corner 9 of 9"));
}
