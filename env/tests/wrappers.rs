//! Wrappers keep the promises of `VectorEnv`, and do what Gymnasium's of the same name do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use worldstep_env::check::{CheckConfig, check_env, check_env_with};
use worldstep_env::wrappers::{
    ActionRepeat, ClipAction, DomainRandomisation, FrameStack, NormalizeObservation, RecordEpisodeStatistics,
    RescaleAction, SameStep, TimeLimit,
};
use worldstep_env::{AutoresetMode, Buffer, EnvError, Randomisation, TruthVectorEnv, VectorEnv, make_truth};

const CART: &str = "CartPole-v0";

fn cart(lanes: usize, mode: AutoresetMode) -> TruthVectorEnv {
    make_truth(CART, lanes, mode).unwrap()
}

fn values(env: &dyn VectorEnv) -> Vec<f32> {
    env.batch().observations.as_f32().unwrap().to_vec()
}

fn force(lanes: usize, force: f32) -> Buffer {
    Buffer::F32(vec![force; lanes])
}

#[test]
fn each_keeps_every_promise() {
    type Wrap = fn(TruthVectorEnv) -> Box<dyn VectorEnv>;
    let wraps: [(&str, Wrap); 8] = [
        ("DomainRandomisation", |env| {
            Box::new(DomainRandomisation::new(env, Randomisation::moderate()).unwrap())
        }),
        ("ClipAction", |env| Box::new(ClipAction::new(env).unwrap())),
        ("RescaleAction", |env| Box::new(RescaleAction::new(env, 0.0, 10.0).unwrap())),
        ("ActionRepeat", |env| Box::new(ActionRepeat::new(env, 3).unwrap())),
        ("TimeLimit", |env| Box::new(TimeLimit::new(env, 9).unwrap())),
        ("RecordEpisodeStatistics", |env| Box::new(RecordEpisodeStatistics::new(env).unwrap())),
        ("FrameStack", |env| Box::new(FrameStack::new(env, 3).unwrap())),
        ("all", |env| {
            let env = ActionRepeat::new(ClipAction::new(env).unwrap(), 2).unwrap();
            let env = TimeLimit::new(FrameStack::new(env, 2).unwrap(), 7).unwrap();
            Box::new(RecordEpisodeStatistics::new(env).unwrap())
        }),
    ];
    for task in [CART, "Hopper-v0"] {
        for (name, wrap) in wraps {
            check_env(&mut |lanes, mode| Ok(wrap(make_truth(task, lanes, mode)?)))
                .unwrap_or_else(|error| panic!("{name} of {task}: {error}"));
        }
    }
    // What lanes share depends on all of them; frozen, it does not.
    check_env_with(
        &mut |lanes, mode| {
            let mut env = NormalizeObservation::new(cart(lanes, mode))?;
            env.set_learns(false);
            Ok(Box::new(env))
        },
        &CheckConfig::default(),
    )
    .unwrap();
}

#[test]
fn clipped_and_rescaled_actions_are_those_of_the_space() {
    let mut plain = cart(2, AutoresetMode::Disabled);
    let mut clipped = ClipAction::new(cart(2, AutoresetMode::Disabled)).unwrap();
    let mut rescaled = RescaleAction::new(cart(2, AutoresetMode::Disabled), -2.0, 6.0).unwrap();
    let envs: [&mut dyn VectorEnv; 3] = [&mut plain, &mut clipped, &mut rescaled];
    let actions = [[1.0, -1.0], [70.0, -3.0], [6.0, -2.0]];
    let seen = envs.map(|env| {
        env.reset_all(Some(3)).unwrap();
        env
    });
    let seen: Vec<_> = seen
        .into_iter()
        .zip(actions)
        .map(|(env, actions)| {
            env.step_all(&Buffer::F32(actions.to_vec())).unwrap();
            values(env)
        })
        .collect();
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    for env in [&mut clipped as &mut dyn VectorEnv, &mut rescaled] {
        let error = env.step_all(&force(2, f32::NAN)).unwrap_err();
        assert!(matches!(error, EnvError::Action { .. }), "{error}");
    }
    assert!(
        ClipAction::new(make_truth("CatchBehindScreen-v0", 1, AutoresetMode::Disabled).unwrap()).is_err()
    );
    assert!(RescaleAction::new(clipped, -1.0, 1.0).is_err(), "what is unbounded cannot be rescaled");
    assert!(RescaleAction::new(plain, 1.0, 1.0).is_err());
}

