//! Scenes with a light: shadows fall where geometry says, patterns turn with things, and nothing depends on what is
//! drawn beside it.
#![allow(clippy::unwrap_used)]

mod stage;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stage::{at, draw, floor, renderer, scene, solids, thing, turned, unit};
use worldstep_env::{Camera, Light, Pose, Scene, Shape, Surface, Texture};
use worldstep_synth::{Channels, Frames, RenderConfig, RenderError, Renderer, View};

const SIDE: u32 = 96;
const PIXELS: usize = (SIDE * SIDE) as usize;
const FLOOR: u16 = 1;
/// What a texel of the shadow map covers, metres: the sphere is 4 m wide, the map has twice the tile's pixels.
const TEXEL: f32 = 4.0 / (2.0 * SIDE as f32 - 2.0);

fn seen(scene: &Scene, poses: &[Pose]) -> Frames {
    draw(&mut renderer(1, SIDE), &[View::new(scene, poses)], Channels::Labels)
}

fn with_shadow(scene: &Scene, shadow: f32) -> Scene {
    Scene { light: scene.light.map(|light| Light { shadow, ..light }), ..scene.clone() }
}

fn brightness(frames: &Frames, pixel: usize) -> i32 {
    frames.rgb[pixel * 3..pixel * 3 + 3].iter().map(|value| i32::from(*value)).sum()
}

/// Pixels of the floor and the places that they show, world frame.
fn floor_places(scene: &Scene, frames: &Frames) -> Vec<(usize, [f32; 3])> {
    let k = scene.camera.intrinsics(SIDE, SIDE);
    let m = scene.camera.world_from_camera();
    let place = |pixel: usize| {
        let depth = frames.depth[pixel];
        let u = (pixel % SIDE as usize) as f32 + 0.5;
        let v = (pixel / SIDE as usize) as f32 + 0.5;
        let point = [(u - k[2]) / k[0] * depth, (v - k[5]) / k[4] * depth, depth];
        std::array::from_fn(|r| m[r * 4 + 3] + (0..3).map(|c| m[r * 4 + c] * point[c]).sum::<f32>())
    };
    (0..PIXELS).filter(|pixel| frames.instance[*pixel] == FLOOR).map(|pixel| (pixel, place(pixel))).collect()
}

/// Whether a ray from `place` along `towards` meets the box `low..high`.
fn meets(place: [f32; 3], towards: [f32; 3], low: [f32; 3], high: [f32; 3]) -> bool {
    let (mut enter, mut leave) = (f32::MIN, f32::MAX);
    for axis in 0..3 {
        let a = (low[axis] - place[axis]) / towards[axis];
        let b = (high[axis] - place[axis]) / towards[axis];
        (enter, leave) = (enter.max(a.min(b)), leave.min(a.max(b)));
    }
    enter <= leave && leave >= 0.0
}

#[test]
fn a_box_on_the_floor_casts_the_shadow_that_geometry_gives_up_to_where_it_stands() {
    let half = [0.3, 0.25, 0.4];
    let cuboid = thing(Shape::Cuboid { half_extents: half }, [0.5; 3], at([0.0, 0.0, half[2]]));
    let (mut scene, poses) = scene(vec![floor(), cuboid], Vec::new());
    scene.camera = Camera::new([0.7, 3.0, 2.6], [0.1, 0.5, 0.1], 0.7);
    scene.light_direction = unit([-0.3, -0.6, 0.8]);
    let (lit, shaded) = (seen(&with_shadow(&scene, 0.0), &poses), seen(&scene, &poses));
    let (mut dark, mut bright) = (0, 0);
    // A shadow is sharp to a texel or two, but nowhere is it thinner than the box where it touches the floor.
    let (inner, outer) = (half.map(|h| h - 2.5 * TEXEL), half.map(|h| h + 2.5 * TEXEL));
    for (pixel, place) in floor_places(&scene, &shaded) {
        let (before, after) = (brightness(&lit, pixel), brightness(&shaded, pixel));
        let inside = meets(
            place,
            scene.light_direction,
            [-inner[0], -inner[1], -1.0],
            [inner[0], inner[1], half[2] + inner[2]],
        );
        let outside = !meets(
            place,
            scene.light_direction,
            [-outer[0], -outer[1], 0.0],
            [outer[0], outer[1], half[2] + outer[2]],
        );
        let beside_the_box = shaded.instance.get(pixel.wrapping_sub(SIDE as usize)) == Some(&2);
        if inside && !beside_the_box {
            assert!(f64::from(after) < 0.8 * f64::from(before), "{place:?}: {before} {after}");
            dark += 1;
        } else if outside && !beside_the_box {
            assert!((before - after).abs() <= 3, "{place:?}: {before} {after}");
            bright += 1;
        }
    }
    assert!(dark > 200 && bright > 2000, "{dark} dark and {bright} bright pixels");
}

