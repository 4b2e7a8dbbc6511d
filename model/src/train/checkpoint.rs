use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::learner::{Learner, Network, numbered};
use super::optimizer::Optimizer;
use super::options::{Stage, TrainOptions};
use crate::data::Corpus;
use crate::model::{Model, ModelCard, ModelError, TrainingRecord, load_weights, save_weights, write_json};

/// Version of [`StateFile`]; others are refused.
const FORMAT: u32 = 3;
const STATE_FILE: &str = "training.json";
/// Folder of the folders that hold what the model's own files do not.
const FOLDER: &str = "checkpoint";
const WEIGHTS_FILE: &str = "weights.safetensors";
const AVERAGE_FILE: &str = "average.safetensors";
const BEST_FILE: &str = "best.safetensors";
const MOMENTS_FILE: &str = "moments.bpk";

/// Where training stands.
#[derive(Clone, Debug)]
pub struct TrainState {
    /// The stage that is learning, or the last one.
    pub stage: Stage,
    /// Steps, seconds, validations.
    pub record: TrainingRecord,
    /// Name of the folder of the stage's weights, average and moments, if it has begun.
    folder: Option<String>,
}

impl TrainState {
    /// Nothing has begun.
    pub fn new(record: TrainingRecord, stage: Stage) -> Self {
        Self { stage, record, folder: None }
    }
}

/// `training.json`.
#[derive(Serialize, Deserialize)]
struct StateFile {
    format: u32,
    stage: Stage,
    folder: Option<String>,
    record: TrainingRecord,
}

/// A folder that holds a model in training: the model's own files, which can be used at any time, and what it takes to go
/// on.
///
/// Weights, average, the best average and moments of a checkpoint lie in a folder of their own, which `training.json`
/// names. Since that file is replaced in one step and last, a process that dies at any moment leaves the checkpoint before
/// or the one after, and never parts of both.
pub struct Checkpoint {
    dir: PathBuf,
}

impl Checkpoint {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes the model, and that its present stage has not begun.
    pub fn save_between(&self, model: &Model, state: &mut TrainState) -> Result<(), TrainError> {
        state.folder = None;
        self.save_state(model, state)
    }

    /// Writes the model with what is to be shipped of `learner`, and all of `learner`.
    pub fn save<M: Network>(
        &self,
        model: &mut Model,
        state: &mut TrainState,
        learner: &Learner<M>,
    ) -> Result<(), TrainError> {
        let name = format!("{}-{:07}", M::STAGE.name(), state.record.spent(M::STAGE).0);
        let folder = self.dir.join(FOLDER).join(&name);
        let write = |path: &Path, message: String| ModelError::Write { path: path.to_owned(), message };
        std::fs::create_dir_all(&folder).map_err(|error| write(&folder, error.to_string()))?;
        save_weights(&learner.weights, &folder.join(WEIGHTS_FILE))?;
        save_weights(&learner.average, &folder.join(AVERAGE_FILE))?;
        if let Some(best) = &learner.best {
            save_weights(best, &folder.join(BEST_FILE))?;
        }
        let moments = folder.join(MOMENTS_FILE);
        learner.optimizer.save(&moments).map_err(|error| write(&moments, error.to_string()))?;
        *M::of(model) = learner.shipped().clone();
        state.folder = Some(name);
        self.save_state(model, state)
    }

    fn save_state(&self, model: &Model, state: &TrainState) -> Result<(), TrainError> {
        model.save(&self.dir)?;
        let file = StateFile {
            format: FORMAT,
            stage: state.stage,
            folder: state.folder.clone(),
            record: state.record.clone(),
        };
        write_json(&file, &self.dir.join(STATE_FILE))?;
        self.forget_others(state.folder.as_deref());
        Ok(())
    }

