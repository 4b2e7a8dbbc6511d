use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, json};
use worldstep_synth::SynthError;
use worldstep_synth::inspect::{
    CheckOptions, CheckReport, Finding, ReportOptions, check, find_datasets, report,
};
use worldstep_synth::lerobot::{Totals, check_shards, merge_shards};

use super::{Json, print_json, print_text, progress};

/// Clips between lines where there is no terminal for a progress bar.
const LINE_EVERY_CLIPS: usize = 500;

#[derive(Subcommand)]
pub enum DataCommand {
    /// Verifies hashes, schema, ranges, physics and splits; exit code 1 if anything is wrong.
    Check(CheckArgs),
    /// Makes one dataset of all shards of a job, bit for bit what it would have been without shards.
    Merge(MergeArgs),
    /// Draws one self-contained HTML page: counts, accept rate, distributions, clips with every annotation.
    Report(ReportArgs),
}

#[derive(Args)]
pub struct CheckArgs {
    /// Dataset, or a folder with several in subfolders.
    dir: PathBuf,
    /// Share of the clips that are decoded and looked at closely, evenly spread; above 0, and 1 at most.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, default_value_t = 1.0)]
    sample: f64,
    /// What the content hash has to be, as `worldstep synth` printed it.
    #[arg(long, value_name = "HASH")]
    expect: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
pub struct MergeArgs {
    /// Folders of all shards, in any order.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Folder of the dataset, new or empty.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
pub struct ReportArgs {
    /// Dataset, or a folder with several in subfolders.
    dir: PathBuf,
    /// The page; report.html in the folder by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Clips of each dataset that are drawn.
    #[arg(long, allow_negative_numbers = true, default_value_t = ReportOptions::default().clips_drawn)]
    clips: usize,
    /// Frames of each that are drawn.
    #[arg(long, allow_negative_numbers = true, default_value_t = ReportOptions::default().frames_drawn)]
    frames: usize,
    #[command(flatten)]
    json: Json,
}

/// Runs the chosen part of `worldstep data`.
pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Check(args) => run_check(args),
        DataCommand::Merge(args) => run_merge(args),
        DataCommand::Report(args) => run_report(args),
    }
}

fn run_check(args: &CheckArgs) -> Result<()> {
    if !(args.sample > 0.0 && args.sample <= 1.0) {
        let message = format!("--sample is {}, expected more than 0, and 1 at most", args.sample);
        return Err(SynthError::Options { message }.into());
    }
    let options = CheckOptions { sample: args.sample, expected_hash: args.expect.clone() };
    let bar = progress::bar(0, "clips");
    let (start, mut next_line) = (Instant::now(), LINE_EVERY_CLIPS);
    let report = check(&args.dir, &options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        if done >= next_line {
            next_line = done + LINE_EVERY_CLIPS;
            progress::line_if_hidden(&bar, &format!("{done}/{total} clips"));
        }
    })?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if args.json.json {
        print_json(&check_json(&report, seconds))?;
    } else {
        print_text(&check_text(&report, seconds))?;
    }
    if !report.ok() {
        let counts: Vec<String> =
            report.counts.iter().map(|(code, count)| format!("{} {count}", code.name())).collect();
        bail!("{} is not in order: {}", args.dir.display(), counts.join(", "));
    }
    Ok(())
}

fn check_text(report: &CheckReport, seconds: f64) -> String {
    let mut out: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
    for dataset in &report.datasets {
        out.push_str(&format!(
            "{}: {} clips of {}, {} of them decoded ({} frames), content hash {}\n",
            dataset.path.display(),
            dataset.clips,
            dataset.scenario,
            dataset.clips_decoded,
            dataset.frames_decoded,
            dataset.content_hash,
        ));
    }
    let verdict = if report.ok() { "nothing is wrong" } else { "something is wrong" };
    out.push_str(&format!("{verdict} ({seconds:.1} s)\n"));
    out
}

fn check_json(report: &CheckReport, seconds: f64) -> serde_json::Value {
    let datasets: Vec<_> = report
        .datasets
        .iter()
        .map(|dataset| {
            json!({
                "path": dataset.path,
                "scenario": dataset.scenario,
                "clips": dataset.clips,
                "clips_decoded": dataset.clips_decoded,
                "frames_decoded": dataset.frames_decoded,
                "content_hash": dataset.content_hash,
            })
        })
        .collect();
    let finding = |finding: &Finding| {
        json!({
            "code": finding.fault.code.name(),
            "dataset": finding.dataset,
            "episode": finding.episode,
            "frame": finding.fault.frame,
            "message": finding.fault.message,
        })
    };
    let counts: Map<_, _> =
        report.counts.iter().map(|(code, count)| (code.name().to_owned(), json!(count))).collect();
    json!({
        "ok": report.ok(),
        "datasets": datasets,
        "counts": counts,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "seconds": seconds,
    })
}

fn run_merge(args: &MergeArgs) -> Result<()> {
    // Shards of several scenarios hold a dataset of each in subfolders.
    let mut parts: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for shard in &args.shards {
        for path in find_datasets(shard)? {
            let below = path.strip_prefix(shard).unwrap_or(Path::new("")).to_owned();
            parts.entry(below).or_default().push(path);
        }
    }
    let out_of = |below: &Path| {
        if below.as_os_str().is_empty() { args.out.clone() } else { args.out.join(below) }
    };
    // All of them before the first is written.
    for (below, shards) in &parts {
        check_shards(shards, &out_of(below))?;
    }
    let mut merged = Vec::new();
    for (below, shards) in &parts {
        let out = out_of(below);
        merged.push((merge_shards(shards, &out)?, out));
    }
    if args.json.json {
        let datasets: Vec<_> = merged
            .iter()
            .map(|(totals, path)| {
                json!({
                    "path": path,
                    "clips": totals.episodes,
                    "frames": totals.frames,
                    "content_hash": totals.hash(),
                })
            })
            .collect();
        return print_json(&json!({ "datasets": datasets }));
    }
    let line = |(totals, path): &(Totals, PathBuf)| {
        let path = path.display();
        format!(
            "{path}: {} clips, {} frames, content hash {}\n",
            totals.episodes,
            totals.frames,
            totals.hash()
        )
    };
    print_text(&merged.iter().map(line).collect::<String>())
}

fn run_report(args: &ReportArgs) -> Result<()> {
    let options =
        ReportOptions { clips_drawn: args.clips, frames_drawn: args.frames, ..ReportOptions::default() };
    let bar = progress::bar(0, "datasets");
    let page = report(&args.dir, &options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let path = args.out.clone().unwrap_or_else(|| args.dir.join("report.html"));
    write_whole(&path, page.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    if args.json.json {
        return print_json(&json!({ "path": path, "bytes": page.len() }));
    }
    print_text(&format!("{}\n", path.display()))
}

/// Replaces `path` by `bytes` in one step: whole, or what was there before.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let scratch = path.with_added_extension("part");
    std::fs::write(&scratch, bytes).and_then(|()| std::fs::rename(&scratch, path)).inspect_err(|_| {
        // Nothing more can be done than to leave no part of it.
        let _ = std::fs::remove_file(&scratch);
    })
}
