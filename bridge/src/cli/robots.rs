use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize as _;
use worldstep_env::TaskEntry;
use worldstep_env::registry;
use worldstep_env::robot::{RobotModel, RobotTask};
use worldstep_synth::SynthError;

/// Adds the robot of `file` (URDF, MJCF, or TOML with the key `file` and those of [`RobotTask`]) to the tasks, as
/// `robot/` and the name of the robot's own file.
pub fn add_robot(file: &Path) -> Result<&'static TaskEntry> {
    let (robot, task) = match file.extension() {
        Some(extension) if extension == "toml" => described(file)?,
        _ => (file.to_owned(), RobotTask::default()),
    };
    let model = RobotModel::from_file(&robot)?;
    for warning in model.warnings() {
        tracing::warn!(file = %robot.display(), "{warning}");
    }
    let name = robot.file_stem().unwrap_or_default().to_string_lossy();
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    ensure!(
        named,
        "{}: a task cannot be named {name:?}, expected letters, digits, '-', '_' and '.'",
        robot.display()
    );
    let entry = task.entry(&format!("robot/{name}"), model).with_context(|| robot.display().to_string())?;
    Ok(registry::register(entry)?)
}

fn described(file: &Path) -> Result<(PathBuf, RobotTask)> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut table: toml::Table =
        toml::from_str(&text).map_err(|error| SynthError::config(file, &text, &error))?;
    let Some(toml::Value::String(robot)) = table.remove("file") else {
        anyhow::bail!("{} names no robot, expected file = \"robot.urdf\"", file.display());
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let task = RobotTask::deserialize(table)
        .map_err(|error| anyhow!("{}: {}", file.display(), error.to_string().trim().replace('\n', " ")))?;
    Ok((folder.join(robot), task))
}
