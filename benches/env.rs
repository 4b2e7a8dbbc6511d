//! The same figures as `worldstep bench env`, two seconds a row.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use worldstep_bridge::bench::{self, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let time = Duration::from_secs(2);
    print!("{}", Report::new(bench::env(time, &mut |_| {})?).table());
    Ok(())
}
