//! The same figures as `worldstep bench dream`, two seconds a row.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use worldstep_bridge::bench::{self, DreamBench, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let time = Duration::from_secs(2);
    print!("{}", Report::new(bench::dream(&DreamBench::new(time))?).table());
    Ok(())
}
