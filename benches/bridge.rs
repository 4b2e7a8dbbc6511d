//! The same figures as `worldstep bench bridge`, two seconds a row.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use worldstep_bridge::bench::{self, BridgeBench, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked = BridgeBench { models: None, time: Duration::from_secs(2), peers: None, parts: Vec::new() };
    print!("{}", Report::new(bench::bridge(&asked, &mut |_| ())?).table());
    Ok(())
}
