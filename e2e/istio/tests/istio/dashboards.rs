//! Every query of every dashboard and alert, asked of a Prometheus that scrapes real proxies and a
//! real controller: each must say something, and every metric of ours must be the one that is
//! documented.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sluice::cluster::prometheus::{Prometheus, Series};
use sluice_e2e::client::fetch;
use sluice_e2e::wait::until;
use sluice_e2e_istio::load::Load;
use sluice_e2e_istio::process::Process;
use sluice_e2e_istio::prometheus;
use sluice_monitoring::dashboard::{Dashboard, Variable};
use sluice_monitoring::metrics::{self, Type};
use sluice_monitoring::{alerts, dashboards};

use crate::rollouts::controller::{apply_in, configure, start_as, wait_for_in};
use crate::rollouts::{BOTH_PATHS, routes};
use crate::users::WEB_A;
use crate::world::{World, wait_for_revision};

/// A split whose users the gateway itself draws: each request without a cookie is a new one.
const CONFIG: &str = "
responseMetrics: true
splits: {web: {hosts: [web.example], variants: [ingress, mesh]}}
";

const HOST: &str = "web.example";

/// Panels that show trouble and how runs ended: these have something to say only after it.
const LATER: [&str; 3] = [
    "alert SluiceRolloutFailed",
    "rollout: How runs ended, all Rollouts",
    "fleet: Challengers that guards took out",
];

/// What a person chose in the variables of a dashboard.
const CHOSEN: [(&str, &str); 12] = [
    ("$__rate_interval", "12s"),
    ("$namespace", "(a|gw)"),
    ("$split", "web"),
    ("$variant", "(canary|ingress|mesh|stable)"),
    ("$rollout", "web"),
    ("$plugin", "(.+)"),
    ("$root", "istio-system"),
    ("$old", "ingress"),
    ("$new", "mesh"),
    ("$objective", "99.9"),
    ("$within", "500"),
    ("$datasource", "prometheus"),
];

/// A query with what a person chose in it, as Grafana fills it in.
fn filled(query: &str) -> String {
    let fill = |query: String, (name, value): &(&str, &str)| query.replace(name, value);
    let filled = CHOSEN.iter().fold(query.to_owned(), fill);
    let mut dollars = filled.split('$').skip(1);
    let is_name = |rest: &str| rest.starts_with(|c: char| c.is_alphabetic() || "_{".contains(c));
    assert!(!dollars.any(is_name), "{filled}");
    filled
}

/// Everything that a dashboard asks, by who asks it.
fn asked(dashboard: &Dashboard) -> Vec<(String, String)> {
    let name = dashboard.name;
    let panels = dashboard.panels.iter().flat_map(|panel| {
        let title = format!("{name}: {}", panel.title);
        let queries = panel.queries.iter();
        queries.map(move |query| (title.clone(), filled(&query.expression)))
    });
    let variables = dashboard
        .variables
        .iter()
        .filter_map(|variable| match variable {
            Variable::Label { of, series, .. } => {
                let query = format!("count by ({of}) ({})", filled(series));
                Some((format!("{name}: {}", variable.name()), query))
            }
            Variable::Text { .. } => None,
        });
    panels.chain(variables).collect()
}

/// The metrics of ours that an alert is about, each of which must be there.
fn watched(expression: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c: char| !is_part(c));
    words
        .filter(|word| metrics::of_series(word).is_some())
        .map(str::to_owned)
        .collect()
}

/// What is still to be answered.
struct Open(BTreeMap<String, Vec<String>>);

impl Open {
    fn all() -> Self {
        let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let dashboards = dashboards::all();
        let queries = dashboards.iter().flat_map(asked);
        let watched = alerts::all().into_iter().flat_map(|alert| {
            let names = watched(&alert.expression).into_iter();
            names.map(move |name| (format!("alert {}", alert.name), name))
        });
        for (who, query) in queries.chain(watched) {
            open.entry(who).or_default().push(query);
        }
        assert!(open.len() > 40, "{:?}", open.keys());
        Self(open)
    }

