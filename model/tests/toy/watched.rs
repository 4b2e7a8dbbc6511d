//! Starts that tell what they were asked, and fail when they are told to.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use worldstep_env::{EnvError, EnvSpec};
use worldstep_model::neural_env::StartSource;

use crate::dream::{Stripes, spec};

/// What a source has been asked, and how it is to behave.
#[derive(Clone, Default)]
pub struct Watch {
    pub drawn: Arc<Mutex<Vec<u64>>>,
    pub fails: Arc<AtomicBool>,
    pub failures: Arc<AtomicUsize>,
    pub panics: Arc<AtomicBool>,
    pub alive: Arc<AtomicUsize>,
    pub delay: Duration,
}

impl Watch {
    pub fn set_fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Waits until the source has failed so often.
    pub fn wait_for_failures(&self, count: usize) {
        wait_until("it fails", || self.failures.load(Ordering::SeqCst) == count);
    }
}

/// Waits until `come`, or fails after a generous while.
pub fn wait_until(what: &str, come: impl Fn() -> bool) {
    let begun = Instant::now();
    while !come() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// [`Stripes`] under a [`Watch`].
pub struct Watched(Stripes, Watch);

impl Watched {
    pub fn new(watch: &Watch) -> Self {
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
        // How it ends is settled when it begins.
        let fails = self.1.fails.load(Ordering::SeqCst);
        std::thread::sleep(self.1.delay);
        assert!(!self.1.panics.load(Ordering::SeqCst), "the driver has gone");
        if fails {
            self.1.failures.fetch_add(1, Ordering::SeqCst);
            return Err(EnvError::Engine { message: "no driver".to_owned() });
        }
        self.1.drawn.lock().unwrap().extend(seeds);
        self.0.starts(seeds, out)
    }
}
