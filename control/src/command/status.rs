//! `sluice status`: weights wanted, what the proxies run, measured shares.
//!
//! Here for a directory, whose Envoy is the one of a running `sluice dev`; [`cluster`] asks the API server and
//! Prometheus. What both say of weights is [`Row`]'s.

mod cluster;
mod proxies;
mod pushes;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sluice_core::plan::{Node, Plan};
use sluice_core::revision::Revision;

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::dev::{RUNNING, Running};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::local::admin::Admin;
use crate::local::metrics::{Sample, sum};
use crate::model::churn::audiences;
use crate::operations::Caller;
use crate::store::Store as _;
use crate::store::directory::Directory;

/// `sluice status`.
#[derive(clap::Args, Debug)]
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    wanted_revision: String,
    revision_in_force: Option<String>,
    is_valid: Option<bool>,
    problems: Vec<String>,
    weights: Vec<Row>,
}

#[derive(Serialize)]
pub(super) struct Row {
    split: String,
    audience: String,
    variant: String,
    wanted: f64,
    requests: Option<u64>,
    percent: Option<f64>,
}

/// The labels of `sluice_decisions_total`: split, audience, variant.
const DECISION_LABELS: [&str; 3] = ["sluice_split", "sluice_audience", "sluice_variant"];

/// Requests by split, audience and variant, as the filter counted them.
#[derive(Default)]
pub(super) struct Measured(BTreeMap<(String, String, String), u64>);

impl Measured {
    /// From the filter's metrics.
    pub(super) fn of(samples: &[Sample]) -> Self {
        let decisions = samples
            .iter()
            .filter(|sample| sample.name == "sluice_decisions_total");
        Self::counted(decisions.map(|sample| {
            let [split, audience, variant] =
                DECISION_LABELS.map(|label| sample.label(label).to_owned());
            ((split, audience, variant), sample.value as u64)
        }))
    }

    /// What was counted since `earlier`.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (key, count) in &mut self.0 {
            *count = count.saturating_sub(earlier.0.get(key).copied().unwrap_or(0));
        }
        self
    }

    /// From counts by split, audience and variant.
    pub(super) fn counted(
        counts: impl IntoIterator<Item = ((String, String, String), u64)>,
    ) -> Self {
        let mut measured = BTreeMap::new();
        for (key, count) in counts {
            *measured.entry(key).or_default() += count;
        }
        Self(measured)
    }

    fn requests(&self, split: &str, audience: &str, variant: &str) -> u64 {
        self.0
            .get(&(split.to_owned(), audience.to_owned(), variant.to_owned()))
            .copied()
            .unwrap_or(0)
    }
}

