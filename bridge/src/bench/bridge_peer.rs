use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use worldstep_env::EnvError;

use super::peer_process::PeerProcess;
use super::{Row, engine_error, median};

/// Bytes of an environment's state and picture in these cases, and of a request from which on clients share memory.
const STATE_BYTES: usize = 4 * size_of::<f32>();
const PIXEL_BYTES: usize = 64 * 64 * 3;
const SHARED_FROM: usize = 16 << 10;
const SCRIPT: &str = include_str!("../../../benches/peers/vector_envs.py");
/// Turns that the client and its peer take.
const ROUNDS: usize = 3;

/// One comparison of the Python client with a peer.
pub struct PeerCase {
    peer: &'static str,
    obs: &'static str,
    envs: usize,
}

impl PeerCase {
    /// `AsyncVectorEnv` with environments that compute nothing, beside the server's that compute nothing; `EnvPool` on its
    /// cart-pole, beside ours.
    pub fn all() -> Vec<Self> {
        let case = |peer, obs, envs| Self { peer, obs, envs };
        let carried =
            ["state", "rgb"].into_iter().flat_map(|obs| [8, 64].map(|envs| case("async", obs, envs)));
        carried.chain([64, 1024].map(|envs| case("envpool", "state", envs))).collect()
    }
}

/// A Python with Worldstep's client and its peers.
pub struct Peers {
    process: PeerProcess,
    versions: Value,
}

impl Peers {
    /// Starts it.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it lacks a package.
    pub fn start(python: &Path) -> Result<Self, EnvError> {
        let mut process = PeerProcess::start(Command::new(python).args(["-c", SCRIPT]))?;
        let versions = process.ask(&json!({ "what": "versions" })).map_err(|_| {
            let python = python.display();
            engine_error(format!(
                "{python} lacks worldstep, gymnasium or envpool; `make bench-peers` installs them"
            ))
        })?;
        Ok(Self { process, versions })
    }

    /// The client on the server at `address` and the peer in turns: both rates, and the median of their ratios.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if one of them fails.
    pub fn turns(&mut self, address: &str, case: &PeerCase, time: Duration) -> Result<Vec<Row>, EnvError> {
        let seconds = time.as_secs_f64() / ROUNDS as f64;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let task = if case.peer == "envpool" { "CartPole-v0" } else { "Carry-v0" };
        for _ in 0..ROUNDS {
            for (peer, rates) in [("worldstep", &mut ours), (case.peer, &mut theirs)] {
                let asked = json!({
                    "what": peer, "task": task, "address": address, "obs": case.obs, "envs": case.envs,
                    "seconds": seconds,
                });
                let rate = self.process.ask(&asked)?["env_steps_per_s"].as_f64();
                rates.push(rate.ok_or_else(|| engine_error(format!("{peer} told no rate")))?);
            }
            ratios.push(ours[ours.len() - 1] / theirs[theirs.len() - 1]);
        }
        let name = self.versions[case.peer].as_str().map(str::to_owned);
        let row = |metric, value, unit, transport, peer| {
            let case = json!({
                "task": task, "engine": "truth", "obs": case.obs, "envs": case.envs, "clients": 1,
                "transport": transport, "client": "python",
            });
            Row { case, metric, value, unit, peer }
        };
        // What a client does by itself: small observations are not worth a shared slot.
        let bytes = case.envs * if case.obs == "state" { STATE_BYTES } else { PIXEL_BYTES };
        let own = if bytes < SHARED_FROM { "tcp" } else { "shm" };
        let other = if case.peer == "envpool" { "inprocess" } else { "shm" };
        Ok(vec![
            row("env_steps_per_s", median(ours), "env-steps/s", own, None),
            row("env_steps_per_s", median(theirs), "env-steps/s", other, name.clone()),
            row("env_steps_per_s_ratio", median(ratios), "times", own, name),
        ])
    }
}
