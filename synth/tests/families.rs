//! Families: plain data makes worlds in which each outcome happens, the same ones for the same seed, and what
//! is wrong with a file is said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use simulated::{clip, families, unit};
use worldstep_env::policy::PolicyMix;
use worldstep_synth::annotate::annotate;
use worldstep_synth::clips::{Link, Trajectory};
use worldstep_synth::curate::{Code, Curation, Reason, check};
use worldstep_synth::scenario::Family;
use worldstep_synth::{Scenario, ScenarioOptions, UnitKind, UnitRequest};

fn finite(clip: &Trajectory) -> bool {
    let poses =
        clip.poses.iter().all(|pose| pose.position.iter().chain(&pose.quat_xyzw).all(|v| v.is_finite()));
    let velocities = clip.velocities.iter().all(|v| v.linear.iter().chain(&v.angular).all(|v| v.is_finite()));
    poses && velocities
}

/// For writing families: `FAMILY=synth/scenarios/toss.toml cargo test -p worldstep-synth --test families tune
/// -- --ignored --nocapture`.
#[test]
#[ignore = "prints outcomes of the families in FAMILY, separated by commas"]
fn tune() {
    let names = std::env::var("FAMILY").unwrap();
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    for name in names.split(',') {
        let scenario = match Scenario::find(name) {
            Ok(scenario) => scenario,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let (mut held_out, mut bad) = (0, Vec::new());
        let start = Instant::now();
        for seed in 0..seeds {
            let clip = clip(&scenario, seed);
            *outcomes.entry(clip.outcome.clone()).or_default() += 1;
            held_out += usize::from(clip.parameters.get("held_out") == Some(&1.0));
            if !finite(&clip) {
                bad.push(seed);
            }
        }
        let ms = start.elapsed().as_secs_f64() * 1e3 / seeds as f64;
        eprintln!(
            "{name}: {outcomes:?} of {:?}, held out {held_out}, bad {bad:?}, {ms:.1} ms a clip",
            scenario.outcomes()
        );
        if !scenario.violations().is_empty() {
            let pairs: Vec<_> = (0..6)
                .map(|seed| {
                    let clips = unit(&scenario, seed, UnitKind::Pair);
                    (
                        clips[1].link.clone(),
                        clips[0].parameters["pair.world"],
                        clips[0].outcome.clone(),
                        clips[1].outcome.clone(),
                    )
                })
                .collect();
            eprintln!("  pairs {pairs:?}");
        }
    }
}

#[test]
fn a_seed_makes_a_clip_and_another_seed_another() {
    for scenario in families() {
        let [a, again, other] = [5, 5, 6].map(|seed| clip(&scenario, seed));
        assert!(a == again, "{}: the same seed gave another clip", scenario.name());
        assert_ne!(a.poses, other.poses, "{}", scenario.name());
        assert_ne!(a.parameters, other.parameters, "{}", scenario.name());
    }
}

#[test]
fn arrays_have_the_sizes_that_the_scenario_says() {
    for scenario in families() {
        let clip = clip(&scenario, 1);
        let k = clip.scene.instances.len();
        assert!(k <= scenario.slots().len(), "{}", scenario.name());
        assert_eq!(clip.len, scenario.max_len());
        assert_eq!(clip.poses.len(), (clip.len + 1) * k);
        assert_eq!(clip.cameras.len(), (clip.len + 1) * scenario.camera_names().len());
        assert_eq!(clip.state.len(), clip.len * scenario.state_space().flat_len());
        assert_eq!(clip.action.len(), clip.len * scenario.action_space().flat_len());
        assert_eq!(clip.physical.len(), k);
        assert!(clip.scene.light.is_some() && !clip.parameters.is_empty());
        for (slot, instance) in scenario.slots().iter().zip(&clip.scene.instances) {
            assert_eq!(slot.id, instance.id);
            assert!(slot.moving || !instance.moving, "{}: {} moves", scenario.name(), instance.name);
        }
    }
}

/// Doing nothing is one of the behaviours: what comes of it is no fault, unless the goal was reached at the
/// start.
#[test]
fn a_robot_that_does_nothing_is_not_rejected_for_it() {
    let noop = PolicyMix { random: 0.0, scripted: 0.0, noisy_expert: 0.0, noop: 1.0 };
    let options = ScenarioOptions { mix: Some(noop), ..ScenarioOptions::default() };
    for scenario in families() {
        for seed in 0..4 {
            let request = UnitRequest { seed, kind: UnitKind::Single, options: &options };
            let mut clip = scenario.simulate(&request).unwrap().remove(0);
            annotate(&mut clip);
            let is_static = |reason: &Reason| reason.code() == Code::Static;
            let reason = check(&clip, &Curation::default()).err().filter(is_static);
            let nothing_came_of_it = scenario.outcomes().last() == Some(&clip.outcome);
            assert!(reason.is_none() || !nothing_came_of_it, "{}, seed {seed}: {reason:?}", scenario.name());
        }
    }
}

/// Over 40 seeds each outcome happens, and none nearly always.
#[test]
fn every_outcome_happens() {
    const SEEDS: u64 = 40;
    for scenario in families() {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let clips: Vec<_> = (0..SEEDS).into_par_iter().map(|seed| clip(&scenario, seed)).collect();
        for clip in &clips {
            assert!(finite(clip), "{}, seed {}", scenario.name(), clip.seed);
            *counts.entry(&clip.outcome).or_default() += 1;
        }
        for outcome in scenario.outcomes() {
            let count = counts.get(outcome.as_str()).copied().unwrap_or(0);
            assert!(count > 0, "{}: {outcome} never happened in {counts:?}", scenario.name());
            assert!(count * 100 <= SEEDS * 85, "{}: {outcome} nearly always in {counts:?}", scenario.name());
        }
    }
}

#[test]
fn branches_share_their_past() {
    for scenario in families() {
        let clips = unit(&scenario, 9, UnitKind::Branches(3));
        let single = clip(&scenario, 9);
        assert_eq!((&clips[0].poses, &clips[0].action), (&single.poses, &single.action));
        let Link::Branch { frame, .. } = clips[0].link else { panic!("{:?}", clips[0].link) };
        assert!((clips[0].len / 3..=2 * clips[0].len / 3).contains(&(frame as usize)));
        for (member, clip) in clips.iter().enumerate().skip(1) {
            let Link::Branch { member: said, frame: parts } = clip.link else { panic!("{:?}", clip.link) };
            assert!(said == member && parts >= frame, "{:?}", clip.link);
            assert!(clip.scene == clips[0].scene && clip.parameters == clips[0].parameters);
            let frame = parts as usize;
            let k = clip.scene.instances.len();
            assert_eq!(
                clip.poses[..(frame + 1) * k],
                clips[0].poses[..(frame + 1) * k],
                "{}",
                scenario.name()
            );
            assert_eq!(clip.velocities[..(frame + 1) * k], clips[0].velocities[..(frame + 1) * k]);
            let before = |clip: &Trajectory| -> Vec<_> {
                clip.contacts.iter().filter(|(at, _)| (*at as usize) < frame).copied().collect()
            };
            assert_eq!(before(clip), before(&clips[0]));
            let width = clip.action.len() / clip.len;
            let action = |clip: &Trajectory| clip.action[frame * width..(frame + 1) * width].to_vec();
            assert_ne!(action(clip), action(&clips[0]), "{} parts at row {frame}", scenario.name());
        }
    }
}

#[test]
fn an_impossible_twin_is_the_same_until_its_frame_and_another_from_there() {
    let mut kinds = Vec::new();
    for scenario in families().iter().filter(|scenario| !scenario.violations().is_empty()) {
        for seed in 0..4 {
            let clips = unit(scenario, seed, UnitKind::Pair);
            let [possible, impossible] = &clips[..] else { panic!("{} clips", clips.len()) };
            let Link::Violation { kind: None, frame } = possible.link else { panic!("{:?}", possible.link) };
            let Link::Violation { kind: Some(kind), frame: other } = impossible.link else {
                panic!("{:?}", impossible.link)
            };
            kinds.push(kind);
            assert!(frame == other && frame > 0 && (frame as usize) < possible.len);
            assert!(possible.scene == impossible.scene && possible.parameters == impossible.parameters);
            let past = frame as usize * possible.scene.instances.len();
            assert_eq!(possible.poses[..past], impossible.poses[..past], "{}", scenario.name());
            assert_eq!(possible.velocities[..past], impossible.velocities[..past]);
            assert_ne!(possible.poses[past..], impossible.poses[past..], "{}", scenario.name());
            assert!(finite(impossible));
        }
    }
    for kind in ["vanish", "pass_through", "swap"] {
        assert!(kinds.contains(&kind), "no family shows {kind}");
    }
}

/// Otherwise one seed would give every family the same gravity, camera and behaviour.
#[test]
fn one_seed_draws_something_else_in_each_family() {
    let clips: Vec<_> = families().iter().map(|scenario| clip(scenario, 7)).collect();
    for name in ["physics.gravity_z", "physics.size", "camera.fov", "light.azimuth"] {
        let mut values: Vec<_> = clips.iter().map(|clip| clip.parameters[name].to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), clips.len(), "{name} is the same in several families");
    }
}

