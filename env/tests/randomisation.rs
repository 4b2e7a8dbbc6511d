//! Randomised physics: each range does what it says and nothing else, and no promise of an environment breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use worldstep_env::check::check_env;
use worldstep_env::registry::{TASKS, TaskEntry, find};
use worldstep_env::{
    AutoresetMode, Buffer, EnvError, Randomisation, TruthEnv, TruthSource as _, TruthVectorEnv,
    VectorEnv as _, make_truth,
};

const LANES: usize = 32;

fn randomised(id: &str, ranges: Randomisation) -> TruthVectorEnv {
    let mut env = make_truth(id, LANES, AutoresetMode::NextStep).unwrap();
    env.randomise(Some(ranges)).unwrap();
    env.reset_all(Some(1)).unwrap();
    env
}

fn plain(id: &str) -> TruthVectorEnv {
    let mut env = make_truth(id, LANES, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(1)).unwrap();
    env
}

/// Mass, friction and restitution of each instance of each lane, randomised over plain.
fn ratios(id: &str, ranges: Randomisation, column: usize) -> Vec<f32> {
    let (changed, plain) = (randomised(id, ranges), plain(id));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for lane in 0..LANES {
        changed.world(lane).physical(&mut a);
        plain.world(lane).physical(&mut b);
        let pairs = a.iter().zip(&b).map(|(a, b)| [a[column], b[column]]);
        found.extend(pairs.filter(|[_, b]| b.is_finite() && *b > 0.0).map(|[a, b]| a / b));
    }
    found
}

/// All within the range, and spread over most of it.
fn assert_spread(found: &[f32], [low, high]: [f32; 2]) {
    let (least, most) = found.iter().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let (slack, wide) = (1e-3 * high, 0.7 * (high - low));
    assert!(least >= low - slack && most <= high + slack, "[{least}, {most}] is outside [{low}, {high}]");
    assert!(most - least >= wide, "[{least}, {most}] is little of [{low}, {high}]");
}

#[test]
fn masses_of_bodies_and_of_robots_links_are_drawn_one_by_one() {
    let range = [0.5, 1.5];
    for id in ["PushCube-v0", "Ant-v0", "QuadrotorHover-v0", "CarryTower-v0"] {
        assert_spread(&ratios(id, Randomisation { mass: range, ..Randomisation::default() }, 0), range);
    }
    // Blocks of one tower are not all alike.
    let tower = ratios("CarryTower-v0", Randomisation { mass: range, ..Randomisation::default() }, 0);
    assert!((tower[0] - tower[1]).abs() > 1e-3, "{tower:?}");
}

#[test]
fn frictions_are_drawn_one_by_one() {
    let range = [0.2, 2.0];
    let ranges = Randomisation { friction: range, ..Randomisation::default() };
    assert_spread(&ratios("CarryTower-v0", ranges, 1), range);
}

#[test]
fn restitution_is_added_and_stays_below_one() {
    let env =
        randomised("CarryTower-v0", Randomisation { restitution: [0.3, 0.3], ..Randomisation::default() });
    let mut physical = Vec::new();
    env.world(0).physical(&mut physical);
    assert!(physical.iter().any(|row| (row[2] - 0.3).abs() < 1e-6), "{physical:?}");
    let most =
        randomised("CarryTower-v0", Randomisation { restitution: [1.0, 1.0], ..Randomisation::default() });
    most.world(0).physical(&mut physical);
    assert!(physical.iter().all(|row| row[2] <= 1.0));
}

#[test]
fn inertia_is_drawn_beside_mass() {
    // A torque turns a body of half the inertia twice as fast; the quadrotor's weight does not change with it.
    let twist = |inertia: f32| {
        let ranges = Randomisation { inertia: [inertia; 2], ..Randomisation::default() };
        let mut env = randomised("QuadrotorHover-v0", ranges);
        env.set_difficulty(0, Some(0.0)).unwrap();
        env.reset_all(Some(1)).unwrap();
        let spun = [0.1, -0.1, 0.1, -0.1].repeat(LANES);
        env.step_all(&Buffer::F32(spun)).unwrap();
        let mut velocities = Vec::new();
        env.velocities(0, &mut velocities);
        velocities.iter().map(|v| v.angular[2]).fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a })
    };
    let ratio = twist(0.5) / twist(1.0);
    assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
}

