//! Istio's standard metrics as the source of responses and times: who tells variants apart there,
//! and whose word is taken. Pure.

use super::series::{Counter, Dialect, Witness};
use super::target::Target;
use crate::rollout::analysis::plan::Istio;
use crate::rollout::resource::IstioLabel;

/// Who may report a request, best first: the caller sees both variants, and the connections that
/// failed; so does a waypoint. The called one sees only what reached it.
const REPORTERS: [(&str, Witness); 3] = [
    ("source", Witness::Filter),
    ("waypoint", Witness::Filter),
    ("destination", Witness::Anyone),
];

/// Istio's metrics.
pub(super) fn dialect(istio: &Istio, target: &Target) -> Dialect {
    let reporters = REPORTERS.map(|(reporter, _)| reporter).join("|");
    let service = &istio.service;
    let namespace = istio.namespace.as_ref().unwrap_or(&target.namespace);
    let value = |written: &Option<String>, variant: &str| {
        written.clone().unwrap_or_else(|| variant.to_owned())
    };
    Dialect {
        responses: "istio_requests_total",
        buckets: "istio_request_duration_milliseconds_bucket",
        label: match istio.label {
            IstioLabel::Version => "destination_version",
            IstioLabel::Workload => "destination_workload",
            IstioLabel::Revision => "destination_canonical_revision",
        },
        challenger: value(&istio.challenger, &target.challenger),
        fallback: value(&istio.fallback, &target.fallback),
        class: "response_code",
        matchers: format!(
            "reporter=~\"{reporters}\",destination_service_name=\"{service}\",\
             destination_service_namespace=\"{namespace}\""
        ),
        witness: Witness::Filter,
    }
}

/// Leaves only what the best of the reporters says that there are: each request is reported by
/// several. Answers how far that one's word goes.
pub(super) fn of_best_reporter(counters: [&mut Vec<Counter>; 2]) -> Option<Witness> {
    let reports = |reporter: &str| {
        let mut all = counters.iter().flat_map(|counters| counters.iter());
        all.any(|counter| counter.label("reporter") == reporter)
    };
    let (best, witness) = REPORTERS
        .into_iter()
        .find(|(reporter, _)| reports(reporter))?;
    for counters in counters {
        counters.retain(|counter| counter.label("reporter") == best);
    }
    Some(witness)
}
