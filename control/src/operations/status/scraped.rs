//! What Prometheus has: of the whole mesh, asked for once however many plugins there are, and of the
//! proxies of one plugin.
//!
//! What it means for a proxy is [`super::proxies`]'s subject, for the cookie [`super::cookies`]'s.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sluice_core::plan::Plan;

use super::cookies::Counted;
use super::measured::{DECISION_LABELS, Measured};
use super::observed::{
    Braked, Gauge, STATE_GAUGES, Tripped, UsersSeen, WORD_GAUGES, braked, tripped,
};
use crate::cluster::plugins::LivePlugin;
use crate::cluster::pods::{Proxy, plugin_names};
use crate::cluster::prometheus::{Prometheus, PrometheusError, Series, is_of};

/// What proxies counted and took out.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Their users, where they are known.
    pub(super) users: Option<UsersSeen>,
    /// What their guards took out.
    pub(super) tripped: Vec<Tripped>,
    /// What is braked.
    pub(super) braked: Vec<Braked>,
}

/// How far back raw samples are read: two scrapes at Prometheus' default interval of a minute.
const LOOK_BACK: &str = "3m";

/// What a series is of.
const LABELS: [&str; 3] = ["namespace", "pod", "sluice_plugin"];

/// What every agent says of itself (Istio's pilot/cmd/pilot-agent/status/server.go); who scrapes
/// only Envoy's own port does not see it.
const AGENT: &str = "istio_agent_go_goroutines";

/// What Prometheus has of all proxies.
#[derive(Clone, Debug, Default)]
pub(super) struct MeshSeries {
    /// `istio_agent_wasm_remote_fetch_count[…]`.
    pub(super) fetches: Arc<Vec<Series>>,
    /// `istio_agent_go_goroutines`, which every agent has.
    pub(super) agents: Arc<Vec<Series>>,
    /// `up`.
    pub(super) up: Arc<Vec<Series>>,
    /// `envoy_listener_manager_lds_update_time`, in milliseconds since 1970.
    pub(super) pushed: Arc<Vec<Series>>,
    /// Requests by split, audience and variant within the window.
    pub(super) decisions: Vec<Series>,
    /// Cookies issued by split, in the window before this one.
    pub(super) issued: Vec<Series>,
    /// Anonymous cookies brought by split, in the window before this one.
    pub(super) returned_then: Vec<Series>,
    /// The same within the window.
    pub(super) returned_since: Vec<Series>,
}

impl MeshSeries {
    /// Asks Prometheus for everything.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn read(prometheus: &Prometheus, window: &str) -> anyhow::Result<Self> {
        let by_split = |increase: String| {
            format!("sum by (namespace, pod, sluice_split) (increase({increase}))")
        };
        let brought = "sluice_identity_total{sluice_source=\"anonymous\"}";
        let issued = by_split(format!(
            "sluice_assignments_total[{window}] offset {window}"
        ));
        let then = by_split(format!("{brought}[{window}] offset {window}"));
        let since = by_split(format!("{brought}[{window}]"));
        let decisions = format!(
            "sum by (namespace, pod, {}) (increase(sluice_decisions_total[{window}]))",
            DECISION_LABELS.join(", ")
        );
        let of_proxies = Self::of_proxies(prometheus).await?;
        let (decisions, issued, returned_then, returned_since) = tokio::try_join!(
            prometheus.query(&decisions),
            prometheus.query(&issued),
            prometheus.query(&then),
            prometheus.query(&since),
        )?;
        Ok(Self {
            decisions,
            issued,
            returned_then,
            returned_since,
            ..of_proxies
        })
    }

    /// Asks only what tells which proxies there are, and what they were given: the same for whoever
    /// asks, which in a controller each Rollout does each second.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub(super) async fn of_proxies(prometheus: &Prometheus) -> Result<Self, Arc<PrometheusError>> {
        let fetches = format!("istio_agent_wasm_remote_fetch_count[{LOOK_BACK}]");
        let up = format!("up[{LOOK_BACK}]");
        let (fetches, agents, up, pushed) = tokio::try_join!(
            prometheus.query_lately(&fetches),
            prometheus.query_lately(AGENT),
            prometheus.query_lately(&up),
            prometheus.query_lately("envoy_listener_manager_lds_update_time"),
        )?;
        Ok(Self {
            fetches,
            agents,
            up,
            pushed,
            ..Self::default()
        })
    }

    /// What was counted of the anonymous cookie.
    pub(super) fn cookies(&self) -> Counted<'_> {
        Counted {
            issued: &self.issued,
            returned_then: &self.returned_then,
            returned_since: &self.returned_since,
        }
    }

    /// What these proxies decided within the window.
    pub(super) fn measured(&self, proxies: &[Proxy]) -> Measured {
        let is_ours = |series: &&Series| proxies.iter().any(|proxy| is_of(series, proxy));
        let count = |series: &Series| {
            let [split, audience, variant] =
                DECISION_LABELS.map(|label| series.label(label).to_owned());
            Some(((split, audience, variant), series.last()?.1.round() as u64))
        };
        Measured::counted(self.decisions.iter().filter(is_ours).filter_map(count))
    }
}