#[test]
fn inertia_of_a_body_of_many_parts_is_that_of_the_whole() {
    let torso = |ranges: Option<Randomisation>| {
        let mut env = make_truth("HumanoidStand-v0", 1, AutoresetMode::NextStep).unwrap();
        env.randomise(ranges).unwrap();
        env.reset_all(Some(1)).unwrap();
        let body = env.world(0).body(env.world(0).body_of_instance("torso").unwrap());
        (body.mass(), body.mass_properties().local_mprops.principal_inertia().to_array())
    };
    let (mass, inertia) = torso(None);
    let ranges = Randomisation { mass: [2.0; 2], inertia: [0.1; 2], ..Randomisation::default() };
    let (heavier, slimmer) = torso(Some(ranges));
    assert!((heavier / mass - 2.0).abs() < 1e-3, "{heavier} of {mass}");
    for (a, b) in slimmer.iter().zip(inertia) {
        assert!((a / b - 0.2).abs() < 1e-3, "{slimmer:?} of {inertia:?}");
    }
}

#[test]
fn gravity_is_the_worlds() {
    let env = randomised("Pour-v0", Randomisation { gravity: [0.5, 2.0], ..Randomisation::default() });
    let found: Vec<_> = (0..LANES).map(|lane| env.world(lane).gravity()[2] / -9.81).collect();
    assert_spread(&found, [0.5, 2.0]);
}

