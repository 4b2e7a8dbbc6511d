//! For writing families: a contact sheet of clips, to see whether what matters is in view.
//!
//! `PICTURES=out/sheets FAMILY=toss,drop cargo test -p worldstep-synth --test family_pictures -- --ignored`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use worldstep_synth::render::{Channels, Frames, Moment, RenderConfig, Renderer, View};
use worldstep_synth::{Scenario, ScenarioOptions, UnitKind, UnitRequest};

/// Clips of a sheet, one a row.
const CLIPS: usize = 4;
/// Frames of a clip, evenly over its length.
const FRAMES: usize = 6;
const SIDE: u32 = 128;

#[test]
#[ignore = "writes a sheet for each family in FAMILY to the folder PICTURES"]
fn contact_sheets() {
    let folder = std::env::var("PICTURES").unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let mut renderer =
        Renderer::new(RenderConfig { tiles: CLIPS * FRAMES, width: SIDE, height: SIDE }).unwrap();
    for name in std::env::var("FAMILY").unwrap().split(',') {
        sheet(&mut renderer, &Scenario::find(name).unwrap(), Path::new(&folder));
    }
}

fn sheet(renderer: &mut Renderer, scenario: &Scenario, folder: &Path) {
    let options = ScenarioOptions::default();
    let clips: Vec<_> = (0..CLIPS as u64)
        .map(|seed| {
            let request = UnitRequest { seed, kind: UnitKind::Single, options: &options };
            scenario.simulate(&request).unwrap().remove(0)
        })
        .collect();
    let mut views = Vec::new();
    for clip in &clips {
        for i in 0..FRAMES {
            let t = i * clip.len / (FRAMES - 1);
            let now = Moment {
                camera: clip.cameras_at(t)[0],
                poses: clip.poses_at(t),
                soft_vertices: clip.soft_at(t),
            };
            views.push(View { scene: &clip.scene, now, next: None, previous: None });
        }
    }
    let mut frames = Frames::default();
    renderer.render(&views, Channels::Rgb, &mut frames).unwrap();
    let mut image = image::RgbImage::new(SIDE * FRAMES as u32, SIDE * CLIPS as u32);
    for (tile, pixels) in frames.rgb.chunks_exact((SIDE * SIDE * 3) as usize).enumerate() {
        let (left, top) = ((tile % FRAMES) as u32 * SIDE, (tile / FRAMES) as u32 * SIDE);
        for (i, rgb) in pixels.chunks_exact(3).enumerate() {
            let (x, y) = (i as u32 % SIDE, i as u32 / SIDE);
            image.put_pixel(left + x, top + y, image::Rgb([rgb[0], rgb[1], rgb[2]]));
        }
    }
    let outcomes: Vec<_> = clips.iter().map(|clip| clip.outcome.as_str()).collect();
    eprintln!("{}: {outcomes:?}", scenario.name());
    image.save(folder.join(format!("{}.png", scenario.name()))).unwrap();
}
