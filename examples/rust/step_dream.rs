//! Steps 16 dream environments with the shipped weights.
//! Shows: the learned model wears the same `reset`/`step` as physics.
#![allow(clippy::print_stdout)]

use std::path::Path;

use worldstep_bridge::engines::dream;
use worldstep_env::{AutoresetMode, Buffer, VectorEnv as _};

fn main() -> anyhow::Result<()> {
    let mut envs = dream(Path::new("models/nano"), "CatchBehindScreen-v0", 16, AutoresetMode::NextStep)?;
    envs.reset_all(Some(0))?;
    let mut total = 0.0;
    for step in 0..60 {
        let up_or_down = Buffer::I64(vec![1 + (step / 10) % 2; 16]);
        envs.step_all(&up_or_down)?;
        total += envs.batch().rewards.iter().sum::<f32>();
    }
    println!("dreamed {} steps, mean return {:.2}", 16 * 60, total / 16.0);
    Ok(())
}
