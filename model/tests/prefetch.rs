//! Starts that a thread draws ahead change nothing but the time that a reset takes.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dream::{STEPS_LEFT, Stripes, model, spec};
use rand::{RngExt as _, SeedableRng};
use worldstep_env::{Batch, Buffer, EnvError, EnvSpec, Rng, VectorEnv};
use worldstep_model::neural_env::{
    NeuralOptions, NeuralVectorEnv, PrefetchedStarts, STARTS_AHEAD_MAX, StartSource,
};

/// What a source has been asked, and how it is to behave.
#[derive(Clone, Default)]
struct Watch {
    drawn: Arc<Mutex<Vec<u64>>>,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    alive: Arc<AtomicUsize>,
    delay: Duration,
}

/// [`Stripes`] under a [`Watch`].
struct Watched(Stripes, Watch);

impl Watched {
    fn new(watch: &Watch) -> Self {
        watch.alive.fetch_add(1, Ordering::SeqCst);
        Self(Stripes(spec()), watch.clone())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl StartSource for Watched {
    fn spec(&self) -> &EnvSpec {
        self.0.spec()
    }

    fn context_frames(&self) -> usize {
        self.0.context_frames()
    }

    fn neutral_action(&self) -> &[f32] {
        self.0.neutral_action()
    }

    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        std::thread::sleep(self.1.delay);
        assert!(!self.1.panics.load(Ordering::SeqCst), "the driver has gone");
        if self.1.fails.load(Ordering::SeqCst) {
            return Err(EnvError::Engine { message: "no driver".to_owned() });
        }
        self.1.drawn.lock().unwrap().extend(seeds);
        self.0.starts(seeds, out)
    }
}

fn prefetched(watch: &Watch) -> PrefetchedStarts {
    PrefetchedStarts::new(Watched::new(watch)).unwrap()
}

fn dream_from(starts: Box<dyn StartSource>, num_envs: usize) -> NeuralVectorEnv {
    let options =
        NeuralOptions { temperature: 1.0, termination_threshold: 0.505, ..NeuralOptions::new(num_envs) };
    NeuralVectorEnv::new(model(), starts, options).unwrap()
}

/// Waits until `starts` has `count` ready, or fails after a generous while.
fn wait_for_ready(starts: &PrefetchedStarts, count: usize) {
    let begun = Instant::now();
    while starts.ready() != count {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} ready, expected {count}", starts.ready());
        std::thread::sleep(Duration::from_millis(1));
    }
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
fn an_error_of_the_background_is_told_to_whoever_needs_the_start() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    watch.fails.store(true, Ordering::SeqCst);
    starts.expect(&[5]);
    let error = starts.starts(&[5], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("no driver"), "{error}");
    watch.fails.store(false, Ordering::SeqCst);
    starts.starts(&[5], &mut Vec::new()).unwrap();
}

#[test]
fn a_thread_that_dies_leaves_nobody_waiting() {
    let watch = Watch::default();
    let mut starts = prefetched(&watch);
    watch.panics.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let error = starts.starts(&[5], &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("seed 5"), "{error}");
    }
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
