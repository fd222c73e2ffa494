//! One configuration in one VM: taking it, sharing it with its requests, flushing what was counted.
//!
//! Envoy makes a new root context for each configuration and lets requests under way end on the old
//! one. What is worth keeping between them lives in the VM ([`LAST`]); what fresh VMs need is kept
//! by [`sluice_core::lifecycle`], which also says what is served and reported.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use fnv::FnvBuildHasher;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::brake::Poll;
use crate::host::{self, Envoy};
use crate::http::Http;
use crate::shared::Shared;
use sluice_core::brake::{self, poll::FIRST_TICK};
use sluice_core::lifecycle::{self, Ticking, configure};
use sluice_core::plan::Plan;

thread_local! {
    /// What the requests of the last configuration in this VM share, by plugin name; several
    /// plugins may share a VM. Weak: a plugin that is deleted must be dropped, and so flush what it
    /// counted. A former root lives, and ticks, as long as its longest request.
    static LAST: RefCell<HashMap<String, Weak<Shared>, FnvBuildHasher>> = RefCell::default();
}

/// The root context of one configuration.
#[derive(Default)]
pub(crate) struct Root {
    shared: Rc<Shared>,
    poll: Poll,
    /// How often it ticks without a reason to tick sooner, and how often it does.
    usual: Duration,
    period: Duration,
}

impl Root {
    /// Where what came later is gone, since Envoy rejected it, this is the newest again.
    fn ticking(&self) -> Ticking {
        LAST.with_borrow_mut(|last| {
            let Some(last) = last.get_mut(&self.shared.plugin) else {
                return Ticking::Former;
            };
            if last.strong_count() == 0 {
                *last = Rc::downgrade(&self.shared);
            }
            match std::ptr::eq(last.as_ptr(), Rc::as_ptr(&self.shared)) {
                true => Ticking::Newest,
                false => Ticking::Former,
            }
        })
    }
}

impl Root {
    /// What the newest configuration of the plugin shares with its requests.
    fn newest(&self) -> Rc<Shared> {
        let newest = LAST.with_borrow(|last| last.get(&self.shared.plugin)?.upgrade());
        newest.unwrap_or_else(|| Rc::clone(&self.shared))
    }

    /// Asks for brakes, where it is this VM's and the time for it.
    fn ask(&mut self, now: Duration) {
        let period = match self.ticking() {
            Ticking::Newest => self.poll.tick(&self.shared, now, self.usual),
            Ticking::Former => self.usual,
        };
        if period != self.period {
            self.period = period;
            host::set_tick_period(period);
        }
    }
}

/// Envoy deletes a root context when its configuration is gone, and its VM with it or not.
impl Drop for Root {
    fn drop(&mut self) {
        let is_of_another = |last: &Weak<Shared>| {
            last.strong_count() > 0 && !std::ptr::eq(last.as_ptr(), Rc::as_ptr(&self.shared))
        };
        let plugin = &self.shared.plugin;
        let is_last = !LAST.with_borrow(|last| last.get(plugin).is_some_and(is_of_another));
        self.poll.end(plugin, is_last);
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        let now = host::now();
        // Where the cluster went away meanwhile there is none, and Envoy refuses to be asked for it.
        let body_size = (headers > 0).then_some(size);
        self.poll.answered(&self.newest(), token, body_size, now);
        self.ask(now);
    }
}

impl RootContext for Root {
    /// Always true: false would answer 500 to everything on a fresh proxy.
    fn on_configure(&mut self, _size: usize) -> bool {
        let plugin = host::plugin_name();
        let received = host::plugin_configuration();
        let previous = LAST.with_borrow(|last| last.get(&plugin).and_then(Weak::upgrade));
        let plan = {
            let previous = previous.as_ref().map(|shared| shared.plan.borrow());
            let previous = previous.as_ref().and_then(|plan| plan.as_ref());
            configure(&Envoy, &plugin, received, &host::node(), previous)
        };
        self.usual = lifecycle::period(plan.as_ref());
        self.period = match plan.as_ref().and_then(Plan::brake) {
            Some(_) => FIRST_TICK,
            None => self.usual,
        };
        host::set_tick_period(self.period);
        self.shared = Rc::new(Shared {
            plugin: plugin.clone(),
            plan: RefCell::new(plan),
            observed: RefCell::default(),
        });
        LAST.with_borrow_mut(|last| last.insert(plugin, Rc::downgrade(&self.shared)));
        true
    }

    fn on_tick(&mut self) {
        let now = host::now();
        let has_tripped = self.shared.tick(self.ticking(), now);
        if has_tripped {
            self.poll.tell_of_trip(&self.newest(), now);
        }
        self.ask(now);
    }

    /// Another VM has news, or does not ask any more.
    fn on_queue_ready(&mut self, queue: u32) {
        host::empty_queue(queue);
        let newest = self.newest();
        if let Some(plan) = newest.plan.borrow_mut().as_mut() {
            brake::shared::follow(&Envoy, &newest.plugin, plan);
        }
        self.ask(host::now());
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(Rc::clone(&self.shared))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
