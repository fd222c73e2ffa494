//! What a platform team watches Sluice with, from one source: Grafana's dashboards, Prometheus'
//! alerts, and the tables of the documentation.
//!
//! Pure: it returns files as texts. `tests/generated.rs` compares them with those that are committed
//! (`GOLDEN=1` rewrites them) and names with the sources of the filter and the controller; the tests
//! with a real Istio run every query. Nothing of it is in a binary.

pub mod alerts;
pub mod dashboard;
pub mod dashboards;
pub mod events;
pub mod manifests;
pub mod metrics;
pub mod panel;
pub mod tables;
mod users;

/// A file that is written from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its path below the repository's folder.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Every file that is written as a whole.
///
/// # Errors
/// Never in practice: what stands in this crate can be written as JSON and as YAML.
pub fn generated() -> Result<Vec<Generated>, yaml_serde::Error> {
    let mut files = Vec::new();
    for dashboard in dashboards::all() {
        files.push(Generated {
            path: format!("wasmplugin/chart/files/dashboards/{}.json", dashboard.name),
            text: format!("{:#}\n", dashboard.json()),
        });
    }
    files.push(Generated {
        path: "wasmplugin/chart/files/alerts.yaml".to_owned(),
        text: format!("{NOTICE}{}", yaml_serde::to_string(&alerts::rules())?),
    });
    for (name, text) in manifests::all()? {
        files.push(Generated {
            path: format!("wasmplugin/monitoring/{name}"),
            text: format!("{NOTICE}{text}"),
        });
    }
    Ok(files)
}

const NOTICE: &str = "# Written by tools/monitoring (`make manifests`); do not edit.\n";
