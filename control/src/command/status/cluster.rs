//! `sluice status` of plugins in a cluster: weights from the API server, proxies and shares from Prometheus.
//!
//! While it watches, a proxy that still shows an older revision some seconds after the change gets the plugin pushed
//! again: agents may forward updates out of order (istio/istio#53865).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sluice_core::plan::Node;

use super::Status;
use super::proxies::{Scraped, State, is_of};
use super::pushes::Pushes;
use super::{DECISION_LABELS, Measured, Row, render, rows};
use crate::cluster::Cluster;
use crate::cluster::plugins::{self, Found, Scope};
use crate::cluster::pods::{Proxy, Selection, plugin_names, selected, selection};
use crate::cluster::prometheus::Prometheus;
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::operations::Caller;

/// How often a watched status is read.
const EVERY: Duration = Duration::from_secs(1);

/// How far back raw samples are read: two scrapes at Prometheus' default interval of a minute.
const LOOK_BACK: &str = "3m";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) plugin: String,
    pub(super) wanted_revision: String,
    /// Pods that the plugin selects; null when only Istio can tell.
    selected: Option<usize>,
    /// Those at the wanted revision; null without Prometheus.
    converged: Option<usize>,
    pub(super) proxies: Vec<ProxyReport>,
    unknown: Vec<String>,
    problems: Vec<String>,
    weights: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProxyReport {
    namespace: String,
    pub(super) pod: String,
    #[serde(flatten)]
    pub(super) state: State,
}

