//! An allocator that knows what is held, so that a leak or a greedy message is found.
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Largest single allocation that any input may cause: inputs have kilobytes, and environments are few.
const ALLOCATION_BYTES_MAX: usize = 16 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting; a target makes it the global one.
pub struct CountingAllocator;

/// Bytes held now; 0 where [`CountingAllocator`] is not the global allocator.
pub fn live_bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

// SAFETY: every call is handed on to `System` unchanged, which keeps the contract.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > ALLOCATION_BYTES_MAX {
            // A panic would allocate.
            std::process::abort();
        }
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
