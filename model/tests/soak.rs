//! Dreams that go on and on: no leak, no NaN, steps as fast at the end as at the beginning.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "toy/dream.rs"]
mod dream;
#[path = "toy/soak.rs"]
mod soak;

use dream::{Stripes, model, spec};
use soak::soak;
use worldstep_env::EnvSpec;
use worldstep_model::neural_env::{DreamObservation, NeuralOptions, NeuralVectorEnv, PrefetchedStarts};

/// Leaks of a row or a frame a step are megabytes in a run; the allocator's own moods are less.
const GROWTH_MAX: u64 = 4 << 20;

fn dream_of(lanes: usize, observation: DreamObservation) -> NeuralVectorEnv {
    let starts = PrefetchedStarts::new(Stripes(EnvSpec { max_episode_steps: 60, ..spec() })).unwrap();
    let options = NeuralOptions {
        observation,
        temperature: 1.0,
        termination_threshold: Some(0.51),
        ..NeuralOptions::new(lanes)
    };
    NeuralVectorEnv::new(model(), Box::new(starts), options).unwrap()
}

#[test]
fn some_hundred_steps_leave_memory_as_it_was() {
    for observation in [DreamObservation::Rgb, DreamObservation::State] {
        let (early, late) = soak(&mut dream_of(4, observation), 600);
        let growth = late.resident_bytes.saturating_sub(early.resident_bytes);
        assert!(
            growth < GROWTH_MAX,
            "{observation:?}: {growth} bytes more after 600 steps: {early:?} {late:?}"
        );
    }
}

#[test]
#[ignore = "takes minutes, and its times want an idle machine"]
fn ten_thousand_steps_are_as_fast_at_the_end() {
    for observation in
        [DreamObservation::Rgb, DreamObservation::Codes, DreamObservation::Latent, DreamObservation::State]
    {
        let (early, late) = soak(&mut dream_of(16, observation), 10_000);
        println!("{observation:?}: early {early:?}, late {late:?}");
        let growth = late.resident_bytes.saturating_sub(early.resident_bytes);
        assert!(growth < GROWTH_MAX, "{growth} bytes more");
        assert!(late.step_ms < 1.25 * early.step_ms, "slower");
    }
}
