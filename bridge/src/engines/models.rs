use std::path::{Path, PathBuf};

use thiserror::Error;
use worldstep_env::registry::TASKS;
use worldstep_model::model::{ModelError, tasks_in};

const CARD: &str = "model.json";
/// Where the repository keeps its weights.
const SHIPPED: &str = "models/nano";

/// Why there is no model to dream a task with.
#[derive(Debug, Error)]
pub enum NoModel {
    /// No model is where it was looked for.
    #[error(transparent)]
    Missing(#[from] ModelError),
    /// There are models, of other tasks.
    #[error(
        "the model in {folder} dreams {dreams}; for {asked} record clips and train one \
         (worldstep synth, worldstep train), and name its folder with --model",
        folder = folder.display()
    )]
    OtherTask {
        /// Where it was looked for.
        folder: PathBuf,
        /// What could be dreamt from there.
        dreams: String,
        /// The task asked for.
        asked: String,
    },
}

/// The weights that come with this program: `$WORLDSTEP_MODEL`, else `models/nano` in the working directory, else where
/// the wheel or the clone that this program belongs to has them.
pub fn shipped_models() -> Option<PathBuf> {
    let named = std::env::var_os("WORLDSTEP_MODEL").map(PathBuf::from);
    let holds_models = |folder: &PathBuf| model_folder(folder, None).is_ok();
    let here = || Some(PathBuf::from(SHIPPED)).filter(holds_models);
    let beside = || shipped_beside(&std::env::current_exe().ok()?).into_iter().find(holds_models);
    named.or_else(here).or_else(beside)
}

/// Where the weights may lie, seen from the program.
fn shipped_beside(program: &Path) -> Vec<PathBuf> {
    // <prefix>/bin/worldstep, as the wheel installs it
    let installed = program.ancestors().nth(2).map(|prefix| prefix.join("share/worldstep").join(SHIPPED));
    // <clone>/.venv/bin/worldstep
    let cloned = program.ancestors().nth(3).map(|clone| clone.join(SHIPPED));
    installed.into_iter().chain(cloned).collect()
}

/// The folder with `model.json`: `folder` itself, or its subfolder named after the task. Without a task, the first
/// subfolder that holds a model.
///
/// # Errors
/// [`NoModel::Missing`] names the file that was looked for, [`NoModel::OtherTask`] what is there instead.
pub fn model_folder(folder: &Path, id: Option<&str>) -> Result<PathBuf, NoModel> {
    let asked = |task: &str| id.is_none_or(|id| id == task);
    let other_task = |dreams: String| NoModel::OtherTask {
        folder: folder.to_owned(),
        dreams,
        asked: id.unwrap_or_default().to_owned(),
    };
    if folder.join(CARD).is_file() {
        let dreams = tasks_in(folder);
        // A card that cannot be read is damaged, which loading tells better.
        return if dreams.is_empty() || dreams.iter().any(|task| asked(task)) {
            Ok(folder.to_owned())
        } else {
            Err(other_task(dreams.join(", ")))
        };
    }
    let held: Vec<_> =
        TASKS.iter().map(|task| task.id).filter(|id| folder.join(id).join(CARD).is_file()).collect();
    match held.iter().find(|task| asked(task)) {
        Some(task) => Ok(folder.join(task)),
        None if held.is_empty() => {
            Err(ModelError::Read { path: folder.join(CARD), source: std::io::ErrorKind::NotFound.into() }
                .into())
        }
        None => Err(other_task(held.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn put_model(folder: &Path, task: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(CARD), format!(r#"{{"task": "{task}"}}"#)).unwrap();
    }

    #[test]
    fn the_weights_of_a_wheel_come_before_those_of_a_clone() {
        let looked_in = shipped_beside(Path::new("/clone/.venv/bin/worldstep"));
        let expected = ["/clone/.venv/share/worldstep/models/nano", "/clone/models/nano"];
        assert_eq!(looked_in, expected.map(PathBuf::from));
        assert!(shipped_beside(Path::new("worldstep")).len() < 2, "a bare name has no folders above it");
    }

    #[test]
    fn a_model_is_found_itself_or_by_its_task() {
        let models = tempfile::tempdir().unwrap();
        let catch = models.path().join("CatchBehindScreen-v0");
        put_model(&catch, "CatchBehindScreen-v0");
        for folder in [models.path(), &catch] {
            assert_eq!(model_folder(folder, Some("CatchBehindScreen-v0")).unwrap(), catch);
            assert_eq!(model_folder(folder, None).unwrap(), catch);
        }
    }

    #[test]
    fn a_model_of_another_task_is_named_with_what_to_do() {
        let models = tempfile::tempdir().unwrap();
        let catch = models.path().join("CatchBehindScreen-v0");
        put_model(&catch, "CatchBehindScreen-v0");
        for folder in [models.path(), &catch] {
            let error = model_folder(folder, Some("PushCube-v0")).unwrap_err();
            assert!(matches!(error, NoModel::OtherTask { .. }), "{error}");
            let expected = format!(
                "the model in {} dreams CatchBehindScreen-v0; for PushCube-v0 record clips and train one \
                 (worldstep synth, worldstep train), and name its folder with --model",
                folder.display()
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_model_of_several_tasks_is_found_by_each() {
        let models = tempfile::tempdir().unwrap();
        let card = r#"{"tasks": [{"id": "CatchBehindScreen-v0"}, {"id": "PushCube-v0"}]}"#;
        std::fs::write(models.path().join(CARD), card).unwrap();
        for id in [None, Some("CatchBehindScreen-v0"), Some("PushCube-v0")] {
            assert_eq!(model_folder(models.path(), id).unwrap(), models.path());
        }
        let message = model_folder(models.path(), Some("CartPole-v0")).unwrap_err().to_string();
        assert!(message.contains("dreams CatchBehindScreen-v0, PushCube-v0; for CartPole-v0"), "{message}");
    }

    #[test]
    fn an_empty_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = model_folder(folder.path(), None).unwrap_err();
        assert!(matches!(error, NoModel::Missing(_)), "{error}");
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("worldstep train"), "{error}");
    }
}