#[test]
fn the_shadow_of_a_ball_is_where_the_sun_throws_it() {
    let center = [0.1, -0.2, 1.2];
    let ball = thing(Shape::Sphere { radius: 0.2 }, [0.5; 3], at(center));
    let (mut scene, poses) = scene(vec![floor(), ball], Vec::new());
    scene.camera = Camera::new([0.0, -0.6, 4.0], [0.0, 0.0, 0.0], 0.7);
    for light in [[-0.5, -0.2, 0.9], [0.6, -0.3, 0.8], [0.1, 0.4, 0.7]] {
        scene.light_direction = unit(light);
        let (lit, shaded) = (seen(&with_shadow(&scene, 0.0), &poses), seen(&scene, &poses));
        let (mut sum, mut weight) = ([0.0; 2], 0.0);
        for (pixel, place) in floor_places(&scene, &shaded) {
            let lost = (brightness(&lit, pixel) - brightness(&shaded, pixel)) as f32;
            sum = [sum[0] + lost * place[0], sum[1] + lost * place[1]];
            weight += lost;
        }
        let expected = |axis: usize| center[axis] - center[2] * light[axis] / light[2];
        for (axis, sum) in sum.into_iter().enumerate() {
            let found = sum / weight;
            assert!((found - expected(axis)).abs() < 0.04, "{light:?}: {found}, not {}", expected(axis));
        }
    }
}

#[test]
fn without_shadows_the_floor_is_as_if_nothing_stood_on_it() {
    let (full, poses) = scene(solids(), Vec::new());
    let (empty, floor_pose) = scene(vec![floor()], Vec::new());
    let (things, alone) =
        (seen(&with_shadow(&full, 0.0), &poses), seen(&with_shadow(&empty, 0.0), &floor_pose));
    let (mut same, mut edges) = (0, 0);
    for pixel in (0..PIXELS).filter(|pixel| things.instance[*pixel] == FLOOR) {
        let equal = brightness(&things, pixel) == brightness(&alone, pixel);
        same += usize::from(equal);
        edges += usize::from(!equal);
    }
    // Antialiased edges of things hold a share of them.
    assert!(same > 4000 && edges < 500, "{same} pixels are the same, {edges} are not");
}

#[test]
fn what_does_not_move_does_not_flicker() {
    let radius = 0.2;
    let (scene, mut poses) = scene(solids(), Vec::new());
    let ball = 2;
    let towards = scene.light_direction;
    let mut renderer = renderer(1, SIDE);
    let mut frame = |poses: &[Pose]| draw(&mut renderer, &[View::new(&scene, poses)], Channels::Labels);
    let mut before = frame(&poses);
    for step in 1..6 {
        let was = poses[ball].position;
        poses[ball].position[0] += 0.03;
        poses[ball].position[2] += 0.02 * step as f32;
        let after = frame(&poses);
        let mut still = 0;
        for (pixel, place) in floor_places(&scene, &after) {
            let far = |center: [f32; 3]| {
                let offset: [f32; 3] = std::array::from_fn(|i| center[i] - place[i]);
                let along: f32 = offset.iter().zip(towards).map(|(a, b)| a * b).sum();
                let squared: f32 = offset.iter().map(|x| x * x).sum();
                (squared - along * along).sqrt() > radius + 2.0 * TEXEL
            };
            // Neighbours of the ball's pixels are partly the ball's.
            let touches = [0, 1, SIDE as usize, SIDE as usize + 1].iter().any(|step| {
                [
                    pixel.wrapping_sub(*step),
                    pixel + step,
                    pixel + SIDE as usize - 1,
                    pixel.wrapping_sub(SIDE as usize - 1),
                ]
                .iter()
                .any(|p| [&before, &after].iter().any(|f| f.instance.get(*p) == Some(&(ball as u16 + 1))))
            });
            if far(was) && far(poses[ball].position) && !touches {
                let rgb = pixel * 3..pixel * 3 + 3;
                assert_eq!(before.rgb[rgb.clone()], after.rgb[rgb], "{place:?} in step {step}");
                still += 1;
            }
        }
        assert!(still > 3000, "only {still} pixels");
        before = after;
    }
}

