use anyhow::Result;
use serde_json::{Value, json};
use worldstep_env::measure_returns;
use worldstep_env::registry::{TASKS, TaskEntry};

use super::{Json, print_json};

/// Episodes behind each measured return.
const EPISODES: u32 = 20;

/// Prints the registry.
pub fn run(args: Json) -> Result<()> {
    let rows = TASKS.iter().map(describe).collect::<Result<Vec<_>>>()?;
    if args.json {
        return print_json(&json!({ "envs": rows }));
    }
    let mut out = String::new();
    for (task, row) in TASKS.iter().zip(&rows) {
        out += &format!(
            "{:22} random {:8.2}  expert {:8.2}  {}\n",
            task.id,
            row["random_return"].as_f64().unwrap_or(f64::NAN),
            row["expert_return"].as_f64().unwrap_or(f64::NAN),
            task.summary,
        );
    }
    super::print_text(&out)
}

fn describe(task: &'static TaskEntry) -> Result<Value> {
    let returns = measure_returns(task, EPISODES)?;
    let spec = task.spec();
    let terms: Vec<_> =
        task.reward_terms.iter().map(|term| json!({ "name": term.name, "meaning": term.meaning })).collect();
    Ok(json!({
        "id": task.id,
        "scenario": task.scenario,
        "summary": task.summary,
        "observation_space": spec.observation_space,
        "action_space": spec.action_space,
        "max_episode_steps": task.max_episode_steps,
        "fps": task.fps,
        "reward_terms": terms,
        "episodes_measured": EPISODES,
        "random_return": returns.random_return,
        "expert_return": returns.expert_return,
        "expert_success": returns.expert_success,
    }))
}
