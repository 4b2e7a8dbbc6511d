//! Truth obeys the physics that models are trained to obey, end to end: simulated, written to disk by synth,
//! read by the model's loader, and weighed by its losses; what breaks a law costs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use worldstep_model::data::Clips;
use worldstep_model::train::physics::{PhysicsOptions, losses_of_states};
use worldstep_synth::{SynthOptions, write_dataset};

const EACH: PhysicsOptions =
    PhysicsOptions { free_flight: 1.0, penetration: 1.0, momentum: 1.0, count: 0.0, hidden: 1.0 };

fn clips(scenario: &str, count: usize, dir: &Path) -> Clips {
    let out = dir.join(scenario);
    write_dataset(&SynthOptions::new(scenario, count, &out), &mut |_| {}).unwrap();
    let clips = Clips::load(&out, None).unwrap();
    assert!(clips.physics.is_some(), "synth records what the losses need");
    clips
}

fn loss(clips: &Clips, states: &[f32], name: &str) -> Option<f32> {
    losses_of_states(clips, states, &EACH).into_iter().find(|(part, _)| *part == name).map(|(_, loss)| loss)
}

/// The states of `clips` with the values of `axis` (0–2 position, 3–5 velocity) of every object changed.
fn changed(clips: &Clips, axis: usize, change: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    let values = clips.tracked_objects() * 6;
    let one = |(i, value): (usize, &f32)| if i % 6 == axis { change(i / values, *value) } else { *value };
    clips.objects.iter().enumerate().map(one).collect()
}

#[test]
fn truth_costs_nothing_and_broken_laws_do() {
    let dir = tempfile::tempdir().unwrap();
    let clips = clips("CatchBehindScreen-v0", 6, dir.path());
    let facts = clips.physics.as_ref().unwrap();
    let share = |flags: &[bool]| flags.iter().filter(|flag| **flag).count() as f32 / clips.rows() as f32;
    assert!(share(&facts.free) > 0.5, "the ball flies most of the time: {}", share(&facts.free));
    // Half a substep of gravity, 2.5 mm, is all that is left; squares of metres and metres a second.
    let said = |states: &[f32], name| loss(&clips, states, name).expect(name);
    assert!(said(&clips.objects, "free_flight") < 1e-4);
    assert!(said(&clips.objects, "momentum") < 1e-6);
    assert!(said(&clips.objects, "penetration") < 1e-4);
    assert!(said(&clips.objects, "hidden") < 1e-6);
    let hovering = changed(&clips, 2, |_, _| 1.5);
    assert!(said(&hovering, "free_flight") > 1e-3);
    let sunk = changed(&clips, 2, |_, z| z - 1.0);
    assert!(said(&sunk, "penetration") > 0.1);
    let elsewhere = changed(&clips, 0, |_, x| x + 0.5);
    assert!((said(&elsewhere, "hidden") - 0.25 / 3.0).abs() < 1e-3);
    let kicked = changed(&clips, 3, |row, v| v + (row % 2) as f32);
    assert!(said(&kicked, "momentum") > 0.1);
}

#[test]
fn bodies_that_meet_keep_their_momentum() {
    let dir = tempfile::tempdir().unwrap();
    for scenario in ["PushCube-v0", "mass-ratio"] {
        let clips = clips(scenario, 4, dir.path());
        let facts = clips.physics.as_ref().unwrap();
        let tracked = clips.tracked_objects();
        let together = facts
            .touch_group
            .chunks(tracked)
            .filter(|groups| groups.iter().any(|a| *a > 0 && groups.iter().filter(|b| *b == a).count() > 1));
        assert!(together.count() > 0, "{scenario}: two of them touch");
        let truth = loss(&clips, &clips.objects, "momentum").expect(scenario);
        let kicked = changed(&clips, 3, |row, v| v + (row % 2) as f32);
        let broken = loss(&clips, &kicked, "momentum").expect(scenario);
        assert!(truth < 1e-6 && broken > 0.1, "{scenario}: {truth} {broken}");
    }
}
