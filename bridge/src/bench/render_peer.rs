use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use worldstep_env::{EnvError, Pose, Scene, Shape};

use super::engine_error;
use super::peer_process::PeerProcess;

const SCRIPT: &str = include_str!("../../../benches/peers/mujoco_render.py");
/// What MuJoCo can draw with where there is no GPU.
const BACKENDS: [&str; 2] = ["osmesa", "egl"];

/// MuJoCo's renderer in a Python of its own, with a scene to draw.
pub struct MuJoCo {
    process: PeerProcess,
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
            engine_error(format!(
                "MuJoCo does not draw with {} ({}); `make bench-peers` installs it",
                python.display(),
                reasons.join("; ")
            ))
        };
        best.map(|(_, peer)| peer).ok_or_else(missing)
    }

    fn start(python: &Path, backend: &'static str, scene: &Value) -> Result<Self, EnvError> {
        let mut command = Command::new(python);
        let process = PeerProcess::start(command.args(["-c", SCRIPT]).env("MUJOCO_GL", backend))?;
        let mut peer = Self { process, backend, name: String::new() };
        let version = peer.process.ask(scene)?;
        peer.name = format!("mujoco {}", version["version"].as_str().unwrap_or("of unknown version"));
        Ok(peer)
    }

    /// Views/s of `size × size` pixels.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it ended, or draws nothing.
    pub fn views_per_s(&mut self, size: u32, shadows: bool, seconds: f64) -> Result<f64, EnvError> {
        let answer = self.process.ask(&json!({ "size": size, "shadows": shadows, "seconds": seconds }))?;
        answer["views_per_s"].as_f64().ok_or_else(|| engine_error("its pictures are empty"))
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
