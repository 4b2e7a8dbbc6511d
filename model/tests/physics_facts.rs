//! What truth knows of physics is read from the dataset: gravity, masses, shapes, contacts, flight, visibility.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
#[path = "toy/laws.rs"]
mod laws;
mod toy;

use std::path::Path;

use burn::tensor::Device;
use worldstep_model::data::{Clips, DataError, PhysicsFacts};
use worldstep_model::engine::{CpuEngine, StepEngine};
use worldstep_model::model::Model;
use worldstep_model::train::physics::{PhysicsOptions, losses_of_states};
use worldstep_model::train::{Budget, TrainError, TrainOptions, train_on};

const LENGTH: usize = 12;

/// Two clips of a ball that falls and meets the floor from row 6 to row 7.
fn recorded(dir: &Path) -> Clips {
    std::fs::create_dir_all(dir).unwrap();
    let mut clips = toy::clips(2, LENGTH, 1);
    laws::fall(&mut clips, 6);
    disk::write(&clips, dir);
    laws::write(&clips, dir, 6);
    Clips::load(dir, None).unwrap()
}

fn facts(clips: &Clips) -> &PhysicsFacts {
    clips.physics.as_ref().unwrap()
}

#[test]
fn a_set_without_contacts_has_no_physics() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, LENGTH, 1), dir.path());
    assert!(Clips::load(dir.path(), None).unwrap().physics.is_none());
}

#[test]
fn bodies_and_boxes_are_those_of_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let clips = recorded(dir.path());
    assert_eq!(facts(&clips).clips.len(), 2);
    for (clip, range) in facts(&clips).clips.iter().zip(&clips.ranges) {
        assert_eq!((clip.start, clip.gravity), (range.start, [0.0, 0.0, -9.81]));
        assert!((clip.dt_s - 0.1).abs() < 1e-7);
        let [ball, paddle] = clip.bodies[..] else { panic!("two move") };
        assert!(ball.exists && ball.is_dynamic() && ball.touchable);
        assert_eq!((ball.mass_kg, ball.inner_radius_m), (0.5, laws::RADIUS));
        assert!((ball.drag_per_s - laws::DRAG).abs() < 1e-3, "{}", ball.drag_per_s);
        assert!(paddle.exists && !paddle.is_dynamic() && !paddle.touchable);
        // The screen is drawn too, but nothing ever touched it.
        let [floor] = clip.solids[..] else { panic!("one box, not {}", clip.solids.len()) };
        assert!((floor.distance([0.0, 0.0, 0.3]) - 0.3).abs() < 1e-6);
    }
}

#[test]
fn flight_touch_and_sight_are_told_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let clips = recorded(dir.path());
    let facts = facts(&clips);
    for range in &clips.ranges {
        for t in 0..range.len {
            let row = (range.start + t) * 2;
            // A wind in row 2, the floor in row 6, a push that is in no table; the last row has no next one.
            let free = ![2, 6, laws::UNSEEN, LENGTH - 1].contains(&t);
            assert_eq!(facts.free[row..row + 2], [free, false], "row {t}");
            assert_eq!(facts.touch_group[row..row + 2], [u16::from(t == 6), 0], "row {t}");
            let seen = if (3..5).contains(&t) { 0.0 } else { 1.0 };
            assert_eq!(facts.visible_share[row..row + 2], [seen, 1.0], "row {t}");
        }
    }
}

#[test]
fn a_damaged_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    std::fs::write(dir.path().join("events/contacts/chunk-000/file-000.parquet"), "no parquet").unwrap();
    let error = Clips::load(dir.path(), None).unwrap_err();
    assert!(matches!(&error, DataError::Damaged { path, .. } if path.ends_with("file-000.parquet")));
}

#[test]
fn truth_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clips = recorded(dir.path());
    let truth = losses_of_states(&clips, &clips.objects, &PhysicsOptions::default());
    let names: Vec<_> = truth.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["free_flight", "penetration", "momentum", "hidden"]);
    assert!(truth.iter().all(|(_, loss)| *loss < 1e-6), "{truth:?}");
    let still = vec![0.5; clips.objects.len()];
    let wrong = losses_of_states(&clips, &still, &PhysicsOptions::default());
    assert!(wrong.iter().filter(|(_, loss)| *loss > 1e-4).count() >= 3, "{wrong:?}");
}

fn options(out: &Path, physics: PhysicsOptions) -> TrainOptions {
    let mut options = TrainOptions::new("unused", out);
    options.budget = Budget::Steps { tokenizer: 2, dynamics: 2 };
    options.batch = 2;
    options.physics = physics;
    options
}

#[test]
fn a_model_trained_with_physics_says_so_and_goes_on_with_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let clips = recorded(&dir.path().join("clips"));
    let out = dir.path().join("model");
    train_on(&clips, &options(&out, PhysicsOptions::default()), &mut |_| ()).unwrap();
    let model = Model::load(&out, &Device::flex()).unwrap();
    assert!(model.card.config.presence);
    assert_eq!(model.card.training.physics, PhysicsOptions::default());
    assert_eq!(CpuEngine::new(&model, 1).unwrap().lanes(), 1);
    let mut other = options(&out, PhysicsOptions { momentum: 0.0, ..PhysicsOptions::default() });
    other.resume = true;
    let error = train_on(&clips, &other, &mut |_| ()).unwrap_err();
    assert!(matches!(&error, TrainError::OtherRun { what: "physics losses", .. }), "{error}");
}

#[test]
fn without_the_losses_the_network_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let clips = recorded(&dir.path().join("clips"));
    let parameters = |name: &str, physics| {
        let out = dir.path().join(name);
        train_on(&clips, &options(&out, physics), &mut |_| ()).unwrap().parameters
    };
    let plain = parameters("plain", PhysicsOptions::OFF);
    let text = std::fs::read_to_string(dir.path().join("plain/model.json")).unwrap();
    assert!(!text.contains("presence"), "cards of models without the readout stay as they were");
    // Two logits for each of two objects, from 96 values and a bias.
    assert_eq!(parameters("physics", PhysicsOptions::default()) - plain, 4 * 97);
}