    /// Asks what is open once more, until nothing is open but what may be.
    async fn answered(&mut self, prometheus: &Prometheus, may_be_open: &[&str]) {
        until("every query to have an answer", async || {
            for queries in self.0.values_mut() {
                let mut silent = Vec::new();
                for query in queries.drain(..) {
                    let series = prometheus.query(&query).await;
                    let series = series.unwrap_or_else(|error| panic!("{query}: {error}"));
                    if !series.iter().any(says_something) {
                        silent.push(query);
                    }
                }
                *queries = silent;
            }
            self.0.retain(|_, queries| !queries.is_empty());
            let is_done = self.0.keys().all(|who| may_be_open.contains(&&**who));
            is_done.then_some(()).ok_or(format!("{:#?}", self.0))
        })
        .await;
    }
}

/// Whether a series has a number.
fn says_something(series: &Series) -> bool {
    series.samples().iter().any(|(_, value)| !value.is_nan())
}

/// The controller as Prometheus scrapes it.
fn start_controller(world: &World) -> Process {
    let (seen, scraped) = (prometheus::URL, prometheus::CONTROLLER);
    let command = format!("controller --prometheus {seen} --listen {scraped}");
    start_as(world, &world.chain.sluice, "watched", &command)
}

async fn start_gateway(world: &World) {
    let kubernetes = &world.chain.kubernetes;
    kubernetes.apply(BOTH_PATHS).await;
    kubernetes.apply(&routes(world, CONFIG)).await;
    let wanted = world
        .wanted_revision_of("WasmPlugin", "gw", "sluice-gw")
        .await;
    wait_for_revision(&world.gateway, "gw.sluice-gw", wanted).await;
    until("the gateway's route", async || {
        let answer = world.gateway.try_get(HOST, &[]).await.unwrap_or_default();
        (answer.status == 200)
            .then_some(())
            .ok_or(answer.status.to_string())
    })
    .await;
}

/// A run that is held at its second step, watched by checks of every kind.
async fn start_run(world: &World) {
    let checks = json!([
        {"name": "errors", "metric": "errorRate", "pass": "<= 90%", "fail": "> 95%"},
        {"name": "slower", "metric": "latency", "quantile": 0.9, "against": "fallback", "fail": "> +900%",
         "confidence": 0.99},
        {"name": "users", "metric": "failedUsers", "against": "fallback", "fail": "> +50%",
         "confidence": 0.99},
    ]);
    let analysis = json!({
        "prometheus": {"address": prometheus::URL}, "interval": "1s", "window": "10s", "minRequests": 20,
        "checks": checks,
    });
    let spec = json!({
        "split": "web", "version": "v1", "analysis": analysis,
        "steps": [{"weight": 20, "hold": "1s"}, {"weight": 50, "hold": "1h"}],
    });
    apply_in(world, "gw", "web", &spec).await;
    wait_for_in(world, "gw", "web", "its second step", |status| {
        status["run"]["step"] == 1 && status["run"]["stage"] == "Holding"
    })
    .await;
}

pub async fn every_query_of_dashboards_and_alerts_says_something(world: &mut World) {
    world.fresh_plugin("a", 25).await;
    let guard = json!({"responseMetrics": true, "splits": {"web": {"guard": {}}}});
    configure(world, &guard).await;
    start_gateway(world).await;
    let _controller = start_controller(world);
    let callers = Load::start(&world.caller_addresses(), WEB_A, 400, 100);
    let visitors = Load::start(&[world.gateway.address; 4], HOST, 400, 100);
    start_run(world).await;
    let prometheus = Prometheus::new(prometheus::URL).unwrap();
    let mut open = Open::all();
    open.answered(&prometheus, &LATER).await;
    for alert in alerts::all() {
        let (name, asked) = (alert.name, prometheus.query(&alert.expression).await);
        assert!(asked.is_ok(), "{name}: {asked:?}");
    }
    assert_documented(&prometheus).await;
    assert_joined(&prometheus, world.callers.len() + 1).await;
    // The guards of the callers take the canary out, and the run goes back.
    world.fail("canary", 503);
    open.answered(&prometheus, &[]).await;
    let alarm = "ALERTS{alertname=\"SluiceGuardTripped\",alertstate=\"firing\",namespace=\"a\"}";
    until("Prometheus to say that a guard tripped", async || {
        let firing = prometheus.query(alarm).await.unwrap();
        (!firing.is_empty())
            .then_some(())
            .ok_or(format!("{firing:?}"))
    })
    .await;
    callers.end().await;
    assert_users_are_those_of_status(world, &prometheus).await;
    visitors.end().await;
    // What a plugin that is gone wanted is told no more.
    assert!(told().await.contains(OF_GATEWAY), "{}", told().await);
    let kubernetes = &world.chain.kubernetes;
    kubernetes.delete("WasmPlugin", "gw", "sluice-gw").await;
    until("the plugin to be forgotten", async || {
        let told = told().await;
        (!told.contains(OF_GATEWAY)).then_some(()).ok_or(told)
    })
    .await;
}

