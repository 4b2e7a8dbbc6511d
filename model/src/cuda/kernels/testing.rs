//! What tests of kernels are made of: numbers, and the processor as a device.
#![allow(clippy::unwrap_used)]

use rand::{RngExt as _, SeedableRng as _};
use worldstep_env::Rng;

use crate::cuda::context::Context;

/// Does `work` with CubeCL's processor runtime.
pub fn on_processor(work: impl FnOnce(&Context)) {
    let context = Context::new(&cubecl::Device::default()).unwrap();
    context.shared().do_on_stream(|| work(&context));
}

/// Numbers between -1 and 1.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Holds that numbers are equal but for so much of their size, or of 1 where they are smaller.
pub fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        assert!(off <= tolerance * expected.abs().max(1.0), "{i}: {found}, expected {expected}");
    }
}
