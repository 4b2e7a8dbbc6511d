//! An audit finds nothing between a dream and itself, and finds what was planted.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;
#[path = "toy/replica.rs"]
mod replica;

use dream::{STEPS_LEFT, Stripes, env, model, spec};
use replica::{Fault, Replica};
use worldstep_env::{AutoresetMode, Buffer, EnvError, VectorEnv as _};
use worldstep_model::neural_env::{
    AUDIT_INFO, AuditReport, DreamObservation, NeuralOptions, NeuralVectorEnv, Terminations,
};

const LANES: usize = 5;
/// Lanes that two of five are.
const AUDITED: [usize; 2] = [0, 2];

fn audited(fault: Fault, change: impl Fn(&mut NeuralOptions)) -> NeuralVectorEnv {
    let model = model();
    let dream = env(&model, LANES, |options| {
        options.temperature = 0.0;
        change(options);
    });
    dream.audited(Box::new(Replica::new(&model, 2, fault))).unwrap()
}

/// Two whole episodes and the beginning of a third.
fn run(env: &mut NeuralVectorEnv) -> AuditReport {
    env.reset_all(Some(4)).unwrap();
    for t in 0..2 * i64::from(STEPS_LEFT) + 4 {
        env.step_all(&Buffer::I64((0..LANES as i64).map(|lane| (t * lane + lane) % 3).collect())).unwrap();
    }
    env.audit_report().unwrap()
}

#[test]
fn a_dream_is_not_apart_from_itself() {
    for observation in [DreamObservation::Rgb, DreamObservation::Codes, DreamObservation::State] {
        let report = run(&mut audited(Fault::default(), |options| options.observation = observation));
        assert_eq!(report.lanes, AUDITED);
        assert_eq!(report.episodes, 6, "three episodes of two lanes");
        assert_eq!(report.failure, None);
        assert_eq!(
            report.rows.iter().map(|row| row.frames).sum::<u64>(),
            2 * (2 * (u64::from(STEPS_LEFT) + 1) + 3)
        );
        for row in report.rows.iter().filter(|row| row.from_step > 0) {
            assert_eq!(
                (row.squared_error, row.position_error_m),
                (0.0, Some(0.0)),
                "{observation:?} {row:?}"
            );
            assert_eq!((row.reward_error, row.terminations), (Some(0.0), Terminations::default()));
        }
        assert!(
            report.rows.iter().any(|row| row.to_step == u64::from(STEPS_LEFT)),
            "to the end of the episode"
        );
        assert_eq!(report.rows[0].position_error_m, Some(0.0));
    }
}

#[test]
fn what_was_planted_is_found_where_it_was() {
    let fault = Fault { from_step: 2, brightness: 3, offset_m: 0.5, reward: 0.25, ..Fault::default() };
    let mut env = audited(fault, |_| ());
    let report = run(&mut env);
    let [reset, first, later @ ..] = report.rows.as_slice() else { panic!("{report:?}") };
    for row in [reset, first] {
        assert_eq!((row.squared_error, row.position_error_m), (0.0, Some(0.0)), "{row:?}");
    }
    for row in later {
        // Bytes that wrap around are further off.
        assert!(row.squared_error >= 9.0 && row.psnr_db < 39.0, "{row:?}");
        assert!((row.position_error_m.unwrap() - 0.5).abs() < 1e-5, "{row:?}");
        assert!((row.reward_error.unwrap() - 0.25).abs() < 1e-5, "{row:?}");
    }
    let table = report.table();
    assert_eq!(table.lines().count(), report.rows.len() + 1, "{table}");
}

#[test]
fn infos_tell_it_step_by_step_in_the_lanes_that_are_audited() {
    let fault = Fault { from_step: 2, brightness: 3, offset_m: 0.5, reward: 0.25, ..Fault::default() };
    let mut env = audited(fault, |_| ());
    env.reset_all(Some(4)).unwrap();
    assert!(AUDIT_INFO.iter().all(|name| !env.batch().info(name).unwrap().mask.contains(&true)));
    for step in 1..=3 {
        env.step_all(&Buffer::I64(vec![1; LANES])).unwrap();
        let found = |name: &str| env.batch().info(name).unwrap();
        for name in AUDIT_INFO {
            let set: Vec<_> = (0..LANES).filter(|lane| found(name).mask[*lane]).collect();
            assert_eq!(set, AUDITED, "{name}");
        }
        let offset = if step < 2 { 0.0 } else { 0.5 };
        assert!((found("audit/position_error_m").values[2] - offset).abs() < 1e-5);
        assert_eq!(found("audit/psnr_db").values[2] > 60.0, step < 2);
        assert_eq!(found("audit/termination_disagrees").values[2], 0.0);
        assert_eq!(found("uncertainty").mask, [true; LANES]);
    }
}

#[test]
fn an_end_that_one_side_alone_sees_is_counted_and_ends_the_company() {
    let report = run(&mut audited(Fault { from_step: 3, ends: true, ..Fault::default() }, |_| ()));
    let ends: u64 = report.rows.iter().map(|row| row.terminations.truth_only).sum();
    assert_eq!(ends, 4, "in both whole episodes of both lanes");
    assert_eq!(report.rows.last().unwrap().to_step, 3, "nothing is compared after truth's end");
    let sooner = run(&mut audited(Fault::default(), |options| options.termination_threshold = Some(0.0)));
    assert_eq!(sooner.rows.last().unwrap().to_step, 1);
    assert!(sooner.rows[1].terminations.dream_only > 0, "{sooner:?}");
}

#[test]
fn a_truth_that_fails_ends_the_audit_and_not_the_dream() {
    let report = run(&mut audited(Fault { from_step: 2, breaks: true, ..Fault::default() }, |_| ()));
    assert!(report.failure.unwrap().contains("driver"));
    assert_eq!(report.rows.last().unwrap().to_step, 1);
}

#[test]
fn a_lane_that_was_loaded_is_left_alone_until_its_reset() {
    let mut env = audited(Fault::default(), |_| ());
    env.reset_all(Some(4)).unwrap();
    let state = env.save_lane(1).unwrap();
    env.load_lane(2, &state).unwrap();
    env.step_all(&Buffer::I64(vec![0; LANES])).unwrap();
    assert_eq!(env.batch().info("audit/psnr_db").unwrap().mask, [true, false, false, false, false]);
    env.reset(&[None; LANES], &[true; LANES]).unwrap();
    env.step_all(&Buffer::I64(vec![0; LANES])).unwrap();
    assert_eq!(env.batch().info("audit/psnr_db").unwrap().mask, [true, false, true, false, false]);
}

#[test]
fn a_truth_that_does_not_fit_is_refused() {
    let model = model();
    let refused = |truth: Replica, lanes: usize| {
        let error = env(&model, lanes, |_| ()).audited(Box::new(truth)).err().unwrap();
        assert!(matches!(error, EnvError::Argument { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(Replica::new(&model, 2, Fault::default()), 1).contains("2 lanes for a dream of 1"));
    let other = worldstep_env::EnvSpec { fps: 7, ..spec() };
    let starts = Box::new(Stripes(other));
    let dream = NeuralVectorEnv::new(model.clone(), starts, NeuralOptions::new(2)).unwrap();
    let error = dream.audited(Box::new(Replica::new(&model, 1, Fault::default()))).err().unwrap();
    assert!(error.to_string().contains("fps"), "{error}");
    assert_eq!(NeuralOptions::new(1).autoreset_mode, AutoresetMode::NextStep);
}
