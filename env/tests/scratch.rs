#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use std::time::Instant;
use worldstep_env::registry::TASKS;
use worldstep_env::{Buffer, TruthEnv};

#[test]
fn speed() {
    for entry in &TASKS {
        let mut env = TruthEnv::new(entry, 0);
        env.reset(Some(1));
        let mut n = 0;
        let start = Instant::now();
        let mut resets = 0.0;
        while start.elapsed().as_secs_f64() < 1.0 {
            let mut a = Buffer::empty((entry.action_space)().dtype());
            env.task().expert(&mut a);
            let step = env.step(&a).unwrap();
            n += 1;
            if step.outcome.terminated || step.truncated {
                let t = Instant::now();
                env.reset(None);
                resets += t.elapsed().as_secs_f64();
            }
        }
        let s = start.elapsed().as_secs_f64();
        println!("{} {:.0} steps/s, {:.1} us a substep, resets {:.3} of the time", entry.id, n as f64 / s, s * 1e6 / n as f64 / env.task().world().substeps() as f64, resets / s);
    }
}
