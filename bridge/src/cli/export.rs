use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use worldstep_synth::export::{WebDatasetOptions, export_webdataset};
use worldstep_synth::inspect::{Dataset, find_datasets};

use super::{Json, print_json, print_text, progress};

/// The Python module that writes Rerun recordings.
const RERUN_MODULE: &str = "worldstep.export_rerun";

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
    /// New folder for what is exported.
    #[arg(long)]
    out: PathBuf,
    /// Size after which the next sample begins a new shard (webdataset), in MiB.
    #[arg(long, default_value_t = WebDatasetOptions::default().shard_bytes >> 20)]
    shard_mib: u64,
    /// Clips to export (rerun): `3`, or `0,5,7`; the first 8 by default.
    #[arg(long)]
    clips: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Exports a dataset.
pub fn run(args: &ExportArgs) -> Result<()> {
    match args.to {
        ExportFormat::Webdataset => webdataset(args),
        ExportFormat::Rerun => rerun(args),
    }
}

fn webdataset(args: &ExportArgs) -> Result<()> {
    let options = WebDatasetOptions { shard_bytes: args.shard_mib << 20 };
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
    for path in find_datasets(&args.dir)? {
        Dataset::open(&path)?;
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
        command.arg("--clips").arg(clips);
    }
    if args.json.json {
        command.arg("--json");
    }
    let status = command.status().with_context(|| format!("cannot run {}", python.display()))?;
    if !status.success() {
        bail!("{RERUN_MODULE} ended with {status}");
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