#[test]
fn a_repeated_action_earns_all_its_rewards_until_the_end() {
    let mut plain = cart(1, AutoresetMode::NextStep);
    let mut repeated = ActionRepeat::new(cart(1, AutoresetMode::NextStep), 4).unwrap();
    assert_eq!((repeated.spec().max_episode_steps, repeated.spec().fps), (125, 12));
    plain.reset_all(Some(5)).unwrap();
    repeated.reset_all(Some(5)).unwrap();
    let mut ends = 0;
    for _ in 0..60 {
        repeated.step_all(&force(1, 1.0)).unwrap();
        let (mut sum, mut alive) = (0.0, 0.0);
        let starts = plain.batch().done(0);
        for _ in 0..if starts { 1 } else { 4 } {
            plain.step_all(&force(1, 1.0)).unwrap();
            sum += plain.batch().rewards[0];
            alive += plain.batch().info[2].values[0];
            if plain.batch().done(0) {
                break;
            }
        }
        assert_eq!(values(&plain), values(&repeated));
        assert_eq!(repeated.batch().rewards[0], sum);
        assert_eq!(repeated.batch().info[2].values[0], alive);
        assert_eq!(repeated.batch().done(0), plain.batch().done(0));
        ends += usize::from(plain.batch().done(0));
    }
    assert!(ends > 3);
    assert!(ActionRepeat::new(plain, 0).is_err());
}

#[test]
fn a_time_limit_cuts_off_and_the_next_step_starts_anew() {
    let mut env = TimeLimit::new(cart(2, AutoresetMode::NextStep), 5).unwrap();
    env.reset_all(Some(1)).unwrap();
    let flags: Vec<_> = (0..12)
        .map(|_| {
            env.step_all(&force(2, 0.0)).unwrap();
            (env.batch().truncated[0], env.batch().rewards[0])
        })
        .collect();
    let cut: Vec<_> = flags.iter().map(|(cut, _)| *cut).collect();
    assert_eq!(cut, [false, false, false, false, true, false, false, false, false, false, true, false]);
    assert!(flags[5].1 == 0.0 && flags[4].1 > 0.0, "the step after it only starts anew: {flags:?}");
    assert_eq!(env.spec().max_episode_steps, 5);
    let mut by_hand = TimeLimit::new(cart(1, AutoresetMode::Disabled), 2).unwrap();
    by_hand.reset_all(Some(1)).unwrap();
    by_hand.step_all(&force(1, 0.0)).unwrap();
    by_hand.step_all(&force(1, 0.0)).unwrap();
    assert!(matches!(by_hand.step_all(&force(1, 0.0)), Err(EnvError::NeedsReset { lane: 0 })));
    assert!(TimeLimit::new(by_hand, 0).is_err());
    // A limit beyond the task's own is the task's.
    assert_eq!(
        TimeLimit::new(cart(1, AutoresetMode::Disabled), 9_999).unwrap().spec().max_episode_steps,
        500
    );
}

#[test]
fn statistics_of_an_episode_come_where_it_ends() {
    let mut env = RecordEpisodeStatistics::new(cart(3, AutoresetMode::NextStep)).unwrap();
    env.reset_all(Some(2)).unwrap();
    let (mut sums, mut steps, mut ends) = ([0.0_f64; 3], [0.0; 3], 0);
    let mut over = [false; 3];
    for _ in 0..120 {
        env.step_all(&force(3, 1.0)).unwrap();
        for i in 0..3 {
            if over[i] {
                (sums[i], steps[i]) = (0.0, 0.0);
            } else {
                sums[i] += f64::from(env.batch().rewards[i]);
                steps[i] += 1.0;
            }
            let [told, length] = ["episode/r", "episode/l"].map(|name| env.batch().info(name).unwrap());
            over[i] = env.batch().done(i);
            assert_eq!((told.mask[i], length.mask[i]), (over[i], over[i]));
            if over[i] {
                ends += 1;
                assert_eq!((told.values[i], length.values[i]), (sums[i] as f32, steps[i]));
            }
        }
    }
    assert!(ends > 6);
}

