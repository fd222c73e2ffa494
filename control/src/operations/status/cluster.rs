//! The status of plugins in a cluster: weights from the API server, proxies and shares from
//! Prometheus.
//!
//! Without a Prometheus the report says what is wanted, and that the rest is unknown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use sluice_core::allocation::Percent;
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};
use sluice_core::problem::Problem;

use super::cookies::{self, Counted, Dropped};
use super::delivery::Delivery;
use super::measured::{DECISION_LABELS, Measured, WeightRow, rows};
use super::proxies::{Scraped, State, is_of};
use super::text;
use crate::analyze::anonymous::{Unserved, is_split};
use crate::analyze::{self, Surroundings};
use crate::cluster::Cluster;
use crate::cluster::authors::{OthersField, authors, others_fields};
use crate::cluster::plugins::{self, LivePlugin, Scope};
use crate::cluster::pods::{Proxy, Selection, distinct_kinds, plugin_names, selected, selection};
use crate::cluster::prometheus::{Prometheus, Series};
use crate::model::input::Input;

/// How far back raw samples are read: two scrapes at Prometheus' default interval of a minute.
const LOOK_BACK: &str = "3m";

/// What every agent says of itself (Istio's pilot/cmd/pilot-agent/status/server.go); who scrapes
/// only Envoy's own port does not see it.
const AGENT: &str = "istio_agent_go_goroutines";

/// Which plugins are asked about.
#[derive(Clone, Copy, Debug)]
pub enum Plugins<'a> {
    /// One of the cluster's namespace: by name, or the only one of ours.
    One(Option<&'a str>),
    /// Every one of ours, in every namespace.
    All,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Which plugins.
    pub plugins: Plugins<'a>,
    /// The Prometheus that scrapes the proxies.
    pub prometheus: Option<&'a Prometheus>,
    /// Over how long shares are measured, in Prometheus' words, such as `1m`.
    pub window: &'a str,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace.
    pub root_namespace: &'a str,
}

/// A plugin's status; serialized, it is the JSON of `sluice status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// Where it is, as people call it: `context kind, WasmPlugin shop/sluice`.
    pub store: String,
    /// The plugin, as `WasmPlugin NAMESPACE/NAME`.
    pub plugin: String,
    /// Whether a proxy reads what the cluster says at all; otherwise each keeps the last one that it
    /// could read.
    pub is_readable: bool,
    /// The revision of what the cluster says; zeros where no proxy reads that.
    pub wanted_revision: String,
    /// The pods that the plugin selects, in words.
    pub selection: String,
    /// How many pods the plugin selects; `None` when only Istio can tell.
    pub selected: Option<usize>,
    /// How many of those run the wanted revision; `None` without Prometheus.
    pub converged: Option<usize>,
    /// What each of them runs; empty without Prometheus.
    pub proxies: Vec<ProxyStatus>,
    /// What could not be learnt.
    pub unknown: Vec<Unknown>,
    /// What is wrong with the configuration.
    #[serde(serialize_with = "text::all")]
    pub problems: Vec<Problem>,
    /// Weights and draws that belong to other field managers.
    pub others_fields: Vec<OthersField>,
    /// Why weights have no effect, or not the one that was meant.
    #[serde(serialize_with = "text::all")]
    pub warnings: Vec<Warning>,
    /// Weights and shares.
    pub weights: Vec<WeightRow>,
    #[serde(skip)]
    pub(super) live: LivePlugin,
}

impl PluginStatus {
    /// Whether nothing is known to be wrong, and every proxy runs what is wanted as far as is
    /// known.
    pub fn is_good(&self) -> bool {
        let is_converged = self
            .converged
            .is_none_or(|converged| Some(converged) == self.selected);
        self.problems.is_empty() && is_converged
    }

    /// How many proxies wait for a push of istiod's.
    pub fn waiting_for_istiod(&self) -> usize {
        let is_waiting = |proxy: &&ProxyStatus| {
            let State::Other { delivery, .. } = proxy.state else {
                return false;
            };
            delivery == Delivery::NotPushed
        };
        self.proxies.iter().filter(is_waiting).count()
    }
}

/// What one proxy does with a plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProxyStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// What it does.
    #[serde(flatten)]
    pub state: State,
}

/// Why weights have no effect, or not the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A split moves nobody.
    Unserved(Unserved),
    /// Clients drop the anonymous cookie.
    Dropped(Dropped),
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserved(unserved) => unserved.fmt(formatter),
            Self::Dropped(dropped) => dropped.fmt(formatter),
        }
    }
}

