//! Controllers of every kind, and when one is needed.

use serde_json::{Value, json};

use super::*;
use crate::model::plugin::Kind;

const NOW: &str = "2026-11-22T23:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn codes(look: &Look) -> Vec<&'static str> {
    look.findings
        .iter()
        .map(|found| found.code.as_str())
        .collect()
}

fn deployment(wanted: i32, ready: i32) -> Deployment {
    let deployment = json!({
        "metadata": {"name": CONTROLLER, "namespace": "sluice"},
        "spec": {"replicas": wanted, "selector": {}, "template": {"spec": {"containers": [
            {"name": "controller", "args": ["controller", "--prometheus", "http://p:9090"]},
        ]}}},
        "status": {"readyReplicas": ready},
    });
    serde_json::from_value(deployment).unwrap()
}

fn lease(holder: &str, renewed: &str, version: Option<&str>) -> Lease {
    let annotations = version.map(|version| json!({lease::VERSION: version}));
    let lease = json!({
        "metadata": {"name": CONTROLLER, "namespace": "sluice", "annotations": annotations},
        "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15},
    });
    serde_json::from_value(lease).unwrap()
}

fn good() -> Lease {
    let version = format!("{} pod-1", versions::OWN);
    lease("pod-1", "2026-11-22T22:59:59.000000Z", Some(&version))
}

#[test]
fn a_controller_is_judged_by_its_replicas_and_its_leader() {
    let stale = || lease("pod-1", "2026-11-22T22:59:30.000000Z", None);
    let silent = || lease("pod-2", "2026-11-22T22:59:59.000000Z", Some("0.1.0 pod-1"));
    let empty = || lease("", "2026-11-22T22:59:59.000000Z", None);
    let rows: [(&str, Vec<Deployment>, Vec<Lease>, bool, &[&str]); 10] = [
        ("good", vec![deployment(2, 2)], vec![good()], true, &[]),
        ("none, not needed", vec![], vec![], false, &[]),
        ("none, needed", vec![], vec![], true, &["controller-needed"]),
        (
            "gone, needed",
            vec![],
            vec![stale()],
            true,
            &["controller-needed"],
        ),
        ("elsewhere", vec![], vec![good()], true, &[]),
        (
            "alone",
            vec![deployment(1, 1)],
            vec![good()],
            true,
            &["controller-alone"],
        ),
        (
            "not ready",
            vec![deployment(2, 0)],
            vec![good()],
            true,
            &["controller-not-ready"],
        ),
        (
            "stale",
            vec![deployment(2, 2)],
            vec![stale()],
            true,
            &["controller-without-leader"],
        ),
        (
            "empty",
            vec![deployment(2, 2)],
            vec![empty()],
            true,
            &["controller-without-leader"],
        ),
        (
            "of a former holder's version",
            vec![deployment(2, 2)],
            vec![silent()],
            true,
            &["controller-version-unknown"],
        ),
    ];
    for (label, deployments, leases, is_needed, expected) in rows {
        let found = Found {
            deployments,
            leases,
            unread: Vec::new(),
        };
        let needed = is_needed.then_some("a Rollout");
        assert_eq!(codes(&judge(&found, needed, now())), expected, "{label}");
    }
}

#[test]
fn a_leader_may_be_as_late_as_its_record_lasts_and_clocks_are_apart() {
    for (renewed, expected) in [("22:59:40", true), ("22:59:39", false)] {
        let lease = lease("pod-1", &format!("2026-11-22T{renewed}.000000Z"), None);
        assert_eq!(leads(&lease, now()), expected, "{renewed}");
    }
}

#[test]
fn a_controller_says_which_prometheus_it_asks() {
    let found = Found {
        deployments: vec![deployment(2, 2)],
        ..Found::default()
    };
    assert_eq!(prometheus(&found).as_deref(), Some("http://p:9090"));
    assert_eq!(argument(&deployment(1, 1), &["-n", "--namespace"]), None);
}

#[test]
fn a_controller_is_needed_by_rollouts_and_by_brakes() {
    let live = |brake: Value| {
        let object = json!({
            "metadata": {"name": "s", "namespace": "a"},
            "spec": {"pluginConfig": {"splits": {}, "brake": brake}},
        });
        LivePlugin::of(serde_json::from_value(object).unwrap(), Kind::WasmPlugin).unwrap()
    };
    assert_eq!(needs(0, &[live(Value::Null)]), None);
    assert_eq!(
        needs(2, &[live(json!({}))]).as_deref(),
        Some("2 Rollouts, a brake in WasmPlugin a/s")
    );
}
