//! What a random and an expert policy earn on a task: the two ends of the scale that learned policies are read on.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rand::SeedableRng as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::registry::TaskEntry;
use crate::{Buffer, EnvError, Rng, TruthEnv};

/// Keeps the actions' random stream apart from the environment's, which has the same seed.
const ACTION_STREAM: u64 = 0xd1b5_4a32_d192_ed03;

/// Mean undiscounted returns of whole episodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Returns {
    /// Of a policy that draws every action anew and uniformly.
    pub random_return: f64,
    /// Of the task's scripted expert.
    pub expert_return: f64,
    /// Share of the random policy's episodes that end in success, 0 to 1.
    pub random_success: f64,
    /// Share of the expert's episodes that end in success, 0 to 1.
    pub expert_success: f64,
}

/// Returns with the number of episodes that they are the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Episodes of each policy, seeds 0 and on.
    pub episodes: u32,
    /// What they earned.
    #[serde(flatten)]
    pub returns: Returns,
}

/// What `worldstep envs --measure 100 --json` wrote, by task.
static PUBLISHED: LazyLock<BTreeMap<String, Published>> =
    LazyLock::new(|| serde_json::from_str(include_str!("returns.json")).unwrap_or_default());

/// The returns that were measured for a task, if they were; playing its episodes anew takes seconds.
pub fn published_returns(id: &str) -> Option<Published> {
    PUBLISHED.get(id).copied()
}

/// Plays `episodes` episodes (seeds `0..episodes`) with each policy.
///
/// # Errors
/// [`EnvError::Argument`] if `episodes` is 0; [`EnvError::Action`] if an expert leaves its action space.
pub fn measure_returns(entry: &'static TaskEntry, episodes: u32) -> Result<Returns, EnvError> {
    if episodes == 0 {
        return Err(EnvError::Argument { message: "episodes is 0, expected at least 1".to_owned() });
    }
    let (random_return, random_success) = mean(entry, episodes, false)?;
    let (expert_return, expert_success) = mean(entry, episodes, true)?;
    Ok(Returns { random_return, expert_return, random_success, expert_success })
}

fn mean(entry: &'static TaskEntry, episodes: u32, expert: bool) -> Result<(f64, f64), EnvError> {
    let played = (0..u64::from(episodes))
        .into_par_iter()
        .map(|seed| play(entry, seed, expert))
        .collect::<Result<Vec<_>, _>>()?;
    // Summed in the order of the seeds, whatever the threads did.
    let total = played.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Ok((total.0 / f64::from(episodes), total.1 / f64::from(episodes)))
}

/// Return and success (1 or 0) of one episode.
fn play(entry: &'static TaskEntry, seed: u64, expert: bool) -> Result<(f64, f64), EnvError> {
    let mut env = TruthEnv::new(entry, seed);
    let mut rng = Rng::seed_from_u64(seed ^ ACTION_STREAM);
    let space = (entry.action_space)();
    env.reset(Some(seed));
    let mut total = 0.0;
    loop {
        let mut action = Buffer::empty(space.dtype());
        if expert {
            env.task().expert(&mut action);
        } else {
            space.sample(&mut rng, &mut action);
        }
        let step = env.step(&action)?;
        total += f64::from(step.reward);
        if step.outcome.terminated || step.truncated {
            return Ok((total, f64::from(u8::from(step.outcome.success))));
        }
    }
}
