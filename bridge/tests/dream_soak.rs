//! The shipped dream with starts drawn by the renderer, for a long time.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../../model/tests/toy/soak.rs"]
mod soak;

use std::path::Path;

use soak::soak;
use worldstep_bridge::engines::dream;
use worldstep_env::AutoresetMode;

/// The driver's caches grow for a while; a leak of a frame for each of thousands of starts is tens of megabytes.
const GROWTH_MAX: u64 = 16 << 20;

#[test]
#[ignore = "takes minutes, and its times want an idle machine"]
fn ten_thousand_steps_from_true_starts() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nano");
    let mut env = dream(&models, "CatchBehindScreen-v0", 16, AutoresetMode::NextStep).unwrap();
    let (early, late) = soak(&mut env, 10_000);
    println!("early {early:?}, late {late:?}");
    let growth = late.resident_bytes.saturating_sub(early.resident_bytes);
    assert!(growth < GROWTH_MAX, "{growth} bytes more");
    assert!(late.step_ms < 1.25 * early.step_ms, "slower");
}
