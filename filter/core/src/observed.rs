//! What is seen of requests and their responses, over all VMs of a proxy: begun with a configuration,
//! and handed to the host at each tick and when a configuration ends.

use crate::brake;
use crate::guard::watch::Watch;
use crate::guard::{self, trips};
use crate::host::Host;
use crate::plan::{Plan, Split};
use crate::tally::Tally;
use crate::turn::Traffic;
use crate::users::shared::{self, SeenUsers};

/// What one VM saw under one configuration since it was last handed to the host.
#[derive(Default)]
pub struct Observed {
    /// Counters.
    pub tally: Tally,
    pub(crate) users: SeenUsers,
    pub(crate) watch: Watch,
}

impl Observed {
    /// Hands everything to the host, and joins it there with what other instances saw. Challengers
    /// of guarded splits may be taken out by it, which the plan learns at the next tick; whether any
    /// were.
    pub fn flush<H: Host>(&mut self, host: &H, plugin: &str, plan: &Plan) -> bool {
        self.tally.flush(|count, number| {
            if let Some((name, labels)) = count.labels(plan) {
                host.add_to_counter(name, &labels, number);
            }
        });
        self.users.flush(host, plugin, plan);
        self.watch.flush(host, plugin, plan)
    }
}

impl Observed {
    /// Whether a request was decided since the last flush.
    pub(crate) fn traffic(&self) -> Traffic {
        match self.tally.is_empty() {
            true => Traffic::None,
            false => Traffic::Some,
        }
    }
}

/// Begins to look at the responses of a plan that has the turn, and ends it for what is not looked at
/// any more. What is as in the `previous` plan goes on as it was.
pub(crate) fn begin<H: Host>(host: &H, plugin: &str, plan: &mut Plan, previous: Option<&Plan>) {
    let was_measured = previous.is_some_and(Plan::response_metrics);
    for former in previous.into_iter().flat_map(Plan::splits) {
        let split = plan.split_named(&former.definition.name);
        if was_measured && !(plan.response_metrics() && split.is_some()) {
            shared::end(host, plugin, former);
        }
        if former.is_guarded() && !split.is_some_and(Split::is_guarded) {
            guard::shared::end(host, plugin, former);
        }
    }
    let (is_measured, place) = (plan.response_metrics(), plan.place);
    let followed = previous.filter(|previous| place.follows(previous.place));
    plan.stamp(|split| {
        let mut stamps = split.stamps;
        let former = followed.and_then(|former| former.split_named(&split.definition.name));
        let of_former = former.map(|former| former.stamps).unwrap_or_default();
        if is_measured {
            stamps.users = match of_former.users {
                counted if was_measured && counted.of == stamps.users.of => counted,
                _ => shared::begin(host, plugin, split),
            };
        }
        if split.is_guarded() {
            stamps.guard = match of_former.guard {
                watched if watched.of == stamps.guard.of => watched,
                _ => guard::shared::begin(host, plugin, split),
            };
        }
        stamps
    });
    trips::configured(host, plugin, plan);
    brake::shared::configured(host, plugin, plan, previous);
}
