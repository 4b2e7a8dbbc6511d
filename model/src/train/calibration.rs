//! The threshold of termination, chosen when a model has been trained.

use burn::module::Module;

use crate::data::{ClipRange, Clips, Corpus, Split};
use crate::eval::foretell_ends;
use crate::eval::simulator::best_threshold;
use crate::model::{Model, ModelError};

/// Frames looked at for each task: some seconds of `nano` on a processor.
const FRAMES_MAX: usize = 16_384;
/// Clips that are looked at together.
const CLIPS_TOGETHER: usize = 16;

/// Notes in the card of each task of `corpus` above which probability a step is best taken to end the episode. A rare
/// event weighs more in training than the steps without it, so its probabilities come out too high. Chosen on clips of
/// the split `val`; a task with too few ends among them, or whose ends the model does not foretell, keeps what it has. Gives
/// up when `stopped` says so.
///
/// # Errors
/// [`ModelError::Damaged`] if the weights are not those of the configuration.
pub fn calibrate(
    model: &mut Model,
    corpus: &Corpus<'_>,
    stopped: impl Fn() -> bool,
) -> Result<(), ModelError> {
    let plain = Model {
        tokenizer: model.tokenizer.valid(),
        dynamics: model.dynamics.valid(),
        device: model.device.clone().inner(),
        card: model.card.clone(),
        products: model.products,
    };
    for (task, card) in model.card.tasks.iter_mut().enumerate() {
        let told = corpus.of_task(&card.id).filter(|clips| clips.targets.terminated);
        let mut foretold = Vec::new();
        for (clips, ranges) in chosen(told) {
            for some in ranges.chunks(CLIPS_TOGETHER) {
                if stopped() {
                    return Ok(());
                }
                foretell_ends((&plain, task), clips, some, &mut foretold)?;
            }
        }
        card.termination_threshold = best_threshold(foretold).or(card.termination_threshold);
    }
    Ok(())
}

/// Clips for validation, as many as there is time for.
fn chosen<'a>(all: impl Iterator<Item = &'a Clips>) -> Vec<(&'a Clips, Vec<ClipRange>)> {
    let mut frames = 0;
    let mut of = |clips: &'a Clips| {
        let fits = |clip: &&ClipRange| {
            let fits = frames < FRAMES_MAX;
            frames += clip.len;
            fits
        };
        (clips, clips.split(Split::Val).take_while(fits).cloned().collect())
    };
    all.map(&mut of).collect()
}
