use std::time::Duration;

use anyhow::Result;
use worldstep_bridge::bench::{self, Report};

use super::{BenchArgs, BenchPart, print_json, print_text};

/// Measures one part.
pub fn run(args: &BenchArgs) -> Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let rows = match args.part {
        BenchPart::Env => bench::env(time)?,
        BenchPart::Render => bench::render(time, args.peers.as_deref())?,
        BenchPart::Dream => bench::dream(args.model.as_deref(), time)?,
        BenchPart::Bridge => bench::bridge(args.model.as_deref(), time)?,
    };
    let report = Report::new(rows);
    if args.json.json { print_json(&report) } else { print_text(&report.table()) }
}