/// Scenes of all kinds: plain ones, and full ones with every pattern.
fn many() -> Vec<(Scene, Vec<Pose>)> {
    let (full, poses) = scene(solids(), Vec::new());
    let color_linear = [0.8, 0.7, 0.2];
    let textures = [
        Texture::Plain,
        Texture::Checker { color_linear, size_m: 0.1 },
        Texture::Stripes { color_linear, size_m: 0.15 },
        Texture::Dots { color_linear, size_m: 0.12 },
        Texture::Noise { color_linear, size_m: 0.2 },
        Texture::Image { index: 3, size_m: 0.3 },
    ];
    let mut views = Vec::new();
    for (i, texture) in textures.into_iter().enumerate() {
        let mut covered = full.clone();
        covered.light_direction = unit([0.3 * i as f32 - 0.7, -0.5, 0.8]);
        for (j, instance) in covered.instances.iter_mut().enumerate() {
            let specular = if j % 2 == 0 { 0.6 } else { 0.0 };
            instance.surface = Surface { texture, specular, roughness: 0.1 * i as f32 };
        }
        views.push((covered, poses.clone()));
        views.push((Scene { light: None, ..full.clone() }, poses.clone()));
    }
    views
}

#[test]
fn a_full_tile_is_bitwise_the_same_whatever_is_beside_it() {
    let scenes = many();
    let views: Vec<_> = scenes.iter().map(|(scene, poses)| View::new(scene, poses)).collect();
    let together = draw(&mut renderer(views.len(), SIDE), &views, Channels::Labels);
    // More views than tiles: several passes.
    assert!(draw(&mut renderer(5, SIDE), &views, Channels::Labels) == together);
    let mut alone = renderer(1, SIDE);
    for (i, view) in views.iter().enumerate() {
        let single = draw(&mut alone, std::slice::from_ref(view), Channels::Labels);
        assert!(single.rgb == together.rgb[i * PIXELS * 3..(i + 1) * PIXELS * 3], "rgb of view {i}");
        assert!(single.depth == together.depth[i * PIXELS..(i + 1) * PIXELS], "depth of view {i}");
        assert!(single.instance == together.instance[i * PIXELS..(i + 1) * PIXELS], "ids of view {i}");
    }
}

#[test]
fn light_changes_colours_and_nothing_else() {
    let (full, poses) = scene(solids(), Vec::new());
    let plain = Scene { light: None, ..full.clone() };
    let mut covered = plain.clone();
    for instance in &mut covered.instances {
        let texture = Texture::Checker { color_linear: [1.0; 3], size_m: 0.1 };
        instance.surface = Surface { texture, specular: 1.0, roughness: 0.5 };
    }
    let (full, plain, covered) = (seen(&full, &poses), seen(&plain, &poses), seen(&covered, &poses));
    assert!(full.depth == plain.depth && full.instance == plain.instance);
    assert!(full.rgb != plain.rgb);
    assert!(covered == plain, "surfaces are drawn only where there is a light");
}

