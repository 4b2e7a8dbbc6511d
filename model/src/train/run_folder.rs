use std::path::{Path, PathBuf};

use serde_json::json;

use super::curves::Curves;
use super::options::{Budget, TrainOptions};
use super::{page, readme};
use crate::data::{Corpus, Part, Split};
use crate::model::{Model, ModelCard, ModelError, TrainingRecord, write_bytes, write_json};

/// What a training leaves in its folder for people, beside the model and the checkpoint: `config.json`, `curves.jsonl`,
/// `curves.html` and `README.md`.
pub struct RunFolder {
    dir: PathBuf,
    /// `curves.jsonl`.
    pub curves: Curves,
    /// What the user should know.
    pub notices: Notices,
}

/// Lines for the user, each told once.
#[derive(Default)]
pub struct Notices {
    all: Vec<String>,
    told: usize,
}

impl Notices {
    /// Adds a line, unless it is there already.
    pub fn add(&mut self, notice: impl Into<String>) {
        let notice = notice.into();
        if !self.all.contains(&notice) {
            self.all.push(notice);
        }
    }

    /// The next line that was not told yet.
    pub fn next(&mut self) -> Option<String> {
        let notice = self.all.get(self.told)?;
        self.told += 1;
        Some(notice.clone())
    }

    /// All lines.
    pub fn into_all(self) -> Vec<String> {
        self.all
    }
}

impl RunFolder {
    /// Begins in `options.out`, or goes on there from where `resumed` is.
    pub fn open(
        options: &TrainOptions,
        card: &ModelCard,
        corpus: &Corpus<'_>,
        resumed: Option<&TrainingRecord>,
    ) -> Result<Self, ModelError> {
        let dir = options.out.clone();
        let write =
            |error: std::io::Error| ModelError::Write { path: dir.clone(), message: error.to_string() };
        std::fs::create_dir_all(&dir).map_err(write)?;
        let curves = match resumed {
            Some(record) => Curves::resume(&dir, record)?,
            None => Curves::create(&dir)?,
        };
        write_json(&config(options, card, corpus), &dir.join("config.json"))?;
        Ok(Self { dir, curves, notices: Notices::default() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes the pages anew.
    pub fn publish(&self, model: &Model, options: &TrainOptions) -> Result<(), ModelError> {
        let page = page::html(&model.card, self.curves.rows());
        write_bytes(&self.dir.join("curves.html"), &[page.as_bytes()])?;
        let text = readme::markdown(&model.card, model.parameters(), options);
        write_bytes(&self.dir.join("README.md"), &[text.as_bytes()])
    }
}

/// `config.json`: everything that this session was told, and what it found.
fn config(options: &TrainOptions, card: &ModelCard, corpus: &Corpus<'_>) -> serde_json::Value {
    let budget = match options.budget {
        Budget::Minutes { minutes, tokenizer_share } => {
            json!({ "minutes": minutes, "tokenizer_share": tokenizer_share })
        }
        Budget::Steps { tokenizer, dynamics } => {
            json!({ "steps": { "tokenizer": tokenizer, "dynamics": dynamics } })
        }
    };
    let dataset = |part: &Part<'_>| {
        let Part { clips, weight } = part;
        json!({
            "path": clips.path,
            "task": clips.scenario.id,
            "hash": clips.hash,
            "seed": clips.info.seed,
            "writer": clips.info.writer,
            "weight": weight,
            "clips": clips.split(Split::Train).count(),
        })
    };
    let datasets: Vec<_> = corpus.parts().iter().map(dataset).collect();
    json!({
        "worldstep": env!("CARGO_PKG_VERSION"),
        "model_format": card.format,
        "tasks": card.tasks.iter().map(|task| &task.id).collect::<Vec<_>>(),
        "datasets": datasets,
        "mix": corpus.mix(),
        "from": options.from,
        "rate": options.rate,
        "seed": options.seed,
        "device": options.device.name(),
        "shards": options.device.shares(),
        "precision": options.precision.name(),
        "stages": options.stages.name(),
        "budget": budget,
        "batch": options.batch,
        "optimizer": options.optimizer.name(),
        "schedule": options.schedule,
        "ema_decay": options.ema_decay,
        "objective": options.objective,
        "physics": options.physics,
        "gradient_norm_max": super::gradients::GRADIENT_NORM_MAX,
        "validations": options.validations,
        "validation_batches": options.validation_batches,
        "log_every": options.log_every,
        "checkpoint_s": options.checkpoint_s,
        "model": card.config,
    })
}
