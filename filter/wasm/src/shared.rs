//! What the requests of one configuration share with its root context.
//!
//! Whoever is the last to let it go, a request or the root, flushes what was counted.

use std::cell::RefCell;
use std::time::Duration;

use sluice_core::lifecycle::{self, Ticking};
use sluice_core::observed::Observed;
use sluice_core::plan::Plan;

use crate::host::Envoy;

/// What one configuration's requests share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The plugin's name.
    pub(crate) plugin: String,
    /// `None`: there never was a readable configuration; traffic passes untouched. Borrowed while a
    /// request or a tick is at work, of which there is never more than one in a VM.
    pub(crate) plan: RefCell<Option<Plan>>,
    pub(crate) observed: RefCell<Observed>,
}

impl Shared {
    /// Ticks; whether the guard took a challenger out that others do not know of yet.
    pub(crate) fn tick(&self, ticking: Ticking, now: Duration) -> bool {
        let (mut plan, mut observed) = (self.plan.borrow_mut(), self.observed.borrow_mut());
        let (plan, plugin) = (plan.as_mut(), &self.plugin);
        lifecycle::tick(&Envoy, plugin, plan, &mut observed, ticking, now)
    }

    /// Hands what was counted to Envoy.
    pub(crate) fn flush(&self) {
        if let Some(plan) = self.plan.borrow().as_ref() {
            self.observed.borrow_mut().flush(&Envoy, &self.plugin, plan);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.flush();
    }
}
