use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use worldstep_env::{AutoresetMode, EnvError, make_truth};
use worldstep_synth::{Channels, RenderedVectorEnv};

use super::render_peer::MuJoCo;
use super::render_stage::{LIGHTS, Stage, Worlds};
use super::{Row, engine_error, env_steps_per_s, median, steps_row};

const TASK: &str = "CatchBehindScreen-v0";
const CHANNELS: [(Channels, &str); 3] =
    [(Channels::Rgb, "rgb"), (Channels::Labels, "labels"), (Channels::All, "all")];
/// Tiles that are drawn beside a peer.
const PEER_TILES: usize = 64;
/// Largest side of a tile that is.
const PEER_SIZE_MAX: u32 = 128;
/// Turns that the renderer and its peer take.
const PEER_ROUNDS: usize = 5;

/// What is measured of the renderer.
#[derive(Clone, Debug)]
pub struct RenderBench {
    /// Time of a row.
    pub time: Duration,
    /// Views that are drawn in turn.
    pub tiles: Vec<usize>,
    /// Sides of a view, pixels.
    pub sizes: Vec<u32>,
    /// A Python that has MuJoCo, if that is to draw an equal scene in turns with this renderer.
    pub peers: Option<PathBuf>,
}

impl Default for RenderBench {
    /// The whole grid without peers, which takes a software driver about five minutes.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            tiles: vec![1, 16, 64, 256, 1024, 4096],
            sizes: vec![64, 128, 256],
            peers: None,
        }
    }
}

/// The renderer alone (views/s over tiles, sizes, light and channels), then truth with pixel observations, then peers;
/// `show` gets each row as it is measured.
///
/// # Errors
/// Whatever the renderer or the environments say, but for what does not fit this driver: that is a row too.
pub fn render(bench: &RenderBench, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    let mut rows = Vec::new();
    let mut push = |row: Row| {
        show(&row);
        rows.push(row);
    };
    for tiles in &bench.tiles {
        let worlds = Worlds::new(TASK, *tiles)?;
        for size in &bench.sizes {
            cells(&worlds, *size, bench.time, &mut push);
        }
    }
    for envs in [1, 64, 256] {
        let truth = make_truth(TASK, envs, AutoresetMode::NextStep)?;
        let mut env = RenderedVectorEnv::new(truth, 64, 64).map_err(engine_error)?;
        let value = env_steps_per_s(&mut env, bench.time)?;
        let case =
            json!({ "task": TASK, "engine": "truth", "obs": "rgb", "envs": envs, "transport": "inprocess" });
        push(steps_row(case, value));
    }
    peer_rows(bench, &mut push)?;
    Ok(rows)
}

/// All channels and lights of `worlds` in tiles of one size; what this driver has no room for is skipped by name.
fn cells(worlds: &Worlds, size: u32, time: Duration, push: &mut dyn FnMut(Row)) {
    let mut ready: Option<Stage<'_>> = None;
    for (light, light_name) in LIGHTS.into_iter().enumerate() {
        for (channels, channel_name) in CHANNELS {
            let measured = ready.take().map_or_else(|| Stage::new(worlds, size), Ok).and_then(|mut stage| {
                let value = stage.views_per_s(channels, light, time)?;
                Ok((value, stage))
            });
            let mut case = json!({
                "task": TASK, "tiles": worlds.poses.len(), "size": size, "channels": channel_name,
                "light": light_name,
            });
            let (metric, value) = match measured {
                Ok((value, stage)) => {
                    case["device"] = stage.adapter_name().into();
                    case["pass_views"] = stage.pass_views().into();
                    ready = Some(stage);
                    ("views_per_s", value)
                }
                Err(reason) => {
                    case["skipped"] = reason.to_string().into();
                    ("skipped", 0.0)
                }
            };
            push(Row { case, metric, value, unit: "views/s", peer: None });
        }
    }
}

/// MuJoCo and this renderer in turns: the rates of both, and the median of their ratios.
fn peer_rows(bench: &RenderBench, push: &mut dyn FnMut(Row)) -> Result<(), EnvError> {
    let Some(python) = &bench.peers else { return Ok(()) };
    let turn = bench.time / PEER_ROUNDS as u32;
    let worlds = Worlds::new(TASK, PEER_TILES)?;
    let mut peer = MuJoCo::fastest(python, &worlds.scenes[0][0], &worlds.poses[0])?;
    for size in bench.sizes.iter().copied().filter(|size| *size <= PEER_SIZE_MAX) {
        let mut stage = Stage::new(&worlds, size)?;
        for (light, light_name) in LIGHTS.into_iter().enumerate() {
            let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..PEER_ROUNDS {
                ours.push(stage.views_per_s(Channels::Rgb, light, turn)?);
                theirs.push(peer.views_per_s(size, light > 0, turn.as_secs_f64())?);
                ratios.push(ours[ours.len() - 1] / theirs[theirs.len() - 1]);
            }
            let mut row = |(tiles, device): (usize, &str), metric, (value, unit), peer| {
                let case = json!({
                    "task": TASK, "tiles": tiles, "size": size, "device": device, "channels": "rgb",
                    "light": light_name, "turns": PEER_ROUNDS,
                });
                push(Row { case, metric, value, unit, peer });
            };
            let (ours_is, theirs_is) = ((PEER_TILES, stage.adapter_name()), (1, peer.backend));
            let name = Some(peer.name.clone());
            row(ours_is, "views_per_s", (median(ours), "views/s"), None);
            row(theirs_is, "views_per_s", (median(theirs), "views/s"), name.clone());
            row(ours_is, "views_per_s_ratio", (median(ratios), "times"), name);
        }
    }
    Ok(())
}
