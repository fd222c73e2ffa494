//! What the requests of one configuration share with its root context.
//!
//! Whoever is the last to let it go, a request or the root, flushes what was counted.

use std::cell::RefCell;

use sluice_core::lifecycle;
use sluice_core::plan::Plan;
use sluice_core::tally::Tally;

use crate::host::Envoy;

/// What one configuration's requests share.
#[derive(Default)]
pub(crate) struct Shared {
    /// `None`: there never was a readable configuration; traffic passes untouched.
    pub(crate) plan: Option<Plan>,
    pub(crate) tally: RefCell<Tally>,
}

impl Shared {
    /// Hands what was counted to Envoy.
    pub(crate) fn flush(&self) {
        let Some(plan) = &self.plan else {
            return;
        };
        lifecycle::flush(&Envoy, plan, &mut self.tally.borrow_mut());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.flush();
    }
}
