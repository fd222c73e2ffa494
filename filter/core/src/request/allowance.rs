//! What reading one request may cost, counted in steps of about a nanosecond.
//!
//! The splits of a host share it: each gets an equal part of what is left when its turn comes, so
//! that none can take what another was sure of. What a split cannot afford is absent for it, and
//! that is said.

use std::cell::Cell;

/// What all splits together may cost in one request, in steps. Chosen: half a millisecond in a
/// module in Envoy, so that with what is not counted a request stays below one.
pub(super) const MAX_REQUEST_WORK: u32 = 400_000;

/// What is left.
#[derive(Debug)]
pub(super) struct Allowance {
    /// For this split.
    left: Cell<u32>,
    /// For those after it.
    left_to_others: Cell<u32>,
    is_cut: Cell<bool>,
    is_shared: Cell<bool>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            left: Cell::new(MAX_REQUEST_WORK),
            left_to_others: Cell::new(0),
            is_cut: Cell::new(false),
            is_shared: Cell::new(false),
        }
    }
}

impl Allowance {
    /// One of `turns_left` splits begins.
    #[inline]
    pub(super) fn begin_turn(&self, turns_left: u32) {
        self.is_cut.set(false);
        if turns_left > 1 || self.is_shared.get() {
            let left = self.left.get() + self.left_to_others.get();
            let part = left / turns_left.max(1);
            self.left.set(part);
            self.left_to_others.set(left - part);
            self.is_shared.set(true);
        }
    }

    /// Whether several splits ask about the same request.
    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared.get()
    }

    /// Takes so many steps; whether they were left.
    #[inline]
    pub(super) fn take(&self, steps: usize) -> bool {
        let left = self.left.get() as usize;
        let is_left = steps <= left;
        if is_left {
            self.left.set((left - steps) as u32);
        } else {
            self.cut();
        }
        is_left
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> u32 {
        self.left.get()
    }

    /// Something is absent only because it lies beyond a limit.
    #[inline]
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
    }

    #[inline]
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Takes the limit away until it is restored.
    #[inline]
    pub(super) fn lift(&self) -> u32 {
        self.left.replace(u32::MAX)
    }

    #[inline]
    pub(super) fn restore(&self, left: u32) {
        self.left.set(left);
    }
}
