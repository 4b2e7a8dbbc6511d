//! Every rule of curation catches what is planted into a clean clip, with its own reason code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod handmade;

use handmade::{FPS, G, at, ball, bouncing, clip, fixed, floor};
use worldstep_env::record::{AppliedForce, Joint, JointKind};
use worldstep_env::{Pose, Shape, Velocity};
use worldstep_synth::annotate::annotate;
use worldstep_synth::clips::{Link, Trajectory};
use worldstep_synth::curate::{Code, Curation, Reason, Signature, check};

/// Reason codes of all rules that a clip breaks, each looked at with the others switched off.
fn broken(clip: &Trajectory) -> Vec<Code> {
    let alone = |code: &Code| {
        let off = Code::ALL.into_iter().filter(|other| other != code).collect();
        check(clip, &Curation { off, ..Curation::default() }).err().map(|reason| reason.code())
    };
    Code::ALL.iter().filter_map(alone).collect()
}

fn clean() -> Trajectory {
    let (mut clip, _) = bouncing(0.8, 0.5, 90);
    annotate(&mut clip);
    clip
}

#[test]
fn a_clean_clip_passes() {
    assert_eq!(check(&clean(), &Curation::default()), Ok(()));
}

#[test]
fn numbers_that_are_none_are_caught_wherever_they_are() {
    let plant: [fn(&mut Trajectory); 4] = [
        |clip| clip.poses[7].position[2] = f32::NAN,
        |clip| clip.velocities[31].angular[0] = f32::INFINITY,
        |clip| clip.action[5] = f32::NAN,
        |clip| clip.contacts[0].1.impulse[1] = f32::NAN,
    ];
    for plant in plant {
        let mut clip = clean();
        plant(&mut clip);
        let reason = check(&clip, &Curation::default()).unwrap_err();
        assert_eq!(reason.code().name(), "non_finite", "{reason}");
    }
}

#[test]
fn deep_contact_is_caught_when_it_lasts() {
    let mut clip = clean();
    let deep = |clip: &mut Trajectory, rows: usize| {
        let last = clip.contacts.len();
        for (_, contact) in &mut clip.contacts[last - rows..] {
            contact.penetration = 0.1;
        }
    };
    deep(&mut clip, 2);
    assert_eq!(broken(&clip), []);
    deep(&mut clip, 4);
    assert_eq!(broken(&clip), [Code::Penetration]);
    // A clip that is to show this may.
    clip.link = Link::Violation { kind: Some("pass_through"), frame: 3 };
    assert_eq!(broken(&clip), []);
    clip.link = Link::Violation { kind: None, frame: 3 };
    assert_eq!(broken(&clip), [Code::Penetration]);
}

/// A ball that slides at 1 m/s and is at `after` from one second on.
fn sudden(after: f32) -> Trajectory {
    let path = move |t: f32| {
        let speed = if t < 1.0 { 1.0 } else { after };
        ([-1.0 + t.min(1.0) + (t - 1.0).max(0.0) * after, 0.0, 0.1], [speed, 0.0, 0.0])
    };
    let mut clip = clip(vec![floor(), ball(path)], 45, Vec::new());
    annotate(&mut clip);
    clip
}

#[test]
fn energy_from_nowhere_is_caught_and_that_of_a_push_is_not() {
    assert_eq!(broken(&sudden(0.8)), []);
    let mut faster = sudden(1.5);
    assert_eq!(broken(&faster), [Code::Energy]);
    // 1 kg by 0.5 m/s within a row.
    let force =
        AppliedForce { id: 2, point: [0.0, 0.0, 0.1], force: [0.5 * FPS as f32, 0.0, 0.0], torque: [0.0; 3] };
    faster.forces = vec![(29, force)];
    assert_eq!(broken(&faster), []);
}

#[test]
fn a_bounce_that_goes_higher_than_the_fall_is_caught() {
    let path = |t: f32| {
        let fall_s = (2.0 * 0.5 / G).sqrt();
        if t < fall_s {
            return ([0.0, 0.0, 0.6 - 0.5 * G * t * t], [0.0, 0.0, -G * t]);
        }
        let (s, up) = (t - fall_s, 1.2 * G * fall_s);
        ([0.0, 0.0, 0.1 + up * s - 0.5 * G * s * s], [0.0, 0.0, up - G * s])
    };
    let mut clip = clip(vec![floor(), ball(path)], 25, Vec::new());
    annotate(&mut clip);
    assert_eq!(broken(&clip), [Code::Energy]);
}

