//! The status of plugins in a cluster: weights from the API server, proxies and shares from what
//! Prometheus has, which is asked for in `scraped`.
//!
//! Without a Prometheus the report says what is wanted, and that the rest is unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use sluice_core::allocation::Percent;
use sluice_core::config::Document;
use sluice_core::plan::{Node, Plan};
use sluice_core::problem::Problem;

use super::cookies::{self, Dropped};
use super::delivery::Delivery;
use super::measured::{WeightRow, rows};
use super::observed::{Braked, Tripped};
use super::proxies::State;
use super::scraped::{MeshSeries, Observed, Scraped};
use super::text;
use crate::analyze::anonymous::{Unserved, is_split};
use crate::analyze::{self, Surroundings};
use crate::cluster::Cluster;
use crate::cluster::authors::{OthersField, authors, others_fields};
use crate::cluster::plugins::{self, LivePlugin, Scope};
use crate::cluster::pods::{Proxy, Selection, distinct_kinds, selected, selection};
use crate::cluster::prometheus::Prometheus;
use crate::model::input::Input;

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
    /// What guards took out of proxies; empty without Prometheus.
    pub tripped: Vec<Tripped>,
    /// What is braked; empty without Prometheus.
    pub braked: Vec<Braked>,
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
        let is_as_weighted = self.tripped.is_empty() && self.braked.is_empty();
        self.problems.is_empty() && is_as_weighted && is_converged
    }

    /// The plugin's namespace and name, where its proxies ask for brakes.
    pub fn with_brakes(&self) -> Option<[&str; 2]> {
        let plugin = &self.live.plugin;
        plugin
            .config
            .get("brake")
            .filter(|brake| !brake.is_null())?;
        Some([plugin.namespace.as_deref()?, plugin.name.as_deref()?])
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
    /// How many users there were, and how many failed.
    Users(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxies(targets) => write!(
                formatter,
                "which proxies {targets} stands for: only Istio resolves such targetRefs"
            ),
            Self::Users(why) => write!(formatter, "how many users there were: {why}"),
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
    let mesh = match query.prometheus {
        Some(prometheus) if !live.is_empty() => {
            Some(Arc::new(MeshSeries::read(prometheus, query.window).await?))
        }
        _ => None,
    };
    let mut statuses = Vec::new();
    for live in live {
        statuses.push(status(cluster, query, mesh.as_ref(), live).await?);
    }
    Ok(statuses)
}

async fn status(
    cluster: &Cluster,
    query: &Query<'_>,
    mesh: Option<&Arc<MeshSeries>>,
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
    let (mut proxy_states, mut measured, mut observed) = (None, None, Observed::default());
    match query.prometheus.zip(mesh) {
        Some((prometheus, mesh)) => {
            let proxies = proxies.as_deref().unwrap_or_default();
            let dropped = cookies::dropped(&mesh.cookies(), query.window, proxies);
            warnings.extend(dropped.into_iter().map(Warning::Dropped));
            let scraped = Scraped::read(prometheus, mesh, &live, &plan).await?;
            proxy_states = Some(states(&scraped, &live, &plan, proxies));
            measured = Some(mesh.measured(proxies));
            observed = scraped.observed(&plan, proxies);
            unknown.extend(scraped.without_users.clone().map(Unknown::Users));
        }
        None => unknown.push(Unknown::InForce),
    }
    let converged = proxy_states
        .as_ref()
        .filter(|_| proxies.is_some())
        .map(|states| {
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
        proxies: proxy_states.unwrap_or_default(),
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
        weights: rows(&plan, measured.as_ref(), observed.users.as_ref()),
        tripped: observed.tripped,
        braked: observed.braked,
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

/// What proxies run.
pub(super) fn states(
    scraped: &Scraped,
    live: &LivePlugin,
    plan: &Plan,
    proxies: &[Proxy],
) -> Vec<ProxyStatus> {
    let changed = live.last_change();
    let changed = changed.map(|at| at.as_second() as f64);
    let state = |proxy: &Proxy| ProxyStatus {
        namespace: proxy.namespace.clone(),
        pod: proxy.pod.clone(),
        state: scraped.state(proxy, plan.revision(), changed),
    };
    proxies.iter().map(state).collect()
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
