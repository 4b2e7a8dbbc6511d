use std::time::Duration;

use serde_json::json;
use worldstep_env::{AutoresetMode, EnvError, make_truth, registry::TASKS};

use super::{Row, env_steps_per_s, steps_row};

/// Truth with state observations: every task, 1 to 1,024 environments, in this process.
///
/// # Errors
/// Whatever the environments say.
pub fn env(time: Duration) -> Result<Vec<Row>, EnvError> {
    let mut rows = Vec::new();
    for task in &TASKS {
        for envs in [1, 64, 1_024] {
            let mut env = make_truth(task.id, envs, AutoresetMode::NextStep)?;
            let value = env_steps_per_s(&mut env, time)?;
            let case = json!({
                "task": task.id, "engine": "truth", "obs": "state", "envs": envs, "transport": "inprocess",
            });
            rows.push(steps_row(case, value));
        }
    }
    Ok(rows)
}
