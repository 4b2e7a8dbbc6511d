use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use worldstep_env::{EnvError, Pose, Scene, Shape};

use super::render::engine;

const SCRIPT: &str = include_str!("../../../benches/peers/mujoco_render.py");
/// What MuJoCo can draw with where there is no GPU.
const BACKENDS: [&str; 2] = ["osmesa", "egl"];

/// MuJoCo's renderer in a Python of its own, with a scene to draw.
pub struct MuJoCo {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What it draws with.
    pub backend: &'static str,
    /// For instance `mujoco 3.3.0`.
    pub name: String,
}

impl MuJoCo {
    /// Of all backends that start, the one that draws `scene` fastest at 64×64.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if none does.
    pub fn fastest(python: &Path, scene: &Scene, poses: &[Pose]) -> Result<Self, EnvError> {
        let mut best: Option<(f64, Self)> = None;
        let mut reasons = Vec::new();
        for backend in BACKENDS {
            let tried = Self::start(python, backend, &describe(scene, poses))
                .and_then(|mut peer| Ok((peer.views_per_s(64, false, 0.5)?, peer)));
            match tried {
                Ok((rate, peer)) if best.as_ref().is_none_or(|(other, _)| rate > *other) => {
                    best = Some((rate, peer));
                }
                Ok(_) => {}
                Err(error) => reasons.push(format!("{backend}: {error}")),
            }
        }
        let missing = || {
            engine(format!(
                "MuJoCo does not draw with {} ({}); `make bench-peers` installs it",
                python.display(),
                reasons.join("; ")
            ))
        };
        best.map(|(_, peer)| peer).ok_or_else(missing)
    }

    fn start(python: &Path, backend: &'static str, scene: &Value) -> Result<Self, EnvError> {
        let mut process = Command::new(python)
            .args(["-c", SCRIPT])
            .env("MUJOCO_GL", backend)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(engine)?;
        let closed = || engine("no pipe to it");
        let stdin = process.stdin.take().ok_or_else(closed)?;
        let stdout = BufReader::new(process.stdout.take().ok_or_else(closed)?);
        let mut peer = Self { process, stdin, stdout, backend, name: String::new() };
        let version = peer.ask(scene)?;
        peer.name = format!("mujoco {}", version["version"].as_str().unwrap_or("of unknown version"));
        Ok(peer)
    }

    /// Views/s of `size × size` pixels.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it ended, or draws nothing.
    pub fn views_per_s(&mut self, size: u32, shadows: bool, seconds: f64) -> Result<f64, EnvError> {
        let answer = self.ask(&json!({ "size": size, "shadows": shadows, "seconds": seconds }))?;
        answer["views_per_s"].as_f64().ok_or_else(|| engine("its pictures are empty"))
    }

    fn ask(&mut self, question: &Value) -> Result<Value, EnvError> {
        writeln!(self.stdin, "{question}").map_err(engine)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(engine)?;
        serde_json::from_str(&line).map_err(|_| engine("it ended"))
    }
}

impl Drop for MuJoCo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A scene in the script's words. Triangles are left out: no task that is measured has any.
fn describe(scene: &Scene, poses: &[Pose]) -> Value {
    let bodies: Vec<_> = scene
        .instances
        .iter()
        .zip(poses)
        .filter_map(|(instance, pose)| {
            let (shape, size) = match instance.shape {
                Shape::Cuboid { half_extents } => ("box", half_extents.to_vec()),
                Shape::Sphere { radius } => ("sphere", vec![radius]),
                Shape::Cylinder { radius, half_height } => ("cylinder", vec![radius, half_height]),
                Shape::Capsule { radius, half_height } => ("capsule", vec![radius, half_height]),
                Shape::Mesh { .. } | Shape::Soft { .. } => return None,
            };
            let [x, y, z, w] = pose.quat_xyzw;
            Some(json!({
                "shape": shape, "size": size, "position": pose.position, "quat_wxyz": [w, x, y, z],
                "rgb": instance.color_linear,
            }))
        })
        .collect();
    let m = scene.camera.world_from_camera();
    json!({
        "bodies": bodies,
        "camera": {
            "position": scene.camera.position, "right": [m[0], m[4], m[8]], "up": [-m[1], -m[5], -m[9]],
            "fovy_deg": scene.camera.fov_y.to_degrees(),
        },
        "light": scene.light_direction,
    })
}
