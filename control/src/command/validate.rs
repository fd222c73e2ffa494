//! `sluice validate`: everything that is wrong with configurations and with the routes around them, and what is likely a
//! mistake.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sluice_core::plan::Node;

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use super::stores::Place;
use crate::analyze::{self, lint};
use crate::cluster::plugins::routes;
use crate::command::output;
use crate::model::input::{self, Input};
use crate::model::plugin::{self, Plugin};
use crate::store::Store as _;
use crate::store::kubernetes::Kubernetes;

/// `sluice validate`.
#[derive(clap::Args, Debug)]
pub(super) struct Validate {
    /// The configuration: a file, a directory, or - for standard input [default: the store]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration it replaces: warns about what would move users between variants
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Istio's root namespace: a plugin in it runs in every namespace
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    is_good: bool,
    plugins: Vec<Report>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    source: String,
    problems: Vec<Reported>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Reported {
    path: String,
    found: String,
    accepted: String,
}

pub(super) async fn run(arguments: &Validate) -> anyhow::Result<Outcome> {
    let (plugins, documents) = match &arguments.file {
        Some(file) => read(file)?,
        None => stored(arguments).await?,
    };
    let mut reports: Vec<Report> = plugins.iter().map(report).collect();
    if let Some(earlier) = &arguments.against {
        against(earlier, &plugins, &mut reports)?;
    }
    let findings = analyze::check(&plugins, &documents, &arguments.root_namespace);
    let is_good =
        findings.problems.is_empty() && reports.iter().all(|report| report.problems.is_empty());
    let analyze::Findings { problems, warnings } = findings;
    output::print(
        arguments.output.output,
        &Whole {
            is_good,
            plugins: reports,
            problems,
            warnings,
        },
        text,
    )?;
    Ok(if is_good {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// Every plugin of a file, directory or stream, and everything beside them.
fn read(file: &Path) -> anyhow::Result<(Vec<Plugin>, Vec<Input>)> {
    let documents = input::documents(file)?;
    let plugins = plugin::plugins(documents.clone())?;
    if plugins.is_empty() {
        // Says what is accepted.
        plugin::plugin(file)?;
    }
    Ok((plugins, documents))
}

/// The store's plugin, or with -A every one of the cluster, and the routes beside them.
async fn stored(arguments: &Validate) -> anyhow::Result<(Vec<Plugin>, Vec<Input>)> {
    if arguments.scope.all_namespaces {
        let found = stores::everywhere(&arguments.store.cluster).await?;
        let stores: Vec<Kubernetes> = found.into_iter().map(|(_, store)| store).collect();
        return in_cluster(&stores).await;
    }
    match stores::place(&arguments.store).await? {
        Place::Cluster(cluster) => {
            let plugin = arguments.store.cluster.plugin.clone();
            in_cluster(&[Kubernetes::new(cluster, plugin)]).await
        }
        Place::Directory(directory) => {
            // weights.yaml is ours: weights there are no warning.
            let mut documents = input::documents(directory.path())?;
            documents.retain(|input| !input.source.ends_with("weights.yaml"));
            Ok((vec![directory.snapshot().await?.plugin], documents))
        }
    }
}

async fn in_cluster(stores: &[Kubernetes]) -> anyhow::Result<(Vec<Plugin>, Vec<Input>)> {
    let (mut plugins, mut documents) = (Vec::new(), Vec::new());
    for store in stores {
        let found = store.read().await?;
        documents.push(found.resource()?);
        documents.extend(routes(store.cluster(), &found).await);
        plugins.push(found.plugin);
    }
    Ok((plugins, documents))
}

fn report(plugin: &Plugin) -> Report {
    let reported = |problem: sluice_core::problem::Problem| Reported {
        path: problem.path,
        found: problem.found,
        accepted: problem.accepted.trim_start_matches("accepted: ").to_owned(),
    };
    let warnings = match plugin.plan(&Node::default()) {
        Ok(plan) => lint::warnings(&plan, &plugin.config),
        Err(_) => Vec::new(),
    };
    Report {
        source: plugin.source.clone(),
        problems: plugin.problems().into_iter().map(reported).collect(),
        warnings,
    }
}

/// What moves users, against the plugin of the same name, or the only one.
fn against(earlier: &Path, plugins: &[Plugin], reports: &mut [Report]) -> anyhow::Result<()> {
    let formers = plugin::plugins(input::documents(earlier)?)?;
    for (plugin, report) in plugins.iter().zip(reports) {
        let same =
            |former: &&Plugin| former.name == plugin.name && former.namespace == plugin.namespace;
        let former = match formers.as_slice() {
            [only] if plugins.len() == 1 => only,
            all => match all.iter().find(same) {
                Some(former) => former,
                None => continue,
            },
        };
        if let Ok(later) = plugin.document() {
            report
                .warnings
                .extend(lint::against(&former.document()?, &later));
        }
    }
    if formers.is_empty() {
        plugin::plugin(earlier)?;
    }
    Ok(())
}

fn text(whole: &Whole) -> String {
    let mut lines = Vec::new();
    for report in &whole.plugins {
        let source = &report.source;
        lines.extend(report.problems.iter().map(|problem| {
            format!(
                "{source}: {}: {}; accepted: {}",
                problem.path, problem.found, problem.accepted
            )
        }));
        lines.extend(
            report
                .warnings
                .iter()
                .map(|warning| format!("{source}: warning: {warning}")),
        );
        let verdict = match (report.problems.len(), report.warnings.len()) {
            (0, 0) => "good".to_owned(),
            (0, warned) => format!("good, {warned} warnings"),
            (problems, warned) => format!("{problems} problems, {warned} warnings"),
        };
        lines.push(format!("{source}: {verdict}"));
    }
    lines.extend(whole.problems.iter().cloned());
    lines.extend(
        whole
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    if !whole.problems.is_empty() || !whole.warnings.is_empty() {
        let (problems, warnings) = (whole.problems.len(), whole.warnings.len());
        lines.push(format!(
            "together: {problems} problems, {warnings} warnings"
        ));
    }
    lines.join("\n")
}
