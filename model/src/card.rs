use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use worldstep_env::Buffer;

use crate::action::ActionCoding;
use crate::config::{FrameSize, ModelConfig, Preset};
use crate::data::DataError;
use crate::dynamics::OBJECT_VALUES;
use crate::training_record::TrainingRecord;

/// Version of [`ModelCard`] on disk. Version 1, whose one task stood in the card itself, is read too; others
/// are refused.
pub const MODEL_FORMAT: u32 = 2;
/// The card's file in a model's folder.
pub const CARD_FILE: &str = "model.json";
/// Keys of a format 1 card that describe its one task.
const FORMAT_1_TASK: [&str; 4] = ["actions", "objects", "object_mean", "object_scale"];

/// One task that a model dreams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCard {
    /// Task id or family name.
    pub id: String,
    /// How its actions are read.
    pub actions: ActionCoding,
    /// Names of its tracked objects, in the readout's order.
    pub objects: Vec<String>,
    /// Mean of each readout value, in SI units.
    pub object_mean: Vec<f32>,
    /// Standard deviation of each readout value.
    pub object_scale: Vec<f32>,
    /// Probability of termination from which on a step is taken to end the episode: where it foretells the ends of
    /// validation clips best. None where it was not sought, see [`TaskCard::ends_above`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_threshold: Option<f32>,
}

impl TaskCard {
    /// Probability above which a step ends the episode; 0.5 if nothing better is known.
    pub fn ends_above(&self) -> f32 {
        self.termination_threshold.unwrap_or(0.5)
    }
}

/// Everything about a model but its weights; `model.json`.
///
/// A model of several tasks reads actions as one vector: the coded action, zeros up to the widest task's
/// coding, then the one-hot of the task (by its place in `tasks`). With one task there is nothing to tell
/// apart, and nothing is appended. Its readout has room for the task with the most objects; a task with fewer
/// leaves the rest unused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// [`MODEL_FORMAT`] of the writer.
    pub format: u32,
    /// The tasks it dreams, at least one.
    pub tasks: Vec<TaskCard>,
    /// Sizes.
    pub config: ModelConfig,
    /// How the weights came to be.
    pub training: TrainingRecord,
}

impl ModelCard {
    /// The card of a model of `preset` for `tasks`, not trained yet.
    pub fn new(preset: Preset, tasks: Vec<TaskCard>) -> Self {
        let objects = tasks.iter().map(|task| task.objects.len()).max().unwrap_or(0);
        let config = ModelConfig::new(preset, action_values(&tasks), objects);
        Self { format: MODEL_FORMAT, tasks, config, training: TrainingRecord::default() }
    }

    /// The card of this model with room for `tasks`; sizes that do not follow from tasks stay.
    pub fn with_tasks(&self, tasks: Vec<TaskCard>) -> Self {
        let sizes = Self::new(self.config.preset, tasks.clone()).config;
        let config = ModelConfig {
            action_values: sizes.action_values,
            tracked_objects: sizes.tracked_objects,
            ..self.config.clone()
        };
        Self { tasks, config, ..self.clone() }
    }

    /// Whether frames of `size`, in the dataset at `path`, are of the size that the model takes.
    ///
    /// # Errors
    /// [`DataError::FrameSize`].
    pub fn check_frames(&self, path: &Path, size: FrameSize) -> Result<(), DataError> {
        if size == self.config.frame {
            return Ok(());
        }
        let (found, expected) = (size.to_string(), self.config.frame.to_string());
        Err(DataError::FrameSize { path: path.to_owned(), found, expected })
    }

    /// Values of the widest task's coded action, where the one-hot of the task begins. A network has no layer
    /// without inputs, so there is at least one.
    pub fn coding_width(&self) -> usize {
        coding_width(&self.tasks)
    }

