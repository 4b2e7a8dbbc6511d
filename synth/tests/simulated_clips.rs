//! Annotations and curation on simulated clips of every family.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod simulated;

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use simulated::families;
use worldstep_env::record::EventKind;
use worldstep_synth::annotate::{Bodies, Clause, annotate, clauses};
use worldstep_synth::clips::Trajectory;
use worldstep_synth::curate::{Code, Curation, check};
use worldstep_synth::scenario::Scenario;

/// Clips of each family that the quick tests look at.
const CLIPS: u64 = 3;
/// Seeds of the clips of each family in the measurement: others than those that scripts were tried on.
const SEEDS_MEASURED: Range<u64> = 10_000..10_060;
/// Greatest share of clips that curation may reject of a family, its static outcomes and framing apart.
const FALSE_REJECTS_MAX: f64 = 0.02;

fn clip(scenario: &Scenario, seed: u64) -> Trajectory {
    let mut clip = simulated::clip(scenario, seed);
    annotate(&mut clip);
    clip
}

fn each_clip(look: impl Fn(&Trajectory)) {
    for scenario in families() {
        for seed in 0..CLIPS {
            look(&clip(&scenario, seed));
        }
    }
}

#[test]
fn collisions_coincide_with_contacts_of_their_impulse_and_with_changes_of_velocity() {
    each_clip(|clip| {
        let bodies = Bodies::new(clip);
        for event in clip.events.iter().filter(|event| event.kind == EventKind::Collision) {
            let of_event = |(row, contact): &&(u32, worldstep_env::record::Contact)| {
                *row == event.frame
                    && [(event.a, event.b), (event.b, event.a)].contains(&(contact.a, contact.b))
            };
            let (_, contact) = clip.contacts.iter().find(of_event).expect("a contact in that row");
            let impulse = contact.impulse.iter().map(|part| part * part).sum::<f32>().sqrt();
            assert!((impulse - event.value).abs() < 1e-5, "{} {}: {event:?}", clip.scenario, clip.seed);
            // Of a body that touches nothing else in this row, the change of momentum is the impulse.
            let Some(index) = bodies.index(event.a).filter(|index| bodies.mass[*index].is_finite()) else {
                continue;
            };
            let touches = |id: u16| {
                clip.contacts
                    .iter()
                    .filter(|(row, contact)| *row == event.frame && (contact.a == id || contact.b == id))
                    .count()
            };
            let held = clip.joints.iter().any(|joint| joint.a == event.a || joint.b == event.a)
                || clip.forces.iter().any(|(row, force)| *row == event.frame && force.id == event.a);
            if touches(event.a) > 1 || held {
                continue;
            }
            let velocity = |row: usize| clip.velocities_at(row)[index].linear;
            let [before, after] = [velocity(event.frame as usize), velocity(event.frame as usize + 1)];
            let change = (0..3)
                .map(|i| after[i] - before[i] - clip.gravity[i] / clip.fps as f32)
                .map(|part| part * part)
                .sum::<f32>()
                .sqrt();
            let expected = event.value / bodies.mass[index] as f32;
            assert!(
                (change - expected).abs() < 0.15 * expected + 0.05,
                "{} {}: {change} m/s for {expected} of {event:?}",
                clip.scenario,
                clip.seed
            );
        }
    });
}

#[test]
fn what_has_come_to_rest_is_slow_for_a_while() {
    each_clip(|clip| {
        let bodies = Bodies::new(clip);
        for event in clip.events.iter().filter(|event| event.kind == EventKind::Rest) {
            let index = bodies.index(event.a).unwrap();
            let calm = event.frame as usize..=event.frame as usize + (0.3 * clip.fps as f32) as usize;
            let fast = calm.filter(|row| bodies.speed(*row, index) > 0.05).count();
            assert!(fast <= 3, "{} {}: {event:?} moves in {fast} rows", clip.scenario, clip.seed);
        }
    });
}

