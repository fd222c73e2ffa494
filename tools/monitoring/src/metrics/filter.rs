//! What the filter says, in each Envoy.

use super::{Metric, Source, Type};

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

/// All of it.
pub(super) const ALL: &[Metric] = &[
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
        "sluice_module_version",
        Type::Gauge,
        PLUGIN,
        "version",
        "Which module the proxy runs: major times a million, minor times a thousand, and patch.",
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
