use std::path::{Path, PathBuf};

use worldstep_env::dataset::{DatasetInfo, EPISODES_PER_FILE, ShardInfo};

use super::dataset::{DatasetWriter, Names};
use super::info::{difference, read_info, read_names};
use super::shard_file::ShardFile;
use super::totals::Totals;
use crate::clips::SynthError;

/// Makes one dataset in `out` of all shards of a job, in whatever order they are given. It is bit for bit the dataset
/// that the job would have been without shards. If it fails, `out` is as empty as before: half of a job would look like
/// a whole dataset.
///
/// # Errors
/// What [`check_shards`] finds; [`SynthError::Unfinished`] if writing fails.
pub fn merge_shards(shards: &[PathBuf], out: &Path) -> Result<Totals, SynthError> {
    let shards = together(shards, out)?;
    write_merged(&shards, out).map_err(|error| {
        for part in ["meta", "data", "events"] {
            // What cannot be removed is refused the next time.
            let _ = std::fs::remove_dir_all(out.join(part));
        }
        match error {
            SynthError::Write { path, message } => SynthError::Unfinished { path, message },
            other => other,
        }
    })
}

/// Whether [`merge_shards`] would accept them.
///
/// # Errors
/// [`SynthError::Merge`] names the shard that is missing, incomplete, there twice or of another job, or `out` if there
/// is something in it.
pub fn check_shards(shards: &[PathBuf], out: &Path) -> Result<(), SynthError> {
    together(shards, out).map(drop)
}

fn together(shards: &[PathBuf], out: &Path) -> Result<Vec<(PathBuf, DatasetInfo)>, SynthError> {
    if out.exists() && !std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err(refused(out, "it is no empty folder; give another one"));
    }
    let shards = in_order(shards)?;
    if shards.is_empty() {
        return Err(refused(out, "no shard was given, expected all of a job"));
    }
    Ok(shards)
}

fn write_merged(shards: &[(PathBuf, DatasetInfo)], out: &Path) -> Result<Totals, SynthError> {
    let (first, info) = &shards[0];
    let names: Names = read_names(first)?;
    let mut writer = DatasetWriter::new(out, DatasetInfo { shard: None, ..info.clone() }, names)?;
    for (path, info) in shards {
        let clips = info.shard.map_or(0, |shard| shard.range().len());
        for file in 0..clips.div_ceil(EPISODES_PER_FILE) {
            let mut shard_file = ShardFile::open(path, file, writer.features())?;
            while let Some(episode) = shard_file.next(writer.features(), writer.next_place(0))? {
                writer.append(episode)?;
            }
        }
    }
    writer.finish()?;
    Ok(writer.totals().clone())
}

/// The shards with what they say of themselves, first to last: all of one job, each once and whole.
fn in_order(paths: &[PathBuf]) -> Result<Vec<(PathBuf, DatasetInfo)>, SynthError> {
    let mut found: Vec<(ShardInfo, PathBuf, DatasetInfo)> = Vec::new();
    for path in paths {
        let Some((info, episodes)) = read_info(path)? else {
            return Err(refused(path, "there is no dataset (no meta/info.json)"));
        };
        let Some(shard) = info.shard else {
            return Err(refused(path, "it is a whole dataset, not a shard (recorded with --shard)"));
        };
        let expected = shard.range().len();
        if episodes != expected {
            let which = format!("shard {}/{}", shard.index, shard.of);
            let message =
                format!("{which} has {episodes} of its {expected} clips; run it again with --resume");
            return Err(refused(path, message));
        }
        found.push((shard, path.clone(), info));
    }
    found.sort_by_key(|(shard, ..)| shard.index);
    check_together(&found)?;
    Ok(found.into_iter().map(|(_, path, info)| (path, info)).collect())
}

/// Whether shards, by index, are all of one job and each there once.
fn check_together(found: &[(ShardInfo, PathBuf, DatasetInfo)]) -> Result<(), SynthError> {
    let Some((first, first_path, first_info)) = found.first() else { return Ok(()) };
    for (shard, path, info) in found {
        let same = DatasetInfo { shard: first_info.shard, ..info.clone() };
        let other_job = (shard.of, shard.clips) != (first.of, first.clips);
        let differs = difference(&same, first_info).or_else(|| {
            other_job.then(|| format!("it is one of {} shards of {} clips", shard.of, shard.clips))
        });
        if let Some(differs) = differs {
            return Err(refused(path, format!("it belongs to another job than {first_path:?}: {differs}")));
        }
    }
    for pair in found.windows(2) {
        if pair[0].0.index == pair[1].0.index {
            let message = format!("it is shard {}/{} like {:?}", pair[0].0.index, first.of, pair[0].1);
            return Err(refused(&pair[1].1, message));
        }
    }
    let missing: Vec<String> = (0..first.of)
        .filter(|index| found.iter().all(|(shard, ..)| shard.index != *index))
        .map(|index| format!("{index}/{}", first.of))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(refused(first_path, format!("of its job, these shards are missing: {}", missing.join(", "))))
}

fn refused(path: &Path, message: impl Into<String>) -> SynthError {
    SynthError::Merge { path: path.to_owned(), message: message.into() }
}
