//! Prometheus, which scrapes the proxies' agents every two seconds, and a controller where one listens.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use sluice_e2e::client::fetch;

use crate::process::Process;
use crate::tools::Tools;

/// Where it is reached.
pub const URL: &str = "http://127.0.0.1:9090";

/// Where another one is reached that scrapes Envoy's own port alone.
pub const ENVOYS_URL: &str = "http://127.0.0.1:9091";

/// Where it scrapes a controller that a test has listen there.
pub const CONTROLLER: &str = "127.0.0.1:18088";

/// The alerts that are shipped.
const ALERTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../wasmplugin/chart/files/alerts.yaml"
);

/// A pod whose metrics are scraped, with the labels that Istio's own scrape configuration gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Where it serves metrics.
    pub metrics: SocketAddr,
}

/// Starts it on these pods at a URL, with its files in a folder, and waits until it is ready.
pub(crate) async fn start(url: &str, targets: &[Target], tools: &Tools, folder: &Path) -> Process {
    let target = |target: &Target| {
        let labels = json!({"namespace": target.namespace, "pod": target.pod});
        json!({"targets": [target.metrics], "labels": labels})
    };
    let targets: Vec<_> = targets.iter().map(target).collect();
    // As Istio's configuration labels a pod; what the controller says of namespaces has a label of its own.
    let controller = json!({
        "targets": [CONTROLLER], "labels": {"namespace": "sluice", "pod": "sluice-controller-0"},
    });
    // As the chart's PodMonitor has it, and docs/monitoring.md for others.
    let renamed = json!({
        "source_labels": ["__name__"], "target_label": "__name__",
        "regex": "envoy_wasmsluice_(sluice_.*)",
    });
    let config = json!({
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "5s"},
        "rule_files": [ALERTS],
        "scrape_configs": [
            {
                "job_name": "kubernetes-pods", "metrics_path": "/stats/prometheus",
                "static_configs": targets, "metric_relabel_configs": [renamed],
            },
            {"job_name": "controller", "static_configs": [controller]},
        ],
    });
    let path = folder.join("prometheus.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let address = url.trim_start_matches("http://");
    let mut command = Command::new(tools.debian.join("prometheus"));
    command.arg("--config.file").arg(&path);
    command.args(["--web.listen-address", address]);
    command
        .arg("--storage.tsdb.path")
        .arg(folder.join("prometheus"));
    let mut prometheus = Process::start("prometheus", folder, &mut command);
    let address = address.parse().unwrap();
    prometheus
        .wait_until("Prometheus", async || {
            fetch(address, "/-/ready")
                .await
                .is_some_and(|answer| answer.status == 200)
        })
        .await;
    prometheus
}