/// What a status could not learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Which proxies these targetRefs stand for.
    Proxies(String),
    /// What the proxies run, and the measured shares: no Prometheus was named.
    InForce,
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxies(targets) => write!(
                formatter,
                "which proxies {targets} stands for: only Istio resolves such targetRefs"
            ),
            Self::InForce => formatter.write_str(
                "what the proxies run and the measured shares: name a Prometheus with --prometheus URL",
            ),
        }
    }
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The status of the plugins that a query means.
///
/// # Errors
/// When there is no such plugin, or the API server or Prometheus does not answer.
pub async fn statuses(cluster: &Cluster, query: &Query<'_>) -> anyhow::Result<Vec<PluginStatus>> {
    let live = match query.plugins {
        Plugins::All => plugins::ours(cluster, &Scope::Everywhere).await?,
        Plugins::One(named) => vec![plugins::the_one(cluster, named).await?],
    };
    let mut statuses = Vec::new();
    for live in live {
        statuses.push(status(cluster, query, live).await?);
    }
    Ok(statuses)
}

async fn status(
    cluster: &Cluster,
    query: &Query<'_>,
    live: LivePlugin,
) -> anyhow::Result<PluginStatus> {
    let planned = live.plugin.plan_at_home();
    let is_readable = planned.is_ok();
    // Proxies keep what they have; all of it is other than what is wanted.
    let nothing = || Plan::build(&Document::default(), &Node::default(), None);
    let plan = planned.unwrap_or_else(|_| nothing());
    let selection = selection(&live);
    let (proxies, mut unknown) = match &selection {
        Selection::Labels(labels) => {
            let proxies = selected(cluster, &live, labels, query.root_namespace)
                .await
                .map_err(|error| cluster.explain("the pods that the plugin selects", error))?;
            (Some(proxies), Vec::new())
        }
        Selection::Other(targets) => (None, vec![Unknown::Proxies(targets.clone())]),
    };
    let mut warnings = unserved(&live, &plan, proxies.as_deref(), query.root_namespace);
    let in_force = match query.prometheus {
        Some(prometheus) => {
            let proxies = proxies.as_deref().unwrap_or_default();
            let dropped = dropped(prometheus, query.window, proxies).await?;
            warnings.extend(dropped.into_iter().map(Warning::Dropped));
            Some(in_force(prometheus, query.window, &live, &plan, proxies).await?)
        }
        None => {
            unknown.push(Unknown::InForce);
            None
        }
    };
    let (states, measured) = in_force.unzip();
    let converged = states.as_ref().filter(|_| proxies.is_some()).map(|states| {
        states
            .iter()
            .filter(|proxy| is_readable && proxy.state == State::Converged)
            .count()
    });
    Ok(PluginStatus {
        store: format!("{}, {}", cluster.title(), live.plugin.source),
        plugin: live.plugin.source.clone(),
        is_readable,
        wanted_revision: plan.revision().to_string(),
        selection: in_words(&selection, &live, query.root_namespace),
        selected: proxies.as_ref().map(Vec::len),
        converged,
        proxies: states.unwrap_or_default(),
        unknown,
        problems: if is_readable {
            plan.problems().to_vec()
        } else {
            live.plugin.problems()
        },
        others_fields: others_fields(
            &live.plugin.config,
            &authors(&live.object.metadata, live.plugin.kind),
        ),
        warnings,
        weights: rows(&plan, measured.as_ref()),
        live,
    })
}

/// The pods that a plugin selects, in words.
fn in_words(selection: &Selection, live: &LivePlugin, root_namespace: &str) -> String {
    let namespace = live.object.metadata.namespace.as_deref();
    let namespace = match namespace.unwrap_or_default() {
        root if root == root_namespace => "the cluster".to_owned(),
        namespace => format!("namespace {namespace}"),
    };
    match selection {
        Selection::Labels(labels) if labels.is_empty() => format!("in {namespace}"),
        Selection::Labels(labels) => format!("in {namespace} with the labels {labels}"),
        Selection::Other(targets) => format!("of {targets}"),
    }
}

/// The splits that should move users and move nobody.
fn unserved(
    live: &LivePlugin,
    plan: &Plan,
    proxies: Option<&[Proxy]>,
    root_namespace: &str,
) -> Vec<Warning> {
    let documents: Vec<Input> = live.resource().into_iter().collect();
    let kinds = proxies.and_then(distinct_kinds);
    let kinds = kinds.map(|kinds| (live.plugin.source.clone(), kinds));
    let surroundings = Surroundings {
        documents: &documents,
        proxies: &kinds.into_iter().collect(),
        root_namespace,
    };
    let unserved = analyze::unserved(std::slice::from_ref(&live.plugin), &surroundings);
    let matters = |unserved: &Unserved| plan.split_named(&unserved.split).is_some_and(is_split);
    let unserved = unserved.into_iter().filter(matters);
    unserved.map(Warning::Unserved).collect()
}

