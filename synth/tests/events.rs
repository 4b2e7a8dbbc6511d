//! Events and visibility agree with the trajectories that they were told from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod handmade;

use handmade::{FPS, G, at, ball, bouncing, clip, contact, fixed, floor};
use worldstep_env::record::{Event, EventKind};
use worldstep_env::{Shape, Velocity};
use worldstep_synth::annotate::annotate;
use worldstep_synth::clips::Trajectory;

fn of_kind(clip: &Trajectory, kind: EventKind) -> Vec<Event> {
    clip.events.iter().copied().filter(|event| event.kind == kind).collect()
}

#[test]
fn each_bounce_is_one_collision_of_the_impulse_that_turned_the_ball() {
    let (mut clip, impacts) = bouncing(1.0, 0.6, 90);
    annotate(&mut clip);
    let collisions = of_kind(&clip, EventKind::Collision);
    let frames: Vec<u32> = collisions.iter().map(|event| event.frame).collect();
    assert_eq!(frames, impacts);
    for event in collisions {
        assert_eq!((event.a, event.b), (2, 1), "the ball hits the ground, not the other way round");
        let velocity = |row: u32| clip.velocities_at(row as usize)[1].linear[2];
        let change = velocity(event.frame + 1) - velocity(event.frame) + G / FPS as f32;
        // Gravity acts only until and after the impact, which falls anywhere within the row.
        assert!((change - event.value).abs() <= G / FPS as f32 + 1e-3, "{event:?}: {change} m/s");
    }
}

#[test]
fn a_ball_that_stops_bouncing_rests_once_and_is_slow_from_then_on() {
    let (mut clip, impacts) = bouncing(0.5, 0.5, 90);
    annotate(&mut clip);
    let [rest] = of_kind(&clip, EventKind::Rest)[..] else { panic!("{:?}", clip.events) };
    assert_eq!((rest.a, rest.frame), (2, impacts.last().unwrap() + 1));
    assert!((rest.value - rest.frame as f32 / FPS as f32).abs() < 1e-6);
    for row in rest.frame as usize..=clip.len {
        assert!(clip.velocities_at(row)[1].linear[2].abs() < 0.05);
    }
}

#[test]
fn what_lies_there_from_the_start_neither_collides_nor_comes_to_rest() {
    let weight = [0.0, 0.0, G / FPS as f32];
    // It starts a little above the ground, as simulated things do, and its contact flickers.
    let contacts = (1..60).filter(|row| row % 7 != 3);
    let contacts = contacts.map(|row| contact(row, 1, 2, [0.0, 0.0, 1.0], weight)).collect();
    let mut clip = clip(vec![floor(), ball(|_| ([0.0, 0.0, 0.1], [0.0; 3]))], 60, contacts);
    annotate(&mut clip);
    assert_eq!(clip.events, []);
    // All of the ball is in the picture, and little of the wide ground.
    for shares in clip.visibility.chunks(2) {
        assert!(shares[0] > 0.0 && shares[0] < 0.1 && shares[1] == 1.0, "{shares:?}");
    }
}

#[test]
fn one_row_of_jitter_neither_ends_nor_delays_a_rest() {
    let path = |t: f32| {
        let row = (t * FPS as f32).round() as usize;
        let speed = if row < 20 {
            0.5
        } else if row == 25 {
            0.12
        } else {
            0.0
        };
        ([0.0, 0.0, 0.1], [speed, 0.0, 0.0])
    };
    let mut clip = clip(vec![floor(), ball(path)], 60, Vec::new());
    annotate(&mut clip);
    let rests: Vec<u32> = of_kind(&clip, EventKind::Rest).iter().map(|event| event.frame).collect();
    assert_eq!(rests, [20]);
}

/// A ball that crosses the picture from left to right behind a screen 0.6 m wide, 2 m nearer to the camera.
fn behind_a_screen(speed: f32, rows: usize) -> Trajectory {
    let path = move |t: f32| ([-1.9 + speed * t, 0.0, 0.5], [speed, 0.0, 0.0]);
    let screen = fixed("screen", Shape::Cuboid { half_extents: [0.3, 0.01, 0.6] }, [0.0, -2.0, 0.5]);
    clip(vec![screen, ball(path)], rows, Vec::new())
}