/// What Prometheus has of the plugin's proxies.
#[derive(Clone, Debug, Default)]
pub(super) struct Scraped {
    /// `sluice_config_revision`.
    pub(super) revisions: Vec<Series>,
    /// `sluice_config_valid`.
    pub(super) valid: Vec<Series>,
    /// `sluice_ticks_total[…]`.
    pub(super) ticks: Vec<Series>,
    /// The gauges of users and guards, where the plugin has any.
    pub(super) observed: Vec<Series>,
    /// Why the users are not among them.
    pub(super) without_users: Option<String>,
    /// What it has of all proxies.
    pub(super) mesh: Arc<MeshSeries>,
}

impl Scraped {
    /// Asks Prometheus.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn read(
        prometheus: &Prometheus,
        mesh: &Arc<MeshSeries>,
        live: &LivePlugin,
        plan: &Plan,
    ) -> anyhow::Result<Self> {
        let names = plugin_names(live).map(|name| name.replace('.', "\\\\."));
        let plugin = format!("sluice_plugin=~\"{}\"", names.join("|"));
        let revisions = format!("sluice_config_revision{{{plugin}}}[{LOOK_BACK}]");
        let valid = format!("sluice_config_valid{{{plugin}}}");
        let ticks = format!("sluice_ticks_total{{{plugin}}}[{LOOK_BACK}]");
        let (revisions, valid, ticks, mut observed) = tokio::try_join!(
            prometheus.query(&revisions),
            prometheus.query(&valid),
            prometheus.query(&ticks),
            states(prometheus, plan, &plugin),
        )?;
        // Many series: what else is known of the proxies does not depend on them.
        let without_users = match words(prometheus, plan, &plugin).await {
            Ok(words) => {
                observed.extend(words);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let read = Self {
            revisions,
            valid,
            ticks,
            observed,
            without_users,
            mesh: Arc::clone(mesh),
        };
        Ok(read.without_former_modules())
    }

    /// A proxy that has changed from the wasm module to the native one, or back, keeps the former's
    /// metrics, under the former's name of the plugin: those whose ticks rose last are the present
    /// one's.
    pub(super) fn without_former_modules(mut self) -> Self {
        let mut last: HashMap<[String; 2], (f64, String)> = HashMap::new();
        for series in &self.ticks {
            let [namespace, pod, plugin] = LABELS.map(|label| series.label(label).to_owned());
            let of_proxy = last.entry([namespace, pod]).or_default();
            let at = series.last_change().unwrap_or_default();
            if at >= of_proxy.0 {
                *of_proxy = (at, plugin);
            }
        }
        let is_present = |series: &Series| {
            let [namespace, pod, plugin] = LABELS.map(|label| series.label(label));
            let last = last.get(&[namespace.to_owned(), pod.to_owned()]);
            last.is_none_or(|(_, present)| present == plugin)
        };
        for all in [
            &mut self.revisions,
            &mut self.valid,
            &mut self.ticks,
            &mut self.observed,
        ] {
            all.retain(is_present);
        }
        self
    }

    /// The proxies that Prometheus saw with the plugin at their last scrape: who asks where only
    /// Istio can tell which ones it selects.
    pub(super) fn seen(&self) -> Vec<Proxy> {
        let proxy = |series: &Series| Proxy {
            namespace: series.label("namespace").to_owned(),
            pod: series.label("pod").to_owned(),
            role: None,
        };
        let mut proxies: Vec<Proxy> = self.ticks.iter().map(proxy).collect();
        proxies.sort();
        proxies.dedup();
        proxies
    }

    /// What these proxies counted and took out.
    pub(super) fn observed(&self, plan: &Plan, proxies: &[Proxy]) -> Observed {
        let gauges = self.gauges(proxies);
        let users = self
            .without_users
            .is_none()
            .then(|| UsersSeen::joined(plan, &gauges));
        Observed {
            users,
            tripped: tripped(plan, &gauges),
            braked: braked(plan, &gauges),
        }
    }

    /// The gauges of users and guards that these proxies have.
    pub(super) fn gauges(&self, proxies: &[Proxy]) -> Vec<Gauge<'_>> {
        let ours: HashSet<[&str; 2]> = proxies
            .iter()
            .map(|own| [&*own.namespace, &*own.pod])
            .collect();
        let is_ours = |series: &&Series| {
            ours.contains(&["namespace", "pod"].map(|label| series.label(label)))
        };
        self.observed
            .iter()
            .filter(is_ours)
            .filter_map(Gauge::of_series)
            .collect()
    }
}

/// The gauges of a plugin's guards and brakes, and since when users are counted.
async fn states(
    prometheus: &Prometheus,
    plan: &Plan,
    plugin: &str,
) -> Result<Vec<Series>, PrometheusError> {
    if !plan.response_metrics() && !plan.is_guarded() && plan.brake().is_none() {
        return Ok(Vec::new());
    }
    let names = STATE_GAUGES.join("|");
    let query = format!("{{__name__=~\"{names}\",{plugin}}}");
    prometheus.query(&query).await
}

/// The words of a plugin's users that say something.
async fn words(prometheus: &Prometheus, plan: &Plan, plugin: &str) -> anyhow::Result<Vec<Series>> {
    if !plan.response_metrics() {
        return Ok(Vec::new());
    }
    let names = WORD_GAUGES.join("|");
    let query = format!("{{__name__=~\"{names}\",{plugin}}} > 0");
    Ok(prometheus.query(&query).await?)
}