pub(super) async fn run(arguments: &Status, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = match (
        arguments.scope.all_namespaces,
        stores::place(&arguments.store).await?,
    ) {
        (false, stores::Place::Directory(directory)) => directory,
        (true, stores::Place::Directory(directory)) => {
            anyhow::bail!(
                "-A and the directory {}; accepted: one of them",
                directory.path().display()
            )
        }
        (_, stores::Place::Cluster(found)) => return cluster::run(arguments, &found, caller).await,
    };
    loop {
        let report = report(&store).await?;
        if arguments.watch && output::is_terminal() {
            output::refresh();
        }
        output::print(arguments.output.output, &report, text)?;
        if !arguments.watch {
            let is_good = report.problems.is_empty()
                && report.is_valid != Some(false)
                && report.is_converged();
            return Ok(if is_good {
                Outcome::Good
            } else {
                Outcome::Problems
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Report {
    fn is_converged(&self) -> bool {
        self.revision_in_force
            .as_ref()
            .is_none_or(|revision| *revision == self.wanted_revision)
    }
}

async fn report(store: &Directory) -> anyhow::Result<Report> {
    let plugin = store.snapshot().await?.plugin;
    let plan = plugin.plan(&Node {
        namespace: plugin.namespace.clone(),
        ..Node::default()
    })?;
    let samples = match running(store) {
        Some(running) => Admin::new(running.admin).samples().await.ok(),
        None => None,
    };
    let measured = samples.as_deref().map(Measured::of);
    let gauge = |name: &str| samples.as_deref().map(|samples| sum(samples, name, &[]));
    Ok(Report {
        wanted_revision: plan.revision().to_string(),
        revision_in_force: gauge("sluice_config_revision")
            .map(|value| Revision::from_gauge(value as u64).to_string()),
        is_valid: gauge("sluice_config_valid").map(|value| value == 1.0),
        problems: plan.problems().iter().map(ToString::to_string).collect(),
        weights: rows(&plan, measured.as_ref()),
    })
}

/// A `sluice dev` that serves this directory and still lives.
fn running(store: &Directory) -> Option<Running> {
    let text = std::fs::read_to_string(store.path().join(".sluice").join(RUNNING)).ok()?;
    let running: Running = serde_json::from_str(&text).ok()?;
    let pid = rustix::process::Pid::from_raw(running.pid)?;
    rustix::process::test_kill_process(pid)
        .is_ok()
        .then_some(running)
}

fn rows(plan: &Plan, measured: Option<&Measured>) -> Vec<Row> {
    let mut rows = Vec::new();
    for split in plan.splits() {
        let name = &split.definition.name;
        for (audience, rule) in audiences(split) {
            let requests = |variant: &str| {
                measured.map(|measured| measured.requests(name, &audience, variant))
            };
            let all: Option<u64> = split
                .definition
                .variants
                .iter()
                .map(|variant| requests(variant))
                .sum();
            for (index, variant) in split.definition.named_variants() {
                let own = requests(variant);
                let percent = own
                    .zip(all)
                    .filter(|(_, all)| *all > 0)
                    .map(|(own, all)| own as f64 * 100.0 / all as f64);
                let wanted = split.allocation(rule).share(index).as_f64();
                let row = Row {
                    split: name.to_string(),
                    audience: audience.clone(),
                    variant: variant.to_string(),
                    wanted,
                    requests: own,
                    percent,
                };
                rows.push(row);
            }
        }
    }
    rows
}

/// The table of weights wanted and shares measured.
pub(super) fn table(plan: &Plan, measured: &Measured) -> String {
    render(&rows(plan, Some(measured)))
}

fn render(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let unknown = || "unknown".to_owned();
        [
            row.split.clone(),
            row.audience.clone(),
            row.variant.clone(),
            row.wanted.to_string(),
            row.percent.map_or_else(
                || {
                    if row.requests.is_some() {
                        "-".to_owned()
                    } else {
                        unknown()
                    }
                },
                |percent| format!("{percent:.2}"),
            ),
            row.requests
                .map_or_else(unknown, |requests| requests.to_string()),
        ]
    };
    output::table(
        [
            "SPLIT", "AUDIENCE", "VARIANT", "WANTED", "MEASURED", "REQUESTS",
        ],
        rows.iter().map(cells),
    )
}

fn text(report: &Report) -> String {
    let state = match &report.revision_in_force {
        None => format!(
            "revision wanted {}; unknown what Envoy runs: no `sluice dev` serves this directory",
            report.wanted_revision
        ),
        Some(revision) if report.is_converged() => {
            format!("revision {revision}: wanted and in force")
        }
        Some(revision) => format!(
            "revision wanted {}, in force {revision}",
            report.wanted_revision
        ),
    };
    let valid = if report.is_valid == Some(false) {
        "\nEnvoy refused the last configuration and kept an earlier one; its log says why"
    } else {
        ""
    };
    let problems: String = report
        .problems
        .iter()
        .map(|problem| format!("\nproblem: {problem}"))
        .collect();
    format!("{}\n{state}{valid}{problems}", render(&report.weights))
}
