//! The alerts: what is wrong, for how long, and how bad that is. Each has a page in docs/runbooks.
//!
//! Written for the metrics of [`crate::metrics`] alone. What is counted by replicas of a controller is
//! taken once; a gauge that a plugin left behind counts only while its filter ticks.

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
    let running = format!("(sluice_config_revision {TICKS})");
    let named = format!(
        "label_replace({running}, \"sluice_plugin\", \"$1\", \"sluice_plugin\", \"([^~]+).*\")"
    );
    vec![
        Alert {
            name: "SluiceConfigurationProblem",
            // A counter that was there before grew, or a new one began above 0.
            expression:
                "max by (namespace, sluice_plugin) (increase(sluice_problems_total[15m])) > 0 or \
                         max by (namespace, sluice_plugin) (sluice_problems_total unless \
                         sluice_problems_total offset 15m) > 0"
                    .to_owned(),
            lasts: "0m",
            severity: Severity::Warning,
            summary: "{{ $labels.namespace }}: proxies found problems in the configuration of {{ \
                $labels.sluice_plugin }}",
            description: "Splits with a problem are served with their fallback, in whole or in \
                part. `sluice validate` says what is wrong.",
        },
        Alert {
            name: "SluiceConfigurationUnreadable",
            expression: format!(
                "count by (namespace, sluice_plugin) ((sluice_config_valid {TICKS}) == 0) > 0"
            ),
            lasts: "1m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: {{ $value }} proxies cannot read the \
                configuration of {{ $labels.sluice_plugin }}",
            description: "They serve the last one that they could read, so that no later weight \
                counts, an abort's neither. `sluice validate` says why.",
        },
        Alert {
            name: "SluiceProxiesNotConverged",
            // Without a controller nobody says what is wanted: then proxies must agree.
            expression: format!(
                "count by (sluice_plugin) ({named} != on (sluice_plugin) group_left () max by \
                 (sluice_plugin) (sluice_plugin_revision)) > 0 or count by (sluice_plugin) (count_values by \
                 (sluice_plugin) (\"revision\", {named}) unless on (sluice_plugin) sluice_plugin_revision) > 1"
            ),
            lasts: "5m",
            severity: Severity::Warning,
            summary: "Proxies of {{ $labels.sluice_plugin }} have not run its last change for \
                five minutes",
            description: "A changed weight is in force in some proxies only. `sluice status` \
                names the others and says what they run.",
        },
    ]
}

fn rollouts() -> Vec<Alert> {
    let phase = |phases: &str| {
        format!("max by (sluice_namespace, rollout) (sluice_rollout_phase{{phase=~\"{phases}\"}})")
    };
    let failed = phase("RolledBack");
    let waits = phase("Paused|Blocked|Waiting|RollingBack");
    vec![
        Alert {
            name: "SluiceRolloutFailed",
            // For an hour: the phase stays until the next version.
            expression: format!(
                "{failed} == 1 unless on (sluice_namespace, rollout) {}",
                offset(&failed, "1h")
            ),
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

/// The same as it was, of an aggregation of one selector.
fn offset(expression: &str, ago: &str) -> String {
    let selector = expression.strip_suffix(')').unwrap_or(expression);
    format!("{selector} offset {ago})")
}

fn controller() -> Vec<Alert> {
    vec![
        Alert {
            name: "SluiceControllerAbsent",
            expression: "absent(sluice_controller_leads)".to_owned(),
            lasts: "5m",
            severity: Severity::Critical,
            summary: "No sluice controller is scraped",
            description: "No Rollout goes on or back by itself; weights stay as they are. \
                `sluice abort` works without a controller.",
        },
        Alert {
            name: "SluiceControllerWithoutLeader",
            expression: "sum by (namespace) (sluice_controller_leads) == 0".to_owned(),
            lasts: "2m",
            severity: Severity::Critical,
            summary: "{{ $labels.namespace }}: no sluice controller leads",
            description: "No Rollout goes on or back by itself. The controllers' logs say why \
                the Lease cannot be had. `sluice abort` works without a controller.",
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
            expression: format!("{} or {} or {}", newcomers(), of_runs(), of_sketches()),
            lasts: "10m",
            severity: Severity::Warning,
            summary: "A variant of {{ $labels.sluice_split }}{{ $labels.rollout }} has another \
                part of the users than its weight says",
            description: "More than chance explains. Some proxies may run another revision, or \
                callers pass identities that are no users.",
        },
    ]
}

/// New users of an hour without a change, of whom each is one draw: four standard deviations, and half a
/// point for what is scraped too early or too late.
fn newcomers() -> String {
    let by = "namespace, sluice_split, sluice_audience";
    let issued = "increase(sluice_assignments_total{sluice_audience!~\"forced|inherited\"}[1h])";
    let own = format!("sum by ({by}, sluice_variant) ({issued})");
    let all = format!("sum by ({by}) ({issued})");
    let steady = "(sluice_plugin_weight == sluice_plugin_weight offset 1h and \
                  changes(sluice_plugin_weight[1h]) == 0)";
    let weight = format!(
        "max by ({by}, sluice_variant) (label_replace({steady}, \"namespace\", \"$1\", \
         \"sluice_namespace\", \"(.*)\")) / 100"
    );
    let allowed =
        format!("4 * sqrt({weight} * (1 - {weight}) / on ({by}) group_left () {all}) + 0.005");
    format!("(abs({own} / on ({by}) group_left () {all} - {weight}) > {allowed})")
}

/// Users of a run under way, whom proxies count by sketches of 64 registers (13 % off in one of three
/// cases): four standard deviations of both, and a point.
fn of_runs() -> String {
    let told = |metric: &str| format!("max by (sluice_namespace, rollout, audience) ({metric})");
    let wanted = format!("({} / 100)", told("sluice_rollout_weight_wanted"));
    let measured = format!("({} / 100)", told("sluice_rollout_weight_measured"));
    let users = told("sluice_rollout_users");
    let spread = format!("{wanted} * (1 - {wanted})");
    let drawn = format!("4 * sqrt({spread} * {measured} / ({users} > 0))");
    format!("(abs({measured} - {wanted}) > {drawn} + 0.74 * {spread} + 0.01)")
}

/// All users since the weights last changed, by the same sketches and with the same allowance; also
/// where nobody runs a Rollout.
fn of_sketches() -> String {
    let by = "namespace, sluice_split, sluice_audience";
    let all = format!("sum by ({by}) ({USERS})");
    let weight = format!(
        "max by ({by}, sluice_variant) (label_replace(sluice_plugin_weight, \"namespace\", \"$1\", \
         \"sluice_namespace\", \"(.*)\")) / 100"
    );
    let spread = format!("{weight} * (1 - {weight})");
    let drawn = format!("4 * sqrt({spread} / on ({by}) group_left () ({all} >= 100))");
    format!(
        "(abs({USERS} / on ({by}) group_left () {all} - {weight}) > {drawn} + 0.74 * {spread} + 0.01)"
    )
}
