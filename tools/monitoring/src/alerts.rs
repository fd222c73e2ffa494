//! The alerts: what is wrong, for how long, and how bad that is. Each has a page in docs/runbooks.
//!
//! Written for the metrics of [`crate::metrics`] alone. What is counted by replicas of a controller is
//! taken once; a gauge that a plugin left behind counts only while its filter ticks.

mod share;

use serde_json::{Value, json};

use crate::users::estimate;

/// An alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// What it is called, in Prometheus and in docs/runbooks.
    pub name: &'static str,
    /// What must be so.
    pub expression: String,
    /// For how long.
    pub lasts: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence with labels.
    pub summary: &'static str,
    /// What to do first.
    pub description: &'static str,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Users may be hurt now: somebody is woken.
    Critical,
    /// It is looked at in the day.
    Warning,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// What is recorded for the alerts: how many users each variant had since the weights last changed.
pub const USERS: &str = "sluice:users";

/// Only what a running filter says.
const TICKS: &str = "and on (namespace, pod, sluice_plugin) rate(sluice_ticks_total[5m]) > 0";

/// Every alert.
pub fn all() -> Vec<Alert> {
    [configuration(), rollouts(), controller(), traffic()].concat()
}

/// The file for Prometheus.
pub fn rules() -> Value {
    let mut rules = vec![json!({"record": USERS, "expr": estimate("")})];
    rules.extend(all().iter().map(rule));
    json!({"groups": [{"name": "sluice", "rules": rules}]})
}

fn rule(alert: &Alert) -> Value {
    json!({
        "alert": alert.name, "expr": in_lines(&alert.expression), "for": alert.lasts,
        "labels": {"severity": alert.severity.name()},
        "annotations": {
            "summary": alert.summary, "description": alert.description,
            "runbook_url": format!("docs/runbooks/{}.md", alert.name),
        },
    })
}

/// An expression for people to read: what it puts together begins a line.
fn in_lines(expression: &str) -> String {
    let operators = [" or ", " unless ", " != ", " > 4 ", " / on ", " - max "];
    operators
        .iter()
        .fold(expression.to_owned(), |text, operator| {
            text.replace(operator, &format!("\n{}", operator.trim_start()))
        })
}

fn configuration() -> Vec<Alert> {
    let running = by_plugin("namespace, pod", &format!("sluice_config_revision {TICKS}"));
    let valid = by_plugin("namespace, pod", &format!("sluice_config_valid {TICKS}"));
    let wanted = by_plugin("sluice_namespace", "sluice_plugin_revision");
    let wanted = format!("max by (plugin) ({wanted})");
    let found = by_plugin("namespace", "increase(sluice_problems_total[15m])");
    let new = by_plugin(
        "namespace",
        "sluice_problems_total unless sluice_problems_total offset 15m",
    );
    let there = in_namespace(&by_plugin("sluice_namespace", "sluice_plugin_problems"));
    vec![
        Alert {
            name: "SluiceConfigurationProblem",
            // A counter that was there before grew, or a new one began above 0; or the controller finds
            // problems in what is written now.
            expression: format!(
                "max by (namespace, plugin) ({found}) > 0 or max by (namespace, plugin) ({new}) > 0 or \
                 max by (namespace, plugin) ({there}) > 0"
            ),
            lasts: "0m",
            severity: Severity::Warning,
            summary: "{{ $labels.namespace }}: problems in the configuration of {{ \
                $labels.plugin }}",
            description: "Proxies found them in the last fifteen minutes, or the controller finds \
                them now: splits with a problem are served with their fallback, in whole or in \
                part. `sluice validate` says what is wrong.",
        },
        Alert {
            name: "SluiceConfigurationUnreadable",
            expression: format!("count by (namespace, plugin) ({valid} == 0) > 0"),
            lasts: "1m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: {{ $value }} proxies cannot read the \
                configuration of {{ $labels.plugin }}",
            description: "They serve the last one that they could read, so that no later weight \
                counts, an abort's neither. `sluice validate` says why.",
        },
        Alert {
            name: "SluiceProxiesNotConverged",
            // Without a controller nobody says what is wanted: then proxies must agree.
            expression: format!(
                "count by (plugin) ({running} != on (plugin) group_left () {wanted}) > 0 or count by \
                 (plugin) (count_values by (plugin) (\"revision\", {running}) unless on (plugin) \
                 {wanted}) > 1"
            ),
            lasts: "5m",
            severity: Severity::Warning,
            summary: "Proxies of {{ $labels.plugin }} have not run its last change for \
                five minutes",
            description: "A changed weight is in force in some proxies only. `sluice status` \
                names the others and says what they run.",
        },
    ]
}

/// The greatest by some labels and the plugin, with the label `plugin`: its name without the ending that
/// Istio's has in a proxy since 1.30. The label of the series stays as well, and no other does: two series
/// of one pod never become one by it, which would fail the rule for everybody.
pub(crate) fn by_plugin(labels: &str, expression: &str) -> String {
    format!(
        "label_replace(max by ({labels}, sluice_plugin) ({expression}), \"plugin\", \"$1\", \
         \"sluice_plugin\", \"([^~]+).*\")"
    )
}

