//! Pictures to look at, not to compare: `cargo test -p worldstep-synth --test gallery -- --ignored` writes them to the
//! target folder and prints where, and how fast they are drawn.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use stage::{at, ball, cuboid, draw, floor, renderer, scene, sheet, solids, thing, turned, unit};
use worldstep_env::{Light, Pose, Scene, Shape, Surface, Texture};
use worldstep_synth::{Channels, Frames, Moment, Scenario, ScenarioOptions, UnitKind, UnitRequest, View};

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gallery");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// All `images` of `side` pixels beside each other, four in a row.
fn save_sheet(name: &str, side: u32, images: &[Vec<u8>]) {
    let columns = 4;
    let rows = (images.len() as u32).div_ceil(columns);
    let mut sheet = image::RgbImage::new(columns * side, rows * side);
    for (i, rgb) in images.iter().enumerate() {
        let tile = image::RgbImage::from_raw(side, side, rgb.clone()).unwrap();
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        image::imageops::replace(&mut sheet, &tile, i64::from(column * side), i64::from(row * side));
    }
    let path = folder().join(format!("{name}-{side}.png"));
    sheet.save(&path).unwrap();
    println!("{}", path.display());
}

/// A view with the corners of its soft things.
type Picture = (Scene, Vec<Pose>, Vec<[f32; 3]>);

fn triangles() -> Picture {
    let cloth = sheet(24, 1.1);
    let soft = cloth.vertices.iter().map(|[x, y, _]| {
        let (x, y) = (x - 0.35, y + 0.1);
        // Draped over a ball that is not there.
        let over = (0.45_f32.powi(2) - (x + 0.35).powi(2) - (y - 0.1).powi(2)).max(0.0).sqrt();
        [x, y, over.max(0.06 + 0.03 * (14.0 * x).sin() * (11.0 * y).cos())]
    });
    let soft = soft.collect();
    let mut covered = thing(Shape::Soft { mesh: 0 }, [0.62, 0.10, 0.10], at([0.0; 3]));
    covered.0.surface.texture = Texture::Checker { color_linear: [0.85, 0.80, 0.70], size_m: 0.11 };
    let mut shiny = thing(Shape::Mesh { mesh: 1 }, [0.08, 0.20, 0.55], at([0.62, -0.25, 0.22]));
    shiny.0.surface = Surface { specular: 0.8, roughness: 0.15, ..Surface::default() };
    let crate_pose = turned([0.55, 0.55, 0.2], [0.0, 0.0, 1.0], 0.5);
    let things =
        vec![floor(), covered, shiny, thing(Shape::Mesh { mesh: 2 }, [0.50, 0.34, 0.16], crate_pose)];
    let (scene, poses) = scene(things, vec![cloth, ball(0.22), cuboid([0.2, 0.2, 0.2])]);
    (scene, poses, soft)
}

fn gloss() -> (Scene, Vec<Pose>) {
    let (mut scene, poses) = scene(solids(), Vec::new());
    for (i, instance) in scene.instances.iter_mut().enumerate().skip(1) {
        instance.surface = Surface { specular: 0.8, roughness: 0.2 * (i - 1) as f32, ..Surface::default() };
    }
    (scene, poses)
}

fn pictures() -> Vec<Picture> {
    let mut out = vec![scene(solids(), Vec::new())];
    let (plain, poses) = scene(solids(), Vec::new());
    out.push((Scene { light: None, ..plain.clone() }, poses.clone()));
    out.push((low_sun(plain.clone()), poses.clone()));
    out.push((night(plain.clone()), poses.clone()));
    let color_linear = [0.85, 0.82, 0.75];
    for texture in [
        Texture::Checker { color_linear, size_m: 0.1 },
        Texture::Stripes { color_linear, size_m: 0.12 },
        Texture::Dots { color_linear, size_m: 0.12 },
        Texture::Noise { color_linear, size_m: 0.15 },
    ] {
        let mut covered = plain.clone();
        for instance in &mut covered.instances {
            instance.surface = Surface { texture, specular: 0.5, roughness: 0.3 };
        }
        out.push((covered, poses.clone()));
    }
    out.push(gloss());
    let mut out: Vec<Picture> = out.into_iter().map(|(scene, poses)| (scene, poses, Vec::new())).collect();
    out.push(triangles());
    let (scene, poses, soft) = triangles();
    out.push((low_sun(scene.clone()), poses.clone(), soft.clone()));
    out.push((Scene { light: None, ..scene }, poses, soft));
    out
}

fn low_sun(scene: Scene) -> Scene {
    let light = Light {
        sun_linear: [1.0, 0.55, 0.28],
        sky_linear: [0.28, 0.30, 0.42],
        ground_linear: [0.16, 0.13, 0.12],
        horizon_linear: [0.85, 0.50, 0.30],
        ..scene.light.unwrap()
    };
    let camera = worldstep_env::Camera::new([2.4, -2.0, 0.7], [0.0, 0.0, 0.45], 0.8);
    Scene { light: Some(light), light_direction: unit([-0.8, 0.5, 0.22]), camera, ..scene }
}