#[test]
fn a_ball_that_vanishes_under_its_cup_is_gone_when_the_cup_is_lifted() {
    let scenario = Scenario::find("cup-and-ball").unwrap();
    for seed in 0..4 {
        let clips = unit(&scenario, seed, UnitKind::Pair);
        let [possible, impossible] = &clips[..] else { panic!("{} clips", clips.len()) };
        let Link::Violation { kind: Some("vanish"), frame } = impossible.link else {
            panic!("{:?}", impossible.link)
        };
        assert_eq!(possible.outcome, "found");
        let ball = possible.scene.instances.iter().position(|thing| thing.name == "ball").unwrap();
        let seen = |clip: &Trajectory, row: usize| {
            let mut clip = clip.clone();
            annotate(&mut clip);
            clip.visibility[row * clip.scene.instances.len() + ball]
        };
        // Nobody saw it go.
        assert!(seen(possible, frame as usize) <= 0.05);
        assert!(seen(possible, possible.len - 1) > 0.5 && seen(impossible, impossible.len - 1) == 0.0);
    }
}

#[test]
fn a_tracking_camera_keeps_its_robot_in_the_middle_and_its_clips_are_fit() {
    let scenario = Scenario::find("mobile-base-pushing").unwrap();
    let clips = (0..40).map(|seed| clip(&scenario, seed));
    let mut tracking: Vec<_> = clips.filter(|clip| clip.parameters["camera.motion"] == 2.0).collect();
    assert!(!tracking.is_empty());
    for clip in &mut tracking {
        let chassis = clip.scene.instances.iter().position(|thing| thing.name == "chassis").unwrap();
        let cameras = scenario.camera_names().len();
        for row in 0..clip.len {
            assert_eq!(clip.cameras[row * cameras].target, clip.poses_at(row)[chassis].position);
        }
        annotate(clip);
        let verdict =
            check(clip, &Curation { still_outcomes: vec![clip.outcome.clone()], ..Curation::default() });
        assert_eq!(verdict, Ok(()), "seed {}", clip.seed);
    }
}