/// A block that swings on a hinge at (0, 0, 1), 0.3 m long, through `angle(t)`; it hangs `apart` from its hinge.
fn swinging(angle: fn(f32) -> f32, limits: Option<[f32; 2]>, apart: f32) -> Trajectory {
    let frame = |position: [f32; 3]| {
        // The hinge's x along the world's y.
        let half = std::f32::consts::FRAC_1_SQRT_2;
        Pose { position, quat_xyzw: [0.0, 0.0, half, half] }
    };
    let path = move |t: f32| {
        let turn = angle(t);
        let (sin, cos) = (0.5 * turn).sin_cos();
        let mut pose = at([-(0.3 + apart) * turn.sin(), 0.0, 1.0 - (0.3 + apart) * turn.cos()]);
        pose.quat_xyzw = [0.0, sin, 0.0, cos];
        (pose, Velocity::default())
    };
    let mut block = ball(|_| ([0.0; 3], [0.0; 3]));
    block.name = "pendulum";
    block.shape = Shape::Cuboid { half_extents: [0.05, 0.05, 0.3] };
    block.path = Box::new(path);
    let post = fixed("post", Shape::Cuboid { half_extents: [0.02; 3] }, [0.0, 0.0, 1.0]);
    let mut clip = clip(vec![post, block], 60, Vec::new());
    clip.joints = vec![Joint {
        a: 1,
        b: 2,
        kind: JointKind::Hinge,
        frame_a: frame([0.0; 3]),
        frame_b: frame([0.0, 0.0, 0.3]),
        limits,
        motor: false,
    }];
    annotate(&mut clip);
    clip
}

/// The rules broken but energy's: these swings are not what gravity would do.
fn broken_but_energy(clip: &Trajectory) -> Vec<Code> {
    broken(clip).into_iter().filter(|code| *code != Code::Energy).collect()
}

#[test]
fn joints_that_come_apart_or_turn_too_far_are_caught() {
    let swing: fn(f32) -> f32 = |t| 0.8 * (3.0 * t).sin();
    assert_eq!(broken_but_energy(&swinging(swing, Some([-1.0, 1.0]), 0.0)), []);
    assert_eq!(broken_but_energy(&swinging(swing, None, 0.0)), []);
    assert_eq!(broken_but_energy(&swinging(swing, Some([-1.0, 1.0]), 0.1)), [Code::JointLimit]);
    assert_eq!(broken_but_energy(&swinging(swing, Some([-0.4, 0.4]), 0.0)), [Code::JointLimit]);
    let reason = check(
        &swinging(swing, Some([-0.4, 0.4]), 0.0),
        &Curation { off: vec![Code::Energy], ..Curation::default() },
    );
    assert!(matches!(reason, Err(Reason::JointLimit { unit: "rad", a: 1, b: 2, .. })), "{reason:?}");
}

#[test]
fn a_clip_in_which_nothing_moves_is_caught_unless_that_is_its_outcome() {
    let mut clip = clip(vec![floor(), ball(|_| ([0.0, 0.0, 0.1], [0.0; 3]))], 30, Vec::new());
    annotate(&mut clip);
    assert_eq!(broken(&clip), [Code::Static]);
    clip.outcome = "stayed".to_owned();
    assert_eq!(broken(&clip), []);
}

#[test]
fn a_ball_that_is_gone_for_most_of_the_clip_is_caught() {
    let thrown = |speed: f32| {
        let mut clip =
            clip(vec![floor(), ball(move |t| ([speed * t, 0.0, 0.5], [speed, 0.0, 0.0]))], 60, Vec::new());
        annotate(&mut clip);
        clip
    };
    // It leaves the picture 1.5 m from the middle.
    assert_eq!(broken(&thrown(1.0)), []);
    assert_eq!(broken(&thrown(5.0)), [Code::OutOfFrame]);
}

#[test]
fn clips_that_show_the_same_are_near_duplicates() {
    let a = clean();
    let signature = Signature::of(&a);
    let threshold = Curation::default().duplicate_distance;
    let mut shaken = a.clone();
    for (i, pose) in shaken.poses.iter_mut().enumerate() {
        pose.position[0] += if i % 2 == 0 { 0.0 } else { 0.004 };
    }
    assert_eq!(signature.distance(&signature), 0.0);
    assert!(signature.distance(&Signature::of(&shaken)) < threshold);
    let (other, _) = bouncing(0.9, 0.5, 90);
    assert!(signature.distance(&Signature::of(&other)) > threshold);
    let mut repainted = a.clone();
    repainted.scene.instances[1].color_linear = [0.1, 0.6, 0.1];
    assert!(signature.distance(&Signature::of(&repainted)) > threshold);
    let mut elsewhere = a;
    elsewhere.scenario = "other".to_owned();
    assert_eq!(signature.distance(&Signature::of(&elsewhere)), f64::INFINITY);
}

#[test]
fn tasks_are_looked_at_for_numbers_that_are_none_only() {
    let mut clip = clip(vec![floor(), ball(|_| ([0.0, 0.0, 0.1], [0.0; 3]))], 30, Vec::new());
    clip.scenario = "push-cube".to_owned();
    assert_eq!(broken(&clip), []);
    clip.reward[3] = f32::NAN;
    assert_eq!(broken(&clip), [Code::NonFinite]);
}

#[test]
fn thresholds_can_be_overridden_one_by_one_and_unknown_ones_are_refused() {
    let given: Curation = serde_json::from_str(r#"{"static_distance": 0.5, "off": ["energy"]}"#).unwrap();
    let expected = Curation { static_distance: 0.5, off: vec![Code::Energy], ..Curation::default() };
    assert_eq!(given, expected);
    let error = serde_json::from_str::<Curation>(r#"{"static_distanse": 0.5}"#).unwrap_err();
    assert!(error.to_string().contains("static_distanse"), "{error}");
}
