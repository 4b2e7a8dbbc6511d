use std::time::Duration;

use serde_json::json;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{AutoresetMode, EnvError, make_truth};

use super::{Row, engine_error, env_steps_per_s, steps_row};

/// Environments, and whether one thread steps them or as many as there are cores.
const CASES: [(usize, bool); 4] = [(1, false), (64, true), (64, false), (1_024, false)];

/// Truth with state observations: every task, 1 to 1,024 environments, in this process. `show` gets each row.
///
/// # Errors
/// Whatever the environments say.
pub fn env(time: Duration, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| engine_error(error.to_string()))?;
    let mut rows = Vec::new();
    for task in &TASKS {
        for (envs, alone) in CASES {
            let row =
                if alone { one.install(|| measure(task, envs, time)) } else { measure(task, envs, time) }?;
            show(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

fn measure(task: &TaskEntry, envs: usize, time: Duration) -> Result<Row, EnvError> {
    let mut env = make_truth(task.id, envs, AutoresetMode::NextStep)?;
    let value = env_steps_per_s(&mut env, time)?;
    let case = json!({
        "task": task.id, "engine": "truth", "obs": "state", "envs": envs, "transport": "inprocess",
        "threads": rayon::current_num_threads(),
    });
    Ok(steps_row(case, value))
}
