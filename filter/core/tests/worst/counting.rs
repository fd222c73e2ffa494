//! An allocator that counts, for the thread that asks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What something cost, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// The most that was held at once.
    pub(crate) at_once: usize,
    /// All that was asked for.
    pub(crate) in_all: usize,
}

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static COST: Cell<Cost> = const { Cell::new(Cost { at_once: 0, in_all: 0 }) };
}

/// The result of `work`, and what it cost.
pub(crate) fn cost_of<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    HELD.set(0);
    COST.set(Cost::default());
    let result = work();
    (result, COST.get())
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn add(bytes: usize) {
    let held = HELD.get().saturating_add(bytes);
    HELD.set(held);
    let cost = COST.get();
    COST.set(Cost {
        at_once: cost.at_once.max(held),
        in_all: cost.in_all + bytes,
    });
}

#[expect(
    unsafe_code,
    reason = "an allocator is: it passes everything on to the system's"
)]
// SAFETY: every call is the system allocator's own, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(place, layout) }
    }
}
