//! One split: who is to get which variant and who gets it, how many users, and how they fare.

use super::{
    SPLIT, VARIANT, errors, latency, measured, namespaces, root, splits, variants, wanted,
};
use crate::dashboard::Dashboard;
use crate::panel::{Kind, Panel};
use crate::users::estimate;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "split",
        title: "Split",
        description: "One split: its weights beside what proxies decide, its users, failures and \
            latency.",
        variables: vec![namespaces(), splits(), variants(), root()],
        panels: [traffic(), users(), responses()].concat(),
    }
}

fn traffic() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Share, wanted and measured", "percent")
            .says(
                "Measured are requests, wanted is a part of the users: with many users the lines \
                 meet. \
                 Where they stay apart, look at the fleet for proxies that run another revision, and for \
                 a challenger that a guard took out.",
            )
            .asks("wanted {{sluice_audience}} {{sluice_variant}}", wanted("$variant"))
            .asks("measured {{sluice_audience}} {{sluice_variant}}", measured("$variant"))
            .between(0.0, 100.0)
            .wide(12),
        Panel::new(Kind::Lines, "Requests by variant", "reqps")
            .says("A variant without requests though it has a weight: is the header routed on?")
            .asks(
                "{{sluice_variant}}",
                format!("sum by (sluice_variant) \
                    (rate(sluice_decisions_total{{{VARIANT}}}[$__rate_interval]))"),
            )
            .wide(12),
    ]
}

fn users() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "New users by variant", "short")
            .says(
                "Anonymous cookies that gateways issued. Many more than visitors means that \
                 clients lose \
                 the cookie: over plain HTTP it is dropped.",
            )
            .asks(
                "{{sluice_audience}} {{sluice_variant}}",
                format!(
                    "sum by (sluice_audience, sluice_variant) \
                     (increase(sluice_assignments_total{{{VARIANT}}}[$__rate_interval]))"
                ),
            ),
        Panel::new(Kind::Lines, "Users of the run under way", "short")
            .says(
                "Users whom the challenger reached since the weights last changed, and those of \
                 them who \
                 saw a failure, each counted once over all proxies. Only while a Rollout runs; `sluice \
                 status` says it at any time.",
            )
            .asks("reached {{rollout}} {{audience}}", of_run("sluice_rollout_users"))
            .asks("failed {{rollout}} {{audience}}", of_run("sluice_rollout_failed_users")),
        Panel::new(Kind::Lines, "Users by variant", "short")
            .says(
                "Each counted once over all proxies, since the weights or the split last changed; an \
                 estimate, 13 % off in one of three cases. Needs `responseMetrics`.",
            )
            .asks(
                "{{sluice_audience}} {{sluice_variant}}",
                format!(
                    "sum by (sluice_audience, sluice_variant) ({})",
                    estimate(VARIANT)
                ),
            ),
        Panel::new(Kind::Lines, "Where identities come from", "reqps")
            .says("none: nobody was recognised, and these requests get the fallback.")
            .asks(
                "{{sluice_source}}",
                format!("sum by (sluice_source) \
                    (rate(sluice_identity_total{{{SPLIT}}}[$__rate_interval]))"),
            ),
    ]
}

/// What a Rollout of the split has by its audience.
fn of_run(metric: &str) -> String {
    format!(
        "max by (rollout, audience) ({metric}{{sluice_namespace=~\"$namespace|$root\"}} \
         * on (sluice_namespace, rollout) group_left () max by (sluice_namespace, rollout) \
         (sluice_rollout_info{{sluice_split=\"$split\"}}))"
    )
}

fn responses() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Failed responses by variant", "percentunit")
            .says("Above 5 % for two minutes somebody is called. `sluice abort` takes the \
                challenger's users back.")
            .asks("{{sluice_variant}}", errors(VARIANT, "$__rate_interval"))
            .bad_from(0.05)
            .wide(12),
        Panel::new(Kind::Lines, "Responses by class", "reqps")
            .says("Compare the variants: a class that only the challenger answers is its own.")
            .asks(
                "{{sluice_variant}} {{sluice_class}}",
                format!(
                    "sum by (sluice_variant, sluice_class) \
                     (rate(sluice_responses_total{{{VARIANT}}}[$__rate_interval]))"
                ),
            )
            .wide(12),
        Panel::new(Kind::Lines, "Latency by variant", "ms")
            .says("Slower than the fallback in the same minutes is the challenger's own; slower \
                together is not.")
            .asks("p50 {{sluice_variant}}", latency(0.5, VARIANT))
            .asks("p95 {{sluice_variant}}", latency(0.95, VARIANT))
            .asks("p99 {{sluice_variant}}", latency(0.99, VARIANT))
            .wide(12),
        Panel::new(Kind::Heatmap, "Response times", "ms")
            .says("Two bands where there was one: choose one variant to see whose the slower one \
                is.")
            .asks(
                "{{le}}",
                format!(
                    "sum by (le) (increase(sluice_response_time_milliseconds_bucket{{{VARIANT}}}[$__rate_interval]))"
                ),
            )
            .wide(12),
        Panel::new(Kind::Stat, "Proxies that took the challenger out", "short")
            .says("A guard saw it fail. It stays out until the weights or the split change.")
            .asks(
                "proxies",
                format!("sum(max by (namespace, pod, sluice_variant) \
                    (sluice_tripped{{{SPLIT}}})) or vector(0)"),
            )
            .bad_from(1.0),
        Panel::new(Kind::Stat, "Proxies that brake the challenger", "short")
            .says("An abort that proxies heard of past istiod. `sluice brake list` says whose.")
            .asks(
                "proxies",
                format!("sum(max by (namespace, pod, sluice_variant) (sluice_braked{{{SPLIT}}})) \
                    or vector(0)"),
            )
            .bad_from(1.0),
        Panel::new(Kind::Stat, "Requests that were read in part", "reqps")
            .says("A cookie or parameter lay beyond a limit and counted as absent. Look at who \
                sends so much.")
            .asks("cut", format!("sum(rate(sluice_cut_total{{{SPLIT}}}[$__rate_interval])) or \
                vector(0)"))
            .bad_from(1.0),
    ]
}
