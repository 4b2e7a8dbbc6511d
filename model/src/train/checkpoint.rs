use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::options::{Stage, TrainError, TrainOptions};
use super::stage::optimizer;
use crate::data::Corpus;
use crate::model::{Model, ModelCard, ModelError, TrainingRecord, write_json};

const STATE_FILE: &str = "training.json";
const OPTIMIZER_FILE: &str = "optimizer.bpk";

/// Where training stands.
#[derive(Default)]
pub struct TrainState {
    pub stage: Stage,
    pub record: TrainingRecord,
    /// Moments of the stage's optimiser, if it has begun.
    pub optimizer: Option<ModuleOptimizer>,
}

/// `training.json`.
#[derive(Serialize, Deserialize)]
struct StateFile {
    stage: Stage,
    /// Whether [`OPTIMIZER_FILE`] belongs to this stage.
    optimizer: bool,
    /// Identities of the stage's parameters, which key the optimiser's moments.
    parameters: Vec<u64>,
}

/// A folder that holds a model in training: the model's own files, and what it takes to go on.
pub struct Checkpoint {
    dir: PathBuf,
}

impl Checkpoint {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes everything; each file replaces its predecessor in one step.
    pub fn save(
        &self,
        model: &Model,
        state: &TrainState,
        optimizer: Option<&ModuleOptimizer>,
    ) -> Result<(), TrainError> {
        model.save(&self.dir)?;
        if let Some(optimizer) = optimizer {
            let path = self.dir.join(OPTIMIZER_FILE);
            let scratch = self.dir.join("optimizer.tmp.bpk");
            let write = |message: String| ModelError::Write { path: path.clone(), message };
            let _ = std::fs::remove_file(&scratch);
            optimizer.save(&scratch).map_err(|error| write(error.to_string()))?;
            std::fs::rename(&scratch, &path).map_err(|error| write(error.to_string()))?;
        }
        let parameters = match state.stage {
            Stage::Tokenizer => identities(&model.tokenizer),
            Stage::Dynamics => identities(&model.dynamics),
        };
        let file = StateFile { stage: state.stage, optimizer: optimizer.is_some(), parameters };
        Ok(write_json(&file, &self.dir.join(STATE_FILE))?)
    }

    /// Reads the checkpoint in `options.out` to go on with it on `corpus`.
    pub fn load(
        options: &TrainOptions,
        device: &Device,
        corpus: &Corpus<'_>,
    ) -> Result<(Model, TrainState), TrainError> {
        let dir = &options.out;
        let mut model = Model::load(dir, device)?;
        check_same_run(&model.card, options, corpus)?;
        let path = dir.join(STATE_FILE);
        let damaged = |path: &Path, message: String| ModelError::Damaged { path: path.to_owned(), message };
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let file: StateFile =
            serde_json::from_str(&text).map_err(|error| damaged(&path, error.to_string()))?;
        let moments = dir.join(OPTIMIZER_FILE);
        let mut state =
            TrainState { stage: file.stage, record: model.card.training.clone(), optimizer: None };
        if file.optimizer {
            match file.stage {
                Stage::Tokenizer => model.tokenizer = identify(model.tokenizer, file.parameters),
                Stage::Dynamics => model.dynamics = identify(model.dynamics, file.parameters),
            }
            let loaded = optimizer().load(&moments).map_err(|error| damaged(&moments, error.to_string()))?;
            state.optimizer = Some(loaded);
        }
        Ok((model, state))
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
    // Before there was such a record, nothing is known of it.
    let begun = card.training.objective.as_ref().unwrap_or(&options.objective).to_string();
    let facts = [
        ("dataset", card.training.dataset_hash.clone(), corpus.hash()),
        ("mix", card.training.mix.clone(), corpus.mix().to_owned()),
        ("preset", card.config.preset.name().to_owned(), preset.name().to_owned()),
        ("seed", card.training.seed.to_string(), options.seed.to_string()),
        ("objective", begun, options.objective.to_string()),
        ("physics losses", card.training.physics.to_string(), options.physics.to_string()),
    ];
    match facts.into_iter().find(|(_, found, asked)| found != asked) {
        Some((what, found, asked)) => Err(TrainError::OtherRun { path, what, found, asked }),
        None => Ok(()),
    }
}

struct Identities(Vec<u64>);

impl ModuleVisitor for Identities {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.id.val());
    }
}

fn identities<M: Module>(module: &M) -> Vec<u64> {
    let mut visitor = Identities(Vec::new());
    module.visit(&mut visitor);
    visitor.0
}

struct Identify(std::vec::IntoIter<u64>);

impl ModuleMapper for Identify {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(self.0.next().map_or(id, ParamId::from), tensor, mapper)
    }
}

/// The same weights under the identities that they had when their moments were saved.
fn identify<M: Module>(module: M, identities: Vec<u64>) -> M {
    module.map(&mut Identify(identities.into_iter()))
}
