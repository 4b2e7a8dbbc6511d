//! Draws every annotation of some clips, a row each, into the PNG that is named (`out/annotations.png` if none is).
//! Shows: recording, opening and painting a dataset; `annotations PNG SIDE SEED [SCENARIO…]`.
#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use image::{RgbImage, imageops};
use worldstep_synth::inspect::{Dataset, Painter};
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{SynthOptions, write_dataset};

/// The moment that is drawn, as a share of the clip's length.
const MOMENT: f32 = 0.3;
/// White between pictures, pixels.
const GAP: u32 = 4;
const SCENARIOS: [&str; 4] = ["billiards", "cloth-over-obstacle", "cup-and-ball", "containment"];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "out/annotations.png".to_owned());
    let side: u32 = arguments.next().map_or(Ok(96), |side| side.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(3), |seed| seed.parse())?;
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = SCENARIOS.map(str::to_owned).into();
    }
    let (columns, rows) = (ImageChannel::ALL.len() as u32, names.len() as u32);
    let white = image::Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(columns * (side + GAP) - GAP, rows * (side + GAP) - GAP, white);
    let folder = std::env::temp_dir().join(format!("worldstep-annotations-{}", std::process::id()));
    for (row, name) in names.iter().enumerate() {
        let out = folder.join(row.to_string());
        let options = SynthOptions { frame_size: side, seed, ..SynthOptions::new(name, 1, &out) };
        write_dataset(&options, &mut |_| {})?;
        for (column, picture) in pictures(&Dataset::open(&out)?, side)?.iter().enumerate() {
            let place = [column, row].map(|i| i64::from(i as u32 * (side + GAP)));
            imageops::replace(&mut sheet, picture, place[0], place[1]);
        }
    }
    std::fs::remove_dir_all(&folder)?;
    if let Some(parent) = std::path::Path::new(&path).parent() {
        std::fs::create_dir_all(parent)?;
    }
    sheet.save(&path)?;
    println!("{} annotations of {} clips in {path}", ImageChannel::ALL.len(), names.len());
    Ok(())
}

/// Every channel of the first clip at [`MOMENT`], as its main camera has it.
fn pictures(dataset: &Dataset, side: u32) -> anyhow::Result<Vec<RgbImage>> {
    let clip = dataset.clip(0)?;
    let t = (MOMENT * clip.len as f32) as usize;
    let painter = Painter::new(dataset.rows(&clip), 0, &[t]);
    let draw = |channel: &ImageChannel| {
        let pixels = painter.frame(*channel, t).context("a channel is missing")?;
        RgbImage::from_raw(side, side, pixels).context("a picture has another size")
    };
    ImageChannel::ALL.iter().map(draw).collect()
}
