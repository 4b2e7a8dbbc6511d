//! Renders one frame of every task into `out/frames`: rgb, depth and instance ids.
//! Shows: the batch renderer draws any mix of scenes in one pass.
#![allow(clippy::print_stdout)]

use image::{GrayImage, RgbImage};
use worldstep_env::{AutoresetMode, TruthSource as _, VectorEnv as _, make_truth, registry::TASKS};
use worldstep_synth::{Channels, Frames, RenderConfig, Renderer, View};

const SIDE: u32 = 128;

fn main() -> anyhow::Result<()> {
    let mut worlds = Vec::new();
    for task in &TASKS {
        let mut world = make_truth(task.id, 1, AutoresetMode::NextStep)?;
        world.reset_all(Some(7))?;
        let mut poses = Vec::new();
        world.poses(0, &mut poses);
        worlds.push((task.id, world, poses));
    }
    let views: Vec<_> = worlds.iter().map(|(_, world, poses)| View::new(world.scene(0), poses)).collect();
    let mut renderer = Renderer::new(RenderConfig { tiles: views.len(), width: SIDE, height: SIDE })?;
    let mut frames = Frames::default();
    renderer.render(&views, Channels::Labels, &mut frames)?;

    std::fs::create_dir_all("out/frames")?;
    let pixels = (SIDE * SIDE) as usize;
    for (i, (id, _, _)) in worlds.iter().enumerate() {
        let span = i * pixels..(i + 1) * pixels;
        let rgb = frames.rgb[span.start * 3..span.end * 3].to_vec();
        let depth =
            frames.depth[span.clone()].iter().map(|metres| (metres * 20.0).min(255.0) as u8).collect();
        let ids = frames.instance[span].iter().map(|id| (id * 40) as u8).collect();
        RgbImage::from_raw(SIDE, SIDE, rgb)
            .map(|image| image.save(format!("out/frames/{id}.png")))
            .transpose()?;
        for (kind, image) in [("depth", depth), ("ids", ids)] {
            let image = GrayImage::from_raw(SIDE, SIDE, image);
            image.map(|image| image.save(format!("out/frames/{id}-{kind}.png"))).transpose()?;
        }
    }
    println!("{} frames in out/frames, drawn by {}", worlds.len() * 3, renderer.adapter_name());
    Ok(())
}
