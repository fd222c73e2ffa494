//! What `sluice controller` says, at `/metrics`.

use super::{Metric, Source, Type};

const ROLLOUT: &[&str] = &["sluice_namespace", "rollout"];
const OF_AUDIENCE: &[&str] = &["sluice_namespace", "rollout", "audience"];
const CHECK: &[&str] = &["sluice_namespace", "rollout", "check"];

/// All of it.
pub(super) const ALL: &[Metric] = &[
    controller(
        "sluice_controller_leads",
        Type::Gauge,
        &["sluice_namespace"],
        "0 or 1",
        "1 for the process that runs the Rollouts, 0 for a standby. The label is there where it \
         runs those of one namespace.",
    ),
    controller(
        "sluice_plugin_weight",
        Type::Gauge,
        &[
            "sluice_namespace",
            "sluice_plugin",
            "kind",
            "sluice_split",
            "sluice_audience",
            "sluice_variant",
        ],
        "percent",
        "The part of an audience's users that a variant is to have, by the plugin's weights.",
    ),
    controller(
        "sluice_plugin_revision",
        Type::Gauge,
        &["sluice_namespace", "sluice_plugin", "kind"],
        "fingerprint",
        "What `sluice_config_revision` of the plugin's proxies should be.",
    ),
    controller(
        "sluice_plugin_problems",
        Type::Gauge,
        &["sluice_namespace", "sluice_plugin", "kind"],
        "problems",
        "How many problems proxies find in the plugin's present configuration.",
    ),
    controller(
        "sluice_plugin_weights_left_out",
        Type::Gauge,
        &[],
        "weights",
        "Weights that are not told because there are too many ([limits](limits.md)).",
    ),
    controller(
        "sluice_rollout_info",
        Type::Gauge,
        &[
            "sluice_namespace",
            "rollout",
            "sluice_split",
            "sluice_variant",
        ],
        "1",
        "Which split a Rollout is of, and which challenger its run moves.",
    ),
    controller(
        "sluice_rollout_spec_valid",
        Type::Gauge,
        ROLLOUT,
        "0 or 1",
        "Whether the Rollout can be run as its spec is written.",
    ),
    controller(
        "sluice_rollout_phase",
        Type::Gauge,
        &["sluice_namespace", "rollout", "phase"],
        "1",
        "What the Rollout does.",
    ),
    controller(
        "sluice_rollout_step",
        Type::Gauge,
        ROLLOUT,
        "steps",
        "The step of the last run, from 1.",
    ),
    controller(
        "sluice_rollout_steps",
        Type::Gauge,
        ROLLOUT,
        "steps",
        "How many steps the Rollout has.",
    ),
    controller(
        "sluice_rollout_hold_until_timestamp_seconds",
        Type::Gauge,
        ROLLOUT,
        "seconds since 1970",
        "When the hold of a step under way is over.",
    ),
    controller(
        "sluice_rollout_weight_wanted",
        Type::Gauge,
        OF_AUDIENCE,
        "percent",
        "The challenger's weight that a run under way wants.",
    ),
    controller(
        "sluice_rollout_weight_measured",
        Type::Gauge,
        OF_AUDIENCE,
        "percent",
        "Its part of the users of that step's audience, as proxies last counted them \
         ([`responseMetrics`](semantics.md#users)).",
    ),
    controller(
        "sluice_rollout_users",
        Type::Gauge,
        OF_AUDIENCE,
        "users",
        "Whom a run under way reached since its weights last changed; an estimate.",
    ),
    controller(
        "sluice_rollout_failed_users",
        Type::Gauge,
        OF_AUDIENCE,
        "users",
        "Those of them who saw a failure; an estimate.",
    ),
    controller(
        "sluice_rollout_audience_users",
        Type::Gauge,
        OF_AUDIENCE,
        "users",
        "Users of the step's audience since then, whatever variant they got; an estimate.",
    ),
    controller(
        "sluice_rollout_check_value",
        Type::Gauge,
        CHECK,
        "a part of 1, seconds, users, or a query's number",
        "What a check of a run under way measured last.",
    ),
    controller(
        "sluice_rollout_check_threshold",
        Type::Gauge,
        &["sluice_namespace", "rollout", "check", "bound"],
        "as the value",
        "Where the check passes (`Pass`) or fails (`Fail`); not of one that compares with the \
         fallback.",
    ),
    controller(
        "sluice_rollout_check_distance",
        Type::Gauge,
        CHECK,
        "as the threshold",
        "How far the value is from failing; negative: beyond it.",
    ),
    controller(
        "sluice_rollout_check_evidence",
        Type::Gauge,
        CHECK,
        "a part of 1",
        "The evidence against the challenger, as a part of what fails the check: 1 and more \
         fails it.",
    ),
    controller(
        "sluice_rollout_check_failures",
        Type::Gauge,
        CHECK,
        "measurements",
        "How many measurements of the run failed.",
    ),
    controller(
        "sluice_rollout_checks_left_out",
        Type::Gauge,
        &[],
        "checks",
        "Checks of runs under way that are not told because there are too many ([limits](limits.md)).",
    ),
    controller(
        "sluice_rollout_ended_timestamp_seconds",
        Type::Gauge,
        &["sluice_namespace", "rollout", "outcome"],
        "seconds since 1970",
        "When the last run ended, and how; not while another one is under way.",
    ),
    controller(
        "sluice_rollout_run_seconds",
        Type::Histogram,
        &["outcome"],
        "seconds",
        "How long runs took, by how they ended.",
    ),
    controller(
        "sluice_rollout_step_seconds",
        Type::Histogram,
        &[],
        "seconds",
        "How long steps lasted after their proxies had followed.",
    ),
    controller(
        "sluice_rollout_events_total",
        Type::Counter,
        &["event"],
        "Events",
        "What happened to Rollouts, as their [Events](#events) say.",
    ),
    controller(
        "sluice_rollout_claims_total",
        Type::Counter,
        &["found"],
        "looks",
        "Looks at proxies of which [it was \
         said](brake.md#when-a-proxy-says-that-its-guard-tripped) that \
         their guards tripped: `Tripped`, or `Nothing` that shows it.",
    ),
    controller(
        "sluice_rollout_reconcile_seconds",
        Type::Histogram,
        &[],
        "seconds",
        "How long a look at a Rollout took.",
    ),
    controller(
        "sluice_rollout_reconcile_errors_total",
        Type::Counter,
        &[],
        "looks",
        "Looks that failed.",
    ),
    controller(
        "sluice_rollout_unkept_total",
        Type::Counter,
        &[],
        "statuses",
        "Statuses that the API server refused for good.",
    ),
    controller(
        "sluice_rollout_unremembered_total",
        Type::Counter,
        &[],
        "runs",
        "Ended runs that got no ControllerRevision.",
    ),
    controller(
        "sluice_controller_brakes",
        Type::Gauge,
        &[],
        "brakes",
        "[Brakes](brake.md) that are on.",
    ),
    controller(
        "sluice_controller_brake_proxies",
        Type::Gauge,
        &[],
        "proxies",
        "Proxies whose questions this replica holds, or held within the last half minute, one \
         for each \
         plugin with `brake`.",
    ),
    controller(
        "sluice_controller_brake_connections",
        Type::Gauge,
        &[],
        "connections",
        "Their connections.",
    ),
    controller(
        "sluice_controller_brake_questions_held",
        Type::Gauge,
        &[],
        "questions",
        "How many of them wait for an answer.",
    ),
    controller(
        "sluice_controller_brake_answers_total",
        Type::Counter,
        &["answer"],
        "answers",
        "What they were answered: `Changed`, `Unchanged`, `NotReady` (the brakes are not read \
         yet), \
         `Refused` (what is no question).",
    ),
    controller(
        "sluice_controller_brake_connections_refused_total",
        Type::Counter,
        &["why"],
        "connections",
        "Connections that were closed: `Full` (every place is taken by a question that is held), \
         `Replaced` (it asked nothing, and another one needed its place), `Idle` (it asked nothing for a \
         minute).",
    ),
    controller(
        "sluice_controller_key_uses_total",
        Type::Counter,
        &["outcome"],
        "requests",
        "[Uses of the key](brake.md) that brakes without the API server, by what came of them.",
    ),
];

const fn controller(
    name: &'static str,
    kind: Type,
    labels: &'static [&'static str],
    unit: &'static str,
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        source: Source::Controller,
        kind,
        labels,
        unit,
        meaning,
    }
}
