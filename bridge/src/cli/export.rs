use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use worldstep_synth::SynthError;
use worldstep_synth::export::{WebDatasetOptions, check_empty, export_webdataset};
use worldstep_synth::inspect::{Dataset, find_datasets};

use super::{Json, print_json, print_text, progress};

/// The Python module that writes Rerun recordings.
const RERUN_MODULE: &str = "worldstep.export_rerun";
/// Largest `--shard-mib`: 1 TiB.
const SHARD_MIB_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Tar shards with one sample a frame, a series for each split.
    Webdataset,
    /// Recordings (.rrd) for the Rerun viewer, one a clip; needs the Python package `worldstep[rerun]`.
    Rerun,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Dataset, or a folder with several in subfolders.
    dir: PathBuf,
    /// Format.
    #[arg(long)]
    to: ExportFormat,
    /// Folder for what is exported, new or empty.
    #[arg(long)]
    out: PathBuf,
    /// Webdataset: size in MiB that shards stay below, 256 by default; a sample is never cut.
    #[arg(long, value_name = "MIB")]
    shard_mib: Option<u64>,
    /// Rerun: how many clips of each dataset, from its first on; 8 by default.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, conflicts_with = "episodes",
        value_parser = clap::value_parser!(u32).range(1..))]
    clips: Option<u32>,
    /// Rerun: which clips of each dataset, by their indices (from 0) with commas between, for instance 0,5,7.
    #[arg(long, value_name = "INDICES", allow_negative_numbers = true, value_delimiter = ',')]
    episodes: Vec<u32>,
    #[command(flatten)]
    json: Json,
}

/// Exports a dataset.
pub fn run(args: &ExportArgs) -> Result<()> {
    match args.to {
        ExportFormat::Webdataset if args.clips.is_some() || !args.episodes.is_empty() => {
            Err(wrong("--clips and --episodes are for --to rerun; webdataset takes all clips".to_owned()))
        }
        ExportFormat::Rerun if args.shard_mib.is_some() => {
            Err(wrong("--shard-mib is for --to webdataset; rerun writes one file a clip".to_owned()))
        }
        ExportFormat::Webdataset => webdataset(args),
        ExportFormat::Rerun => rerun(args),
    }
}

fn wrong(message: String) -> anyhow::Error {
    SynthError::Options { message }.into()
}

fn webdataset(args: &ExportArgs) -> Result<()> {
    let mut options = WebDatasetOptions::default();
    if let Some(mib) = args.shard_mib {
        if !(1..=SHARD_MIB_MAX).contains(&mib) {
            return Err(wrong(format!("--shard-mib is {mib}, expected 1 to {SHARD_MIB_MAX}")));
        }
        options.shard_bytes = mib << 20;
    }
    let bar = progress::bar(0, "clips");
    let exported = export_webdataset(&args.dir, &args.out, &options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.json.json {
        let shards: Vec<_> = exported
            .shards
            .iter()
            .map(|(path, samples)| json!({ "path": path, "samples": samples }))
            .collect();
        return print_json(
            &json!({ "clips": exported.clips, "samples": exported.samples, "shards": shards }),
        );
    }
    print_text(&format!(
        "{} samples of {} clips in {} shards in {}\n",
        exported.samples,
        exported.clips,
        exported.shards.len(),
        args.out.display()
    ))
}

/// Rerun's own SDK writes its files; it is a Python package.
fn rerun(args: &ExportArgs) -> Result<()> {
    check_empty(&args.out)?;
    for path in find_datasets(&args.dir)? {
        let count = Dataset::open(&path)?.episodes.len();
        if let Some(index) = args.episodes.iter().find(|index| **index as usize >= count) {
            let path = path.display();
            return Err(wrong(format!("--episodes has {index}, but {path} has {count} clips, from 0 on")));
        }
    }
    let python = interpreter().with_context(|| {
        format!("no Python found for {RERUN_MODULE}; set WORLDSTEP_PYTHON to one that has `worldstep[rerun]`")
    })?;
    let probe = Command::new(&python)
        .args(["-c", "import worldstep.export_rerun, rerun, pyarrow, PIL"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    if !probe.status.success() {
        let said = String::from_utf8_lossy(&probe.stderr);
        let last = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
        bail!("{0} cannot export to Rerun ({last}): {0} -m pip install 'worldstep[rerun]'", python.display());
    }
    let mut command = Command::new(&python);
    command.args(["-m", RERUN_MODULE]).arg(&args.dir).arg("--out").arg(&args.out);
    if let Some(clips) = &args.clips {
        command.arg("--clips").arg(clips.to_string());
    }
    if !args.episodes.is_empty() {
        let indices: Vec<String> = args.episodes.iter().map(u32::to_string).collect();
        command.arg("--episodes").arg(indices.join(","));
    }
    if args.json.json {
        command.arg("--json");
    }
    run_python(&mut command, &python)
}

/// Runs `command` and passes on what it says; what it says last before it fails is the error.
fn run_python(command: &mut Command, python: &Path) -> Result<()> {
    let cannot = || format!("cannot run {}", python.display());
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().with_context(cannot)?;
    let mut last: Option<String> = None;
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
        if let Some(before) = last.replace(line.with_context(cannot)?) {
            eprintln!("{before}");
        }
    }
    let status = child.wait().with_context(cannot)?;
    if !status.success() {
        bail!("{RERUN_MODULE} ended with {status}: {}", last.as_deref().unwrap_or("it said nothing"));
    }
    if let Some(line) = last {
        eprintln!("{line}");
    }
    Ok(())
}

/// `$WORLDSTEP_PYTHON`, the one beside this command, or the first on the path.
fn interpreter() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("WORLDSTEP_PYTHON") {
        return Some(PathBuf::from(named));
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("python")));
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .flat_map(|folder| [folder.join("python3"), folder.join("python")]);
    beside.into_iter().chain(on_path).find(|path| path.is_file())
}
