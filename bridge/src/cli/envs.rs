use std::collections::BTreeMap;
use std::num::NonZeroU32;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{Published, measure_returns, published_returns};

use super::{Json, print_json};

/// What to tell of the registry.
#[derive(Args)]
pub struct Envs {
    /// Play so many episodes of every task with random actions and with its expert, and print what they earn; with
    /// --json, the file that the shipped figures come from.
    #[arg(long, value_name = "EPISODES")]
    measure: Option<NonZeroU32>,
    #[command(flatten)]
    json: Json,
}

/// Prints the registry.
pub fn run(args: Envs) -> Result<()> {
    let measured = TASKS.iter().map(|task| Ok((task.id, returns(task, args.measure)?)));
    let measured = measured.collect::<Result<BTreeMap<_, _>>>()?;
    if args.json.json {
        return match args.measure {
            Some(_) => print_json(&json!(measured)),
            None => print_json(&json!({
                "envs": TASKS.iter().map(|task| describe(task, measured[task.id].as_ref())).collect::<Vec<_>>(),
            })),
        };
    }
    let mut out = String::new();
    for task in &TASKS {
        let earned = |value: fn(&Published) -> f64| measured[task.id].as_ref().map_or(f64::NAN, value);
        out += &format!(
            "{:22} random {:9.2}  expert {:9.2}  {}\n",
            task.id,
            earned(|published| published.returns.random_return),
            earned(|published| published.returns.expert_return),
            task.summary,
        );
    }
    super::print_text(&out)
}

fn returns(task: &'static TaskEntry, measure: Option<NonZeroU32>) -> Result<Option<Published>> {
    let Some(episodes) = measure.map(NonZeroU32::get) else { return Ok(published_returns(task.id)) };
    Ok(Some(Published { episodes, returns: measure_returns(task, episodes)? }))
}

fn describe(task: &'static TaskEntry, published: Option<&Published>) -> Value {
    let spec = task.spec();
    let terms: Vec<_> =
        task.reward_terms.iter().map(|term| json!({ "name": term.name, "meaning": term.meaning })).collect();
    json!({
        "id": task.id,
        "scenario": task.scenario,
        "summary": task.summary,
        "observation_space": spec.observation_space,
        "action_space": spec.action_space,
        "max_episode_steps": task.max_episode_steps,
        "fps": task.fps,
        "reward_terms": terms,
        "episodes_measured": published.map(|published| published.episodes),
        "random_return": published.map(|published| published.returns.random_return),
        "expert_return": published.map(|published| published.returns.expert_return),
        "random_success": published.map(|published| published.returns.random_success),
        "expert_success": published.map(|published| published.returns.expert_success),
    })
}
