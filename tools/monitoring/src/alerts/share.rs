//! Whether variants have the part of the users that their weights say, in PromQL: three ways to count
//! users, each with what chance and the way of counting explain.
//!
//! How long that must be so, and what somebody is told, the alert says.

use super::{USERS, in_namespace};

/// New users of an hour without a change, of whom each is one draw: four standard deviations, and half a
/// point for what is scraped too early or too late.
pub(super) fn newcomers() -> String {
    let by = "namespace, sluice_split, sluice_audience";
    let issued = "increase(sluice_assignments_total{sluice_audience!~\"forced|inherited\"}[1h])";
    let own = format!("sum by ({by}, sluice_variant) ({issued})");
    let all = format!("sum by ({by}) ({issued})");
    let steady = "(sluice_plugin_weight == sluice_plugin_weight offset 1h and \
                  changes(sluice_plugin_weight[1h]) == 0)";
    let weight = weight(steady);
    let allowed =
        format!("4 * sqrt({weight} * (1 - {weight}) / on ({by}) group_left () {all}) + 0.005");
    format!("(abs({own} / on ({by}) group_left () {all} - {weight}) > {allowed})")
}

/// Users of a run under way, whom proxies count by sketches of 64 registers (13 % off in one of three
/// cases): four standard deviations of both, and a point.
pub(super) fn of_runs() -> String {
    let told = |metric: &str| format!("max by (sluice_namespace, rollout, audience) ({metric})");
    let wanted = format!("({} / 100)", told("sluice_rollout_weight_wanted"));
    let measured = format!("({} / 100)", told("sluice_rollout_weight_measured"));
    let users = told("sluice_rollout_audience_users");
    let spread = format!("{wanted} * (1 - {wanted})");
    let drawn = format!("4 * sqrt({spread} / ({users} > 0))");
    format!("(abs({measured} - {wanted}) > {drawn} + 0.74 * {spread} + 0.01)")
}

/// All users since the weights last changed, by the same sketches and with the same allowance; also
/// where nobody runs a Rollout.
pub(super) fn of_sketches() -> String {
    let by = "namespace, sluice_split, sluice_audience";
    let all = format!("sum by ({by}) ({USERS})");
    let weight = weight("sluice_plugin_weight");
    let spread = format!("{weight} * (1 - {weight})");
    let drawn = format!("4 * sqrt({spread} / on ({by}) group_left () ({all} >= 100))");
    format!(
        "(abs({USERS} / on ({by}) group_left () {all} - {weight}) > {drawn} + 0.74 * {spread} + 0.01)"
    )
}

/// The weights as parts of 1, with the labels of what proxies count. Two plugins of one namespace may
/// have a split of one name: then the greater weight.
fn weight(of: &str) -> String {
    let by = "sluice_split, sluice_audience, sluice_variant";
    let weights = in_namespace(&format!("max by (sluice_namespace, {by}) ({of})"));
    format!("max by (namespace, {by}) ({weights}) / 100")
}
