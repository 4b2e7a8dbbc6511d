//! libFuzzer's way in to [`worldstep_bridge_fuzz::play`].
#![no_main]

use worldstep_bridge_fuzz::{CountingAllocator, Scenario};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

libfuzzer_sys::fuzz_target!(|scenario: Scenario| worldstep_bridge_fuzz::play(&scenario));