/// The query that reads the sketches says what `sluice status` says of them.
async fn assert_users_are_those_of_status(world: &World, prometheus: &Prometheus) {
    let command = format!("status -n a --prometheus {} -o json", prometheus::URL);
    until("users by the query as by status", async || {
        let said = world.sluice(&command).await.out;
        let status: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
        let rows = status["weights"].as_array().into_iter().flatten();
        let row = rows.filter(|row| row["split"] == "web" && row["audience"] == "everyone");
        let of_status: BTreeMap<&str, f64> = row
            .filter_map(|row| Some((row["variant"].as_str()?, row["users"].as_f64()?)))
            .collect();
        let query = format!(
            "round({}{{namespace=\"a\",sluice_split=\"web\"}})",
            alerts::USERS
        );
        let recorded = prometheus.query(&query).await.unwrap();
        let recorded: BTreeMap<&str, f64> = recorded
            .iter()
            .filter_map(|series| Some((series.label("sluice_variant"), series.last()?.1)))
            .collect();
        let is_same = of_status.len() == 2 && of_status == recorded && recorded["stable"] > 100.0;
        is_same
            .then_some(())
            .ok_or(format!("{of_status:?} {recorded:?}"))
    })
    .await;
}

/// How the controller's metrics begin that are of the gateway's plugin.
const OF_GATEWAY: &str = "sluice_plugin_revision{sluice_namespace=\"gw\"";

/// What the controller says.
async fn told() -> String {
    let address = prometheus::CONTROLLER.parse().unwrap();
    let answer = fetch(address, "/metrics").await.unwrap_or_default();
    String::from_utf8(answer.body).unwrap()
}

/// What is compared finds its counterpart: where nothing is wrong, the opposite of an alert holds.
async fn assert_joined(prometheus: &Prometheus, proxies: usize) {
    let alerts = alerts::all();
    let expression = |name: &str| {
        let mut named = alerts.iter().filter(|alert| alert.name == name);
        named.next().unwrap().expression.clone()
    };
    let converged = expression("SluiceProxiesNotConverged").replace("!=", "==");
    until("every proxy to be at its plugin's revision", async || {
        let converged = prometheus.query(&converged).await.unwrap();
        let last = converged.iter().filter_map(Series::last);
        let count: f64 = last.map(|(_, value)| value).sum();
        let is_every = count == proxies as f64;
        is_every.then_some(()).ok_or(format!("{converged:?}"))
    })
    .await;
    // An hour is longer than a test.
    let near = expression("SluiceShareOffWeight")
        .replace("1h", "8s")
        .replace(" > 4", " < 4");
    until(
        "new users and those of the run to be near their weights",
        async || {
            let near = prometheus.query(&near).await.unwrap();
            let has =
                |label: &str, value: &str| near.iter().any(|found| found.label(label) == value);
            let is_so = has("sluice_variant", "mesh") && has("rollout", "web");
            is_so.then_some(()).ok_or(format!("{near:?}"))
        },
    )
    .await;
}

/// Whatever Prometheus has of ours is in the documented tables, with the labels that they name.
async fn assert_documented(prometheus: &Prometheus) {
    let all = prometheus.query("{__name__=~\"sluice_.*\"}").await.unwrap();
    let of_target = ["__name__", "namespace", "pod", "instance", "job", "le"];
    let mut seen = BTreeSet::new();
    for series in &all {
        let name = series.label("__name__");
        let metric = metrics::of_series(name).unwrap_or_else(|| panic!("{name} is not documented"));
        let labels = series.labels().keys().map(String::as_str);
        let mut labels: Vec<&str> = labels.filter(|label| !of_target.contains(label)).collect();
        let mut documented = metric.labels.to_vec();
        if name == "sluice_controller_leads" {
            // It runs the Rollouts of every namespace here, and a label that is empty is none.
            documented.retain(|label| *label != "sluice_namespace");
        }
        labels.sort_unstable();
        documented.sort_unstable();
        assert_eq!(labels, documented, "{name}");
        let is_counter = name.ends_with("_total");
        assert_eq!(is_counter, metric.kind == Type::Counter, "{name}");
        seen.insert(name);
    }
    assert!(seen.len() > 40, "{seen:?}");
}
