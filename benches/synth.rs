//! The same figures as `worldstep bench render`, two seconds a row.
#![allow(clippy::print_stdout)]

use worldstep_bridge::bench::{self, RenderBench, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", Report::new(Vec::new()).heading());
    bench::render(&RenderBench::default(), &mut |row| print!("{}", row.line()))?;
    Ok(())
}