#[test]
fn patterns_turn_with_the_thing() {
    let quarter = std::f32::consts::FRAC_PI_2;
    let color_linear = [0.9, 0.8, 0.1];
    for texture in [
        Texture::Checker { color_linear, size_m: 0.23 },
        Texture::Stripes { color_linear, size_m: 0.3 },
        Texture::Dots { color_linear, size_m: 0.37 },
        Texture::Noise { color_linear, size_m: 0.3 },
    ] {
        let image = |pose: Pose| {
            let mut one = thing(Shape::Cuboid { half_extents: [0.5; 3] }, [0.1, 0.2, 0.6], pose);
            one.0.surface.texture = texture;
            let (mut scene, poses) = scene(vec![one], Vec::new());
            scene.camera = Camera::new([0.0; 3], [1.0, 0.0, 0.0], 0.5);
            let even = [0.4; 3];
            let light = scene.light.unwrap();
            let light = Light { sun_linear: [0.0; 3], sky_linear: even, ground_linear: even, ..light };
            scene.light = Some(light);
            // The face alone is in view, so that only the pattern is seen.
            seen(&scene, &poses).rgb
        };
        // The face with the pattern's x across looks at the camera; then it is turned about the line of sight.
        let upright = image(turned([2.0, 0.0, 0.0], [0.0, 0.0, 1.0], quarter));
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let both = [half * half, -half * half, half * half, half * half];
        let aside = image(Pose { position: [2.0, 0.0, 0.0], quat_xyzw: both });
        let side = SIDE as usize;
        let mut worst = 0;
        for y in 0..side {
            for x in 0..side {
                // A quarter turn about the middle: what was at (x, y) is now at (side - 1 - y, x).
                let (from, to) = ((y * side + x) * 3, (x * side + side - 1 - y) * 3);
                worst = worst.max(upright[from].abs_diff(aside[to]));
            }
        }
        let mut values: Vec<_> = upright.chunks_exact(3).map(|rgb| rgb[0]).collect();
        values.sort_unstable();
        assert!(values[PIXELS / 10] + 40 < values[PIXELS * 9 / 10], "{texture:?} is a pattern");
        assert!(worst <= 12, "{texture:?}: {worst}");
    }
}

#[test]
fn the_brightest_thing_under_the_default_light_keeps_its_shades() {
    let ball = thing(Shape::Sphere { radius: 0.6 }, [0.9; 3], at([0.0, 0.0, 0.6]));
    let (scene, poses) = scene(vec![floor(), ball], Vec::new());
    let frames = seen(&scene, &poses);
    let ball = (0..PIXELS).filter(|pixel| frames.instance[*pixel] == 2);
    let values: Vec<_> = ball.map(|pixel| brightness(&frames, pixel)).collect();
    let clipped = frames.rgb.iter().filter(|value| **value == 255).count();
    assert_eq!(clipped, 0, "values at the limit");
    let (dark, bright) = (values.iter().min().unwrap(), values.iter().max().unwrap());
    assert!(bright - dark > 150, "{dark} to {bright}");
}

/// Eight by eight blue pixels as a JPEG file.
const BLUE_JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDg\
    sLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU\
    FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAn/xA\
    AUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAABgn/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oA\
    DAMBAAIRAxEAPwCdgCkoe//Z";

fn save(folder: &std::path::Path, name: &str, color: [u8; 3]) {
    image::RgbImage::from_pixel(40, 20, image::Rgb(color)).save(folder.join(name)).unwrap();
}

#[test]
fn pictures_of_a_folder_cover_things_by_name_and_start_again_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "b.png", [0, 200, 0]);
    save(folder.path(), "a.PNG", [200, 0, 0]);
    std::fs::write(folder.path().join("c.jpeg"), STANDARD.decode(BLUE_JPEG).unwrap()).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    let config = RenderConfig { tiles: 1, width: SIDE, height: SIDE };
    let mut renderer = Renderer::with_pictures(config, folder.path()).unwrap();
    for (index, strongest) in [(0, 0), (1, 1), (2, 2), (3, 0), (7, 1)] {
        let mut ball = thing(Shape::Sphere { radius: 0.5 }, [0.9; 3], at([0.0, 0.0, 0.5]));
        ball.0.surface.texture = Texture::Image { index, size_m: 0.2 };
        let (scene, poses) = scene(vec![ball], Vec::new());
        let frames = draw(&mut renderer, &[View::new(&scene, &poses)], Channels::Rgb);
        let middle = &frames.rgb[(PIXELS / 2 + SIDE as usize / 2) * 3..][..3];
        let others = (0..3).filter(|channel| *channel != strongest).map(|channel| middle[channel]);
        assert!(middle[strongest] > 100 && others.max() < Some(20), "picture {index}: {middle:?}");
    }
}

#[test]
fn a_folder_without_pictures_or_with_a_broken_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = RenderConfig { tiles: 1, width: SIDE, height: SIDE };
    let error = |path: &std::path::Path| match Renderer::with_pictures(config, path) {
        Err(error @ RenderError::Pictures { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{path:?} was taken"),
    };
    assert!(error(folder.path()).contains("no PNG or JPEG file"), "{}", error(folder.path()));
    assert!(error(&folder.path().join("nowhere")).contains("nowhere"));
    std::fs::write(folder.path().join("broken.png"), "not a picture").unwrap();
    assert!(error(folder.path()).contains("broken.png"));
}