/// The same with the Rollout's or the plugin's namespace as the label that proxies have theirs in.
fn in_namespace(expression: &str) -> String {
    format!("label_replace({expression}, \"namespace\", \"$1\", \"sluice_namespace\", \"(.*)\")")
}

fn rollouts() -> Vec<Alert> {
    let waits = "max by (sluice_namespace, rollout) \
                 (sluice_rollout_phase{phase=~\"Paused|Blocked|Waiting|RollingBack\"})";
    vec![
        Alert {
            name: "SluiceRolloutFailed",
            // For an hour after the end, however often it fails and whatever was scraped meanwhile.
            expression: "time() - max by (sluice_namespace, rollout) \
                         (sluice_rollout_ended_timestamp_seconds{outcome=\"RolledBack\"}) < 3600"
                .to_owned(),
            lasts: "0m",
            severity: Severity::Warning,
            summary: "Rollout {{ $labels.sluice_namespace }}/{{ $labels.rollout }} failed and \
                took its users back",
            description: "Everybody has the fallback again. `sluice rollout status` says which \
                check failed, and by how much.",
        },
        Alert {
            name: "SluiceRolloutStalled",
            expression: format!(
                "{waits} == 1 or max by (sluice_namespace, rollout) (time() - \
                 sluice_rollout_hold_until_timestamp_seconds) > 1800 or max by (sluice_namespace, rollout) \
                 (sluice_rollout_spec_valid) == 0"
            ),
            lasts: "15m",
            severity: Severity::Warning,
            summary: "Rollout {{ $labels.sluice_namespace }}/{{ $labels.rollout }} stands still",
            description: "It waits for a person, for something that is not there, or for checks \
                without data. `sluice rollout status` says for what.",
        },
    ]
}

fn controller() -> Vec<Alert> {
    // Each namespace that a controller is confined to has a controller of its own; empty: all.
    let of = |replicas: &str| format!("count by (namespace, sluice_namespace) ({replicas})");
    let (now, lately) = (
        of("sluice_controller_leads"),
        of("last_over_time(sluice_controller_leads[6h])"),
    );
    vec![
        Alert {
            name: "SluiceControllerAbsent",
            expression: format!("({lately} unless {now}) or on () absent(sluice_controller_leads)"),
            lasts: "5m",
            severity: Severity::Critical,
            summary: "No sluice controller{{ with $labels.sluice_namespace }} of {{ . }}{{ end \
                }} is scraped",
            description: "No Rollout goes on or back by itself; weights stay as they are. \
                `sluice abort` works without a controller.",
        },
        Alert {
            name: "SluiceControllerWithoutLeader",
            expression: "sum by (namespace, sluice_namespace) (sluice_controller_leads) == 0"
                .to_owned(),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: no sluice controller{{ with \
                $labels.sluice_namespace }} of {{ . }}{{ end }} leads",
            description: "No Rollout goes on or back by itself. The controllers' logs say why \
                the Lease cannot be had. `sluice abort` works without a controller.",
        },
        Alert {
            name: "SluiceMetricsLeftOut",
            expression: "max by (namespace) (sluice_plugin_weights_left_out) > 0 or \
                         max by (namespace) (sluice_rollout_checks_left_out) > 0"
                .to_owned(),
            lasts: "15m",
            severity: Severity::Warning,
            summary: "{{ $labels.namespace }}: the controller leaves {{ $value }} weights or \
                checks out of its metrics",
            description: "There are more than it tells. SluiceShareOffWeight is silent about \
                variants whose weights are left out, and dashboards lack them.",
        },
    ]
}

fn traffic() -> Vec<Alert> {
    let responses = |more: &str| {
        format!(
            "sum by (namespace, sluice_split, sluice_variant) \
             (rate(sluice_responses_total{more}[2m]))"
        )
    };
    let (failed, answered) = (responses("{sluice_class=\"5xx\"}"), responses(""));
    vec![
        Alert {
            name: "SluiceGuardTripped",
            expression: format!(
                "count by (namespace, sluice_split, sluice_variant) ((sluice_tripped {TICKS}) == \
                 1) > 0"
            ),
            lasts: "0m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: {{ $value }} proxies took {{ \
                $labels.sluice_variant }} of {{ $labels.sluice_split }} out",
            description: "Most of what it answered failed and the fallback's answers did not. \
                Other proxies may still serve it: `sluice abort` ends that.",
        },
        Alert {
            name: "SluiceErrorRateHigh",
            // Some requests at least: one failure of three is no rate.
            expression: format!("{failed} / {answered} > 0.05 and {answered} * 120 >= 20"),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: {{ $value | humanizePercentage }} of what {{ \
                $labels.sluice_variant }} of {{ $labels.sluice_split }} answers fails",
            description: "Compare with the other variants: where the challenger alone fails, \
                `sluice abort` takes its users back.",
        },
        Alert {
            name: "SluiceShareOffWeight",
            expression: format!(
                "{} or {} or {}",
                share::newcomers(),
                share::of_runs(),
                share::of_sketches()
            ),
            lasts: "10m",
            severity: Severity::Warning,
            summary: "A variant of {{ $labels.sluice_split }}{{ $labels.rollout }} has another \
                part of the users than its weight says",
            description: "More than chance explains. Some proxies may run another revision, or \
                callers pass identities that are no users.",
        },
    ]
}
