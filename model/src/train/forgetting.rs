//! What fine-tuning costs: losses on validation clips before and after it, those of tasks that the model knew among them.

use std::sync::Arc;

use burn::module::Module;

use super::coded_rows::CodedRows;
use super::dynamics_stage::DynamicsObjective;
use super::error::TrainError;
use super::gradients::{Objective, Shards};
use super::loss::TOTAL;
use super::options::TrainOptions;
use super::tokenizer_stage::TokenizerObjective;
use crate::codec::encode_frames;
use crate::data::{Clips, Corpus, Split};
use crate::model::{Losses, Model, TaskCard, TaskLosses};
use crate::packing::FRAME_CODE_BYTES;
use crate::tokenizer::Tokenizer;

/// Batches that a loss is the mean of.
const BATCHES: u64 = 4;
/// What they are drawn from.
const SEED: u64 = 0;

/// Losses of `model` before it is fine-tuned, of each part that has clips for validation. `known` are the tasks that it
/// has learned.
///
/// # Errors
/// [`TrainError::Threads`].
pub fn before(
    model: &Model,
    corpus: &Corpus<'_>,
    known: &[TaskCard],
    options: &TrainOptions,
) -> Result<Vec<TaskLosses>, TrainError> {
    let shards = Shards::new(options.device, options.precision).map_err(TrainError::Threads)?;
    let parts = corpus.parts().iter();
    let rows = parts
        .filter_map(|part| {
            let task = part.clips.scenario.id.clone();
            Some(TaskLosses {
                known: known.iter().any(|card| card.id == task),
                task,
                dataset: part.clips.path.clone(),
                before: losses(model, part.clips, options, &shards)?,
                after: None,
            })
        })
        .collect();
    Ok(rows)
}

/// Measures again what was measured [`before`].
///
/// # Errors
/// [`TrainError::Threads`].
pub fn after(model: &mut Model, corpus: &Corpus<'_>, options: &TrainOptions) -> Result<(), TrainError> {
    let shards = Shards::new(options.device, options.precision).map_err(TrainError::Threads)?;
    let mut measured = std::mem::take(&mut model.card.training.forgetting);
    for row in &mut measured {
        let part = corpus.of_task(&row.task).find(|clips| clips.path == row.dataset);
        row.after = part.and_then(|clips| losses(model, clips, options, &shards));
    }
    model.card.training.forgetting = measured;
    Ok(())
}

/// Mean losses over batches that are the same whenever they are drawn; `None` without validation clips.
fn losses(model: &Model, clips: &Clips, options: &TrainOptions, shards: &Shards) -> Option<Losses> {
    let corpus = Corpus::from(clips);
    let tokenizer = model.tokenizer.valid();
    let codes = [val_codes(clips, &tokenizer)];
    let rows = Arc::new(CodedRows::new(&corpus, &codes, &model.card, &options.objective));
    let dynamics = DynamicsObjective::new(&corpus, Split::Val, &rows, &model.card, options)?;
    Some(Losses {
        tokenizer: mean(shards, &tokenizer, &TokenizerObjective::new(&corpus, Split::Val, None)?),
        dynamics: mean(shards, &model.dynamics.valid(), &dynamics),
    })
}

fn mean<M: Module + Sync>(shards: &Shards, module: &M, objective: &impl Objective<M>) -> f64 {
    let means = shards.means(module, objective, BATCHES, SEED);
    means.iter().find(|(name, _)| *name == TOTAL).map_or(f64::NAN, |(_, mean)| f64::from(*mean))
}

/// Codes of the rows of validation clips; zeros elsewhere.
fn val_codes(clips: &Clips, tokenizer: &Tokenizer) -> Arc<[u8]> {
    let mut codes = vec![0; clips.rows() * FRAME_CODE_BYTES];
    for clip in clips.split(Split::Val) {
        let rows = clip.rows();
        codes[rows.start * FRAME_CODE_BYTES..rows.end * FRAME_CODE_BYTES]
            .copy_from_slice(&encode_frames(tokenizer, clips.film(rows)));
    }
    codes.into()
}
