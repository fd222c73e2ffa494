//! What is seen of requests and their responses, over all VMs of a proxy: begun with a configuration,
//! and handed to the host at each tick and when a configuration ends.

use crate::brake;
use crate::bucket::Point;
use crate::decide::Audience;
use crate::guard::watch::{Seen, Watch};
use crate::guard::{self, trips};
use crate::host::{Host, Labels};
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::{Plan, Split};
use crate::tally::{Count, Tally};
use crate::turn::Traffic;
use crate::users::shared::{self, SeenUsers};
use crate::users::{Outcome, Users};

/// What takes down what is seen of a response, in the way of an adapter.
pub trait Recorder {
    /// Adds one.
    fn count(&mut self, count: Count);
    /// Notes how long a response took, with the labels of its count.
    fn time(&mut self, labels: Labels<'_>, milliseconds: u64);
    /// Counts a user's response.
    fn user(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        user: Point,
        outcome: Outcome,
    );
    /// Counts a response of a guarded split.
    fn guarded(&mut self, seen: &Seen);
}

/// Takes down in [`Observed`], and times at once in the host: for an adapter whose threads share
/// nothing.
pub struct Recording<'a, H> {
    /// The host.
    pub host: &'a H,
    /// What was seen so far.
    pub observed: &'a mut Observed,
}

impl<H: Host> Recorder for Recording<'_, H> {
    fn count(&mut self, count: Count) {
        self.observed.tally.increment(count);
    }

    fn time(&mut self, labels: Labels<'_>, milliseconds: u64) {
        self.host
            .add_to_histogram("response_time_milliseconds", labels, milliseconds);
    }

    fn user(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        user: Point,
        outcome: Outcome,
    ) {
        let users = &mut self.observed.users;
        users.add(split, audience, variant, user, outcome);
    }

    fn guarded(&mut self, seen: &Seen) {
        self.observed.watch.add(seen);
    }
}

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

/// What an adapter adds whose threads saw it apart.
impl Observed {
    /// Joins the users of one audience and variant; the same users count once.
    pub fn join_users(
        &mut self,
        split: SplitIndex,
        audience: Audience,
        variant: VariantIndex,
        users: &Users,
    ) {
        self.users.join(split, audience, variant, users);
    }

    /// Notes that a user of an audience found no sketch.
    pub fn leave_out(&mut self, split: SplitIndex, audience: Audience) {
        self.users.leave_out(split, audience);
    }

    /// Counts a response of a guarded split, as [`Seen::words`] has it.
    pub fn add_guarded(&mut self, words: [u64; 2]) {
        self.watch.add_words(words);
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
