//! The threshold of termination, chosen when a model has been trained.

use burn::module::Module;

use crate::data::{ClipRange, Clips, Corpus, Split};
use crate::eval::termination_threshold;
use crate::model::{Model, ModelError};

/// Frames looked at for each task: some seconds on a processor.
const FRAMES_MAX: usize = 16_384;

/// Notes in the card of each task of `corpus` above which probability a step is best taken to end the episode. A rare
/// event weighs more in training than the steps without it, so its probabilities come out too high. Chosen on clips of
/// the split `val`; a task with too few ends among them, or none that are told, keeps what it has.
///
/// # Errors
/// [`ModelError::Damaged`] if the weights are not those of the configuration.
pub fn calibrate(model: &mut Model, corpus: &Corpus<'_>) -> Result<(), ModelError> {
    let plain = Model {
        tokenizer: model.tokenizer.valid(),
        dynamics: model.dynamics.valid(),
        device: model.device.clone().inner(),
        card: model.card.clone(),
    };
    for (task, card) in model.card.tasks.iter_mut().enumerate() {
        let told = corpus.of_task(&card.id).find(|clips| clips.targets.terminated);
        if let Some(clips) = told
            && let Some(threshold) = termination_threshold((&plain, task), clips, &chosen(clips))?
        {
            card.termination_threshold = Some(threshold);
        }
    }
    Ok(())
}

/// Clips for validation, as many as there is time for.
fn chosen(clips: &Clips) -> Vec<ClipRange> {
    let mut frames = 0;
    let fits = |clip: &&ClipRange| {
        frames += clip.len;
        frames <= FRAMES_MAX
    };
    clips.split(Split::Val).take_while(fits).cloned().collect()
}
