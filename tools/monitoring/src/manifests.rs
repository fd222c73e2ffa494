//! The dashboards and the alerts as resources of a cluster, for who installs without Helm: ConfigMaps
//! as Grafana's sidecar finds them, and a PrometheusRule.

use serde_json::{Value, json};

use crate::{alerts, dashboards};

/// Each file of `wasmplugin/monitoring` with its text.
pub(crate) fn all() -> Result<Vec<(&'static str, String)>, yaml_serde::Error> {
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": ["dashboards.yaml", "alerts.yaml"],
    });
    let maps: Result<Vec<String>, _> = dashboards::all()
        .iter()
        .map(|dashboard| yaml_serde::to_string(&config_map(dashboard.name, &dashboard.json())))
        .collect();
    let rule = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": {"name": "sluice", "labels": {"app.kubernetes.io/name": "sluice"}},
        "spec": alerts::rules(),
    });
    Ok(vec![
        ("kustomization.yaml", yaml_serde::to_string(&kustomization)?),
        ("dashboards.yaml", maps?.join("---\n")),
        ("alerts.yaml", yaml_serde::to_string(&rule)?),
    ])
}

fn config_map(name: &str, dashboard: &Value) -> Value {
    let file = format!("sluice-{name}.json");
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": format!("sluice-dashboard-{name}"),
            "labels": {"app.kubernetes.io/name": "sluice", "grafana_dashboard": "1"},
        },
        "data": {file: format!("{dashboard:#}\n")},
    })
}
