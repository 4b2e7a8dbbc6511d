use std::path::{Path, PathBuf};

use worldstep_env::dataset::INFO_KEY;

use super::clips::Clips;
use super::error::DataError;
use super::lerobot::{self, LerobotConfig};
use super::meta;

/// Reads the clips of every task in every dataset of `folders`, or those of `task` alone. A folder is a dataset, or holds
/// datasets, as `worldstep synth` leaves them behind for several scenarios. Datasets that Worldstep did not write are
/// read as `config_file` says, or a `worldstep.toml` in their own folder.
///
/// # Errors
/// [`DataError`] names the file and what is wrong with it.
pub fn load_all(
    folders: &[PathBuf],
    task: Option<&str>,
    config_file: Option<&Path>,
) -> Result<Vec<Clips>, DataError> {
    let asked = |id: &str| task.is_none_or(|task| task == id);
    let mut all = Vec::new();
    let mut known = Vec::new();
    for dataset in folders.iter().flat_map(|folder| datasets(folder)) {
        if let Some(config) = foreign(&dataset, config_file)? {
            if asked(&config.task) {
                all.push(lerobot::load(&dataset, &config)?);
            }
            known.push(config.task);
            continue;
        }
        for scenario in meta::info(&dataset)?.0.scenarios {
            if asked(&scenario.id) {
                all.push(Clips::load(&dataset, Some(&scenario.id))?);
            }
            known.push(scenario.id);
        }
    }
    match (task, folders) {
        (Some(task), [first, ..]) if all.is_empty() => {
            let message = format!("no clips of {task:?}; there are: {}", known.join(", "));
            Err(DataError::Task { path: first.clone(), message })
        }
        _ => Ok(all),
    }
}

/// How to read a dataset that Worldstep did not write; `None` for its own.
fn foreign(dataset: &Path, config_file: Option<&Path>) -> Result<Option<LerobotConfig>, DataError> {
    let text = std::fs::read(dataset.join("meta/info.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    if json.is_null() || json.get(INFO_KEY).is_some() {
        return Ok(None);
    }
    let own = Some(dataset.join(lerobot::CONFIG_FILE)).filter(|path| path.is_file());
    match config_file.map(Path::to_owned).or(own) {
        Some(path) => LerobotConfig::load(&path).map(Some),
        None => {
            let camera = lerobot::cameras(dataset)?;
            Err(DataError::NoConfig { path: dataset.to_owned(), file: lerobot::CONFIG_FILE, camera })
        }
    }
}

/// The datasets in `folder`, by name: itself, or its subfolders that are one. Without any, reading itself tells why.
fn datasets(folder: &Path) -> Vec<PathBuf> {
    let is_one = |folder: &Path| folder.join("meta/info.json").is_file();
    if is_one(folder) {
        return vec![folder.to_owned()];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| is_one(path)).collect();
    found.sort();
    if found.is_empty() { vec![folder.to_owned()] } else { found }
}