pub(super) async fn run(
    arguments: &Status,
    cluster: &Cluster,
    caller: &Caller,
) -> anyhow::Result<Outcome> {
    let prometheus = arguments
        .prometheus
        .as_deref()
        .map(Prometheus::new)
        .transpose()?;
    let mut pushes = Pushes::default();
    let mut lines = BTreeMap::new();
    loop {
        let reports = match reports(arguments, cluster, prometheus.as_ref()).await {
            Ok(reports) => reports,
            // Who watches wants to see the cluster come back.
            Err(error) if arguments.watch => {
                output::error(&error);
                tokio::time::sleep(EVERY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if !arguments.watch {
            let plain: Vec<&Report> = reports.iter().map(|(_, report)| report).collect();
            match plain.as_slice() {
                [one] if !arguments.scope.all_namespaces => {
                    output::print(arguments.output.output, one, |one| text(one))?
                }
                all => output::print(arguments.output.output, &all, |all| texts(all))?,
            }
            let is_good = plain.iter().all(|report| report.is_good());
            return Ok(if is_good {
                Outcome::Good
            } else {
                Outcome::Problems
            });
        }
        show(arguments, &reports, &mut lines)?;
        pushes.consider(cluster, &reports, caller.now()).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// In place in a terminal; elsewhere one line whenever something changed.
fn show(
    arguments: &Status,
    reports: &[(Found, Report)],
    lines: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let plain: Vec<&Report> = reports.iter().map(|(_, report)| report).collect();
    if output::is_terminal() && arguments.output.output == crate::command::arguments::Format::Table
    {
        output::refresh();
        output::line(texts(&plain));
        return Ok(());
    }
    for report in plain {
        let line = match arguments.output.output {
            crate::command::arguments::Format::Table => report.line(),
            _ => serde_json::to_string(report)?,
        };
        if lines.get(&report.plugin) != Some(&line) {
            output::line(&line);
            lines.insert(report.plugin.clone(), line);
        }
    }
    Ok(())
}

impl Report {
    fn is_good(&self) -> bool {
        let is_converged = self
            .converged
            .is_none_or(|converged| Some(converged) == self.selected);
        self.problems.is_empty() && is_converged
    }

    fn proxies_sentence(&self) -> String {
        let selected = self.selected.map_or_else(
            || "an unknown number of".to_owned(),
            |selected| selected.to_string(),
        );
        match self.converged {
            Some(converged) => format!(
                "{converged} of {selected} proxies at revision {}",
                self.wanted_revision
            ),
            None => format!(
                "unknown how many of {selected} proxies are at revision {}",
                self.wanted_revision
            ),
        }
    }

    fn line(&self) -> String {
        let shares = self
            .weights
            .iter()
            .filter(|row| row.wanted > 0.0 && row.wanted < 100.0)
            .map(|row| {
                let measured = row
                    .percent
                    .map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.1} %"));
                format!(
                    "{}/{}/{} {} % wanted, {measured} measured",
                    row.split, row.audience, row.variant, row.wanted
                )
            });
        let proxies = self
            .proxies
            .iter()
            .filter(|proxy| proxy.state != State::Converged);
        let proxies = proxies.map(|proxy| format!("{} {}", proxy.pod, proxy.state.sentence()));
        let rest: Vec<String> = proxies
            .chain(shares)
            .chain(self.problems.iter().cloned())
            .collect();
        format!(
            "{}: {}; {}",
            self.plugin,
            self.proxies_sentence(),
            rest.join("; ")
        )
        .trim_end_matches("; ")
        .to_owned()
    }
}

async fn reports(
    arguments: &Status,
    cluster: &Cluster,
    prometheus: Option<&Prometheus>,
) -> anyhow::Result<Vec<(Found, Report)>> {
    let found = if arguments.scope.all_namespaces {
        plugins::ours(cluster, &Scope::Everywhere).await?
    } else {
        vec![plugins::the_one(cluster, arguments.store.cluster.plugin.as_deref()).await?]
    };
    let mut reports = Vec::new();
    for found in found {
        let report = report(arguments, cluster, prometheus, &found).await?;
        reports.push((found, report));
    }
    Ok(reports)
}

async fn report(
    arguments: &Status,
    cluster: &Cluster,
    prometheus: Option<&Prometheus>,
    found: &Found,
) -> anyhow::Result<Report> {
    let plan = found.plugin.plan(&Node {
        namespace: found.plugin.namespace.clone(),
        ..Node::default()
    })?;
    let mut unknown = Vec::new();
    let proxies = match selection(found) {
        Selection::Labels(labels) => Some(
            selected(cluster, found, &labels, &arguments.root_namespace)
                .await
                .map_err(|error| cluster.explain("the pods that the plugin selects", error))?,
        ),
        Selection::Other(what) => {
            unknown.push(format!(
                "which proxies {what} stands for: only Istio resolves such targetRefs"
            ));
            None
        }
    };
    let mut report = Report {
        plugin: found.plugin.source.clone(),
        wanted_revision: plan.revision().to_string(),
        selected: proxies.as_ref().map(Vec::len),
        converged: None,
        proxies: Vec::new(),
        unknown,
        problems: plan.problems().iter().map(ToString::to_string).collect(),
        weights: Vec::new(),
    };
    let mut measured = None;
    match prometheus {
        None => report.unknown.push(
            "what the proxies run and the measured shares: name a Prometheus with --prometheus URL"
                .to_owned(),
        ),
        Some(prometheus) => {
            let proxies = proxies.unwrap_or_default();
            let scraped = scraped(prometheus, found).await?;
            measured = Some(shares(prometheus, &arguments.window, &proxies).await?);
            let state = |proxy: &Proxy| ProxyReport {
                namespace: proxy.namespace.clone(),
                pod: proxy.pod.clone(),
                state: scraped.state(proxy, plan.revision()),
            };
            report.proxies = proxies.iter().map(state).collect();
            let converged = report
                .proxies
                .iter()
                .filter(|proxy| proxy.state == State::Converged)
                .count();
            report.converged = report.selected.map(|_| converged);
        }
    }
    report.weights = rows(&plan, measured.as_ref());
    Ok(report)
}

async fn scraped(prometheus: &Prometheus, found: &Found) -> anyhow::Result<Scraped> {
    let plugin = format!(
        "sluice_plugin=~\"{}\"",
        plugin_names(found)
            .map(|name| name.replace('.', "\\\\."))
            .join("|")
    );
    let queries = [
        format!("sluice_config_revision{{{plugin}}}[{LOOK_BACK}]"),
        format!("sluice_config_valid{{{plugin}}}"),
        format!("sluice_ticks_total{{{plugin}}}[{LOOK_BACK}]"),
        format!("istio_agent_wasm_remote_fetch_count[{LOOK_BACK}]"),
        format!("up[{LOOK_BACK}]"),
    ];
    let answers =
        futures::future::try_join_all(queries.iter().map(|query| prometheus.query(query))).await?;
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    Ok(Scraped {
        revisions: next(),
        valid: next(),
        ticks: next(),
        fetches: next(),
        up: next(),
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
    let count = |series: &crate::cluster::prometheus::Series| {
        let [split, audience, variant] =
            DECISION_LABELS.map(|label| series.label(label).to_owned());
        Some(((split, audience, variant), series.last()?.1.round() as u64))
    };
    Ok(Measured::counted(ours.filter_map(count)))
}

fn text(report: &Report) -> String {
    let mut lines = vec![
        render(&report.weights),
        format!("{}: {}", report.plugin, report.proxies_sentence()),
    ];
    let others = report
        .proxies
        .iter()
        .filter(|proxy| proxy.state != State::Converged);
    lines.extend(others.map(|proxy| {
        format!(
            "{}/{}: {}",
            proxy.namespace,
            proxy.pod,
            proxy.state.sentence()
        )
    }));
    lines.extend(
        report
            .unknown
            .iter()
            .map(|unknown| format!("unknown: {unknown}")),
    );
    lines.extend(
        report
            .problems
            .iter()
            .map(|problem| format!("problem: {problem}")),
    );
    lines.join("\n")
}

fn texts(reports: &[&Report]) -> String {
    let mut all: Vec<String> = reports.iter().map(|report| text(report)).collect();
    all.extend(differences(reports));
    all.join("\n\n")
}

/// Where the same split has other weights in another plugin.
fn differences(reports: &[&Report]) -> Vec<String> {
    let mut wanted: BTreeMap<(&str, &str, &str), Vec<(f64, &str)>> = BTreeMap::new();
    for report in reports {
        for row in &report.weights {
            let key = (
                row.split.as_str(),
                row.audience.as_str(),
                row.variant.as_str(),
            );
            wanted
                .entry(key)
                .or_default()
                .push((row.wanted, &report.plugin));
        }
    }
    wanted
        .into_iter()
        .filter(|(_, found)| {
            found
                .iter()
                .any(|(percent, _)| Some(percent) != found.first().map(|(first, _)| first))
        })
        .map(|((split, audience, variant), found)| {
            let each: Vec<String> = found
                .iter()
                .map(|(percent, plugin)| format!("{percent} in {plugin}"))
                .collect();
            format!(
                "split {split} differs: {audience}/{variant} is {}",
                each.join(", ")
            )
        })
        .collect()
}
