//! Learning: first the tokenizer, then the dynamics on its codes.

mod begin;
mod checkpoint;
mod coded_corpus;
mod dynamics_batch;
mod dynamics_loss;
mod dynamics_stage;
mod forgetting;
mod gradients;
mod objective;
mod options;
pub mod physics;
mod refiner_loss;
mod sampler;
mod self_forcing;
mod stage;
mod tasks;
mod tokenizer_stage;
mod window_plan;

pub use objective::{Corruption, ObjectiveError, ObjectiveOptions, SelfForcing, ShortStarts};
pub use options::{Budget, Progress, Stage, TrainError, TrainOptions, TrainSummary};
pub use physics::PhysicsOptions;

use burn::module::Module as _;

use crate::data::{Corpus, Split, load_all};
use crate::model::Model;
use begin::begin;
use checkpoint::{Checkpoint, TrainState};
use coded_corpus::encode_parts;
use dynamics_stage::DynamicsObjective;
use stage::Clock;
use tokenizer_stage::TokenizerObjective;

/// Trains a model on datasets, or goes on with one; the model is in `options.out` when it returns, also when it was
/// stopped.
///
/// # Errors
/// [`TrainError`] if the dataset or the checkpoint to resume cannot be read or do not belong together, if a model is there
/// that is not to be resumed, or the model cannot be written.
pub fn train(
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    let clips = load_all(&options.data, options.task.as_deref(), options.lerobot.as_deref())?;
    train_on(Corpus::new(&clips, &options.mix)?, options, progress)
}

/// As [`train`], on clips that are already in memory.
///
/// # Errors
/// As [`train`].
pub fn train_on<'a>(
    corpus: impl Into<Corpus<'a>>,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    let corpus = corpus.into();
    let nothing = || TrainError::NoClips { path: corpus.path().to_owned() };
    if !corpus.is_learnable() {
        return Err(nothing());
    }
    options.objective.check()?;
    let device = options.device.burn().autodiff();
    let occupied = Model::is_in(&options.out);
    let (mut model, mut state) = if options.resume && occupied {
        Checkpoint::load(options, &device, &corpus)?
    } else if occupied {
        return Err(TrainError::Occupied { path: options.out.clone() });
    } else {
        device.seed(options.seed);
        let model = begin(&corpus, options, &device)?;
        let record = model.card.training.clone();
        (model, TrainState { record, ..TrainState::default() })
    };
    let checkpoint = Checkpoint::new(&options.out);
    if state.stage == Stage::Tokenizer {
        let objective = TokenizerObjective::new(&corpus, Split::Train).ok_or_else(nothing)?;
        let clock = Clock::new(options, Stage::Tokenizer, &state);
        let tokenizer = model.tokenizer.clone();
        let mut run =
            stage::Run { options, clock, checkpoint: &checkpoint, model: &mut model, state: &mut state };
        let finished =
            run.stage(tokenizer, &objective, |model, tokenizer| model.tokenizer = tokenizer, progress)?;
        if finished {
            state.stage = Stage::Dynamics;
            checkpoint.save(&model, &state, None)?;
        }
    }
    if state.stage == Stage::Dynamics && !options.stopped() {
        let clock = Clock::new(options, Stage::Dynamics, &state);
        let codes = encode_parts(&corpus, &model.tokenizer.valid());
        let objective = DynamicsObjective::new(&corpus, Split::Train, &codes, &model.card, options);
        let objective = objective.ok_or_else(nothing)?;
        let dynamics = model.dynamics.clone();
        let mut run =
            stage::Run { options, clock, checkpoint: &checkpoint, model: &mut model, state: &mut state };
        run.stage(dynamics, &objective, |model, dynamics| model.dynamics = dynamics, progress)?;
    }
    if !options.stopped() && !model.card.training.forgetting.is_empty() {
        forgetting::after(&mut model, &corpus, options);
        model.save(&options.out)?;
    }
    Ok(TrainSummary {
        record: model.card.training.clone(),
        parameters: model.parameters(),
        stopped: options.stopped(),
    })
}
