use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use worldstep_env::registry::{find, register};
use worldstep_env::robot::{RobotModel, RobotTask};
use worldstep_env::{AutoresetMode, EnvError, TaskEntry, make_truth};

use super::peer_process::PeerProcess;
use super::{Row, engine_error, env_steps_per_s, median};

const SCRIPT: &str = include_str!("../../../benches/peers/vector_tasks.py");
/// Turns that truth and each peer take.
const ROUNDS: usize = 3;
const ENVS: usize = 64;
/// Who steps tasks of the same families.
const PEERS: [&str; 3] = ["envpool", "async", "sync"];
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

/// Truth beside EnvPool and Gymnasium's `AsyncVectorEnv` and `SyncVectorEnv` on tasks of the same families, in turns, 64
/// environments each: rates, and ratios of environment steps and of simulated time. `show` gets each row.
///
/// Truth takes three turns of its own: in this process, through the Python client, and, where the peer's robot is a MuJoCo
/// file, with **that very file** under the peer's own control and physics steps. Our tasks' robots and steps differ from the
/// peers', hence both ratios: a step of MuJoCo's cheetah is 50 ms in five steps of its physics, one of ours 20 ms.
///
/// # Errors
/// [`EnvError::Engine`] if `python` lacks a package.
pub fn env_peers(python: &Path, time: Duration, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    let this = std::env::current_exe().map_err(engine_error)?;
    let command = &mut Command::new(python);
    let mut process = PeerProcess::start(command.args(["-c", SCRIPT]).env("WORLDSTEP_BIN", this))?;
    let versions = process.ask(&json!({ "what": "versions" })).map_err(|_| {
        let python = python.display();
        engine_error(format!("{python} lacks gymnasium, envpool or mujoco; `make bench-peers` installs them"))
    })?;
    let mut rows = Vec::new();
    for (task, other) in FAMILIES {
        let mut family = Family::new(&mut process, find(task)?, other)?;
        for _ in 0..ROUNDS {
            family.round(&mut process, time / ROUNDS as u32)?;
        }
        for row in family.rows(&versions) {
            show(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// One task, the peers' task, and what each who steps them has reached, turn by turn.
struct Family {
    task: &'static TaskEntry,
    other: &'static str,
    /// The peer's own robot, in steps as the peer makes them.
    robot: Option<&'static TaskEntry>,
    /// Simulated seconds in a step of the peer's.
    other_step_s: f64,
    /// Env-steps/s of truth in this process, through the client, and with the peer's robot.
    own: [Vec<f64>; 3],
    theirs: [Vec<f64>; PEERS.len()],
}

/// Truth's turns, in the order of [`Family::own`]: by which way, and with whose steps.
const OWN: [(&str, &str); 3] =
    [("inprocess", "the task's"), ("tcp", "the task's"), ("inprocess", "the peer's")];

impl Family {
    fn new(
        process: &mut PeerProcess,
        task: &'static TaskEntry,
        other: &'static str,
    ) -> Result<Self, EnvError> {
        let told = process.ask(&json!({ "what": "step", "task": other }))?;
        let other_step_s = number(&told, "step_s")?;
        let robot = peer_robot(&process.ask(&json!({ "what": "robot", "task": other }))?, other)?;
        Ok(Self { task, other, robot, other_step_s, own: Default::default(), theirs: Default::default() })
    }

    /// Everybody steps for `turn`.
    fn round(&mut self, process: &mut PeerProcess, turn: Duration) -> Result<(), EnvError> {
        let ask = |process: &mut PeerProcess, what: &str, task: &str| {
            let seconds = turn.as_secs_f64();
            let asked = json!({ "what": what, "task": task, "envs": ENVS, "seconds": seconds });
            number(&process.ask(&asked)?, "env_steps_per_s")
        };
        let here = |task: &TaskEntry| {
            env_steps_per_s(&mut make_truth(task.id, ENVS, AutoresetMode::NextStep)?, turn)
        };
        self.own[0].push(here(self.task)?);
        for (rates, peer) in self.theirs.iter_mut().zip(PEERS) {
            rates.push(ask(process, peer, self.other)?);
        }
        self.own[1].push(ask(process, "client", self.task.id)?);
        if let Some(robot) = self.robot {
            self.own[2].push(here(robot)?);
        }
        Ok(())
    }

    fn rows(&self, versions: &Value) -> Vec<Row> {
        let mut rows = Vec::new();
        for ((transport, steps), own) in OWN.iter().zip(&self.own).filter(|(_, own)| !own.is_empty()) {
            let row = |metric, value, unit, peer| {
                let case = json!({
                    "task": self.task.id, "peer_task": self.other, "engine": "truth", "obs": "state",
                    "envs": ENVS, "transport": transport, "robot_and_steps": steps,
                });
                Row { case, metric, value, unit, peer }
            };
            rows.push(row("env_steps_per_s", median(own.clone()), "env-steps/s", None));
            for (peer, theirs) in PEERS.iter().zip(&self.theirs) {
                let name = versions[*peer].as_str().map(str::to_owned);
                let ratios: Vec<_> = own.iter().zip(theirs).map(|(own, their)| own / their).collect();
                let ratio = median(ratios);
                if *transport == "inprocess" && *steps == "the task's" {
                    let rate = median(theirs.clone());
                    rows.push(row("env_steps_per_s", rate, "env-steps/s", name.clone()));
                }
                rows.push(row("env_steps_per_s_ratio", ratio, "times", name.clone()));
                let step_s =
                    if *steps == "the peer's" { self.other_step_s } else { 1.0 / f64::from(self.task.fps) };
                rows.push(row("simulated_time_ratio", ratio * step_s / self.other_step_s, "times", name));
            }
        }
        rows
    }
}

/// The robot of the peer's own file as a task, in the peer's control and physics steps; none if there is no file.
fn peer_robot(told: &Value, other: &str) -> Result<Option<&'static TaskEntry>, EnvError> {
    let Some(file) = told["file"].as_str() else { return Ok(None) };
    let model = RobotModel::from_file(Path::new(file))?;
    let (fps, substeps) = (number(told, "step_s")?.recip().round() as u32, number(told, "substeps")? as u32);
    // As many solves of the dynamics as the peer makes.
    let task = RobotTask { fps, substeps, solver_iterations: 1, ..RobotTask::default() };
    register(task.entry(&format!("peer/{other}"), model)?).map(Some)
}

fn number(told: &Value, key: &str) -> Result<f64, EnvError> {
    told[key].as_f64().ok_or_else(|| engine_error(format!("the peer told no {key}")))
}
