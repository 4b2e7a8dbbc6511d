use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use worldstep_synth::lerobot::merge_shards;

use super::{Json, print_json};

#[derive(Args)]
pub struct MergeArgs {
    /// Folders of all shards of a job, in any order.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Folder of the dataset that they make.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    json: Json,
}

/// Makes one dataset of the shards of a job; of several scenarios, one each in subfolders.
pub fn run(args: &MergeArgs) -> Result<()> {
    let mut datasets = Vec::new();
    if args.shards.iter().any(|shard| shard.join("meta").is_dir()) {
        datasets.push(merge(&args.shards, &args.out)?);
    } else {
        for name in subfolders(&args.shards)? {
            let shards: Vec<_> = args.shards.iter().map(|shard| shard.join(&name)).collect();
            datasets.push(merge(&shards, &args.out.join(&name))?);
        }
    }
    if args.json.json {
        return print_json(&json!({ "datasets": datasets }));
    }
    for dataset in datasets {
        eprintln!(
            "{}: {} clips, {} frames, content hash {}",
            dataset["path"], dataset["clips"], dataset["frames"], dataset["content_hash"]
        );
    }
    Ok(())
}

fn merge(shards: &[PathBuf], out: &Path) -> Result<Value> {
    let totals = merge_shards(shards, out)?;
    Ok(json!({
        "path": out, "clips": totals.episodes, "frames": totals.frames, "content_hash": totals.hash(),
    }))
}

/// Names of the datasets that are in subfolders of any shard, in order.
fn subfolders(shards: &[PathBuf]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for shard in shards {
        let entries =
            std::fs::read_dir(shard).with_context(|| format!("cannot read the shard {}", shard.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read the shard {}", shard.display()))?;
            if entry.path().join("meta").is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    anyhow::ensure!(!names.is_empty(), "there is no dataset in {}", shards[0].display());
    Ok(names)
}