    /// Removes folders that no `training.json` names any more. One that cannot be removed is in nobody's way.
    fn forget_others(&self, kept: Option<&str>) {
        let Ok(entries) = std::fs::read_dir(self.dir.join(FOLDER)) else { return };
        for entry in entries.flatten().filter(|entry| Some(entry.file_name()) != kept.map(Into::into)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }

    /// Reads the model and where its training stands, to go on with it on `corpus`.
    pub fn load(
        &self,
        options: &TrainOptions,
        device: &Device,
        corpus: &Corpus<'_>,
    ) -> Result<(Model, TrainState), TrainError> {
        let mut model = Model::load(&self.dir, device)?;
        check_same_run(&model.card, options, corpus)?;
        check_same_origin(&model.card, options, device)?;
        let path = self.dir.join(STATE_FILE);
        let damaged = |message: String| ModelError::Damaged { path: path.clone(), message };
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if json["format"] != FORMAT {
            let found = &json["format"];
            return Err(
                damaged(format!("checkpoint format {found}, this build goes on with {FORMAT}")).into()
            );
        }
        let file: StateFile = serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
        model.card.training = file.record.clone();
        Ok((model, TrainState { stage: file.stage, record: file.record, folder: file.folder }))
    }

    /// The network of the present stage as it was saved, or as it begins.
    pub fn learner<M: Network>(
        &self,
        model: &mut Model,
        state: &TrainState,
        optimizer: Optimizer,
    ) -> Result<Learner<M>, TrainError> {
        let network = M::of(model).clone();
        let Some(folder) = &state.folder else { return Ok(Learner::new(network, optimizer)) };
        let folder = self.dir.join(FOLDER).join(folder);
        let mut weights = network;
        load_weights(&mut weights, &folder.join(WEIGHTS_FILE))?;
        let mut average = weights.valid();
        load_weights(&mut average, &folder.join(AVERAGE_FILE))?;
        let mut best = state.record.best(M::STAGE).map(|_| weights.valid());
        if let Some(best) = &mut best {
            load_weights(best, &folder.join(BEST_FILE))?;
        }
        let moments = folder.join(MOMENTS_FILE);
        let optimizer = optimizer
            .begin()
            .load(&moments)
            .map_err(|error| ModelError::Damaged { path: moments, message: error.to_string() })?;
        Ok(Learner { weights: numbered(weights), average: numbered(average), best, optimizer })
    }
}

/// Refuses to go on otherwise than it was begun: the weights would have learned two things, and the record would tell one.
fn check_same_run(card: &ModelCard, options: &TrainOptions, corpus: &Corpus<'_>) -> Result<(), TrainError> {
    let path = options.out.clone();
    if let Some(other) = corpus.tasks().into_iter().find(|id| card.task_index(id).is_none()) {
        let (found, expected) = (card.task_names(), other.to_owned());
        return Err(TrainError::OtherTask { path, found, expected });
    }
    // A model that was begun from another's weights has that one's sizes.
    let preset = if options.from.is_some() { card.config.preset } else { options.preset };
    let begun = &card.training;
    // Before there was such a record, nothing is known of it.
    let objective = begun.objective.as_ref().unwrap_or(&options.objective).to_string();
    let mut asked_objective = options.objective.clone();
    if options.from.is_some() {
        asked_objective.refiner.clone_from(&card.config.refiner);
    }
    let facts = [
        ("dataset", begun.dataset_hash.clone(), corpus.hash()),
        ("frames", card.config.frame.to_string(), corpus.frame_size().to_string()),
        ("mix", begun.mix.clone(), corpus.mix().to_owned()),
        ("preset", card.config.preset.name().to_owned(), preset.name().to_owned()),
        ("seed", begun.seed.to_string(), options.seed.to_string()),
        ("rate", begun.rate.unwrap_or(options.rate).to_string(), options.rate.to_string()),
        ("schedule", begun.schedule.unwrap_or(options.schedule).to_string(), options.schedule.to_string()),
        ("precision", begun.precision.name().to_owned(), options.precision.name().to_owned()),
        ("batch", begun.batch.to_string(), options.batch.to_string()),
        ("ema-decay", begun.ema_decay.to_string(), options.ema_decay.to_string()),
        ("optimizer", begun.optimizer.name().to_owned(), options.optimizer.name().to_owned()),
        ("objective", objective, asked_objective.to_string()),
        ("physics losses", begun.physics.to_string(), options.physics.to_string()),
    ];
    match facts.into_iter().find(|(_, found, asked)| found != asked) {
        Some((what, found, asked)) => Err(TrainError::OtherRun { path, what, found, asked }),
        None => Ok(()),
    }
}

/// Refuses to go on from another model's weights than those that it was begun with. Without `from` they are not asked for.
fn check_same_origin(card: &ModelCard, options: &TrainOptions, device: &Device) -> Result<(), TrainError> {
    let Some(from) = &options.from else { return Ok(()) };
    let asked = format!("{:016x}", Model::load(from, device)?.weights_hash());
    let found = card.training.from.clone();
    if found == asked {
        return Ok(());
    }
    let found = if found.is_empty() { "random weights".to_owned() } else { found };
    Err(TrainError::OtherRun { path: options.out.clone(), what: "from", found, asked })
}
