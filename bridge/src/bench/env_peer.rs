use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use worldstep_env::{AutoresetMode, EnvError, make_truth};

use super::peer_process::PeerProcess;
use super::{Row, engine_error, env_steps_per_s, median};

const SCRIPT: &str = include_str!("../../../benches/peers/vector_tasks.py");
/// Turns that truth and each peer take.
const ROUNDS: usize = 3;
const ENVS: usize = 64;
/// Tasks with a peer's task of the same family.
const FAMILIES: [(&str, &str); 9] = [
    ("CartPole-v0", "CartPole-v1"),
    ("Pendulum-v0", "Pendulum-v1"),
    ("Acrobot-v0", "Acrobot-v1"),
    ("Reacher-v0", "Reacher-v5"),
    ("DoublePendulum-v0", "InvertedDoublePendulum-v5"),
    ("Hopper-v0", "Hopper-v5"),
    ("Walker-v0", "Walker2d-v5"),
    ("HalfCheetah-v0", "HalfCheetah-v5"),
    ("Ant-v0", "Ant-v5"),
];

/// Truth in this process beside EnvPool and Gymnasium's `AsyncVectorEnv` on tasks of the same families, in turns, 64
/// environments each: rates, and ratios of environment steps and of simulated time. `show` gets each row.
///
/// The families' robots and control steps differ, hence both ratios: a step of MuJoCo's cheetah is 50 ms in five steps
/// of its physics, one of ours 20 ms in four.
///
/// # Errors
/// [`EnvError::Engine`] if `python` lacks a package.
pub fn env_peers(python: &Path, time: Duration, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    let mut process = PeerProcess::start(Command::new(python).args(["-c", SCRIPT]))?;
    let versions = process.ask(&json!({ "what": "versions" })).map_err(|_| {
        let python = python.display();
        engine_error(format!("{python} lacks gymnasium, envpool or mujoco; `make bench-peers` installs them"))
    })?;
    let mut rows = Vec::new();
    for (task, other) in FAMILIES {
        for peer in ["envpool", "async"] {
            for row in turns(&mut process, &versions, (task, other), peer, time)? {
                show(&row);
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

fn turns(
    process: &mut PeerProcess,
    versions: &Value,
    (task, other): (&'static str, &'static str),
    peer: &str,
    time: Duration,
) -> Result<Vec<Row>, EnvError> {
    let turn = time / ROUNDS as u32;
    let mut env = make_truth(task, ENVS, AutoresetMode::NextStep)?;
    let step_s = 1.0 / f64::from(worldstep_env::registry::find(task)?.fps);
    let (mut ours, mut theirs, mut steps, mut simulated) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let own = env_steps_per_s(&mut env, turn)?;
        let asked = json!({ "what": peer, "task": other, "envs": ENVS, "seconds": turn.as_secs_f64() });
        let told = process.ask(&asked)?;
        let number =
            |key: &str| told[key].as_f64().ok_or_else(|| engine_error(format!("{peer} told no {key}")));
        let (rate, their_step_s) = (number("env_steps_per_s")?, number("step_s")?);
        ours.push(own);
        theirs.push(rate);
        steps.push(own / rate);
        simulated.push(own * step_s / (rate * their_step_s));
    }
    let name = versions[peer].as_str().map(str::to_owned);
    let row = |metric, value, unit, peer| {
        let case = json!({
            "task": task, "peer_task": other, "engine": "truth", "obs": "state", "envs": ENVS,
            "transport": "inprocess",
        });
        Row { case, metric, value, unit, peer }
    };
    Ok(vec![
        row("env_steps_per_s", median(ours), "env-steps/s", None),
        row("env_steps_per_s", median(theirs), "env-steps/s", name.clone()),
        row("env_steps_per_s_ratio", median(steps), "times", name.clone()),
        row("simulated_time_ratio", median(simulated), "times", name),
    ])
}
