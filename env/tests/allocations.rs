//! What a step of truth allocates once it is warm.
#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

use rand::SeedableRng as _;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{Action, Buffer, Draw, Outcome, Rng};

/// Steps before the one that is looked at.
const WARM: usize = 30;

/// The system's allocator, watched.
struct Watched;

thread_local! {
    /// Whether allocations of this thread are looked at.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Where those came from that were not Rapier's.
    static OURS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static RAPIERS: Cell<usize> = const { Cell::new(0) };
}

/// Takes note of one allocation, unless this is what allocates.
fn note() {
    if !WATCHED.replace(false) {
        return;
    }
    let stack = Backtrace::force_capture().to_string();
    if stack.contains("rapier3d::") || stack.contains("parry3d::") {
        RAPIERS.set(RAPIERS.get() + 1);
    } else {
        OURS.with_borrow_mut(|ours| ours.push(stack));
    }
    WATCHED.set(true);
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn watched(work: impl FnOnce()) {
    WATCHED.set(true);
    work();
    WATCHED.set(false);
}

/// One step and one observation of a task that is warm.
fn step_of(entry: &TaskEntry) {
    let mut task = (entry.make)();
    let mut rng = Rng::seed_from_u64(1);
    let (mut action, mut state) = (Buffer::empty((entry.action_space)().dtype()), Vec::new());
    task.reset(&mut Draw::new(&mut rng, 1.0));
    for k in 0..=WARM {
        match &mut action {
            Buffer::F32(values) => values.clear(),
            Buffer::I64(values) => values.clear(),
            Buffer::U8(_) | Buffer::U16(_) => {}
        }
        task.expert(&mut action);
        state.clear();
        let mut step = || {
            match &action {
                Buffer::I64(values) => task.step(Action::Discrete(values[0])),
                Buffer::F32(values) => task.step(Action::Box(values)),
                Buffer::U8(_) | Buffer::U16(_) => Outcome::default(),
            };
            task.state(&mut state);
        };
        if k < WARM { step() } else { watched(step) }
    }
}

#[test]
fn a_step_allocates_nothing_but_what_rapier_does() {
    let mut faults = Vec::new();
    for entry in &TASKS {
        step_of(entry);
        let (ours, rapiers) = (OURS.take(), RAPIERS.take());
        println!("{:24} {} of ours, {rapiers} of Rapier's", entry.id, ours.len());
        faults.extend(ours.into_iter().map(|stack| format!("{}:\n{stack}", entry.id)));
    }
    assert!(faults.is_empty(), "{} allocations, the first of {}", faults.len(), faults[0]);
}

#[test]
fn what_is_not_rapiers_is_seen() {
    watched(|| drop(std::hint::black_box(vec![0_u8; 9])));
    let ours = OURS.take();
    assert_eq!((ours.len(), RAPIERS.take()), (1, 0));
    assert!(ours[0].contains("what_is_not_rapiers_is_seen"), "{}", ours[0]);
}
