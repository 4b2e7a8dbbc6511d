//! Starts that a thread draws ahead change nothing but the time that a reset takes.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

#[path = "toy/watched.rs"]
mod watched;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use dream::{STEPS_LEFT, Stripes, model, spec};
use rand::{RngExt as _, SeedableRng};
use watched::{Watch, Watched, wait_until};
use worldstep_env::{Batch, Buffer, Rng, VectorEnv};
use worldstep_model::neural_env::{
    NeuralOptions, NeuralVectorEnv, PrefetchedStarts, STARTS_AHEAD_MAX, StartSource,
};

fn prefetched(watch: &Watch) -> PrefetchedStarts {
    PrefetchedStarts::new(Watched::new(watch)).unwrap()
}

fn dream_from(starts: Box<dyn StartSource>, num_envs: usize) -> NeuralVectorEnv {
    let options = NeuralOptions {
        temperature: 1.0,
        termination_threshold: Some(0.505),
        ..NeuralOptions::new(num_envs)
    };
    NeuralVectorEnv::new(model(), starts, options).unwrap()
}

/// Waits until `starts` has `count` ready, and sees that it leaves it at that.
fn wait_for_ready(starts: &PrefetchedStarts, count: usize) {
    wait_until(&format!("{count} are ready"), || starts.ready() >= count);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(starts.ready(), count);
}

/// Batches of a rollout in which lanes are held, reset with and without seeds, and end by themselves.
fn rollout(env: &mut NeuralVectorEnv) -> Vec<Batch> {
    let n = env.num_envs();
    let mut rng = Rng::seed_from_u64(3);
    env.reset_all(Some(40)).unwrap();
    let mut batches = vec![env.batch().clone()];
    for t in 0..4 * STEPS_LEFT {
        if t % 5 == 4 {
            let seeds: Vec<_> =
                (0..n).map(|_| rng.random_bool(0.5).then(|| rng.random_range(0..50))).collect();
            let mask: Vec<_> = (0..n).map(|_| rng.random_bool(0.4)).collect();
            env.reset(&seeds, &mask).unwrap();
            batches.push(env.batch().clone());
        }
        let actions = Buffer::I64((0..n).map(|_| rng.random_range(0..3)).collect());
        let mask: Vec<_> = (0..n).map(|_| rng.random_bool(0.8)).collect();
        env.step(&actions, &mask).unwrap();
        batches.push(env.batch().clone());
    }
    batches
}

#[test]
fn what_is_dreamt_is_the_same_with_and_without_bit_for_bit() {
    let expected = rollout(&mut dream_from(Box::new(Stripes(spec())), 5));
    assert!(expected.iter().any(|batch| batch.terminated.contains(&true)), "lanes end at different times");
    for delay_ms in [0, 3] {
        let watch = Watch { delay: Duration::from_millis(delay_ms), ..Watch::default() };
        let mut env = dream_from(Box::new(prefetched(&watch)), 5);
        assert!(rollout(&mut env) == expected, "with a delay of {delay_ms} ms");
    }
}

#[test]
fn what_lanes_will_need_is_ready_before_they_do() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    starts.expect(&[7, 9, 9, 11]);
    wait_for_ready(&starts, 3);
    let before = watch.drawn.lock().unwrap().clone();
    let (mut got, mut expected) = (Vec::new(), Vec::new());
    starts.starts(&[11, 7], &mut got).unwrap();
    Stripes(spec()).starts(&[11, 7], &mut expected).unwrap();
    assert!(got == expected);
    assert_eq!(*watch.drawn.lock().unwrap(), before, "nothing was drawn for them");
    starts.expect(&[9, 13]);
    wait_for_ready(&starts, 2);
    assert_eq!(*watch.drawn.lock().unwrap(), [7, 9, 11, 13], "each was drawn once");
}

#[test]
fn no_more_than_so_many_are_kept() {
    let starts_kept = STARTS_AHEAD_MAX;
    let mut starts = prefetched(&Watch::default());
    let many: Vec<u64> = (0..starts_kept as u64 + 50).collect();
    starts.expect(&many);
    wait_for_ready(&starts, starts_kept);
    starts.expect(&many[..4]);
    wait_for_ready(&starts, 4);
    let mut out = Vec::new();
    starts.starts(&many, &mut out).unwrap();
    assert_eq!(out.len(), many.len() * 4 * 12_288, "what is not kept is drawn when asked for");
    assert_eq!(starts.ready(), 0, "what was taken is gone");
}

#[test]
fn between_what_a_caller_waits_for_nothing_else_is_drawn() {
    let watch = Watch { delay: Duration::from_millis(2), ..Watch::default() };
    let mut starts = prefetched(&watch);
    let asked: Vec<u64> = (0..200).collect();
    for round in 1..4 {
        let stale: Vec<u64> = (1000 * round..1000 * round + 100).collect();
        starts.expect(&stale);
        watch.drawn.lock().unwrap().clear();
        starts.starts(&asked, &mut Vec::new()).unwrap();
        let drawn = watch.drawn.lock().unwrap().clone();
        let of = |seed| drawn.iter().position(|drawn| *drawn == seed).unwrap();
        assert_eq!(drawn[of(0)..=of(199)], asked, "round {round}");
    }
}

#[test]
fn an_error_of_the_background_is_nobodys() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    watch.set_fails(true);
    starts.expect(&[5, 6]);
    watch.wait_for_failures(1);
    watch.set_fails(false);
    starts.starts(&[5], &mut Vec::new()).unwrap();
    assert_eq!(*watch.drawn.lock().unwrap(), [5]);
}

#[test]
fn who_waits_for_what_fails_ahead_has_it_drawn_again() {
    let watch = Watch { delay: Duration::from_millis(50), ..Watch::default() };
    let mut starts = prefetched(&watch);
    watch.set_fails(true);
    starts.expect(&[5]);
    // It is being drawn, and will fail.
    std::thread::sleep(Duration::from_millis(20));
    watch.set_fails(false);
    starts.starts(&[5], &mut Vec::new()).unwrap();
}

#[test]
fn an_error_is_told_once_to_whoever_asked() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    watch.set_fails(true);
    let error = starts.starts(&[5, 6], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("no driver"), "{error}");
    assert_eq!(watch.failures.load(Ordering::SeqCst), 1);
    watch.set_fails(false);
    starts.starts(&[6, 5], &mut Vec::new()).unwrap();
}

#[test]
fn a_panic_of_the_thread_goes_on_in_its_caller() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    watch.panics.store(true, Ordering::SeqCst);
    let panic = catch_unwind(AssertUnwindSafe(|| starts.starts(&[5], &mut Vec::new()))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the driver has gone"));
    let error = starts.starts(&[5], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("seed 5"), "{error}");
    starts.expect(&[6]);
}

#[test]
fn the_thread_ends_with_its_owner() {
    let watch = Watch { delay: Duration::from_millis(2), ..Watch::default() };
    let mut starts = prefetched(&watch);
    starts.expect(&(0..100).collect::<Vec<_>>());
    assert_eq!(watch.alive.load(Ordering::SeqCst), 1);
    drop(starts);
    assert_eq!(watch.alive.load(Ordering::SeqCst), 0, "the source was dropped, so its thread has ended");
    assert!(watch.drawn.lock().unwrap().len() < 100, "it did not finish what nobody needs");
}
