#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use worldstep_env::measure_returns;
use worldstep_env::registry::TASKS;

#[test]
fn arms() {
    for entry in TASKS
        .iter()
        .filter(|entry| entry.id.contains(&std::env::var("ONLY").unwrap_or_default()) && entry.fps == 20)
    {
        println!("RET {} {:?}", entry.id, measure_returns(entry, 40).unwrap());
    }
}