#[test]
fn normalised_observations_have_mean_0_and_variance_1() {
    let lanes = 64;
    let mut env = NormalizeObservation::new(cart(lanes, AutoresetMode::NextStep)).unwrap();
    env.reset_all(Some(2)).unwrap();
    let mut raw = values(env.inner());
    for k in 0..40 {
        env.step_all(&force(lanes, if k % 2 == 0 { 0.5 } else { -0.5 })).unwrap();
        raw.extend(values(env.inner()));
    }
    let n = (raw.len() / 4) as f64;
    for i in 0..4 {
        let column = || raw.iter().skip(i).step_by(4).map(|x| f64::from(*x));
        let mean = column().sum::<f64>() / n;
        let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let known = env.statistics();
        assert!((known.mean[i] - mean).abs() < 1e-9 && (known.variance[i] / variance - 1.0).abs() < 1e-6);
    }
    env.set_learns(false);
    let frozen = env.statistics().clone();
    env.step_all(&force(lanes, 0.0)).unwrap();
    assert_eq!(*env.statistics(), frozen);
    let (seen, raw) = (values(&env), values(env.inner()));
    let expected = (f64::from(raw[5]) - frozen.mean[1]) / (frozen.variance[1] + 1e-8).sqrt();
    assert_eq!(seen[5], expected as f32);
    let mut other = NormalizeObservation::new(cart(1, AutoresetMode::NextStep)).unwrap();
    other.set_statistics(frozen.clone()).unwrap();
    assert_eq!(*other.statistics(), frozen);
    let mut pendulum =
        NormalizeObservation::new(make_truth("Pendulum-v0", 1, AutoresetMode::NextStep).unwrap()).unwrap();
    assert!(pendulum.set_statistics(frozen).is_err(), "of another task");
}

#[test]
fn a_stack_shows_the_last_frames_and_starts_with_the_first() {
    let mut env = FrameStack::new(cart(2, AutoresetMode::NextStep), 3).unwrap();
    env.reset_all(Some(4)).unwrap();
    let mut past = vec![values(env.inner()); 3];
    let mut over = [false; 2];
    for k in 0..80 {
        env.step_all(&force(2, if k < 40 { 1.0 } else { 0.1 })).unwrap();
        let now = values(env.inner());
        past.remove(0);
        past.push(now.clone());
        for i in (0..2).filter(|i| over[*i]) {
            past.iter_mut().for_each(|frame| frame[i * 4..i * 4 + 4].copy_from_slice(&now[i * 4..i * 4 + 4]));
        }
        over = [0, 1].map(|i| env.batch().done(i));
        let expected: Vec<f32> = (0..2)
            .flat_map(|i| past.iter().flat_map(move |frame| frame[i * 4..i * 4 + 4].to_vec()))
            .collect();
        assert_eq!(values(&env), expected, "step {k}");
    }
    assert!(FrameStack::new(env, 0).is_err());
}

