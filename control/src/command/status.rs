//! `sluice status`: weights wanted, what the proxies run, measured shares; once, or watched.
//!
//! While it watches a cluster, a plugin whose proxies still show an older revision some seconds
//! after a change is pushed again ([`Pushes`] says why).

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;

use super::arguments::{self as shared, Format, OutputArgs, ScopeArgs, StoreArgs};
use super::brake::say_in_force;
use super::outcome::Outcome;
use super::stores::Place;
use super::{contexts, output, stores};
use crate::cluster::Cluster;
use crate::cluster::prometheus::Prometheus;
use crate::operations::Caller;
use crate::operations::status::cluster::{PluginStatus, Plugins, Query, statuses};
use crate::operations::status::directory;
use crate::operations::status::pushes::{Pushes, push_again};
use crate::store::AnyStore;
use crate::store::directory::Directory;

/// How often a watched status is read.
const EVERY: Duration = Duration::from_secs(1);

/// `sluice status`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Status {
    /// Keep showing it
    #[arg(short, long)]
    watch: bool,
    /// The Prometheus that scrapes the proxies; without it, what they run is unknown
    #[arg(long, env = "SLUICE_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// Over how long shares are measured, in Prometheus' words
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    window: String,
    /// Istio's root namespace: a plugin in it selects the proxies of every namespace
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// How the result is printed.
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(arguments: &Status, caller: &Caller) -> anyhow::Result<Outcome> {
    let named = &arguments.store.cluster.contexts;
    if named.len() < 2 {
        return alone(arguments, caller).await;
    }
    if arguments.watch {
        bail!(
            "--watch and {} contexts; accepted: one of them",
            named.len()
        );
    }
    let format = arguments.output.output;
    let run = |context: &str| {
        let mut one = arguments.clone();
        one.store.cluster = one.store.cluster.in_context(context);
        one.output.output = contexts::format_of_each(format);
        async move { alone(&one, caller).await }
    };
    contexts::each(named, format, run).await
}

async fn alone(arguments: &Status, caller: &Caller) -> anyhow::Result<Outcome> {
    let prometheus = shared::prometheus(arguments.prometheus.as_deref())?;
    if arguments.scope.all_namespaces {
        let cluster = stores::whole_cluster(&arguments.store).await?;
        output::note(format!("on {}", Place::Everywhere(cluster.clone())));
        return of_cluster(arguments, &cluster, prometheus.as_ref(), caller).await;
    }
    let store = stores::one(&arguments.store).await?;
    let place = Place::One(store.clone());
    output::note(format!("on {place}"));
    match store {
        AnyStore::Directory(directory) => {
            if prometheus.is_some() {
                output::note(
                    "note: --prometheus is not asked: of a directory, the Envoy of its `sluice dev` is",
                );
            }
            of_directory(arguments, &directory, &place).await
        }
        AnyStore::Kubernetes(store) => {
            of_cluster(arguments, store.cluster(), prometheus.as_ref(), caller).await
        }
    }
}

async fn of_directory(
    arguments: &Status,
    store: &Directory,
    place: &Place,
) -> anyhow::Result<Outcome> {
    loop {
        let status = directory::status(store).await?;
        if arguments.watch && output::is_terminal() {
            output::refresh();
            output::note(format!("on {place}"));
        }
        output::print(arguments.output.output, &status, text::of_directory)?;
        if !arguments.watch {
            return Ok(if status.is_good() {
                Outcome::Good
            } else {
                Outcome::Problems
            });
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn of_cluster(
    arguments: &Status,
    cluster: &Cluster,
    prometheus: Option<&Prometheus>,
    caller: &Caller,
) -> anyhow::Result<Outcome> {
    let query = Query {
        plugins: if arguments.scope.all_namespaces {
            Plugins::All
        } else {
            Plugins::One(arguments.store.cluster.plugin.as_deref())
        },
        prometheus,
        window: &arguments.window,
        root_namespace: &arguments.root_namespace,
    };
    if arguments.watch {
        watch(arguments, cluster, &query, caller).await
    } else {
        let statuses = statuses(cluster, &query).await?;
        let outcome = once(arguments, &statuses)?;
        for [namespace, plugin] in statuses.iter().filter_map(PluginStatus::with_brakes) {
            say_in_force(&cluster.in_namespace(namespace), plugin).await;
        }
        Ok(outcome)
    }
}

fn once(arguments: &Status, statuses: &[PluginStatus]) -> anyhow::Result<Outcome> {
    match statuses {
        [one] if !arguments.scope.all_namespaces => {
            output::print(arguments.output.output, one, text::of_plugin)?;
        }
        all => output::print(arguments.output.output, &all, |all| text::of_plugins(all))?,
    }
    Ok(if statuses.iter().all(PluginStatus::is_good) {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

async fn watch(
    arguments: &Status,
    cluster: &Cluster,
    query: &Query<'_>,
    caller: &Caller,
) -> anyhow::Result<Outcome> {
    let mut pushes = Pushes::default();
    let mut lines = BTreeMap::new();
    loop {
        match statuses(cluster, query).await {
            Ok(statuses) => {
                show(arguments, &statuses, &mut lines)?;
                push_overtaken(cluster, &statuses, &mut pushes, caller).await;
            }
            // Who watches wants to see the cluster come back.
            Err(error) => output::error(&error),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn push_overtaken(
    cluster: &Cluster,
    statuses: &[PluginStatus],
    pushes: &mut Pushes,
    caller: &Caller,
) {
    for status in statuses {
        let overtaken = pushes.overtaken(status, caller.now());
        if overtaken.is_empty() {
            continue;
        }
        match push_again(cluster, status, caller).await {
            Ok(()) => output::note(format!(
                "{}: {} did not follow; pushed again",
                status.plugin,
                overtaken.join(", ")
            )),
            Err(error) => output::error(&error.into()),
        }
    }
}

/// In place in a terminal; elsewhere one line whenever something changed.
fn show(
    arguments: &Status,
    statuses: &[PluginStatus],
    lines: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let is_table = arguments.output.output == Format::Table;
    if output::is_terminal() && is_table {
        output::refresh();
        output::line(text::of_plugins(statuses));
        return Ok(());
    }
    for status in statuses {
        let line = if is_table {
            text::line(status)
        } else {
            serde_json::to_string(status)?
        };
        if lines.get(&status.plugin) != Some(&line) {
            match is_table {
                true => output::line(&line),
                false => output::document(&line),
            }
            lines.insert(status.plugin.clone(), line);
        }
    }
    Ok(())
}
