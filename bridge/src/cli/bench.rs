use std::time::Duration;

use anyhow::Result;
use worldstep_bridge::bench::{self, RenderBench, Report};

use super::{BenchArgs, BenchPart, print_json, print_text};

/// Measures one part. What takes minutes shows its rows as it goes, on stderr if JSON is to come.
pub fn run(args: &BenchArgs) -> Result<()> {
    let time = args.seconds;
    let rows = match args.part {
        BenchPart::Env => bench::env(time)?,
        BenchPart::Render => return render(args, time),
        BenchPart::Dream => bench::dream(args.model.as_deref(), time)?,
        BenchPart::Bridge => bench::bridge(args.model.as_deref(), time)?,
    };
    let report = Report::new(rows);
    if args.json.json { print_json(&report) } else { print_text(&report.table()) }
}

fn render(args: &BenchArgs, time: Duration) -> Result<()> {
    let mut asked = RenderBench { time, peers: args.peers.clone(), ..RenderBench::default() };
    if !args.tiles.is_empty() {
        asked.tiles = args.tiles.iter().map(|tiles| *tiles as usize).collect();
    }
    if !args.sizes.is_empty() {
        asked.sizes.clone_from(&args.sizes);
    }
    let json = args.json.json;
    if !json {
        print_text(&Report::new(Vec::new()).heading())?;
    }
    // A reader that went away does not stop the measuring.
    let rows = bench::render(&asked, &mut |row| {
        let line = row.line();
        if json { eprint!("{line}") } else { drop(print_text(&line)) }
    })?;
    if json { print_json(&Report::new(rows)) } else { Ok(()) }
}