/// The splits whose users drop the anonymous cookie.
async fn dropped(
    prometheus: &Prometheus,
    window: &str,
    proxies: &[Proxy],
) -> anyhow::Result<Vec<Dropped>> {
    let sum =
        |increase: String| format!("sum by (namespace, pod, sluice_split) (increase({increase}))");
    let brought = "sluice_identity_total{sluice_source=\"anonymous\"}";
    let queries = [
        format!("sluice_assignments_total[{window}] offset {window}"),
        format!("{brought}[{window}] offset {window}"),
        format!("{brought}[{window}]"),
    ]
    .map(sum);
    let [issued, then, since] = &queries;
    let (issued, returned_then, returned_since) = tokio::try_join!(
        prometheus.query(issued),
        prometheus.query(then),
        prometheus.query(since),
    )?;
    let counted = Counted {
        issued: &issued,
        returned_then: &returned_then,
        returned_since: &returned_since,
    };
    Ok(cookies::dropped(&counted, window, proxies))
}

/// What proxies run, and what they decided within the window.
async fn in_force(
    prometheus: &Prometheus,
    window: &str,
    live: &LivePlugin,
    plan: &Plan,
    proxies: &[Proxy],
) -> anyhow::Result<(Vec<ProxyStatus>, Measured)> {
    let scraped = scraped(prometheus, live).await?;
    let measured = shares(prometheus, window, proxies).await?;
    let changed = live.last_change();
    let changed = changed.map(|at| at.as_second() as f64);
    let state = |proxy: &Proxy| ProxyStatus {
        namespace: proxy.namespace.clone(),
        pod: proxy.pod.clone(),
        state: scraped.state(proxy, plan.revision(), changed),
    };
    Ok((proxies.iter().map(state).collect(), measured))
}

async fn scraped(prometheus: &Prometheus, live: &LivePlugin) -> anyhow::Result<Scraped> {
    let names = plugin_names(live).map(|name| name.replace('.', "\\\\."));
    let plugin = format!("sluice_plugin=~\"{}\"", names.join("|"));
    let revisions = format!("sluice_config_revision{{{plugin}}}[{LOOK_BACK}]");
    let valid = format!("sluice_config_valid{{{plugin}}}");
    let ticks = format!("sluice_ticks_total{{{plugin}}}[{LOOK_BACK}]");
    let fetches = format!("istio_agent_wasm_remote_fetch_count[{LOOK_BACK}]");
    let up = format!("up[{LOOK_BACK}]");
    let (revisions, valid, ticks, fetches, agents, up, pushed) = tokio::try_join!(
        prometheus.query(&revisions),
        prometheus.query(&valid),
        prometheus.query(&ticks),
        prometheus.query(&fetches),
        prometheus.query(AGENT),
        prometheus.query(&up),
        prometheus.query("envoy_listener_manager_lds_update_time"),
    )?;
    Ok(Scraped {
        revisions,
        valid,
        ticks,
        fetches,
        agents,
        up,
        pushed,
    })
}

/// Requests by split, audience and variant that these proxies decided within the window.
async fn shares(
    prometheus: &Prometheus,
    window: &str,
    proxies: &[Proxy],
) -> anyhow::Result<Measured> {
    let query = format!(
        "sum by (namespace, pod, {}) (increase(sluice_decisions_total[{window}]))",
        DECISION_LABELS.join(", ")
    );
    let series = prometheus.query(&query).await?;
    let ours = series
        .iter()
        .filter(|series| proxies.iter().any(|proxy| is_of(series, proxy)));
    let count = |series: &Series| {
        let [split, audience, variant] =
            DECISION_LABELS.map(|label| series.label(label).to_owned());
        Some(((split, audience, variant), series.last()?.1.round() as u64))
    };
    Ok(Measured::counted(ours.filter_map(count)))
}

/// A variant's weight where plugins do not agree on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The split.
    pub split: String,
    /// The audience.
    pub audience: String,
    /// The variant.
    pub variant: String,
    /// What each plugin wants, in percent.
    pub wanted: Vec<(Percent, String)>,
}

/// Where the same split has other weights in another plugin.
pub fn differences(statuses: &[PluginStatus]) -> Vec<Difference> {
    let mut wanted: BTreeMap<[&str; 3], Vec<(Percent, String)>> = BTreeMap::new();
    for status in statuses {
        for row in &status.weights {
            wanted
                .entry([&row.split, &row.audience, &row.variant])
                .or_default()
                .push((row.wanted, status.plugin.clone()));
        }
    }
    wanted
        .into_iter()
        .filter(|(_, wanted)| wanted.iter().any(|(percent, _)| *percent != wanted[0].0))
        .map(|([split, audience, variant], wanted)| Difference {
            split: split.to_owned(),
            audience: audience.to_owned(),
            variant: variant.to_owned(),
            wanted,
        })
        .collect()
}
