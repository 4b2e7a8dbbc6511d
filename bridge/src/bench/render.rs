use std::time::{Duration, Instant};

use serde_json::json;
use worldstep_env::{AutoresetMode, EnvError, TruthSource as _, VectorEnv as _, make_truth};
use worldstep_synth::{Channels, Frames, RenderConfig, RenderedVectorEnv, Renderer, View};

use super::{Row, env_steps_per_s, steps_row};

const TASK: &str = "CatchBehindScreen-v0";
const SIDE: u32 = 64;

/// The renderer alone (views/s of 64×64, colour and all channels), then truth with pixel observations.
///
/// # Errors
/// Whatever the renderer or the environments say.
pub fn render(time: Duration) -> Result<Vec<Row>, EnvError> {
    let mut rows = Vec::new();
    for tiles in [1, 16, 64, 256] {
        for (channels, name) in [(Channels::Rgb, "rgb"), (Channels::Labels, "rgb+depth+ids")] {
            let (value, device) = views_per_s(tiles, channels, time)?;
            let case =
                json!({ "task": TASK, "tiles": tiles, "size": SIDE, "device": device, "channels": name });
            rows.push(Row { case, metric: "views_per_s", value, unit: "views/s", peer: None });
        }
    }
    for envs in [1, 64] {
        let truth = make_truth(TASK, envs, AutoresetMode::NextStep)?;
        let mut env = RenderedVectorEnv::new(truth, SIDE, SIDE).map_err(engine)?;
        let value = env_steps_per_s(&mut env, time)?;
        let case =
            json!({ "task": TASK, "engine": "truth", "obs": "rgb", "envs": envs, "transport": "inprocess" });
        rows.push(steps_row(case, value));
    }
    Ok(rows)
}

fn views_per_s(tiles: usize, channels: Channels, time: Duration) -> Result<(f64, String), EnvError> {
    let mut worlds = make_truth(TASK, tiles, AutoresetMode::NextStep)?;
    worlds.reset_all(Some(0))?;
    let mut poses = vec![Vec::new(); tiles];
    poses.iter_mut().enumerate().for_each(|(lane, poses)| worlds.poses(lane, poses));
    let views: Vec<_> =
        poses.iter().enumerate().map(|(lane, poses)| View::new(worlds.scene(lane), poses)).collect();
    let mut renderer = Renderer::new(RenderConfig { tiles, width: SIDE, height: SIDE }).map_err(engine)?;
    let mut frames = Frames::default();
    for _ in 0..3 {
        renderer.render(&views, channels, &mut frames).map_err(engine)?;
    }
    let (start, mut drawn) = (Instant::now(), 0);
    while start.elapsed() < time {
        renderer.render(&views, channels, &mut frames).map_err(engine)?;
        drawn += tiles;
    }
    Ok((drawn as f64 / start.elapsed().as_secs_f64(), renderer.adapter_name().to_owned()))
}

fn engine(error: impl std::fmt::Display) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}
