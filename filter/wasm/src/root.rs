//! One configuration in one VM: taking it, keeping the last good one, flushing what was counted.
//!
//! Envoy makes a new root context for each configuration and lets requests under way end on the old one. What is worth
//! keeping between them lives in the VM ([`LAST`]) or, for fresh VMs, in the shared data.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use fnv::FnvBuildHasher;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, MetricType};

use crate::host;
use crate::http::Http;
use sluice_core::config::{Document, Unreadable};
use sluice_core::plan::Plan;
use sluice_core::problem::Problem;
use sluice_core::revision::Revision;
use sluice_core::tally::Tally;

/// How often counters are flushed. Chosen: well below the scrape intervals in use.
const TICK: Duration = Duration::from_secs(1);

/// How many problems of one configuration are logged; all are counted.
const MAX_LOGGED_PROBLEMS: usize = 20;

thread_local! {
    /// What the requests of the last configuration in this VM share, by plugin name; several plugins may share a VM.
    /// Weak: a plugin that is deleted must be dropped, and so flush what it counted. A former root lives, and ticks, as
    /// long as its longest request.
    static LAST: RefCell<HashMap<String, Weak<Shared>, FnvBuildHasher>> = RefCell::default();
}

/// What one configuration's requests share.
#[derive(Default)]
pub(crate) struct Shared {
    /// `None`: there never was a readable configuration; traffic passes untouched.
    pub(crate) plan: Option<Plan>,
    pub(crate) tally: RefCell<Tally>,
}

impl Shared {
    fn flush(&self) {
        let Some(plan) = &self.plan else {
            return;
        };
        self.tally.borrow_mut().flush(|count, number| {
            if let Some((name, labels)) = count.labels(plan) {
                host::add_to_counter(name, &labels, number);
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The root context of one configuration.
#[derive(Default)]
pub(crate) struct Root {
    plugin: String,
    shared: Rc<Shared>,
}

impl Context for Root {}

impl RootContext for Root {
    /// Always true: false would answer 500 to everything on a fresh proxy.
    fn on_configure(&mut self, _size: usize) -> bool {
        self.plugin = host::plugin_name();
        let received = host::plugin_configuration();
        let (document, refused) = self.readable(received);
        let previous = LAST.with_borrow(|last| last.get(&self.plugin).and_then(Weak::upgrade));
        let previous = previous.as_ref().and_then(|shared| shared.plan.as_ref());
        let plan = document.map(|document| Plan::build(&document, &host::node(), previous));
        let revision = plan.as_ref().map_or(Revision::default(), Plan::revision);
        let problems = plan.as_ref().map_or(&[][..], Plan::problems);
        report(&self.plugin, revision, problems, refused.as_ref());
        self.shared = Rc::new(Shared {
            plan,
            tally: RefCell::default(),
        });
        LAST.with_borrow_mut(|last| last.insert(self.plugin.clone(), Rc::downgrade(&self.shared)));
        host::set_tick_period(TICK);
        true
    }

    fn on_tick(&mut self) {
        self.shared.flush();
        host::add_to_counter("ticks_total", &[("plugin", &self.plugin)], 1);
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(Rc::clone(&self.shared))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    /// The document to serve: the received one or, when that is unreadable, the last good one; and why it was refused.
    fn readable(&self, received: Vec<u8>) -> (Option<Document>, Option<Unreadable>) {
        let key = format!("sluice/{}", self.plugin);
        match Document::read(&received) {
            Ok(document) => {
                host::set_shared_data(&key, &received);
                (Some(document), None)
            }
            Err(refused) => {
                let last_good =
                    host::shared_data(&key).and_then(|bytes| Document::read(&bytes).ok());
                (last_good, Some(refused))
            }
        }
    }
}

/// Says how the configuration was taken. Gauges are set by every VM alike; the log and the counter speak once for all
/// VMs, the one that configures first (Envoy configures a throw-away VM, the main thread's and each worker's).
fn report(plugin: &str, revision: Revision, problems: &[Problem], refused: Option<&Unreadable>) {
    let label = [("plugin", plugin)];
    host::record(
        MetricType::Gauge,
        "config_revision",
        &label,
        revision.as_gauge(),
    );
    host::record(
        MetricType::Gauge,
        "config_valid",
        &label,
        u64::from(refused.is_none()),
    );
    let number = problems.len() + usize::from(refused.is_some());
    host::add_to_counter("problems_total", &label, 0);
    let reported = format!(
        "{revision} {}",
        refused.map(ToString::to_string).unwrap_or_default()
    );
    let key = format!("sluice/{plugin}/reported");
    if host::shared_data(&key).as_deref() == Some(reported.as_bytes()) {
        return;
    }
    host::set_shared_data(&key, reported.as_bytes());
    host::add_to_counter("problems_total", &label, number as u64);
    if let Some(refused) = refused {
        let kept = if revision == Revision::default() {
            "traffic passes untouched"
        } else {
            "the last good one stays"
        };
        log::error!("sluice {plugin}: unreadable configuration, {kept}: {refused}");
    }
    for problem in problems.iter().take(MAX_LOGGED_PROBLEMS) {
        log::warn!("sluice {plugin}: {problem}");
    }
    if problems.len() > MAX_LOGGED_PROBLEMS {
        log::warn!(
            "sluice {plugin}: {} more problems",
            problems.len() - MAX_LOGGED_PROBLEMS
        );
    }
}
