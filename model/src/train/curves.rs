use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::options::Stage;
use crate::model::{ModelError, TrainingRecord, write_bytes};

const FILE: &str = "curves.jsonl";
/// Rows kept in memory for the page; beyond it every other one is dropped there, never in the file.
const ROWS_MAX: usize = 16_384;

/// One line of `curves.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "lowercase")]
pub enum Row {
    /// Training.
    Step(StepRow),
    /// Validation.
    Validation(ValidationRow),
}

/// Means over the steps since the row before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// The network.
    pub stage: Stage,
    /// Its steps so far.
    pub step: u64,
    /// Loss.
    pub loss: f32,
    /// Its terms by name, before their weights.
    #[serde(with = "named")]
    pub parts: Vec<(String, f32)>,
    /// Of the last step.
    pub learning_rate: f64,
    /// Norm of all gradients before clipping, if it was measured.
    pub gradient_norm: Option<f32>,
    /// Frames learned from in a second, validation and checkpoints not counted.
    pub frames_per_s: f64,
    /// Seconds of both stages so far.
    pub seconds: f64,
}

/// One validation of the averaged weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationRow {
    /// The network.
    pub stage: Stage,
    /// Its steps so far.
    pub step: u64,
    /// Loss on the same frames or windows each time.
    pub loss: f32,
    /// Its terms by name, before their weights.
    #[serde(with = "named")]
    pub parts: Vec<(String, f32)>,
    /// Whether it was the best so far.
    pub best: bool,
    /// Seconds of both stages so far.
    pub seconds: f64,
}

impl Row {
    fn of(&self) -> (Stage, u64) {
        match self {
            Self::Step(row) => (row.stage, row.step),
            Self::Validation(row) => (row.stage, row.step),
        }
    }
}

/// Name and value pairs as a JSON object in their own order.
mod named {
    use serde::de::{MapAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(pairs: &[(String, f32)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f32)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, f32)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// `curves.jsonl`: a row is on disk as soon as it is pushed.
#[derive(Debug)]
pub struct Curves {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Curves {
    /// Begins anew in `dir`.
    pub fn create(dir: &Path) -> Result<Self, ModelError> {
        Self::with(dir, Vec::new())
    }

    /// Goes on in `dir` from where `record` is: rows of later steps, which are going to be trained again, and a last row that
    /// was cut off are dropped.
    pub fn resume(dir: &Path, record: &TrainingRecord) -> Result<Self, ModelError> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(|source| ModelError::Read { path, source })?,
        };
        let rows = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let trained = |row: &Row| row.of().1 <= record.spent(row.of().0).0;
        Self::with(dir, rows.filter(trained).collect())
    }

    fn with(dir: &Path, rows: Vec<Row>) -> Result<Self, ModelError> {
        let path = dir.join(FILE);
        let mut text = String::new();
        for row in &rows {
            text += &line(row, &path)?;
        }
        write_bytes(&path, &[text.as_bytes()])?;
        let file = File::options().append(true).open(&path).map_err(|error| write_error(&path, &error))?;
        let mut curves = Self { path, file, rows };
        curves.thin();
        Ok(curves)
    }

    /// Appends a row.
    pub fn push(&mut self, row: Row) -> Result<(), ModelError> {
        let line = line(&row, &self.path)?;
        self.file.write_all(line.as_bytes()).map_err(|error| write_error(&self.path, &error))?;
        self.rows.push(row);
        self.thin();
        Ok(())
    }

    fn thin(&mut self) {
        if self.rows.len() > ROWS_MAX {
            let mut left = self.rows.len();
            self.rows.retain(|row| {
                left -= 1;
                left.is_multiple_of(2) || matches!(row, Row::Validation(_))
            });
        }
    }

    /// Rows so far, evenly thinned where there are many.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

fn line(row: &Row, path: &Path) -> Result<String, ModelError> {
    let text = serde_json::to_string(row)
        .map_err(|error| ModelError::Write { path: path.to_owned(), message: error.to_string() })?;
    Ok(text + "\n")
}

fn write_error(path: &Path, error: &std::io::Error) -> ModelError {
    ModelError::Write { path: path.to_owned(), message: error.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn step(step: u64) -> Row {
        Row::Step(StepRow {
            stage: Stage::Dynamics,
            step,
            loss: 0.1 + step as f32,
            parts: vec![("codes".to_owned(), 0.3), ("a reward".to_owned(), 1e-9)],
            learning_rate: 2e-3,
            gradient_norm: (step > 1).then_some(0.7),
            frames_per_s: 1234.5,
            seconds: step as f64,
        })
    }

    fn validation(step: u64) -> Row {
        let (stage, parts) = (Stage::Tokenizer, Vec::new());
        Row::Validation(ValidationRow { stage, step, loss: 0.2, parts, best: true, seconds: 3.0 })
    }

    #[test]
    fn rows_read_back_and_those_to_be_trained_again_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut curves = Curves::create(dir.path()).unwrap();
        let rows = [validation(4), step(1), step(2), step(3)];
        rows.iter().for_each(|row| curves.push(row.clone()).unwrap());
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"row":"validation","stage":"tokenizer","step":4"#), "{text}");
        std::fs::write(&path, text + r#"{"row":"step","stage":"dyn"#).unwrap();
        let record = TrainingRecord { tokenizer_steps: 4, dynamics_steps: 2, ..TrainingRecord::default() };
        let mut curves = Curves::resume(dir.path(), &record).unwrap();
        assert_eq!(curves.rows(), &rows[..3]);
        curves.push(step(3)).unwrap();
        let all = TrainingRecord { tokenizer_steps: 4, dynamics_steps: 9, ..TrainingRecord::default() };
        assert_eq!(Curves::resume(dir.path(), &all).unwrap().rows(), rows);
    }

    #[test]
    fn rows_that_cannot_be_read_are_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Curves::resume(dir.path(), &TrainingRecord::default()).unwrap().rows().is_empty());
        let path = dir.path().join(FILE);
        std::fs::write(&path, b"\xff\xfe").unwrap();
        let error = Curves::resume(dir.path(), &TrainingRecord::default()).unwrap_err();
        assert!(matches!(error, ModelError::Read { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"\xff\xfe");
    }

    #[test]
    fn memory_is_bounded_and_validations_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut curves = Curves::create(dir.path()).unwrap();
        curves.push(validation(1)).unwrap();
        let last = ROWS_MAX as u64 + 9;
        (0..=last).for_each(|i| curves.push(step(i)).unwrap());
        assert!(curves.rows().len() <= ROWS_MAX);
        assert_eq!(curves.rows()[0], validation(1));
        assert_eq!(curves.rows().last().unwrap(), &step(last));
    }
}