#[test]
fn same_step_is_disabled_with_resets_by_hand() {
    for task in [CART, "CatchBehindScreen-v0", "Ant-v0"] {
        let mut hand = make_truth(task, 5, AutoresetMode::Disabled).unwrap();
        let mut same = SameStep::new(make_truth(task, 5, AutoresetMode::Disabled).unwrap()).unwrap();
        assert_eq!(same.autoreset_mode(), AutoresetMode::SameStep);
        hand.reset_all(Some(3)).unwrap();
        same.reset_all(Some(3)).unwrap();
        let space = hand.spec().action_space.clone();
        let mut rng = <worldstep_env::Rng as rand::SeedableRng>::seed_from_u64(1);
        let mut ends = 0;
        for k in 0..260 {
            let mut actions = Buffer::empty(space.dtype());
            (0..5).for_each(|_| space.sample(&mut rng, &mut actions));
            let mask: Vec<_> = (0..5).map(|i| (i + k) % 3 != 0).collect();
            hand.step(&actions, &mask).unwrap();
            same.step(&actions, &mask).unwrap();
            let last = hand.batch().clone();
            let done: Vec<_> = (0..5).map(|i| mask[i] && last.done(i)).collect();
            assert_eq!(same.finals().mask, done);
            let width = space_width(&hand);
            for i in (0..5).filter(|i| mask[*i]) {
                assert_eq!(same.batch().rewards[i], last.rewards[i]);
                assert_eq!(same.batch().done(i), last.done(i));
                if done[i] {
                    ends += 1;
                    let row = i * width..(i + 1) * width;
                    let (a, b) = (&same.finals().observations, &last.observations);
                    assert_eq!(a.as_f32().unwrap()[row.clone()], b.as_f32().unwrap()[row]);
                    assert!(
                        same.finals()
                            .info
                            .iter()
                            .zip(&last.info)
                            .all(|(a, b)| { (a.mask[i], a.values[i]) == (b.mask[i], b.values[i]) })
                    );
                    assert!(same.batch().info.iter().all(|column| !column.mask[i]));
                }
            }
            hand.reset(&[None; 5], &done).unwrap();
            assert_eq!(values(&same), values(&hand));
        }
        assert!(ends > 3, "{task}: {ends}");
    }
    assert!(SameStep::new(cart(1, AutoresetMode::NextStep)).is_err());
    let same = || SameStep::new(cart(1, AutoresetMode::Disabled)).unwrap();
    assert!(TimeLimit::new(same(), 5).is_err() && FrameStack::new(same(), 2).is_err());
    assert!(ActionRepeat::new(same(), 2).is_err() && RecordEpisodeStatistics::new(same()).is_err());
    assert!(make_truth(CART, 1, AutoresetMode::SameStep).is_err(), "an engine leaves it to the wrapper");
}

fn space_width(env: &dyn VectorEnv) -> usize {
    env.spec().observation_space.flat_len()
}

/// How far the cart gets in five steps of full force, from the same start.
fn pushed(env: &mut dyn VectorEnv) -> f32 {
    env.reset_all(Some(3)).unwrap();
    let start = values(env)[0];
    (0..5).for_each(|_| env.step_all(&force(1, 1.0)).unwrap());
    values(env)[0] - start
}

#[test]
fn physics_is_drawn_anew_for_each_episode_however_deep_the_wrapper_is() {
    let heavy = Randomisation { mass: [4.0, 4.0], ..Randomisation::default() };
    let plain = pushed(&mut cart(1, AutoresetMode::NextStep));
    let inner = DomainRandomisation::new(cart(1, AutoresetMode::NextStep), heavy.clone()).unwrap();
    let mut env = RecordEpisodeStatistics::new(TimeLimit::new(inner, 50).unwrap()).unwrap();
    let slow = pushed(&mut env);
    assert!(slow < 0.6 * plain, "four times the mass got to {slow}, one to {plain}");
    // A curriculum from outside, down to no randomness at all.
    env.randomise(Some(Randomisation { mass: [2.0, 2.0], ..Randomisation::default() })).unwrap();
    let halfway = pushed(&mut env);
    assert!(slow < halfway && halfway < plain, "{slow} {halfway} {plain}");
    env.randomise(None).unwrap();
    assert_eq!(pushed(&mut env), plain);
    // An episode under way keeps its physics.
    let mut env = DomainRandomisation::new(cart(1, AutoresetMode::NextStep), heavy.clone()).unwrap();
    env.reset_all(Some(3)).unwrap();
    let start = values(&env)[0];
    env.set_ranges(Randomisation::default()).unwrap();
    (0..5).for_each(|_| env.step_all(&force(1, 1.0)).unwrap());
    assert_eq!(values(&env)[0] - start, slow);
    let wrong = Randomisation { mass: [2.0, 1.0], ..Randomisation::default() };
    let error = env.set_ranges(wrong.clone()).unwrap_err().to_string();
    assert!(error.contains("mass is [2, 1]"), "{error}");
    assert_eq!(*env.ranges(), Randomisation::default());
    assert!(DomainRandomisation::new(cart(1, AutoresetMode::NextStep), wrong).is_err());
}