    /// The place of task `id` among its tasks.
    pub fn task_index(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.id == id)
    }

    /// The ids of its tasks, with commas between.
    pub fn task_names(&self) -> String {
        self.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Appends the action vector of task number `task`: `coded` as its own coding gives it, padding, one-hot.
    pub fn pad_action(&self, task: usize, coded: &[f32], out: &mut Vec<f32>) {
        let start = out.len();
        out.extend_from_slice(coded);
        self.pad(task, start, out);
    }

    /// Pads the coded action that begins at `start`.
    fn pad(&self, task: usize, start: usize, out: &mut Vec<f32>) {
        out.resize(start + self.config.action_values, 0.0);
        if self.tasks.len() > 1 {
            out[start + self.coding_width() + task] = 1.0;
        }
    }

    /// Appends the action vector of one action of task number `task`, given as the numbers that a dataset
    /// stores.
    ///
    /// # Errors
    /// A line that says what was expected.
    pub fn encode_action(&self, task: usize, action: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        let start = out.len();
        self.tasks[task].actions.encode(action, out)?;
        self.pad(task, start, out);
        Ok(())
    }

    /// Appends the action vector of row `lane` of `actions`.
    ///
    /// # Errors
    /// As [`encode_action`](Self::encode_action).
    pub fn encode_lane(
        &self,
        task: usize,
        (actions, lane): (&Buffer, usize),
        out: &mut Vec<f32>,
    ) -> Result<(), String> {
        let start = out.len();
        self.tasks[task].actions.encode_lane(actions, lane, out)?;
        self.pad(task, start, out);
        Ok(())
    }

    /// Reads a card of this format or of format 1.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn from_json(json: Value) -> Result<Self, CardError> {
        let json = match json["format"].as_u64() {
            Some(1) => from_format_1(json),
            Some(found) if found != u64::from(MODEL_FORMAT) => return Err(CardError::Version(found)),
            _ => json,
        };
        let card: Self =
            serde_json::from_value(json).map_err(|error| CardError::Damaged(error.to_string()))?;
        card.check().map_err(CardError::Damaged)?;
        Ok(card)
    }

    /// Whether its parts fit together.
    fn check(&self) -> Result<(), String> {
        self.config.check()?;
        if self.tasks.is_empty() {
            return Err("it dreams no task".to_owned());
        }
        for (i, task) in self.tasks.iter().enumerate() {
            let values = [task.object_mean.len(), task.object_scale.len()];
            if values != [task.objects.len() * OBJECT_VALUES; 2]
                || task.objects.len() > self.config.tracked_objects
            {
                return Err(format!("the objects of {} do not fit the sizes in config", task.id));
            }
            if self.task_index(&task.id) != Some(i) {
                return Err(format!("{} is there twice", task.id));
            }
        }
        let expected = action_values(&self.tasks);
        if self.config.action_values != expected {
            let found = self.config.action_values;
            return Err(format!("config.action_values is {found}, the tasks' actions need {expected}"));
        }
        Ok(())
    }
}

/// Why a card cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum CardError {
    /// Its format is another one.
    Version(u64),
    /// Something is missing or contradicts the rest.
    Damaged(String),
}

fn coding_width(tasks: &[TaskCard]) -> usize {
    tasks.iter().map(|task| task.actions.values()).max().unwrap_or(0).max(1)
}

/// Values of the action vector that a model of `tasks` reads.
fn action_values(tasks: &[TaskCard]) -> usize {
    coding_width(tasks) + if tasks.len() > 1 { tasks.len() } else { 0 }
}

/// A format 1 card in the words of this one: what was the card's is its only task's.
fn from_format_1(mut json: Value) -> Value {
    if let Some(card) = json.as_object_mut() {
        let mut task = serde_json::Map::new();
        task.extend(card.remove("task").map(|id| ("id".to_owned(), id)));
        for key in FORMAT_1_TASK {
            task.extend(card.remove(key).map(|value| (key.to_owned(), value)));
        }
        card.insert("tasks".to_owned(), Value::Array(vec![Value::Object(task)]));
        card.insert("format".to_owned(), MODEL_FORMAT.into());
    }
    json
}

