//! Draws a gallery: three moments of one clip of each scenario, into the PNG that is named (`out/gallery.png` if none is).
//! Shows: a scenario and a seed make a trajectory, a trajectory makes pictures; `gallery PNG SIDE SEED [SCENARIO…]`.
#![allow(clippy::print_stdout)]

use image::{RgbImage, imageops};
use worldstep_synth::clips::Trajectory;
use worldstep_synth::{
    Channels, Frames, Moment, RenderConfig, Renderer, Scenario, ScenarioOptions, UnitKind, UnitRequest, View,
};

/// Moments of a clip, as shares of its length.
const MOMENTS: [f32; 3] = [0.05, 0.35, 0.9];
/// Clips beside each other.
const COLUMNS: u32 = 4;
/// White between pictures, pixels.
const GAP: u32 = 4;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "out/gallery.png".to_owned());
    let side: u32 = arguments.next().map_or(Ok(96), |side| side.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(3), |seed| seed.parse())?;
    let names: Vec<String> = arguments.collect();
    let scenarios = if names.is_empty() {
        Scenario::all()?
    } else {
        names.iter().map(|name| Scenario::find(name)).collect::<Result<_, _>>()?
    };
    let mut renderer = Renderer::new(RenderConfig { tiles: MOMENTS.len(), width: side, height: side })?;
    let (width, height) = (MOMENTS.len() as u32 * side + GAP, side + GAP);
    let rows = (scenarios.len() as u32).div_ceil(COLUMNS);
    let white = image::Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(COLUMNS * width - GAP, rows * height - GAP, white);
    let options = ScenarioOptions::default();
    for (i, scenario) in scenarios.iter().enumerate() {
        let request = UnitRequest { seed, kind: UnitKind::Single, options: &options };
        let (x, y) = (i as u32 % COLUMNS * width, i as u32 / COLUMNS * height);
        for trajectory in scenario.simulate(&request)? {
            for (k, picture) in pictures(&mut renderer, &trajectory, side)?.iter().enumerate() {
                imageops::replace(&mut sheet, picture, i64::from(x + k as u32 * side), i64::from(y));
            }
        }
    }
    if let Some(folder) = std::path::Path::new(&path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    sheet.save(&path)?;
    println!("{} scenarios in {path}, drawn by {}", scenarios.len(), renderer.adapter_name());
    Ok(())
}

/// What the main camera sees at [`MOMENTS`].
fn pictures(renderer: &mut Renderer, clip: &Trajectory, side: u32) -> anyhow::Result<Vec<RgbImage>> {
    let views: Vec<_> = MOMENTS
        .iter()
        .map(|share| {
            let t = (share * clip.len as f32) as usize;
            let now = Moment {
                camera: clip.cameras_at(t)[0],
                poses: clip.poses_at(t),
                soft_vertices: clip.soft_at(t),
            };
            View { now, ..View::new(&clip.scene, clip.poses_at(t)) }
        })
        .collect();
    let mut frames = Frames::default();
    renderer.render(&views, Channels::Rgb, &mut frames)?;
    let pixels = (side * side * 3) as usize;
    Ok(frames.rgb.chunks(pixels).filter_map(|rgb| RgbImage::from_raw(side, side, rgb.to_vec())).collect())
}
