//! What one VM saw of guarded splits since its last flush.

use std::collections::HashMap;
use std::time::Duration;

use fnv::FnvBuildHasher;

use super::marks::mark;
use super::seconds::Seconds;
use super::shared;
use super::trips::{self, Trip};
use crate::bucket::Point;
use crate::decide::Decision;
use crate::host::Host;
use crate::index::{SplitIndex, VariantIndex};
use crate::plan::Plan;
use crate::users::Outcome;

/// The responses of guarded splits since the last flush.
#[derive(Default)]
pub struct Watch {
    fresh: HashMap<SplitIndex, Seconds, FnvBuildHasher>,
    /// How many responses had no identity, so that each is one of its own.
    nameless: u32,
}

impl Watch {
    /// Counts a response that came at `now`, a time since the epoch.
    pub(crate) fn add(
        &mut self,
        decision: &Decision,
        variant: VariantIndex,
        identity: Option<Point>,
        outcome: Outcome,
        now: Duration,
    ) {
        let identity = identity.unwrap_or_else(|| self.nobody(now));
        let seconds = self.fresh.entry(decision.split).or_default();
        let mark = mark(identity, outcome);
        seconds.add(now.as_secs(), decision.audience, variant, mark);
    }

    /// An identity that nobody else has, also not in another VM, which sees another nanosecond.
    fn nobody(&mut self, now: Duration) -> Point {
        self.nameless = self.nameless.wrapping_add(0x9e37_79b9);
        Point::of_random(self.nameless ^ now.subsec_nanos())
    }

    /// Joins what is new with what the proxy's other VMs saw, and takes challengers out that fail.
    /// Whether it took any out.
    pub(crate) fn flush<H: Host>(&mut self, host: &H, plugin: &str, plan: &Plan) -> bool {
        let mut has_tripped = false;
        for (index, fresh) in std::mem::take(&mut self.fresh) {
            let Some(split) = plan.split(index) else {
                continue;
            };
            let Some(verdicts) = shared::judge(host, plugin, split, &fresh) else {
                self.fresh.insert(index, fresh);
                continue;
            };
            for (variant, evidence) in verdicts {
                let trip = Trip {
                    split,
                    variant,
                    evidence,
                };
                has_tripped |= trips::keep(host, plugin, &trip);
            }
        }
        has_tripped
    }
}
