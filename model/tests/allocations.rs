//! A step without a restart allocates nothing once it is warm, and a dream takes the memory that it is said to take.
#![allow(unsafe_code, clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use dream::{Stripes, model, spec};
use worldstep_env::{Buffer, EnvSpec, VectorEnv as _};
use worldstep_model::config::FrameSize;
use worldstep_model::engine::{CpuEngine, FrameStep, Sampling, StepEngine as _, StepOutput};
use worldstep_model::model::Model;
use worldstep_model::neural_env::{DreamObservation, NeuralOptions, NeuralVectorEnv};
use worldstep_model::packing::FRAME_CODE_BYTES;

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are allocated now, and most of them so far.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Allocations of all threads during `steps` calls, after as many to warm up.
fn count(steps: usize, mut step: impl FnMut(usize)) -> usize {
    (0..steps).for_each(&mut step);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (steps..2 * steps).for_each(&mut step);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn of_engine(lanes: usize) -> usize {
    let model = model();
    let mut engine = CpuEngine::new(&model, lanes).unwrap();
    let mut said = StepOutput::new(&model, lanes);
    let mut frames = vec![0; lanes * FRAME_BYTES];
    let mut codes = vec![1; lanes * FRAME_CODE_BYTES];
    let (actions, levels) = (vec![0.0; 3 * lanes], vec![1; lanes]);
    let mut draws = vec![0; lanes];
    let masks = [vec![true; lanes], (0..lanes).map(|lane| lane % 3 != 1).collect()];
    count(20, |t| {
        draws.fill(t as u64);
        let sampling = Sampling { draws: &draws, temperature: 1.0 };
        let (codes_now, mask) = (&codes, &masks[t % 2]);
        let frame = FrameStep { codes: codes_now, actions: &actions, levels: &levels, mask, sampling };
        engine.step(&frame, &mut said);
        engine.read_objects(&frame, &mut said.objects);
        engine.decode(&said.codes, &mut frames);
        codes.copy_from_slice(&said.codes);
    })
}

fn of_environment(lanes: usize, observation: DreamObservation) -> usize {
    let starts = Box::new(Stripes(EnvSpec { max_episode_steps: 1000, ..spec() }));
    let options =
        NeuralOptions { termination_threshold: Some(1.0), observation, ..NeuralOptions::new(lanes) };
    let mut env = NeuralVectorEnv::new(model(), starts, options).unwrap();
    env.reset_all(Some(1)).unwrap();
    let masks = [vec![true; lanes], (0..lanes).map(|lane| lane % 3 != 1).collect()];
    let actions = Buffer::I64(vec![2; lanes]);
    count(20, |t| env.step(&actions, &masks[t % 2]).unwrap())
}

/// Most bytes that a dream of `lanes` lanes takes from its making through a reset and some steps, and what each lane was
/// said to take.
fn taken(model: &Model, lanes: usize, observation: DreamObservation) -> (usize, u64) {
    let options = NeuralOptions { observation, ..NeuralOptions::new(lanes) };
    let (model, starts) = (model.clone(), Box::new(Stripes(spec())));
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut env = NeuralVectorEnv::new(model, starts, options).unwrap();
    env.reset_all(Some(1)).unwrap();
    let actions = Buffer::I64(vec![2; lanes]);
    (0..3).for_each(|_| env.step_all(&actions).unwrap());
    (PEAK.load(Ordering::Relaxed) - before, env.memory().env.total())
}

fn a_dream_takes_what_it_is_said_to_take() {
    let model = model();
    for observation in
        [DreamObservation::Rgb, DreamObservation::Codes, DreamObservation::Latent, DreamObservation::State]
    {
        let (some, _) = taken(&model, 64, observation);
        let (more, said) = taken(&model, 192, observation);
        let each = (more - some) as f64 / 128.0;
        let share = each / said as f64;
        assert!((0.9..=1.0).contains(&share), "{observation:?}: {each} bytes a lane, {said} were told");
    }
}

/// One test, as what others allocate beside it would be counted too. In a pool of threads, as handing work over from
/// outside allocates in the pool's own queue now and then.
#[test]
fn a_warm_step_allocates_nothing_and_a_dream_takes_what_it_says() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| {
        for lanes in [1, 5, 20] {
            assert_eq!(of_engine(lanes), 0, "engine of {lanes} lanes");
            for observation in [
                DreamObservation::Rgb,
                DreamObservation::Codes,
                DreamObservation::Latent,
                DreamObservation::State,
            ] {
                assert_eq!(of_environment(lanes, observation), 0, "{observation:?} of {lanes} lanes");
            }
        }
        a_dream_takes_what_it_is_said_to_take();
    });
    assert!(count(1, |_| drop(std::hint::black_box(vec![1u8; 9]))) > 0, "allocations are counted");
}
