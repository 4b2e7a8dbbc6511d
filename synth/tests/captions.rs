//! Captions say what the event log says, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod handmade;

use handmade::{at, ball, bouncing, clip, contact, fixed, floor};
use worldstep_env::record::{Event, EventKind};
use worldstep_env::{Shape, Velocity};
use worldstep_synth::annotate::{Clause, annotate, clauses, tell};
use worldstep_synth::clips::Trajectory;

/// Every clause stands for something on record.
fn assert_on_record(clip: &Trajectory) {
    for clause in clauses(clip) {
        match clause {
            Clause::Happens { subject, event, count } => {
                assert!(subject == event.a || subject == event.b);
                let pair = |other: &&Event| {
                    other.kind == event.kind
                        && [(event.a, event.b), (event.b, event.a)].contains(&(other.a, other.b))
                };
                let logged: Vec<&Event> = clip.events.iter().filter(pair).collect();
                assert_eq!((logged.len(), *logged[0]), (count, event), "{}", clip.caption);
            }
            Clause::Topple { ids } => {
                for id in ids {
                    assert!(clip.events.iter().any(|event| event.kind == EventKind::Topple && event.a == id));
                }
            }
            Clause::Moves { id, .. } => {
                let index = clip.scene.instances.iter().position(|instance| instance.id == id).unwrap();
                let places = (0..=clip.len).map(|row| clip.poses_at(row)[index]);
                assert!(places.into_iter().any(|pose| pose != clip.poses_at(0)[index]), "{}", clip.caption);
            }
            Clause::Still => assert_eq!(clip.events, []),
            Clause::Ended { success, .. } => assert_eq!(success, *clip.success.last().unwrap()),
        }
    }
}

#[test]
fn a_bouncing_ball_falls_hits_the_ground_and_rests() {
    let (mut clip, impacts) = bouncing(0.5, 0.6, 90);
    annotate(&mut clip);
    assert_on_record(&clip);
    let times = ["", "", "twice", "three times", "four times"][impacts.len()];
    assert_eq!(clip.caption, format!("The red ball falls, hits the ground {times} and comes to rest."));
}

#[test]
fn hitting_toppling_and_hiding_are_told_in_order_and_by_name() {
    let mut blocks: Vec<_> = [0.0_f32, 0.4]
        .into_iter()
        .map(|start_s| {
            let mut block = ball(|_| ([0.0; 3], [0.0; 3]));
            block.name = "block";
            block.color_linear = [0.02, 0.08, 0.7];
            block.shape = Shape::Cuboid { half_extents: [0.1, 0.1, 0.3] };
            block.path = Box::new(move |t| {
                let lean = (2.0 * (t - 1.0 - start_s)).clamp(0.0, 1.5);
                let mut pose = at([0.9 + start_s, 0.0, 0.3]);
                let (sin, cos) = (0.5 * lean).sin_cos();
                pose.quat_xyzw = [0.0, sin, 0.0, cos];
                let rate = if lean > 0.0 && lean < 1.5 { 2.0 } else { 0.0 };
                (pose, Velocity { linear: [0.0; 3], angular: [0.0, rate, 0.0] })
            });
            block
        })
        .collect();
    let roller = ball(|t| {
        let speed = if t < 1.0 { 1.0 } else { 0.0 };
        ([-0.6 + t.min(1.0), 0.0, 0.1], [speed, 0.0, 0.0])
    });
    let mut things = vec![floor(), roller];
    things.append(&mut blocks);
    let weight = [0.0, 0.0, 0.33];
    let mut contacts: Vec<_> = (0..80)
        .flat_map(|row| [2, 3, 4].map(|id| contact(row, 1, id, [0.0, 0.0, 1.0], weight)))
        .chain([contact(29, 2, 3, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0])])
        .collect();
    contacts.sort_by_key(|(row, contact)| (*row, contact.a, contact.b));
    let mut clip = clip(things, 80, contacts);
    annotate(&mut clip);
    assert_on_record(&clip);
    assert_eq!(
        clip.caption,
        "The red ball slides, hits the first blue block after 1.0 s and comes to rest. Two blocks topple. The \
         first blue block comes to rest."
    );
}

#[test]
fn a_screen_that_hides_is_named_and_a_still_clip_is_called_still() {
    let screen = fixed("screen", Shape::Cuboid { half_extents: [0.3, 0.01, 0.6] }, [0.0, -2.0, 0.5]);
    let path = |t: f32| ([-1.2 + t, 0.0, 0.5], [1.0, 0.0, 0.0]);
    let mut hidden = clip(vec![screen, ball(path)], 75, Vec::new());
    annotate(&mut hidden);
    assert_on_record(&hidden);
    let told = "The red ball flies, disappears behind the grey screen and is seen again.";
    assert_eq!(hidden.caption, told);

    let mut still = clip(vec![floor(), ball(|_| ([0.0, 0.0, 0.1], [0.0; 3]))], 30, Vec::new());
    annotate(&mut still);
    assert_eq!(still.caption, "Nothing moves.");
}

#[test]
fn a_clause_for_an_event_that_is_not_in_the_log_does_not_come_from_one() {
    let (mut clip, _) = bouncing(0.5, 0.6, 90);
    annotate(&mut clip);
    clip.events.clear();
    let left = clauses(&clip);
    assert!(matches!(left[..], [Clause::Moves { id: 2, .. }]), "{}", tell(&clip, &left));
}