#[test]
fn occlusions_and_visibility_tell_the_same() {
    each_clip(|clip| {
        let count = clip.scene.instances.len();
        assert_eq!(clip.visibility.len(), clip.len * count);
        assert!(clip.visibility.iter().all(|share| (0.0..=1.0).contains(share)));
        for event in clip.events.iter().filter(|event| event.kind == EventKind::OcclusionStart) {
            let index = clip.scene.instances.iter().position(|thing| thing.id == event.a).unwrap();
            let seen = clip.visibility[event.frame as usize * count + index];
            assert!(seen <= 0.05, "{} {}: {event:?} but {seen} is seen", clip.scenario, clip.seed);
        }
    });
}

#[test]
fn every_clause_of_a_caption_is_on_record() {
    each_clip(|clip| {
        assert!(clip.caption.ends_with('.'), "{:?}", clip.caption);
        for clause in clauses(clip) {
            if let Clause::Happens { event, .. } = clause {
                assert!(clip.events.contains(&event), "{} {}: {}", clip.scenario, clip.seed, clip.caption);
            }
        }
    });
}

/// The measurement behind the published false-reject rate. Clips come from the families' own ranges, and a
/// physics engine that has not diverged made them, so that whatever the physical rules reject is a false
/// reject unless the reason printed says otherwise. Run with `cargo test -p worldstep-synth --test
/// simulated_clips -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement; takes minutes"]
fn curation_rarely_rejects_clean_clips() {
    let curation = Curation::default();
    let physical = [Code::NonFinite, Code::Penetration, Code::Energy, Code::JointLimit];
    let (mut total, mut wrong) = (0, 0);
    for scenario in families() {
        let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut examples = Vec::new();
        for seed in SEEDS_MEASURED {
            let clip = clip(&scenario, seed);
            total += 1;
            if seed < SEEDS_MEASURED.start + 2 {
                println!("  [{}] {}", clip.outcome, clip.caption);
            }
            let Err(reason) = check(&clip, &curation) else { continue };
            wrong += u64::from(physical.contains(&reason.code()));
            *reasons.entry(reason.code().name()).or_default() += 1;
            examples.push(format!("  seed {seed}, {}, {:?}: {reason}", clip.policy, clip.outcome));
        }
        let rejected: u64 = reasons.values().sum();
        let clips = SEEDS_MEASURED.end - SEEDS_MEASURED.start;
        let share = 100.0 * (clips - rejected) as f64 / clips as f64;
        println!("{:22} {share:5.1} % accepted {reasons:?}", scenario.name());
        examples.iter().take(6).for_each(|example| println!("{example}"));
    }
    let share = f64::from(wrong as u32) / f64::from(total as u32);
    println!("physical rules reject {wrong} of {total} clips");
    assert!(share < FALSE_REJECTS_MAX, "{wrong} of {total} clean clips are rejected");
}

/// Every number of a hundred clips of each family is finite; prints how often each event happens in each
/// outcome, from which families choose what to balance. Run with `cargo test -p worldstep-synth --test
/// simulated_clips hundred -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement; takes minutes"]
fn a_hundred_clips_of_each_family_are_finite() {
    let only_finite = Curation { off: Code::ALL[1..].to_vec(), ..Curation::default() };
    assert_eq!(Code::ALL[0], Code::NonFinite);
    for scenario in families() {
        let clips: Vec<_> = (0..100).into_par_iter().map(|seed| clip(&scenario, seed)).collect();
        for clip in &clips {
            assert_eq!(check(clip, &only_finite), Ok(()), "{}, seed {}", scenario.name(), clip.seed);
        }
        println!("{}", scenario.name());
        for outcome in scenario.outcomes() {
            let of: Vec<_> = clips.iter().filter(|clip| clip.outcome == *outcome).collect();
            let share = |kind: EventKind| {
                let has = of.iter().filter(|clip| clip.events.iter().any(|event| event.kind == kind)).count();
                format!("{} {:.0} %", kind.name(), 100.0 * has as f64 / of.len().max(1) as f64)
            };
            println!("  {outcome} {}: {}", of.len(), EventKind::ALL.map(share).join(", "));
        }
    }
}
