use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use worldstep_env::{
    AutoresetMode, EnvError, Light, Pose, Scene, TruthSource as _, VectorEnv as _, make_truth,
};
use worldstep_synth::{Channels, Frames, RenderConfig, RenderedVectorEnv, Renderer, View};

use super::render_peer::MuJoCo;
use super::{Row, env_steps_per_s, steps_row};

const TASK: &str = "CatchBehindScreen-v0";
const TILES: [usize; 6] = [1, 16, 64, 256, 1024, 4096];
const SIZES: [u32; 3] = [64, 128, 256];
const CHANNELS: [(Channels, &str); 3] =
    [(Channels::Rgb, "rgb"), (Channels::Labels, "labels"), (Channels::All, "all")];
const LIGHTS: [&str; 2] = ["plain", "full"];
/// A cell that needs longer than this to draw all its tiles once is skipped, by name.
const CELL_SECONDS_MAX: f64 = 20.0;
/// So is one whose frames are larger than this.
const FRAME_BYTES_MAX: usize = 4 << 30;
/// Turns that the renderer and its peer take.
const PEER_ROUNDS: usize = 5;

/// The renderer alone (views/s over tiles, sizes, channels and light), then truth with pixel observations; with
/// `peers`, a Python that has MuJoCo, also MuJoCo's renderer on an equal scene, in turns with this one.
///
/// # Errors
/// Whatever the renderer or the environments say.
pub fn render(time: Duration, peers: Option<&Path>) -> Result<Vec<Row>, EnvError> {
    let mut rows = Vec::new();
    for size in SIZES {
        let mut slowest = [[0.0_f64; CHANNELS.len()]; LIGHTS.len()];
        for tiles in TILES {
            cells(&mut rows, (tiles, size), time, &mut slowest)?;
        }
    }
    for envs in [1, 64, 256] {
        let truth = make_truth(TASK, envs, AutoresetMode::NextStep)?;
        let mut env = RenderedVectorEnv::new(truth, 64, 64).map_err(engine)?;
        let value = env_steps_per_s(&mut env, time)?;
        let case =
            json!({ "task": TASK, "engine": "truth", "obs": "rgb", "envs": envs, "transport": "inprocess" });
        rows.push(steps_row(case, value));
    }
    if let Some(python) = peers {
        peer_rows(&mut rows, python, time)?;
    }
    Ok(rows)
}

/// All channels and lights of `tiles` tiles; `seconds_per_view` is what each took with fewer tiles, 0 if unknown.
fn cells(
    rows: &mut Vec<Row>,
    (tiles, size): (usize, u32),
    time: Duration,
    seconds_per_view: &mut [[f64; CHANNELS.len()]; LIGHTS.len()],
) -> Result<(), EnvError> {
    let mut stage: Option<Stage> = None;
    for (light, light_name) in LIGHTS.into_iter().enumerate() {
        for (channel, (channels, channel_name)) in CHANNELS.into_iter().enumerate() {
            let case = |device: &str| {
                json!({
                    "task": TASK, "tiles": tiles, "size": size, "device": device, "channels": channel_name,
                    "light": light_name,
                })
            };
            let expected = tiles as f64 * seconds_per_view[light][channel];
            let bytes = tiles * (size * size) as usize * frame_bytes(channels);
            if expected > CELL_SECONDS_MAX || bytes > FRAME_BYTES_MAX {
                let unit = "s expected";
                rows.push(Row { case: case("none"), metric: "skipped", value: expected, unit, peer: None });
                continue;
            }
            let stage = match &mut stage {
                Some(stage) => stage,
                None => stage.insert(Stage::new(tiles, size)?),
            };
            let value = stage.views_per_s(channels, light_name == "full", time)?;
            seconds_per_view[light][channel] = 1.0 / value;
            let case = case(stage.renderer.adapter_name());
            rows.push(Row { case, metric: "views_per_s", value, unit: "views/s", peer: None });
        }
    }
    Ok(())
}