#[test]
fn a_family_without_violations_names_those_that_have_some() {
    let families = families();
    let without = families.iter().find(|scenario| scenario.violations().is_empty()).unwrap();
    let options = ScenarioOptions::default();
    let error = without.simulate(&UnitRequest { seed: 0, kind: UnitKind::Pair, options: &options });
    let error = error.unwrap_err().to_string();
    assert!(error.contains(without.name()) && error.contains("roll-behind-screen"), "{error}");
}

#[test]
fn a_longer_horizon_goes_on_where_the_shorter_one_ended() {
    let scenario = Scenario::find("toss").unwrap();
    let short = clip(&scenario, 2);
    let options = ScenarioOptions { horizon: 1.6, ..ScenarioOptions::default() };
    let long = scenario
        .simulate(&UnitRequest { seed: 2, kind: UnitKind::Single, options: &options })
        .unwrap()
        .remove(0);
    assert_eq!(long.len, (short.len as f32 * 1.6).round() as usize);
    assert_eq!(long.poses[..short.poses.len()], short.poses);
}

const WORLD: &str = r#"
name = "thing"
summary = "A ball falls."
seconds = 1
[region]
center = [0, 0, 0]
size = [1, 1, 1]
[parameters]
height = { uniform = [1, 2] }
[[bodies]]
name = "ball"
shape = { sphere = 0.1 }
position = [0, 0, "height"]
[[actions]]
name = "push"
kind = "force"
body = "ball"
direction = [1, 0, 0]
scale = 1
script = 0
[[outcomes]]
name = "low"
when = "ball.z < -1"
[[outcomes]]
name = "high"
"#;

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_key() {
    let path = Path::new("thing.toml");
    Family::parse(path, WORLD).unwrap();
    for (from, to, parts) in [
        ("seconds = 1", "seconds = 1\ncolour = 2", &["colour", "held_out"][..]),
        ("\"height\"", "\"heigth\"", &["bodies.ball.position[2]", "heigth"]),
        ("\"height\"", "\"height +\"", &["column 9", "line"]),
        ("uniform = [1, 2]", "uniform = [2, 1]", &["uniform", "the lower one first"]),
        ("uniform = [1, 2]", "unifrom = [2, 1]", &["unifrom", "log_uniform"]),
        ("sphere = 0.1", "sphere = -0.1", &["bodies.ball.shape", "-0.1", "0.0001"]),
        ("ball.z <", "bal.z <", &["outcomes.low.when", "bal.z"]),
        ("ball.z <", "ball.zz <", &["outcomes.low.when", "ball.zz", "tilt"]),
        ("body = \"ball\"", "body = \"box\"", &["actions.push.body", "box"]),
        ("when = \"ball.z < -1\"", "", &["outcomes.low", "when"]),
        ("seconds = 1", "seconds = 0", &["seconds = 0", "120"]),
        ("shape = {", "class = \"bal\"\nshape = {", &["bodies.ball.class", "bal", "soft_body"]),
        ("shape = {", "color = \"heroic\"\nshape = {", &["bodies.ball.color", "heroic", "hero"]),
        ("height = {", "a = \"b\"\nb = \"a\"\nheight = {", &["parameters.a", "needs itself"]),
    ] {
        assert!(WORLD.contains(from), "{from}");
        let error = Family::parse(path, &WORLD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains("thing.toml"), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{to}: {error}");
    }
}

#[test]
fn an_unknown_scenario_is_answered_with_what_there_is() {
    let error = Scenario::find("tos").unwrap_err().to_string();
    for part in ["tos", "toss", "PushCube-v0", ".toml"] {
        assert!(error.contains(part), "{error}");
    }
}
