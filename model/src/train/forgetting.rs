//! What fine-tuning costs: losses on validation clips before and after it, those of tasks that the model knew among them.

use std::sync::Arc;

use burn::module::Module;
use rand::SeedableRng;
use worldstep_env::Rng;

use super::dynamics_stage::DynamicsObjective;
use super::gradients::{Draw, Objective};
use super::options::TrainOptions;
use super::tokenizer_stage::TokenizerObjective;
use crate::codec::encode_frames;
use crate::config::FRAME_BYTES;
use crate::data::{Clips, Corpus, Split};
use crate::model::{Losses, Model, TaskCard, TaskLosses};
use crate::packing::FRAME_CODE_BYTES;
use crate::tokenizer::Tokenizer;

/// Batches that a loss is the mean of.
const BATCHES: u64 = 4;

/// Losses of `model` before it is fine-tuned, of each part that has clips for validation. `known` are the tasks that it
/// has learned.
pub fn before(
    model: &Model,
    corpus: &Corpus<'_>,
    known: &[TaskCard],
    options: &TrainOptions,
) -> Vec<TaskLosses> {
    let parts = corpus.parts().iter();
    parts
        .filter_map(|part| {
            let task = part.clips.scenario.id.clone();
            Some(TaskLosses {
                known: known.iter().any(|card| card.id == task),
                task,
                dataset: part.clips.path.clone(),
                before: losses(model, part.clips, options)?,
                after: None,
            })
        })
        .collect()
}

/// Measures again what was measured [`before`].
pub fn after(model: &mut Model, corpus: &Corpus<'_>, options: &TrainOptions) {
    let mut measured = std::mem::take(&mut model.card.training.forgetting);
    for row in &mut measured {
        let part = corpus.of_task(&row.task).find(|clips| clips.path == row.dataset);
        row.after = part.and_then(|clips| losses(model, clips, options));
    }
    model.card.training.forgetting = measured;
}

/// Mean losses over batches that are the same whenever they are drawn; `None` without validation clips.
fn losses(model: &Model, clips: &Clips, options: &TrainOptions) -> Option<Losses> {
    let corpus = Corpus::from(clips);
    let tokenizer = model.tokenizer.valid();
    let codes = [val_codes(clips, &tokenizer)];
    let dynamics = DynamicsObjective::new(&corpus, Split::Val, &codes, &model.card, options)?;
    Some(Losses {
        tokenizer: mean(&TokenizerObjective::new(&corpus, Split::Val)?, &tokenizer),
        dynamics: mean(&dynamics, &model.dynamics.valid()),
    })
}

fn mean<M>(objective: &impl Objective<M>, module: &M) -> f64 {
    let loss = |seed| {
        let mut draw = Draw { rng: Rng::seed_from_u64(seed), share: 1.0, progress: 1.0 };
        f64::from(objective.loss(module, &mut draw).total.into_scalar::<f32>())
    };
    (0..BATCHES).map(loss).sum::<f64>() / BATCHES as f64
}

/// Codes of the rows of validation clips; zeros elsewhere.
fn val_codes(clips: &Clips, tokenizer: &Tokenizer) -> Arc<[u8]> {
    let mut codes = vec![0; clips.rows() * FRAME_CODE_BYTES];
    for clip in clips.split(Split::Val) {
        let rows = clip.start..clip.start + clip.len;
        let frames = &clips.frames[rows.start * FRAME_BYTES..rows.end * FRAME_BYTES];
        codes[rows.start * FRAME_CODE_BYTES..rows.end * FRAME_CODE_BYTES]
            .copy_from_slice(&encode_frames(tokenizer, frames));
    }
    codes.into()
}
