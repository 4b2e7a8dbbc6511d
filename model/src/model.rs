use std::io::Write as _;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use thiserror::Error;

use crate::card::CARD_FILE;
pub use crate::card::{CardError, MODEL_FORMAT, ModelCard, TaskCard, tasks_in};
use crate::codec::plain;
use crate::cuda::ProductNumbers;
use crate::dynamics::Dynamics;
use crate::fnv;
use crate::tokenizer::Tokenizer;
pub use crate::training_record::{Losses, TaskLosses, TrainingRecord, Validation};

const TOKENIZER_FILE: &str = "tokenizer.safetensors";
const DYNAMICS_FILE: &str = "dynamics.safetensors";

/// Why a model cannot be loaded or saved.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}: {source}; train a model with `worldstep train`, or name the folder that holds one",
        path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why. A raw name, so that it is no `source()` beside the message that tells it already.
        r#source: std::io::Error,
    },
    /// A file that is there, but is no (whole) checkpoint.
    #[error("{path} is damaged: {message}; restore it or train again with `worldstep train`", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A checkpoint of another version.
    #[error("{path}: model format {found}, this build reads 1 and {MODEL_FORMAT}; train again with `worldstep train`",
        path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u64,
    },
    /// It cannot be stepped as asked for.
    #[error("{message}")]
    Unsupported {
        /// What is missing.
        message: String,
    },
    /// A file could not be written; what was there before is still there.
    #[error("cannot write {path}: {message}; free some space or choose another folder", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// A world model: tokenizer, dynamics and what is to be known of them.
#[derive(Clone, Debug)]
pub struct Model {
    /// Sizes, task, training.
    pub card: ModelCard,
    /// Frames ↔ codes.
    pub tokenizer: Tokenizer,
    /// Codes → next codes.
    pub dynamics: Dynamics,
    /// Where it computes.
    pub device: Device,
    /// What the products of its blocks are made of when it is stepped.
    pub products: ProductNumbers,
}

impl Model {
    /// Random weights, for tests and benches.
    pub fn random(card: ModelCard, device: &Device) -> Self {
        Self {
            tokenizer: Tokenizer::new(&card.config, device),
            dynamics: Dynamics::new(&card.config, device),
            card,
            device: device.clone(),
            products: ProductNumbers::default(),
        }
    }

    /// The same model on another device.
    pub fn on(&self, device: &Device) -> Self {
        Self {
            card: self.card.clone(),
            tokenizer: self.tokenizer.clone().to_device(device),
            dynamics: self.dynamics.clone().to_device(device),
            device: device.clone(),
            products: self.products,
        }
    }

    /// The same model, with the products of its blocks made of `products` when it is stepped.
    pub fn with_products(self, products: ProductNumbers) -> Self {
        Self { products, ..self }
    }

    /// Whether `dir` holds a model, whole or damaged.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(CARD_FILE).exists()
    }

    /// Loads a model from its folder.
    ///
    /// # Errors
    /// [`ModelError`] names the file that is missing, damaged or of another version.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, ModelError> {
        let mut model = Self::random(load_card(dir)?, device);
        load_weights(&mut model.tokenizer, &dir.join(TOKENIZER_FILE))?;
        load_weights(&mut model.dynamics, &dir.join(DYNAMICS_FILE))?;
        Ok(model)
    }

    /// Writes the model into `dir`; each file replaces its predecessor in one step, the card last.
    ///
    /// # Errors
    /// [`ModelError::Write`] names the file.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let write = |path: &Path, source: std::io::Error| ModelError::Write {
            path: path.to_owned(),
            message: source.to_string(),
        };
        std::fs::create_dir_all(dir).map_err(|source| write(dir, source))?;
        save_weights(&self.tokenizer, &dir.join(TOKENIZER_FILE))?;
        save_weights(&self.dynamics, &dir.join(DYNAMICS_FILE))?;
        write_json(&self.card, &dir.join(CARD_FILE))
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        self.tokenizer.num_params() + self.dynamics.num_params()
    }

    /// Names the weights: a hash over the values of all of them. It reads them once, which takes milliseconds
    /// for a `nano`.
    pub fn weights_hash(&self) -> u64 {
        let mut hash = WeightsHash(fnv::EMPTY);
        self.tokenizer.visit(&mut hash);
        self.dynamics.visit(&mut hash);
        hash.0
    }
}

/// As [`Model::weights_hash`], of one network.
pub fn hash_of_weights(module: &impl Module) -> u64 {
    let mut hash = WeightsHash(fnv::EMPTY);
    module.visit(&mut hash);
    hash.0
}

struct WeightsHash(u64);

impl ModuleVisitor for WeightsHash {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        for value in plain(param.val()) {
            self.0 = fnv::extend(self.0, &value.to_le_bytes());
        }
    }
}

/// The card of the model in `dir`, without its weights.
///
/// # Errors
/// If there is none, or it is damaged or of another version.
pub fn load_card(dir: &Path) -> Result<ModelCard, ModelError> {
    let path = dir.join(CARD_FILE);
    let text =
        std::fs::read_to_string(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    let damaged =
        |error: serde_json::Error| ModelError::Damaged { path: path.clone(), message: error.to_string() };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    ModelCard::from_json(json).map_err(|error| match error {
        CardError::Version(found) => ModelError::Version { path, found },
        CardError::Damaged(message) => ModelError::Damaged { path, message },
    })
}

/// Replaces `path` by the JSON of `value` in one step.
pub fn write_json(value: &impl Serialize, path: &Path) -> Result<(), ModelError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| ModelError::Write { path: path.to_owned(), message: error.to_string() })?;
    write_bytes(path, &[text.as_bytes()])
}

/// Replaces `path` by `parts`, one after the other, in one step.
pub fn write_bytes(path: &Path, parts: &[&[u8]]) -> Result<(), ModelError> {
    let write =
        |source: std::io::Error| ModelError::Write { path: path.to_owned(), message: source.to_string() };
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".tmp");
    let mut file = std::fs::File::create(&scratch).map_err(write)?;
    parts.iter().try_for_each(|part| file.write_all(part)).map_err(write)?;
    drop(file);
    std::fs::rename(&scratch, path).map_err(write)
}

/// Replaces `path` by the weights of `module` in one step.
pub fn save_weights<M: ModuleSnapshot>(module: &M, path: &Path) -> Result<(), ModelError> {
    let mut store = SafetensorsStore::from_file(path).overwrite(true);
    let write = |message: String| ModelError::Write { path: path.to_owned(), message };
    module.save_into(&mut store).map_err(|error| write(error.to_string()))
}

/// Reads weights into `module`; all of them must be there.
pub fn load_weights<M: ModuleSnapshot>(module: &mut M, path: &Path) -> Result<(), ModelError> {
    std::fs::metadata(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let mut store = SafetensorsStore::from_file(path);
    let damaged = |message: String| ModelError::Damaged { path: path.to_owned(), message };
    let result = module.load_from(&mut store).map_err(|error| damaged(one_line(&error.to_string())))?;
    if result.is_success() { Ok(()) } else { Err(damaged(one_line(&result.to_string()))) }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}