/// Largest change of the state observation of lane 0 by one step with `action`, against none.
fn push(id: &str, ranges: Randomisation, action: f32, steps: usize) -> f32 {
    let rollout = |action: f32| {
        let mut env = randomised(id, ranges.clone());
        let width = env.spec().action_space.flat_len();
        for _ in 0..steps {
            env.step_all(&Buffer::F32(vec![action; width * LANES])).unwrap();
        }
        let mut state = Vec::new();
        env.state(0, &mut state);
        state
    };
    let (pushed, left) = (rollout(action), rollout(0.0));
    pushed.iter().zip(&left).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn motor_gain_multiplies_what_a_motor_does() {
    // A force on a cart, a torque on a joint, a drive of a planar pusher.
    for id in ["CartPole-v0", "Pendulum-v0", "Reacher-v0"] {
        let with =
            |gain: f32| push(id, Randomisation { motor_gain: [gain; 2], ..Randomisation::default() }, 0.1, 1);
        let ratio = with(0.5) / with(1.0);
        assert!((ratio - 0.5).abs() < 0.02, "{id}: {ratio}");
        assert_eq!(with(0.0), 0.0, "{id} without a motor");
    }
    // Servos of an arm and of legs, a pusher that is driven to a speed, rotors.
    for id in ["ArmReach-v0", "QuadrupedFlat-v0", "PushCube-v0", "QuadrotorHover-v0"] {
        let with =
            |gain: f32| push(id, Randomisation { motor_gain: [gain; 2], ..Randomisation::default() }, 0.3, 3);
        assert!(with(1.0) > 1e-3, "{id} with its motors");
        assert_eq!(with(0.0), 0.0, "{id} without its motors");
    }
    // A servo is weaker well before its force is at its limit.
    let servo = |gain: f32| {
        push("QuadrupedFlat-v0", Randomisation { motor_gain: [gain; 2], ..Randomisation::default() }, 0.01, 1)
    };
    assert!(servo(0.5) < 0.9 * servo(1.0), "{} of {}", servo(0.5), servo(1.0));
}

#[test]
fn damping_of_joints_slows_them() {
    let speed = |damping: f32| {
        push("Reacher-v0", Randomisation { joint_damping: [damping; 2], ..Randomisation::default() }, 1.0, 20)
    };
    assert!(speed(0.1) > speed(1.0) && speed(1.0) > speed(10.0));
}

#[test]
fn late_actions_come_as_many_steps_later() {
    let with = |latency: u32, steps: usize| {
        push("CartPole-v0", Randomisation { latency: [latency; 2], ..Randomisation::default() }, 0.5, steps)
    };
    assert!(with(0, 1) > 0.0);
    assert_eq!(with(3, 3), 0.0, "none has come yet");
    assert!(with(3, 4) > 0.0);
    // The pole has leant a little further meanwhile.
    assert!((with(3, 4) - with(0, 1)).abs() < 1e-3, "and it is the first");
}

#[test]
fn sensor_noise_has_its_deviation_and_leaves_the_truth_alone() {
    let ranges = Randomisation { sensor_noise: [0.05; 2], ..Randomisation::default() };
    let (mut noisy, mut plain) = (randomised("Reacher-v0", ranges), plain("Reacher-v0"));
    let actions = plain.spec().action_space.neutral(LANES);
    let (mut errors, mut state) = (Vec::new(), Vec::new());
    let mut before = Vec::new();
    for _ in 0..20 {
        noisy.step_all(&actions).unwrap();
        plain.step_all(&actions).unwrap();
        let (Buffer::F32(seen), Buffer::F32(told)) =
            (&noisy.batch().observations, &plain.batch().observations)
        else {
            panic!("states are numbers");
        };
        let now: Vec<_> = seen.iter().zip(told).map(|(a, b)| a - b).collect();
        assert_ne!(now, before, "the noise of the step before");
        errors.extend(&now);
        before = now;
        state.clear();
        noisy.state(0, &mut state);
        assert_eq!(state, told[..state.len()], "the state behind it");
    }
    let n = errors.len() as f32;
    let mean = errors.iter().sum::<f32>() / n;
    let deviation = (errors.iter().map(|error| (error - mean).powi(2)).sum::<f32>() / n).sqrt();
    // A few values are clipped at the bounds of sines and cosines.
    assert!(mean.abs() < 0.005 && (0.04..0.055).contains(&deviation), "{mean} ± {deviation}");
}

#[test]
fn ranges_of_nothing_change_nothing() {
    for entry in &TASKS {
        let (mut a, mut b) = (randomised(entry.id, Randomisation::default()), plain(entry.id));
        let actions = a.spec().action_space.neutral(LANES);
        for _ in 0..5 {
            assert_eq!(a.batch(), b.batch(), "{}", entry.id);
            a.step_all(&actions).unwrap();
            b.step_all(&actions).unwrap();
        }
    }
}

#[test]
fn every_task_keeps_every_promise_under_random_physics() {
    let ranges = Randomisation { latency: [1, 3], ..Randomisation::moderate() };
    for entry in &TASKS {
        check_env(&mut |lanes, mode| {
            let mut env = make_truth(entry.id, lanes, mode)?;
            env.randomise(Some(ranges.clone()))?;
            Ok(Box::new(env))
        })
        .unwrap_or_else(|error| panic!("{}: {error}", entry.id));
    }
}

#[test]
fn a_state_carries_its_physics_its_late_actions_and_its_noise() {
    let entry = find("Ant-v0").unwrap();
    let ranges = Randomisation { latency: [4, 4], sensor_noise: [0.1; 2], ..Randomisation::moderate() };
    let mut env = TruthEnv::new(entry, 0);
    env.randomise(Some(Arc::new(ranges))).unwrap();
    env.reset(Some(3));
    let action = Buffer::F32(vec![0.7; 8]);
    for _ in 0..6 {
        env.step(&action).unwrap();
    }
    // Into an environment that randomises nothing.
    let mut other = TruthEnv::new(entry, 1);
    other.load(&env.save().unwrap()).unwrap();
    let still = Buffer::F32(vec![-0.2; 8]);
    for _ in 0..12 {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        env.observe(&mut a);
        other.observe(&mut b);
        assert_eq!(a, b);
        assert_eq!(env.step(&still).unwrap(), other.step(&still).unwrap());
    }
}

#[test]
fn difficulty_narrows_where_episodes_start() {
    let spread = |id: &str, difficulty: f32| {
        let mut env = make_truth(id, LANES, AutoresetMode::NextStep).unwrap();
        let options = BTreeMap::from([("difficulty".to_owned(), difficulty)]);
        env.set_options(&options, &[true; LANES]).unwrap();
        env.reset_all(Some(1)).unwrap();
        let Buffer::F32(values) = &env.batch().observations else { panic!("states are numbers") };
        let width = values.len() / LANES;
        let columns = (0..width).map(|i| {
            let column: Vec<_> = values.iter().skip(i).step_by(width).copied().collect();
            let mean = column.iter().sum::<f32>() / LANES as f32;
            (column.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / LANES as f32).sqrt()
        });
        columns.sum::<f32>()
    };
    // What shells hide and which pocket it is stays a matter of chance.
    let chance = ["ShellGame-v0", "Billiards-v0", "TurnKnob-v0", "PushCube-v0", "QuadrotorWaypoint-v0"];
    for entry in &TASKS {
        let [easy, half, full] = [0.0, 0.5, 1.0].map(|difficulty| spread(entry.id, difficulty));
        println!("{}: {easy} {half} {full}", entry.id);
        if !chance.contains(&entry.id) {
            assert!(easy < 1e-4, "{}: {easy}", entry.id);
            assert!(half < full && half > 0.0, "{}: {half} of {full}", entry.id);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut env = make_truth("Pendulum-v0", 2, AutoresetMode::NextStep).unwrap();
    let wrong = [
        (Randomisation { mass: [0.0, 1.0], ..Randomisation::default() }, "mass"),
        (Randomisation { friction: [2.0, 1.0], ..Randomisation::default() }, "friction"),
        (Randomisation { gravity: [f32::NAN, 1.0], ..Randomisation::default() }, "gravity"),
        (Randomisation { latency: [0, 65], ..Randomisation::default() }, "[0, 64]"),
        (Randomisation { difficulty: -0.1, ..Randomisation::default() }, "difficulty"),
        (Randomisation { sensor_noise: [-1.0, 0.0], ..Randomisation::default() }, "sensor_noise"),
    ];
    for (ranges, says) in wrong {
        let error = env.randomise(Some(ranges)).unwrap_err();
        assert!(matches!(&error, EnvError::Argument { message } if message.contains(says)), "{error}");
    }
    for (name, value, says) in [("difficulty", 1.5, "0 to 1"), ("gravity", 1.0, "unknown option \"gravity\"")]
    {
        let options = BTreeMap::from([(name.to_owned(), value)]);
        let error = env.set_options(&options, &[true, true]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Share of episodes that the expert, which knows nothing of it, ends in success under these physics.
fn expert_success(entry: &'static TaskEntry, ranges: &Arc<Randomisation>, episodes: u64) -> f64 {
    let play = |seed: u64| {
        let mut env = TruthEnv::new(entry, 0);
        env.randomise(Some(Arc::clone(ranges))).unwrap();
        env.reset(Some(seed));
        let mut action = Buffer::empty(env.spec().action_space.dtype());
        loop {
            action = Buffer::empty(action.dtype());
            env.task().expert(&mut action);
            let step = env.step(&action).unwrap();
            if step.outcome.terminated || step.truncated {
                return u32::from(step.outcome.success);
            }
        }
    };
    f64::from((0..episodes).into_par_iter().map(play).sum::<u32>()) / episodes as f64
}

#[test]
fn experts_get_by_under_moderately_random_physics() {
    let ranges = Arc::new(Randomisation::moderate());
    let mut sum = 0.0;
    for entry in &TASKS {
        let success = expert_success(entry, &ranges, 20);
        println!("{:22} {success:.2}", entry.id);
        assert!(success >= 0.1, "{} cannot be done any more", entry.id);
        sum += success;
    }
    let mean = sum / TASKS.len() as f64;
    println!("mean {mean:.2}");
    assert!(mean > 0.65, "{mean}");
}
