//! The dashboards, one file each, and what their queries share.

mod fleet;
mod migration;
mod rollout;
mod split;

use crate::dashboard::{Dashboard, Variable};

/// Every dashboard.
pub fn all() -> Vec<Dashboard> {
    vec![
        split::dashboard(),
        rollout::dashboard(),
        fleet::dashboard(),
        migration::dashboard(),
    ]
}

/// What proxies count of the split that was chosen.
const SPLIT: &str = "namespace=~\"$namespace\",sluice_split=\"$split\"";

/// The same of the variants that were chosen.
const VARIANT: &str =
    "namespace=~\"$namespace\",sluice_split=\"$split\",sluice_variant=~\"$variant\"";

/// Decisions that weights made: nobody named the variant, and no caller handed it on.
const BY_WEIGHT: &str = "sluice_audience!~\"forced|inherited\"";

/// The namespaces of proxies that decide.
fn namespaces() -> Variable {
    Variable::Label {
        name: "namespace",
        label: "Namespace",
        of: "namespace",
        series: "sluice_ticks_total".to_owned(),
        is_multi: true,
    }
}

fn splits() -> Variable {
    Variable::Label {
        name: "split",
        label: "Split",
        of: "sluice_split",
        series: "sluice_decisions_total{namespace=~\"$namespace\"}".to_owned(),
        is_multi: false,
    }
}

fn variants() -> Variable {
    Variable::Label {
        name: "variant",
        label: "Variant",
        of: "sluice_variant",
        series: format!("sluice_decisions_total{{{SPLIT}}}"),
        is_multi: true,
    }
}

/// Where a plugin may be that namespaces share.
const fn root() -> Variable {
    Variable::Text {
        name: "root",
        label: "Istio's root namespace",
        value: "istio-system",
    }
}

/// The wanted weight, in percent.
fn wanted(variant: &str) -> String {
    format!(
        "max by (sluice_audience, sluice_variant) (sluice_plugin_weight{{\
         sluice_namespace=~\"$namespace|$root\",sluice_split=\"$split\",sluice_variant=~\"{variant}\"}})"
    )
}

/// The measured part of the requests, in percent.
fn measured(variant: &str) -> String {
    let rate = "rate(sluice_decisions_total";
    format!(
        "100 * sum by (sluice_audience, sluice_variant) \
         ({rate}{{{SPLIT},{BY_WEIGHT},sluice_variant=~\"{variant}\"}}[$__rate_interval])) \
         / on (sluice_audience) group_left () \
         sum by (sluice_audience) ({rate}{{{SPLIT},{BY_WEIGHT}}}[$__rate_interval]))"
    )
}

/// The part of the responses that failed, 0 to 1, by variant; over a window.
fn errors(matchers: &str, window: &str) -> String {
    let of = |more: &str| {
        format!(
            "sum by (sluice_variant) (rate(sluice_responses_total{{{matchers}{more}}}[{window}]))"
        )
    };
    let (failed, all) = (of(",sluice_class=\"5xx\""), of(""));
    // A variant without failures has no series of them: none failed, where any answered.
    format!("({failed} or 0 * {all}) / {all}")
}

/// A quantile of the response times, in milliseconds, by variant.
fn latency(quantile: f64, matchers: &str) -> String {
    format!(
        "histogram_quantile({quantile}, sum by (le, sluice_variant) \
         (rate(sluice_response_time_milliseconds_bucket{{{matchers}}}[$__rate_interval])))"
    )
}
