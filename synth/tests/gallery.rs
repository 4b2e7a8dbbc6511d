//! Pictures to look at, not to compare: `cargo test -p worldstep-synth --test gallery -- --ignored` writes them to the
//! target folder and prints where, and how fast they are drawn.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use stage::{draw, renderer, scene, solids, unit};
use worldstep_env::{Light, Pose, Scene, Surface, Texture};
use worldstep_synth::{Channels, Frames, View};

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

fn pictures() -> Vec<(Scene, Vec<Pose>)> {
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
            .map(|(scene, poses)| draw(&mut renderer, &[View::new(scene, poses)], Channels::Rgb).rgb)
            .collect();
        save_sheet("looks", side, &images);
    }
}

#[test]
#[ignore = "measures for a minute"]
fn views_a_second() {
    let (full, poses) = scene(solids(), Vec::new());
    let light = Light { shadow: 0.0, ..full.light.unwrap() };
    let lit = Scene { light: Some(light), ..full.clone() };
    let plain = Scene { light: None, ..full.clone() };
    let mut frames = Frames::default();
    for tiles in [64, 256] {
        let mut renderer = renderer(tiles, 64);
        for _round in 0..2 {
            for (name, scene) in [("plain", &plain), ("without shadows", &lit), ("full", &full)] {
                let views = vec![View::new(scene, &poses); tiles];
                renderer.render(&views, Channels::Rgb, &mut frames).unwrap();
                let (start, mut drawn) = (Instant::now(), 0);
                while start.elapsed() < Duration::from_secs(3) {
                    renderer.render(&views, Channels::Rgb, &mut frames).unwrap();
                    drawn += tiles;
                }
                let rate = drawn as f64 / start.elapsed().as_secs_f64();
                println!("{tiles} tiles, {name}: {rate:.0} views/s");
            }
        }
    }
}
