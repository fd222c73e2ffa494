//! `sluice rollout check` with a real Prometheus: what would be decided, before anything moves.

use std::process::Command;

use serde_json::Value;
use sluice::cluster::prometheus::Prometheus as Client;
use sluice_e2e::mesh::sluice;
use sluice_e2e::prometheus::{Options, Prometheus, Target};

use crate::exporter::Exporter;
use crate::watched::scraped;

const METRICS: &str = "sluice_ticks_total{sluice_plugin=\"dev.sluice\"} 3
sluice_responses_total{sluice_split=\"web\",sluice_variant=\"canary\",sluice_class=\"2xx\"} 99
sluice_responses_total{sluice_split=\"web\",sluice_variant=\"canary\",sluice_class=\"5xx\"} 1
sluice_responses_total{sluice_split=\"web\",sluice_variant=\"stable\",sluice_class=\"2xx\"} 900
sluice_response_time_milliseconds_bucket{sluice_split=\"web\",sluice_variant=\"canary\",le=\"100\"} 98
sluice_response_time_milliseconds_bucket{sluice_split=\"web\",sluice_variant=\"canary\",le=\"250\"} 100
sluice_response_time_milliseconds_bucket{sluice_split=\"web\",sluice_variant=\"canary\",le=\"+Inf\"} 100
orders{version=\"canary\"} 7
";

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_asked_once_and_said_with_its_verdict() {
    sluice::tls::set_up();
    let exporter = Exporter::start(METRICS).await;
    let options = Options {
        targets: vec![Target {
            address: exporter.address,
            pod: Some(["shop", "client-1"]),
        }],
        ..Options::default()
    };
    let prometheus = Prometheus::start(&options).await;
    let client = Client::new(&prometheus.url()).unwrap();
    scraped(&client, "sum(orders)", 7.0).await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = "splits: {web: {}}\nresponseMetrics: true\n";
    std::fs::write(folder.path().join("plugin.yaml"), plugin).unwrap();
    let rollout = format!(
        "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: web}}\nspec:\n  split: web\n  steps: [{{weight: 5}}]\n  \
         analysis:\n    prometheus: {{address: '{}'}}\n    checks:\n    \
         - {{name: errors, metric: errorRate, fail: '> 5%'}}\n    \
         - {{name: p99, metric: latency, quantile: 0.99, pass: '<= 500ms', fail: '> 1s'}}\n    \
         - {{name: orders, query: 'sum(orders{{version=\"{{{{challenger}}}}\"}})', fail: '< 1'}}\n    \
         - {{name: few, query: 'sum(orders)', fail: '< 10', dryRun: true}}\n",
        prometheus.url()
    );
    std::fs::write(folder.path().join("rollout.yaml"), rollout).unwrap();
    let (code, tried) = check(folder.path());
    assert_eq!(code, Some(0), "{tried}");
    let of = |index: usize, field: &str| tried[0]["checks"][index][field].clone();
    assert_eq!(
        (of(0, "standing"), of(0, "value")),
        ("pass".into(), 0.01.into())
    );
    assert_eq!(
        (of(1, "standing"), of(1, "edge")),
        ("pass".into(), 0.25.into())
    );
    let query = "sum(orders{version=\"canary\"})";
    assert_eq!(
        (of(2, "standing"), of(2, "query")),
        ("pass".into(), query.into())
    );
    assert_eq!(
        (of(3, "standing"), of(3, "decides")),
        ("fail".into(), false.into())
    );
    drop(prometheus);
    let (code, tried) = check(folder.path());
    assert_eq!(
        (code, &tried[0]["checks"][2]["isBroken"]),
        (Some(1), &Value::Bool(true))
    );
}

fn check(folder: &std::path::Path) -> (Option<i32>, Value) {
    let output = Command::new(sluice())
        .args([
            "rollout",
            "check",
            "-f",
            "rollout.yaml",
            "-o",
            "json",
            "--dir",
            ".",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    let tried = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        tried.unwrap_or_else(|_| panic!("{output:?}")),
    )
}