fn night(scene: Scene) -> Scene {
    let light = Light {
        sun_linear: [0.16, 0.19, 0.28],
        sky_linear: [0.04, 0.05, 0.09],
        ground_linear: [0.02, 0.02, 0.03],
        horizon_linear: [0.05, 0.07, 0.13],
        ..scene.light.unwrap()
    };
    Scene { light: Some(light), sky_linear: [0.005, 0.008, 0.03], ..scene }
}

#[test]
#[ignore = "writes pictures to look at"]
fn pictures_to_look_at() {
    for side in [64, 128, 256] {
        let mut renderer = renderer(1, side);
        let images: Vec<_> = pictures()
            .iter()
            .map(|(scene, poses, soft_vertices)| {
                let now = Moment { camera: scene.camera, poses, soft_vertices };
                let view = View { scene, now, next: None, previous: None };
                draw(&mut renderer, &[view], Channels::Rgb).rgb
            })
            .collect();
        save_sheet("looks", side, &images);
    }
}

/// Views a second, over three seconds.
fn rate(renderer: &mut worldstep_synth::Renderer, views: &[View<'_>], frames: &mut Frames) -> String {
    renderer.render(views, Channels::Rgb, frames).unwrap();
    let (start, mut drawn) = (Instant::now(), 0);
    let before = processor_ticks();
    while start.elapsed() < Duration::from_secs(3) {
        renderer.render(views, Channels::Rgb, frames).unwrap();
        drawn += views.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    // What other programs take from the processor changes the rate, and hardly this.
    let busy_ms = 10.0 * (processor_ticks() - before) as f64 / drawn as f64;
    format!("{:.0} views/s, {busy_ms:.2} ms of all cores a view", drawn as f64 / seconds)
}

/// Hundredths of a second that all threads of this process were running.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[test]
#[ignore = "writes pictures to look at"]
fn clips_of_all_families_to_look_at() {
    let side = 128;
    let mut renderer = renderer(1, side);
    for scenario in Scenario::all().unwrap().iter().filter(|scenario| !scenario.name().ends_with("-v0")) {
        let options = ScenarioOptions::default();
        let mut images = Vec::new();
        for seed in 0..4 {
            let request = UnitRequest { seed, kind: UnitKind::Single, options: &options };
            let clip = scenario.simulate(&request).unwrap().remove(0);
            for t in [0, clip.len / 3, 2 * clip.len / 3, clip.len - 1] {
                let now = Moment {
                    camera: clip.cameras_at(t)[0],
                    poses: clip.poses_at(t),
                    soft_vertices: clip.soft_at(t),
                };
                let view = View { scene: &clip.scene, now, next: None, previous: None };
                images.push(draw(&mut renderer, &[view], Channels::Rgb).rgb);
            }
        }
        save_sheet(scenario.name(), side, &images);
    }
}

#[test]
#[ignore = "measures for some seconds"]
fn triangles_a_second() {
    let (full, poses, soft_vertices) = triangles();
    let plain = Scene { light: None, ..full.clone() };
    let mut renderer = renderer(64, 64);
    for _round in 0..2 {
        for (name, scene) in [("plain", &plain), ("full", &full)] {
            let now = Moment { camera: scene.camera, poses: &poses, soft_vertices: &soft_vertices };
            let views = vec![View { scene, now, next: None, previous: None }; 64];
            println!("triangles, {name}: {}", rate(&mut renderer, &views, &mut Frames::default()));
        }
    }
}

#[test]
#[ignore = "measures for a minute"]
fn views_a_second() {
    let (full, poses) = scene(solids(), Vec::new());
    let light = Light { shadow: 0.0, ..full.light.unwrap() };
    let lit = Scene { light: Some(light), ..full.clone() };
    let plain = Scene { light: None, ..full.clone() };
    let (triangles, triangle_poses, soft_vertices) = triangles();
    let mut frames = Frames::default();
    for tiles in [64, 256] {
        let mut renderer = renderer(tiles, 64);
        for _round in 0..2 {
            for (name, scene) in [("plain", &plain), ("without shadows", &lit), ("full", &full)] {
                let views = vec![View::new(scene, &poses); tiles];
                println!("{tiles} tiles, {name}: {}", rate(&mut renderer, &views, &mut frames));
            }
            let now =
                Moment { camera: triangles.camera, poses: &triangle_poses, soft_vertices: &soft_vertices };
            let views = vec![View { scene: &triangles, now, next: None, previous: None }; tiles];
            println!("{tiles} tiles, triangles: {}", rate(&mut renderer, &views, &mut frames));
        }
    }
}
