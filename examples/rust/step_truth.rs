//! Steps 64 physics environments with random actions.
//! Shows: the registry, seeding, flat batches, NEXT_STEP autoreset.
#![allow(clippy::print_stdout)]

use rand::SeedableRng as _;
use worldstep_env::{AutoresetMode, Rng, VectorEnv as _, make_truth};

fn main() -> anyhow::Result<()> {
    let mut envs = make_truth("CatchBehindScreen-v0", 64, AutoresetMode::NextStep)?;
    let mut rng = Rng::seed_from_u64(0);
    envs.reset_all(Some(0))?;
    let (mut episodes, mut caught) = (0, 0);
    for _ in 0..200 {
        let space = envs.spec().action_space.clone();
        let mut actions = space.buffer(0);
        (0..envs.num_envs()).for_each(|_| space.sample(&mut rng, &mut actions));
        envs.step_all(&actions)?;
        let batch = envs.batch();
        episodes += (0..envs.num_envs()).filter(|lane| batch.done(*lane)).count();
        caught += batch.rewards.iter().filter(|reward| **reward > 0.5).count();
    }
    println!("{episodes} episodes ended, {caught} balls caught by chance");
    Ok(())
}
