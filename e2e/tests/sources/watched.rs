//! What the tests of sources share: a target, checks, rounds, and waiting for what was scraped.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::cluster::prometheus::Prometheus as Client;
use sluice::rollout::analysis::plan::{Check, Istio, Plan as Analysis, checked};
use sluice::rollout::observation::{Arms, Increments, Observation, Reading};
use sluice::rollout::resource::Analysis as Written;
use sluice::rollout::sources::{Round, Source, Target, reading};
use sluice_core::decode::Decode as _;
use sluice_core::plan::Plan;
use sluice_e2e::wait::until;

/// An analysis of every kind of check, and more.
pub(crate) fn analysis(more: &Value) -> Analysis {
    let mut written = json!({"checks": [
        {"name": "errors", "metric": "errorRate", "fail": "> 5%"},
        {"name": "p99", "metric": "latency", "quantile": 0.99, "fail": "> 1s"},
        {"name": "failed", "metric": "failedUsers", "against": "fallback", "fail": "> +50%"},
        {"name": "own", "query": "sum(sluice_ticks_total{sluice_plugin=\"dev.sluice\"}) > bool 0", "fail": "< 1"},
        {"name": "none", "query": "orders{variant=\"{{challenger}}\"}", "fail": "< 1"},
        {"name": "wrong", "query": "orders{", "fail": "< 1"},
    ]});
    sluice::model::plugin::merge(&mut written, more.clone());
    let mut problems = Vec::new();
    let written = Written::decode("analysis", &written, &mut problems).unwrap();
    let analysis = checked("analysis", &written, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    analysis.unwrap()
}

/// Istio's metrics of service web in shop, whose variants are v2 and v1.
pub(crate) fn istio() -> Istio {
    let istio = json!({"service": "web.shop", "challenger": "v2", "fallback": "v1"});
    analysis(&json!({ "istio": istio })).istio.unwrap()
}

/// Canary against stable of the split web.
pub(crate) fn target() -> Target {
    Target {
        namespace: String::new(),
        plugin: String::new(),
        split: "web".to_owned(),
        audience: "everyone".to_owned(),
        challenger: "canary".to_owned(),
        fallback: "stable".to_owned(),
        version: None,
        plugin_names: vec![sluice::local::files::PLUGIN.to_owned()],
    }
}

/// Rounds of one step, one after the other.
pub(crate) struct Rounds {
    pub(crate) source: Source,
    pub(crate) plan: Plan,
    pub(crate) analysis: Analysis,
    pub(crate) converged: Timestamp,
    pub(crate) since: Option<Timestamp>,
}

impl Rounds {
    /// Begins with a step whose proxies have converged just now.
    pub(crate) fn begin(source: Source, plan: Plan) -> Self {
        Self {
            source,
            plan,
            analysis: analysis(&json!({})),
            converged: Timestamp::now(),
            since: Some(Timestamp::now()),
        }
    }

    pub(crate) async fn next(&mut self) -> Observation {
        let at = Timestamp::now();
        let checks: Vec<&Check> = self.analysis.checks.iter().collect();
        let round = Round {
            at,
            converged: self.converged,
            since: self.since,
            plan: &self.plan,
            checks: &checks,
            window: Duration::from_secs(300),
            interval: Duration::from_secs(30),
        };
        self.since = Some(at);
        self.source.observe(&target(), &round).await.observation
    }

    pub(crate) async fn arms(&mut self) -> Arms {
        match self.next().await.arms {
            Reading::Value(arms) => arms,
            other => panic!("{other:?}"),
        }
    }
}

/// Responses and failures.
pub(crate) fn counts(increments: &Increments) -> (u64, u64) {
    (increments.responses, increments.failures)
}

/// Waits until a query gives a number.
pub(crate) async fn scraped(client: &Client, query: &str, expected: f64) {
    until(query, async || match client.ask(query).await {
        Ok(answer) if reading(&answer) == Reading::Value(expected) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
