//! What happens to a response: the cookie that makes a newcomer known; with `responseMetrics` its
//! count, its time and its user; and what a guard sees of it.
//!
//! Answers with headers and counts; the adapters read and set headers by their own means. Most
//! responses get nothing.

use std::time::Duration;

use crate::bucket::Point;
use crate::caching;
use crate::decide::{Decision, Decisions, Reason};
use crate::guard::watch::Seen;
use crate::identity::NewIdentity;
use crate::index::VariantIndex;
use crate::observed::Recorder;
use crate::plan::cookie::Cookie;
use crate::plan::{Plan, Split};
use crate::tally::Count;
use crate::users::Outcome;

/// The headers of a response that makes a newcomer known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The value of a `Set-Cookie` header to add to those of others.
    pub set_cookie: Vec<u8>,
    /// Headers to replace, so that no shared cache keeps the response.
    pub replaced: Vec<(&'static str, Vec<u8>)>,
}

impl Issued {
    /// The headers for a new identity, and a response of which `header` gives the values of a
    /// header, joined with a comma. `None`: the cookie is misconfigured, so none is issued.
    pub fn new(
        cookie: &Cookie,
        identity: &NewIdentity,
        header: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let attributes = cookie.attributes.as_deref()?;
        let parts = [
            cookie.name.as_bytes(),
            b"=",
            identity.as_bytes(),
            attributes.as_bytes(),
        ];
        Some(Self {
            set_cookie: parts.concat(),
            replaced: caching::private(header).collect(),
        })
    }
}

/// The headers of a response that say how it went.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// `:status`; empty when there is none.
    pub status: &'a [u8],
    /// `grpc-status`, of a response that is only headers.
    pub grpc_status: Option<&'a [u8]>,
    /// When it came, since the epoch.
    pub at: Duration,
}

impl Response<'_> {
    fn class(&self) -> u8 {
        self.status
            .first()
            .map_or(0, |digit| digit.wrapping_sub(b'0'))
    }

    /// The gRPC statuses are those that Envoy's `Grpc::Utility::grpcToHttpStatus` makes 5xx of:
    /// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS.
    fn outcome(&self) -> Outcome {
        let is_failure =
            |status: &[u8]| matches!(status, b"2" | b"4" | b"12" | b"13" | b"14" | b"15");
        let has_failed = self.class() == 5 || self.grpc_status.is_some_and(is_failure);
        match has_failed {
            true => Outcome::Failed,
            false => Outcome::Answered,
        }
    }
}

/// A request whose response is to be looked at.
#[derive(Clone, Debug)]
pub struct Measured {
    decisions: Decisions,
    began: Duration,
}

impl Measured {
    /// Remembers a request that was decided at `began`, a time since the epoch. `None`: its
    /// response is not looked at.
    pub fn begin(
        plan: &Plan,
        decisions: Decisions,
        began: impl FnOnce() -> Duration,
    ) -> Option<Self> {
        let is_guarded = |decision: &Decision| {
            let split = plan.split(decision.split);
            split.is_some_and(Split::is_guarded)
        };
        if plan.response_metrics() {
            let is_measured = !decisions.is_empty();
            return is_measured.then(|| Self {
                decisions,
                began: began(),
            });
        }
        let is_watched = plan.is_guarded() && decisions.iter().any(is_guarded);
        is_watched.then_some(Self {
            decisions,
            began: Duration::ZERO,
        })
    }

    /// Counts and times the response, and whose it was.
    pub fn end<R: Recorder>(&self, plan: &Plan, recorder: &mut R, response: &Response<'_>) {
        for decision in self.decisions.iter() {
            let Some(variant) = decision.variant else {
                continue;
            };
            if plan.response_metrics() {
                self.measure(plan, recorder, response, decision, variant);
            }
            if plan.split(decision.split).is_some_and(Split::is_guarded) {
                guard(recorder, response, decision, variant);
            }
        }
    }

    fn measure<R: Recorder>(
        &self,
        plan: &Plan,
        recorder: &mut R,
        response: &Response<'_>,
        decision: &Decision,
        variant: VariantIndex,
    ) {
        let count = Count::Responses {
            split: decision.split,
            variant,
            class: response.class(),
        };
        recorder.count(count);
        if let Some((_, labels)) = count.labels(plan) {
            let took = response.at.saturating_sub(self.began);
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            recorder.time(&labels, milliseconds);
        }
        if let Some(user) = user(decision) {
            let Decision {
                split, audience, ..
            } = *decision;
            recorder.user(split, audience, variant, user, response.outcome());
        }
    }
}

/// Only those whose user was drawn can be compared: who names a variant outright says nothing of it, who
/// inherited one is the affair of the proxy that drew it, and who has no identity would be on the
/// fallback's side alone. Where everybody gets a challenger there is nothing to draw.
fn guard<R: Recorder>(
    recorder: &mut R,
    response: &Response<'_>,
    decision: &Decision,
    variant: VariantIndex,
) {
    let is_drawn = match decision.reason {
        Reason::Bucket | Reason::Issued | Reason::PerRequest => true,
        Reason::OneOutcome => variant != VariantIndex::FALLBACK,
        _ => false,
    };
    if is_drawn {
        let seen = Seen {
            split: decision.split,
            audience: decision.audience,
            variant,
            user: user(decision),
            outcome: response.outcome(),
            at: response.at,
        };
        recorder.guarded(&seen);
    }
}

/// Who was answered, where that is known: what a request drew for itself alone is nobody.
fn user(decision: &Decision) -> Option<Point> {
    let is_known = matches!(decision.reason, Reason::Bucket | Reason::Issued);
    decision.point.filter(|_| is_known)
}

#[cfg(test)]
mod proxy;
#[cfg(test)]
mod tests;