/// Bytes of a pixel of all images.
fn frame_bytes(channels: Channels) -> usize {
    match channels {
        Channels::Rgb => 3,
        Channels::Labels => 11,
        Channels::All => 51,
    }
}

/// Worlds to draw, and what draws them.
struct Stage {
    renderer: Renderer,
    scenes: [Vec<Scene>; LIGHTS.len()],
    poses: Vec<Vec<Pose>>,
    frames: Frames,
}

impl Stage {
    fn new(tiles: usize, size: u32) -> Result<Self, EnvError> {
        let mut worlds = make_truth(TASK, tiles, AutoresetMode::NextStep)?;
        worlds.reset_all(Some(0))?;
        let mut poses = vec![Vec::new(); tiles];
        poses.iter_mut().enumerate().for_each(|(lane, poses)| worlds.poses(lane, poses));
        let plain: Vec<_> = (0..tiles).map(|lane| worlds.scene(lane).clone()).collect();
        // All of the lane lies within its shadows' reach.
        let light = Light { shadow_center: plain[0].camera.target, shadow_radius: 3.5, ..Light::default() };
        let full = plain.iter().map(|scene| Scene { light: Some(light), ..scene.clone() }).collect();
        let config = RenderConfig { tiles, width: size, height: size };
        let renderer = Renderer::new(config).map_err(engine)?;
        Ok(Self { renderer, scenes: [plain, full], poses, frames: Frames::default() })
    }

    /// Views/s, after one pass that is not counted.
    fn views_per_s(&mut self, channels: Channels, full: bool, time: Duration) -> Result<f64, EnvError> {
        let scenes = self.scenes[usize::from(full)].iter();
        let views: Vec<_> = scenes
            .zip(&self.poses)
            .map(|(scene, poses)| {
                let view = View::new(scene, poses);
                // Flow costs the same wherever things go.
                View { next: Some(view.now), previous: Some(view.now), ..view }
            })
            .collect();
        self.renderer.render(&views, channels, &mut self.frames).map_err(engine)?;
        let (start, mut drawn) = (Instant::now(), 0);
        while drawn == 0 || start.elapsed() < time {
            self.renderer.render(&views, channels, &mut self.frames).map_err(engine)?;
            drawn += views.len();
        }
        Ok(drawn as f64 / start.elapsed().as_secs_f64())
    }
}

/// MuJoCo and this renderer in turns: the rates of both, and the median of their ratios.
fn peer_rows(rows: &mut Vec<Row>, python: &Path, time: Duration) -> Result<(), EnvError> {
    const TILES: usize = 64;
    let turn = time / PEER_ROUNDS as u32;
    for size in [64, 128] {
        let mut stage = Stage::new(TILES, size)?;
        let mut peer = MuJoCo::fastest(python, &stage.scenes[0][0], &stage.poses[0])?;
        for light in LIGHTS {
            let full = light == "full";
            let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..PEER_ROUNDS {
                ours.push(stage.views_per_s(Channels::Rgb, full, turn)?);
                theirs.push(peer.views_per_s(size, full, turn.as_secs_f64())?);
                ratios.push(ours[ours.len() - 1] / theirs[theirs.len() - 1]);
            }
            let case = |tiles: usize, device: &str| -> Value {
                json!({
                    "task": TASK, "tiles": tiles, "size": size, "device": device, "channels": "rgb",
                    "light": light, "turns": PEER_ROUNDS,
                })
            };
            let device = stage.renderer.adapter_name();
            let metric = "views_per_s";
            let name = Some(peer.name.clone());
            let row = |case, metric, value, unit, peer| Row { case, metric, value, unit, peer };
            rows.push(row(case(TILES, device), metric, median(ours), "views/s", None));
            rows.push(row(case(1, peer.backend), metric, median(theirs), "views/s", name.clone()));
            rows.push(row(case(TILES, device), "views_per_s_ratio", median(ratios), "times", name));
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(super) fn engine(error: impl std::fmt::Display) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}