/// The ids of the tasks that the model in `dir` dreams, read from as much of its card as can be understood:
/// none if there is no card, or nothing in it.
pub fn tasks_in(dir: &Path) -> Vec<String> {
    let text = std::fs::read(dir.join(CARD_FILE)).unwrap_or_default();
    let json: Value = serde_json::from_slice(&text).unwrap_or_default();
    let of_list = json["tasks"].as_array().into_iter().flatten().map(|task| &task["id"]);
    of_list.chain([&json["task"]]).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use worldstep_env::Space;

    use super::*;

    fn task(id: &str, space: &Space, objects: usize) -> TaskCard {
        TaskCard {
            id: id.to_owned(),
            actions: ActionCoding::new(space),
            objects: (0..objects).map(|i| format!("object {i}")).collect(),
            object_mean: vec![0.0; objects * OBJECT_VALUES],
            object_scale: vec![1.0; objects * OBJECT_VALUES],
            termination_threshold: None,
        }
    }

    fn two() -> ModelCard {
        let push = task("Push", &Space::bounded(&[-2.0], &[2.0]), 3);
        ModelCard::new(Preset::Nano, vec![task("Catch", &Space::Discrete { n: 3, start: 0 }, 1), push])
    }

    #[test]
    fn actions_are_padded_and_tell_their_task() {
        let card = two();
        assert_eq!((card.config.action_values, card.config.tracked_objects), (5, 3));
        let mut out = Vec::new();
        card.encode_action(0, &[2.0], &mut out).unwrap();
        card.encode_lane(1, (&Buffer::F32(vec![0.0, 1.0]), 1), &mut out).unwrap();
        assert_eq!(out, [0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn one_task_needs_no_name_and_no_action_still_has_a_place() {
        let one = ModelCard::new(Preset::Nano, vec![task("Catch", &Space::Discrete { n: 3, start: 0 }, 1)]);
        let mut out = Vec::new();
        one.encode_action(0, &[1.0], &mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, 0.0]);
        let none = ModelCard::new(Preset::Nano, vec![task("drop", &Space::bounded(&[], &[]), 1)]);
        assert_eq!(none.config.action_values, 1);
        none.check().unwrap();
    }

    #[test]
    fn a_format_1_card_is_a_card_of_one_task() {
        let mut card = two();
        card.tasks.truncate(1);
        let card = ModelCard::new(Preset::Nano, card.tasks);
        let task = &card.tasks[0];
        let old = serde_json::json!({
            "format": 1, "task": task.id, "config": card.config, "actions": task.actions,
            "objects": task.objects, "object_mean": task.object_mean, "object_scale": task.object_scale,
            "training": card.training,
        });
        assert_eq!(ModelCard::from_json(old).unwrap(), card);
        assert_eq!(ModelCard::from_json(serde_json::to_value(&card).unwrap()).unwrap(), card);
    }

    #[test]
    fn cards_that_contradict_themselves_are_refused() {
        let refused = |change: fn(&mut ModelCard)| {
            let mut card = two();
            change(&mut card);
            match ModelCard::from_json(serde_json::to_value(&card).unwrap()).unwrap_err() {
                CardError::Damaged(message) => message,
                CardError::Version(found) => format!("version {found}"),
            }
        };
        assert!(refused(|card| card.tasks.clear()).contains("no task"));
        assert!(refused(|card| card.tasks[1].id = "Catch".to_owned()).contains("Catch is there twice"));
        assert!(refused(|card| card.config.action_values = 3).contains("is 3, the tasks' actions need 5"));
        assert!(refused(|card| card.config.tracked_objects = 2).contains("Push"));
        assert_eq!(refused(|card| card.format = 9), "version 9");
    }

    #[test]
    fn the_tasks_of_a_folder_are_told_whatever_its_format() {
        let dir = tempfile::tempdir().unwrap();
        assert!(tasks_in(dir.path()).is_empty());
        std::fs::write(dir.path().join(CARD_FILE), r#"{"task": "A"}"#).unwrap();
        assert_eq!(tasks_in(dir.path()), ["A"]);
        std::fs::write(dir.path().join(CARD_FILE), r#"{"tasks": [{"id": "A"}, {"id": "B"}]}"#).unwrap();
        assert_eq!(tasks_in(dir.path()), ["A", "B"]);
    }
}
