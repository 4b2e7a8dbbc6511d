//! libFuzzer's way in to [`worldstep_bridge_fuzz::decode`].
#![no_main]

use worldstep_bridge_fuzz::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| worldstep_bridge_fuzz::decode(bytes));
