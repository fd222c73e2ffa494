//! What the Rollouts of a cluster ask of Prometheus, as far as it can be read of their specs: pure.
//!
//! What a spec may say, and its defaults, is [`crate::rollout::analysis`]'s; a field that is wrong
//! there is left out here.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::Value;

use super::objects::{ROLLOUT, title};
use crate::rollout::resource::{Amount, Span, Threshold};

/// How far back an analysis looks that does not say it.
const DEFAULT_WINDOW: Duration = Duration::from_secs(300);

/// What one Rollout asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Which: `Rollout shop/web`.
    pub rollout: String,
    /// Its namespace.
    pub namespace: String,
    /// The plugin that it names, if it names one.
    pub plugin: Option<String>,
    /// How far back its checks look; `None`: it has none.
    pub window: Option<Duration>,
    /// Whose metrics its checks need.
    pub metrics: Metrics,
    /// The times in seconds that latencies are compared with.
    pub latencies: Vec<f64>,
}

/// Whose metrics a Rollout's checks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Only what its own queries name, or nothing.
    None,
    /// The filter's figures of responses.
    Filters,
    /// Istio's standard metrics.
    Istios,
}

/// What Rollouts ask for.
pub fn wishes(rollouts: &[DynamicObject]) -> Vec<Wish> {
    rollouts.iter().map(wish).collect()
}

fn wish(rollout: &DynamicObject) -> Wish {
    let spec = &rollout.data["spec"];
    let analysis = &spec["analysis"];
    let checks = analysis["checks"].as_array();
    let checks = checks.map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let window = analysis["window"].as_str();
    let window = window.and_then(|text| text.parse::<Span>().ok());
    let window = window.map_or(DEFAULT_WINDOW, Span::as_duration);
    let counts = checks.iter().any(|check| check["metric"].is_string());
    Wish {
        rollout: title(&ROLLOUT, &rollout.metadata),
        namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
        plugin: text(&spec["plugin"]),
        window: (!checks.is_empty()).then_some(window),
        metrics: match (counts, analysis["istio"].is_object()) {
            (false, _) => Metrics::None,
            (true, false) => Metrics::Filters,
            (true, true) => Metrics::Istios,
        },
        latencies: checks.iter().flat_map(latencies).collect(),
    }
}

/// The times that a check of a latency compares with.
fn latencies(check: &Value) -> Vec<f64> {
    if check["metric"] != "latency" {
        return Vec::new();
    }
    let thresholds = ["pass", "fail"].into_iter();
    let thresholds = thresholds.filter_map(|field| check[field].as_str()?.parse().ok());
    thresholds
        .filter_map(|threshold: Threshold| match threshold.amount {
            Amount::Time(span) => Some(span.as_duration().as_secs_f64()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: Value) -> Wish {
        let object = json!({"metadata": {"name": "web", "namespace": "a"}, "spec": spec});
        wish(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_rollout_says_what_it_asks_for() {
        let nothing = read(json!({"split": "web"}));
        assert_eq!((nothing.window, nothing.metrics), (None, Metrics::None));
        let own = read(json!({"analysis": {"checks": [{"query": "up"}], "window": "1m"}}));
        assert_eq!(own.window, Some(Duration::from_secs(60)));
        assert_eq!(own.metrics, Metrics::None);
        let check = json!({"metric": "latency", "pass": "<= 500ms", "fail": "> +50%"});
        let filters = read(json!({"plugin": "p", "analysis": {"checks": [check]}}));
        assert_eq!(filters.metrics, Metrics::Filters);
        assert_eq!(filters.latencies, [0.5]);
        assert_eq!(filters.plugin.as_deref(), Some("p"));
        assert_eq!(filters.window, Some(DEFAULT_WINDOW));
        let istios = json!({"istio": {"service": "web.a"}, "checks": [{"metric": "errorRate"}]});
        assert_eq!(read(json!({"analysis": istios})).metrics, Metrics::Istios);
        let wrong = read(json!({"analysis": {"checks": {"a": 1}, "window": 5}}));
        assert_eq!((wrong.window, wrong.metrics), (None, Metrics::None));
    }
}
