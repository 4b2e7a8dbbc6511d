//! What the model's card says of the tasks in a corpus, and how their rows become rows of the model's.

use super::physics::Normalisation;
use crate::data::{Clips, Corpus, DataError};
use crate::dynamics::OBJECT_VALUES;
use crate::model::{ModelCard, TaskCard};

/// Cards of the tasks of `corpus`: those of `known` first, in their order, as they are but for objects that they lack;
/// then the others, in the order that they appear in.
///
/// # Errors
/// [`DataError::Differs`] if clips of the same task take different actions.
pub fn task_cards(corpus: &Corpus<'_>, known: &[TaskCard]) -> Result<Vec<TaskCard>, DataError> {
    let mut cards = known.to_vec();
    for id in corpus.tasks() {
        for clips in corpus.of_task(id) {
            match cards.iter_mut().find(|card| card.id == id) {
                Some(card) if card.actions != clips.coding => {
                    let message = format!(
                        "its actions of {id:?} are read as {}, those of the model or of another dataset as {}; give it \
                         another task name, or these bounds",
                        clips.coding.describe(),
                        card.actions.describe()
                    );
                    return Err(DataError::Differs { path: clips.path.clone(), message });
                }
                Some(_) => (),
                None => cards.push(TaskCard {
                    id: id.to_owned(),
                    actions: clips.coding.clone(),
                    objects: Vec::new(),
                    object_mean: Vec::new(),
                    object_scale: Vec::new(),
                    termination_threshold: None,
                }),
            }
        }
        if let Some(card) = cards.iter_mut().find(|card| card.id == id) {
            add_objects(card, corpus)?;
        }
    }
    Ok(cards)
}

/// Adds the objects that clips of the task have and the card lacks, behind those that it has: a readout is known by its
/// place.
fn add_objects(card: &mut TaskCard, corpus: &Corpus<'_>) -> Result<(), DataError> {
    for clips in corpus.of_task(&card.id) {
        for (place, name) in clips.object_names().enumerate() {
            match card.objects.get(place) {
                Some(known) if known != name => {
                    let message = format!(
                        "object number {place} of {:?} is {name:?}, that of the model or of another dataset {known:?}; \
                         give it another task name",
                        card.id
                    );
                    return Err(DataError::Differs { path: clips.path.clone(), message });
                }
                Some(_) => (),
                None => {
                    let (mean, scale) = statistics(corpus, &card.id, place);
                    card.object_mean.extend(mean);
                    card.object_scale.extend(scale);
                    card.objects.push(name.to_owned());
                }
            }
        }
    }
    Ok(())
}

/// Mean and standard deviation of the readout values of object number `place` over all rows that have it.
fn statistics(corpus: &Corpus<'_>, id: &str, place: usize) -> ([f32; OBJECT_VALUES], [f32; OBJECT_VALUES]) {
    let (mut sums, mut count) = ([(0.0, 0.0); OBJECT_VALUES], 0.0);
    for clips in corpus.of_task(id) {
        let objects = clips.tracked_objects();
        for row in
            (0..clips.rows()).filter(|row| place < objects && clips.object_known[row * objects + place])
        {
            let at = (row * objects + place) * OBJECT_VALUES;
            for ((sum, squares), value) in sums.iter_mut().zip(&clips.objects[at..at + OBJECT_VALUES]) {
                *sum += f64::from(*value);
                *squares += f64::from(*value) * f64::from(*value);
            }
            count += 1.0;
        }
    }
    let count: f64 = f64::max(count, 1.0);
    let mean = sums.map(|(sum, _)| sum / count);
    // A value that never changes has no scale of its own; it must not be blown up either.
    let scale = std::array::from_fn(|i| (sums[i].1 / count - mean[i] * mean[i]).max(1e-4).sqrt() as f32);
    (mean.map(|mean| mean as f32), scale)
}

/// How rows of one part's clips become rows of a model that may dream other tasks too.
pub struct TaskRows {
    card: ModelCard,
    /// The task's place in the card.
    task: usize,
    /// The clips' own objects, the first of the card's.
    objects: usize,
}

impl TaskRows {
    /// `None` if the card lacks the clips' task or one of its objects.
    pub fn new(card: &ModelCard, clips: &Clips) -> Option<Self> {
        let task = card.task_index(&clips.scenario.id)?;
        let objects = clips.tracked_objects();
        (objects <= card.tasks[task].objects.len()).then(|| Self { card: card.clone(), task, objects })
    }

    /// How the readout's values of this task become SI units.
    pub fn normalisation(&self) -> Normalisation {
        let task = &self.card.tasks[self.task];
        Normalisation {
            mean: task.object_mean.clone(),
            scale: task.object_scale.clone(),
            slots: self.object_values() / OBJECT_VALUES,
        }
    }

    fn object_values(&self) -> usize {
        self.card.config.object_values()
    }

    /// Writes the action vector of `row` into `out`.
    pub fn put_action(&self, clips: &Clips, row: usize, out: &mut [f32]) {
        let mut action = Vec::with_capacity(out.len());
        self.card.pad_action(self.task, clips.action(row), &mut action);
        out.copy_from_slice(&action);
    }

    /// Writes the normalised objects of `row`, and which of them there are, into zeros.
    pub fn put_objects(&self, clips: &Clips, row: usize, (values, weights): (&mut [f32], &mut [f32])) {
        let card = &self.card.tasks[self.task];
        for place in 0..self.objects {
            let object = row * self.objects + place;
            if !clips.object_known[object] {
                continue;
            }
            for value in 0..OBJECT_VALUES {
                let at = place * OBJECT_VALUES + value;
                let (mean, scale) = (card.object_mean[at], card.object_scale[at]);
                values[at] = (clips.objects[object * OBJECT_VALUES + value] - mean) / scale;
                weights[at] = 1.0;
            }
        }
    }
}
