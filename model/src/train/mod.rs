//! Learning: first the tokenizer, then the dynamics on its codes.

mod checkpoint;
mod dynamics_batch;
mod dynamics_loss;
mod dynamics_stage;
mod gradients;
mod options;
pub mod physics;
mod stage;
mod tokenizer_stage;

pub use options::{Budget, Progress, Stage, TrainError, TrainOptions, TrainSummary};
pub use physics::PhysicsOptions;

use crate::config::ModelConfig;
use crate::data::{Clips, Split};
use crate::dynamics::OBJECT_VALUES;
use crate::model::{MODEL_FORMAT, Model, ModelCard, TrainingRecord};
use checkpoint::{Checkpoint, TrainState};
use dynamics_stage::DynamicsObjective;
use stage::Clock;
use tokenizer_stage::TokenizerObjective;

/// Trains a model on a dataset, or goes on with one; the model is in `options.out` when it returns, also when it was
/// stopped.
///
/// # Errors
/// [`TrainError`] if the dataset or the checkpoint to resume cannot be read or do not belong together, if a model is there
/// that is not to be resumed, or the model cannot be written.
pub fn train(
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    let clips = Clips::load(&options.data, options.task.as_deref())?;
    train_on(&clips, options, progress)
}

/// As [`train`], on clips that are already in memory.
///
/// # Errors
/// As [`train`].
pub fn train_on(
    clips: &Clips,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    if clips.split(Split::Train).next().is_none() {
        return Err(TrainError::NoClips { path: options.data.clone() });
    }
    let device = options.device.burn().autodiff();
    let occupied = Model::is_in(&options.out);
    let (mut model, mut state) = if options.resume && occupied {
        Checkpoint::load(options, &device, clips)?
    } else if occupied {
        return Err(TrainError::Occupied { path: options.out.clone() });
    } else {
        device.seed(options.seed);
        let model = Model::random(card(clips, options), &device);
        let record = model.card.training.clone();
        (model, TrainState { record, ..TrainState::default() })
    };
    let checkpoint = Checkpoint::new(&options.out);
    if state.stage == Stage::Tokenizer {
        let objective = TokenizerObjective::new(clips);
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
        let objective = DynamicsObjective::new(clips, &model, options);
        let dynamics = model.dynamics.clone();
        let mut run =
            stage::Run { options, clock, checkpoint: &checkpoint, model: &mut model, state: &mut state };
        run.stage(dynamics, &objective, |model, dynamics| model.dynamics = dynamics, progress)?;
    }
    Ok(TrainSummary {
        record: model.card.training.clone(),
        parameters: model.parameters(),
        stopped: options.stopped(),
    })
}

fn card(clips: &Clips, options: &TrainOptions) -> ModelCard {
    let (object_mean, object_scale) = object_statistics(clips);
    let mut config = ModelConfig::new(options.preset, clips.coding.values(), clips.tracked_objects());
    config.presence = clips.physics.is_some() && options.physics.count > 0.0;
    let moving = clips.scenario.instances.iter().filter(|label| label.moving);
    ModelCard {
        format: MODEL_FORMAT,
        task: clips.scenario.id.clone(),
        config,
        actions: clips.coding.clone(),
        objects: moving.map(|label| label.name.clone()).collect(),
        object_mean,
        object_scale,
        training: TrainingRecord {
            clips: clips.split(Split::Train).count(),
            frames: clips.split(Split::Train).map(|clip| clip.len).sum(),
            dataset_hash: clips.hash.clone(),
            dataset_seed: clips.info.seed,
            seed: options.seed,
            physics: options.physics,
            ..TrainingRecord::default()
        },
    }
}

/// Mean and standard deviation of each readout value over all rows.
fn object_statistics(clips: &Clips) -> (Vec<f32>, Vec<f32>) {
    let values = clips.tracked_objects() * OBJECT_VALUES;
    let count = clips.rows() as f64;
    let mut sums = vec![(0.0, 0.0); values];
    for row in clips.objects.chunks_exact(values.max(1)) {
        for ((sum, squares), value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
            *squares += f64::from(*value) * f64::from(*value);
        }
    }
    sums.into_iter()
        .map(|(sum, squares)| {
            let mean = sum / count;
            // A value that never changes has no scale of its own; it must not be blown up either.
            (mean as f32, (squares / count - mean * mean).max(1e-4).sqrt() as f32)
        })
        .unzip()
}
