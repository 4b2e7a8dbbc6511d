//! One model dreams several tasks; what it learns of a new one is added to what it knew.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

use burn::tensor::Device;
use worldstep_env::{Space, VectorEnv as _};
use worldstep_model::action::ActionCoding;
use worldstep_model::engine::{FrameStep, Sampling, StepOutput, engine};
use worldstep_model::model::{Model, TaskCard};
use worldstep_model::packing::FRAME_CODE_BYTES;

fn pushing() -> TaskCard {
    TaskCard {
        id: "Push-v0".to_owned(),
        actions: ActionCoding::new(&Space::bounded(&[-1.0; 5], &[1.0; 5])),
        objects: vec!["cube".to_owned(), "goal".to_owned()],
        object_mean: vec![0.5; 12],
        object_scale: vec![2.0; 12],
        termination_threshold: None,
    }
}

fn extended(model: &Model, tasks: Vec<TaskCard>) -> Model {
    model.clone().extended(model.card.with_tasks(tasks))
}

/// What `model` says of a few steps of its task number 0 from codes of its own making.
fn said_of_the_first_task(model: &Model) -> Vec<StepOutput> {
    let mut engine = engine(model, 2).unwrap();
    let mut said = StepOutput::new(model, 2);
    let mut all = Vec::new();
    let mut codes: Vec<u8> = (0..2 * FRAME_CODE_BYTES).map(|i| (i * 7 % 5) as u8).collect();
    for t in 0..10 {
        let mut actions = Vec::new();
        for lane in 0..2 {
            model.card.encode_action(0, &[((t + lane) % 3) as f32], &mut actions).unwrap();
        }
        let sampling = Sampling { draws: &[t as u64, 99], temperature: 1.0 };
        let (levels, mask) = ([t % 2; 2], [true; 2]);
        engine.step(
            &FrameStep { codes: &codes, actions: &actions, levels: &levels, mask: &mask, sampling },
            &mut said,
        );
        codes.copy_from_slice(&said.codes);
        all.push(said.clone());
    }
    all
}

#[test]
fn a_model_that_is_to_learn_more_says_the_same_of_what_it_knew() {
    let model = dream::model();
    let before = said_of_the_first_task(&model);
    let known = model.card.tasks[0].clone();
    let two = extended(&model, vec![known.clone(), pushing()]);
    assert_eq!((two.card.config.action_values, two.card.config.tracked_objects), (7, 2));
    let third = TaskCard { id: "Third-v0".to_owned(), ..pushing() };
    let three = extended(&two, vec![known, pushing(), third]);
    assert_eq!(three.card.config.action_values, 8);
    for model in [&two, &three] {
        for (before, after) in before.iter().zip(said_of_the_first_task(model)) {
            assert_eq!(after.codes, before.codes);
            assert_eq!(after.rewards, before.rewards);
            assert_eq!(after.terminated, before.terminated);
            for (after, before) in after.objects.chunks(12).zip(before.objects.chunks(6)) {
                assert_eq!(&after[..6], before, "the known object comes first");
            }
        }
    }
}

#[test]
fn an_extended_model_is_saved_and_loaded_whole() {
    let model = dream::model();
    let extended = extended(&model, vec![model.card.tasks[0].clone(), pushing()]);
    let dir = tempfile::tempdir().unwrap();
    extended.save(dir.path()).unwrap();
    let loaded = Model::load(dir.path(), &Device::flex()).unwrap();
    assert_eq!(loaded.card, extended.card);
    assert_eq!(said_of_the_first_task(&loaded), said_of_the_first_task(&extended));
}

/// The environment of a task finds that task in a model of several, wherever it stands.
#[test]
fn an_environment_steps_its_own_task() {
    let toy = dream::model().card.tasks[0].clone();
    let model = extended(&dream::model(), vec![toy.clone(), pushing()]);
    let mut frames = Vec::new();
    for tasks in [vec![toy.clone(), pushing()], vec![pushing(), toy]] {
        let mut model = model.clone();
        model.card.tasks = tasks;
        let mut env = dream::env(&model, 2, |_| ());
        env.reset_all(Some(3)).unwrap();
        env.step_all(&worldstep_env::Buffer::I64(vec![0, 2])).unwrap();
        frames.push(env.batch().rewards.clone());
    }
    // The one-hot of the new task weighs nothing before it is trained, so the place alone makes no difference.
    assert_eq!(frames[0], frames[1]);
}
