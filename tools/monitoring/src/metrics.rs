//! Every metric of Sluice: what it counts, with which labels, and who says it.
//!
//! The catalogue is checked against the sources (a metric that is not listed, or no longer there, fails
//! a test) and against what a real Prometheus scraped. Queries of dashboards and alerts may use no
//! other metric of ours.

/// Who says a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The filter, in each Envoy.
    Filter,
    /// `sluice controller`, at `/metrics`.
    Controller,
}

/// What a number may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It only grows.
    Counter,
    /// It is what is so now.
    Gauge,
    /// It counts by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As Prometheus has it.
    pub name: &'static str,
    /// Who says it.
    pub source: Source,
    /// What it may do.
    pub kind: Type,
    /// Its labels, beside those of the scraped pod.
    pub labels: &'static [&'static str],
    /// Of one number.
    pub unit: &'static str,
    /// In a sentence.
    pub meaning: &'static str,
}

impl Metric {
    /// The names of its series.
    pub fn series(&self) -> Vec<String> {
        match self.kind {
            Type::Counter | Type::Gauge => vec![self.name.to_owned()],
            Type::Histogram => ["_bucket", "_count", "_sum"]
                .map(|part| format!("{}{part}", self.name))
                .to_vec(),
        }
    }
}

/// The metric of a series.
pub fn of_series(series: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.series().iter().any(|name| name == series))
}

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    FILTER.iter().chain(CONTROLLER)
}

const fn filter(
    name: &'static str,
    kind: Type,
    labels: &'static [&'static str],
    unit: &'static str,
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        source: Source::Filter,
        kind,
        labels,
        unit,
        meaning,
    }
}

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

const PLUGIN: &[&str] = &["sluice_plugin"];
const AUDIENCE: &[&str] = &["sluice_split", "sluice_audience", "sluice_variant"];
const CLASS: &[&str] = &["sluice_split", "sluice_variant", "sluice_class"];
const CHALLENGER: &[&str] = &["sluice_plugin", "sluice_split", "sluice_variant"];
const WORD: &[&str] = &[
    "sluice_plugin",
    "sluice_split",
    "sluice_audience",
    "sluice_variant",
    "sluice_word",
];
const ROLLOUT: &[&str] = &["sluice_namespace", "rollout"];
const OF_AUDIENCE: &[&str] = &["sluice_namespace", "rollout", "audience"];
const CHECK: &[&str] = &["sluice_namespace", "rollout", "check"];

/// What the filter says.
const FILTER: &[Metric] = &[
    filter(
        "sluice_decisions_total",
        Type::Counter,
        AUDIENCE,
        "requests",
        "Requests that got a variant.",
    ),
    filter(
        "sluice_assignments_total",
        Type::Counter,
        AUDIENCE,
        "users",
        "Anonymous cookies issued: new users.",
    ),
    filter(
        "sluice_identity_total",
        Type::Counter,
        &["sluice_split", "sluice_source"],
        "requests",
        "Where the identity of a request came from: a kind of source, `issued`, or `none`.",
    ),
    filter(
        "sluice_responses_total",
        Type::Counter,
        CLASS,
        "responses",
        "Responses by class of the status (`2xx` …, `other`), with `responseMetrics`.",
    ),
    filter(
        "sluice_response_time_milliseconds",
        Type::Histogram,
        CLASS,
        "milliseconds",
        "From the decision to the response's headers, with `responseMetrics`.",
    ),
    filter(
        "sluice_cut_total",
        Type::Counter,
        &["sluice_split"],
        "requests",
        "Requests of which something was absent only because it lies beyond a limit.",
    ),
    filter(
        "sluice_users_word",
        Type::Gauge,
        WORD,
        "48 bits",
        "A word of the sketch of the users of a variant; `sluice status` reads it.",
    ),
    filter(
        "sluice_failed_users_word",
        Type::Gauge,
        WORD,
        "48 bits",
        "The same of the users who saw a failure.",
    ),
    filter(
        "sluice_users_generation",
        Type::Gauge,
        &["sluice_plugin", "sluice_split", "sluice_word"],
        "fingerprint",
        "Which change of the split the users are counted since.",
    ),
    filter(
        "sluice_users_left_out",
        Type::Gauge,
        &["sluice_plugin", "sluice_split", "sluice_audience"],
        "fingerprint",
        "The same for an audience whose users are not counted, for want of room.",
    ),
    filter(
        "sluice_tripped",
        Type::Gauge,
        CHALLENGER,
        "0 or 1",
        "Whether the guard of this proxy took the challenger out.",
    ),
    filter(
        "sluice_braked",
        Type::Gauge,
        CHALLENGER,
        "0 or 1",
        "Whether a brake keeps users from the challenger in this proxy.",
    ),
    filter(
        "sluice_brake_connected",
        Type::Gauge,
        PLUGIN,
        "0 or 1",
        "Whether this proxy is answered when it asks for brakes.",
    ),
    filter(
        "sluice_config_revision",
        Type::Gauge,
        PLUGIN,
        "fingerprint",
        "The revision of the configuration that is in force; 0: none ever was.",
    ),
    filter(
        "sluice_config_valid",
        Type::Gauge,
        PLUGIN,
        "0 or 1",
        "Whether that is the one that was received last; 0: that one was unreadable.",
    ),
    filter(
        "sluice_problems_total",
        Type::Counter,
        PLUGIN,
        "problems",
        "Problems found in configurations; the proxy's log has them in words.",
    ),
    filter(
        "sluice_ticks_total",
        Type::Counter,
        PLUGIN,
        "ticks",
        "Grows each second in each worker: where it stands still, the filter does not run.",
    ),
];

/// What the controller says.
const CONTROLLER: &[Metric] = &[
    controller(
        "sluice_controller_leads",
        Type::Gauge,
        &[],
        "0 or 1",
        "1 for the process that runs the Rollouts, 0 for a standby.",
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
        "Where the check passes (`Pass`) or fails (`Fail`); not of one that compares with the fallback.",
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
        "The evidence against the challenger, as a part of what fails the check: 1 and more fails it.",
    ),
    controller(
        "sluice_rollout_check_failures",
        Type::Gauge,
        CHECK,
        "measurements",
        "How many measurements of the run failed.",
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
        "Looks at proxies of which [it was said](brake.md#when-a-proxy-says-that-its-guard-tripped) that \
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
        "Proxies whose questions this replica holds, or held within the last half minute, one for each \
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
        "What they were answered: `Changed`, `Unchanged`, `NotReady` (the brakes are not read yet), \
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
