use burn::tensor::Device;

use super::error::TrainError;
use super::forgetting;
use super::objective::ObjectiveOptions;
use super::options::TrainOptions;
use super::tasks::task_cards;
use crate::data::{Corpus, Split};
use crate::model::{Model, ModelCard, TrainingRecord};

/// A model to train on `corpus`: with random weights, or with those of the model that `options.from` names and room for
/// what is new to it.
///
/// # Errors
/// [`TrainError`] if that model cannot be read, has another refiner than the objective asks for, or reads actions of a
/// task otherwise than `corpus`.
pub fn begin(corpus: &Corpus<'_>, options: &TrainOptions, device: &Device) -> Result<Model, TrainError> {
    let record = record(corpus, options);
    let presence =
        options.physics.count > 0.0 && corpus.parts().iter().any(|part| part.clips.physics.is_some());
    let Some(from) = &options.from else {
        let mut card = ModelCard::new(options.preset, task_cards(corpus, &[])?);
        card.config.frame = corpus.frame_size();
        card.config.presence = presence;
        card.config.refiner.clone_from(&options.objective.refiner);
        card.training = record;
        return Ok(Model::random(card, device));
    };
    let old = Model::load(from, device)?;
    old.card.check_frames(corpus.path(), corpus.frame_size())?;
    let (refiner, asked) = (&old.card.config.refiner, &options.objective.refiner);
    if asked.is_some() && asked != refiner {
        let has =
            refiner.as_ref().map_or("none".to_owned(), |refiner| format!("one of {} layers", refiner.layers));
        let message = format!(
            "the objective has a refiner of its own, and a model keeps that which it was begun with: {} has {has}; leave \
             it out",
            from.display()
        );
        return Err(TrainError::Option { message });
    }
    let objective = ObjectiveOptions { refiner: refiner.clone(), ..options.objective.clone() };
    let known = old.card.tasks.clone();
    let from = format!("{:016x}", old.weights_hash());
    let mut card = old.card.with_tasks(task_cards(corpus, &known)?);
    card.config.presence |= presence;
    let mut model = old.extended(card);
    let forgetting = forgetting::before(&model, corpus, &known, options)?;
    model.card.training = TrainingRecord { from, forgetting, objective: Some(objective), ..record };
    Ok(model)
}

fn record(corpus: &Corpus<'_>, options: &TrainOptions) -> TrainingRecord {
    let parts = || corpus.parts().iter().filter(|part| part.weight > 0.0);
    let learned = || parts().flat_map(|part| part.clips.split(Split::Train));
    TrainingRecord {
        clips: learned().count(),
        frames: learned().map(|clip| clip.len).sum(),
        dataset_hash: corpus.hash(),
        dataset_seed: corpus.parts().first().map_or(0, |part| part.clips.info.seed),
        mix: corpus.mix().to_owned(),
        seed: options.seed,
        objective: Some(options.objective.clone()),
        physics: options.physics,
        rate: Some(options.rate),
        schedule: Some(options.schedule),
        optimizer: options.optimizer,
        precision: options.precision,
        batch: options.batch,
        ema_decay: options.ema_decay,
        ..TrainingRecord::default()
    }
}
