//! The shipped alerts by Prometheus' own tool: they are rules, and each fires in the case that it is
//! made for and in no other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use sluice_e2e::prometheus;

/// What promtool says of a file below `wasmplugin`.
fn assert_good(arguments: &[&str]) {
    let promtool = prometheus::promtool().expect("Prometheus: run `make prometheus` first");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasmplugin");
    let mut command = Command::new(promtool);
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_alerts_are_rules_that_prometheus_takes() {
    assert_good(&["check", "rules", "--lint-fatal", "chart/files/alerts.yaml"]);
}

#[test]
fn each_alert_fires_in_its_case_and_in_no_other() {
    assert_good(&["test", "rules", "monitoring/tests/alerts.yaml"]);
}