#[test]
fn a_ball_is_hidden_exactly_while_the_screen_covers_it() {
    let mut clip = behind_a_screen(1.0, 110);
    annotate(&mut clip);
    let [start] = of_kind(&clip, EventKind::OcclusionStart)[..] else { panic!("{:?}", clip.events) };
    let [end] = of_kind(&clip, EventKind::OcclusionEnd)[..] else { panic!("{:?}", clip.events) };
    assert_eq!((start.a, start.b, end.a, end.b), (2, 1, 2, 1));
    assert!((end.value - (end.frame - start.frame) as f32 / FPS as f32).abs() < 1e-6);
    // The screen, 4 m away, covers 0.3 / 4 of the depth on either side: 0.45 m where the ball is, 6 m away. What is
    // uncovered of a disc of 0.1 m from `x` on:
    let uncovered = |row: u32| {
        let x = -1.9 + row as f32 / FPS as f32;
        let inner = ((0.45 - x.abs()) / 0.1).clamp(-1.0, 1.0);
        (inner.acos() - inner * (1.0 - inner * inner).sqrt()) / std::f32::consts::PI
    };
    for row in 0..110 {
        let hidden = (start.frame..end.frame).contains(&row);
        let share = uncovered(row);
        assert!(if hidden { share < 0.2 } else { share > 0.02 }, "row {row}: {share} uncovered");
        let inside = (-1.4..1.4).contains(&(-1.9 + row as f32 / FPS as f32));
        let seen = clip.visibility[row as usize * 2 + 1];
        assert!(!inside || (seen - share).abs() < 0.06, "row {row}: {seen} of {share}");
    }
}

#[test]
fn leaving_the_picture_and_coming_back_is_told_with_its_times() {
    // 1.5 m to either side of the middle are in the picture: a swing of 3 m leaves it twice.
    let path = |t: f32| ([3.0 * (1.5 * t).sin(), 0.0, 0.5], [4.5 * (1.5 * t).cos(), 0.0, 0.0]);
    let mut clip = clip(vec![floor(), ball(path)], 120, Vec::new());
    annotate(&mut clip);
    let told: Vec<(EventKind, u32)> = clip.events.iter().map(|event| (event.kind, event.frame)).collect();
    let row_of = |angle: f32| (angle / 1.5 * FPS as f32) as u32;
    let expected = [
        (EventKind::OutOfView, row_of(1.6_f32.min(3.0) / 3.0).max(1)),
        (EventKind::IntoView, row_of(std::f32::consts::PI - 0.53)),
    ];
    assert_eq!(told[0].0, expected[0].0);
    assert!(told[0].1.abs_diff(row_of((1.6_f32 / 3.0).asin())) <= 1, "{told:?}");
    assert_eq!(told[1].0, expected[1].0);
    assert!(told[1].1.abs_diff(row_of(std::f32::consts::PI - (1.58_f32 / 3.0).asin())) <= 1, "{told:?}");
    let away = (told[1].1 - told[0].1) as f32 / FPS as f32;
    assert!((clip.events[1].value - away).abs() < 1e-6);
    for row in told[0].1..told[1].1 {
        assert!(clip.visibility[row as usize * 2 + 1] < 0.1, "row {row}");
    }
}

#[test]
fn a_block_that_falls_over_topples_and_one_that_rocks_does_not() {
    for (lean_max, topples) in [(1.5_f32, true), (0.6, false)] {
        let path = move |t: f32| {
            let lean = (2.0 * t).min(lean_max);
            let (sin, cos) = (0.5 * lean).sin_cos();
            let mut pose = at([0.0, 0.0, 0.3]);
            pose.quat_xyzw = [0.0, sin, 0.0, cos];
            let rate = if 2.0 * t < lean_max { 2.0 } else { 0.0 };
            (pose, Velocity { linear: [0.0; 3], angular: [0.0, rate, 0.0] })
        };
        let mut block = ball(|_| ([0.0; 3], [0.0; 3]));
        block.name = "block";
        block.shape = Shape::Cuboid { half_extents: [0.1, 0.1, 0.3] };
        block.path = Box::new(path);
        let weight = [0.0, 0.0, G / FPS as f32];
        let contacts = (0..60).map(|row| contact(row, 1, 2, [0.0, 0.0, 1.0], weight)).collect();
        let mut clip = clip(vec![floor(), block], 60, contacts);
        annotate(&mut clip);
        let told = of_kind(&clip, EventKind::Topple);
        assert_eq!(told.len(), usize::from(topples), "{:?}", clip.events);
        for event in told {
            // 50° at 2 rad/s.
            assert_eq!(event.frame, (0.872_66 / 2.0 * FPS as f32).ceil() as u32);
            assert!((event.value - 2.0 * event.frame as f32 / FPS as f32).abs() < 1e-3);
        }
    }
}

#[test]
fn annotating_twice_is_annotating_once() {
    let mut once = behind_a_screen(0.8, 100);
    annotate(&mut once);
    let mut twice = once.clone();
    annotate(&mut twice);
    assert_eq!(once, twice);
}
