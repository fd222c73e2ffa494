//! `sluice validate`: what is wrong with configurations and the routes around them, a line each.

use std::path::{Path, PathBuf};

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::{output, stores};
use crate::analyze::ROOT_NAMESPACE;
use crate::files;
use crate::model::input::Input;
use crate::model::plugin;
use crate::operations::validate::{PluginReport, ReportedProblem, RolloutReport, Subject};
use crate::operations::validate::{ValidationReport, validate};
use crate::rollout::manifest;
use crate::store::AnyStore;

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
    #[arg(long, default_value = ROOT_NAMESPACE, value_name = "NAMESPACE")]
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

pub(super) async fn run(arguments: &Validate) -> anyhow::Result<Outcome> {
    let subject = match &arguments.file {
        Some(file) => read(file)?,
        None => stored(arguments).await?,
    };
    let replaced = match &arguments.against {
        Some(earlier) => read(earlier)?.plugins,
        None => Vec::new(),
    };
    let mut report = validate(&subject, &replaced, &arguments.root_namespace)?;
    report.rollouts = rollouts(&subject.documents);
    report.is_good &= report
        .rollouts
        .iter()
        .all(|rollout| rollout.problems.is_empty());
    output::print(arguments.output.output, &report, text)?;
    Ok(if report.is_good {
        Outcome::Good
    } else {
        Outcome::Problems
    })
}

/// Every plugin of a file, directory or stream, and everything beside them.
fn read(file: &Path) -> anyhow::Result<Subject> {
    let documents = files::documents(file)?;
    // What is no plugin is not copied: it may be large.
    let configured = documents.iter().filter(|input| plugin::may_be_one(input));
    let plugins = plugin::plugins(configured.cloned().collect())?;
    if plugins.is_empty() && !documents.iter().any(manifest::is_one) {
        // Says what is accepted.
        files::plugin(file)?;
    }
    Ok(Subject {
        plugins,
        documents,
        ..Subject::default()
    })
}

/// What is wrong with each Rollout.
fn rollouts(documents: &[Input]) -> Vec<RolloutReport> {
    let rollouts = documents.iter().filter(|input| manifest::is_one(input));
    let report = |input: &Input| RolloutReport {
        source: input.source.clone(),
        name: input.name().unwrap_or("without a name").to_owned(),
        problems: match manifest::manifest(input) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(Into::into).collect(),
        },
    };
    rollouts.map(report).collect()
}

/// The store's plugin, or with -A every one of the cluster, and the routes beside them.
async fn stored(arguments: &Validate) -> anyhow::Result<Subject> {
    let (place, stores) = stores::some(&arguments.store, arguments.scope).await?;
    let stores: Vec<AnyStore> = stores.into_iter().map(|titled| titled.store).collect();
    let subject = Subject::of_stores(&stores, &arguments.root_namespace);
    place.said(subject).await
}

fn text(report: &ValidationReport) -> String {
    let mut lines: Vec<String> = report.plugins.iter().flat_map(lines_of).collect();
    lines.extend(report.rollouts.iter().flat_map(lines_of_rollout));
    lines.extend(report.problems.iter().cloned());
    let warnings = report.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    if !report.problems.is_empty() || !report.warnings.is_empty() {
        lines.push(format!(
            "together: {} problems, {} warnings",
            report.problems.len(),
            report.warnings.len()
        ));
    }
    let lines: Vec<String> = lines.iter().map(output::quoted).collect();
    lines.join("\n")
}

fn lines_of_rollout(report: &RolloutReport) -> Vec<String> {
    let title = format!("{}: Rollout {}", report.source, report.name);
    let problems = report.problems.iter();
    let problems = problems.map(|problem| line(&title, problem));
    let verdict = match report.problems.len() {
        0 => "good".to_owned(),
        problems => format!("{problems} problems"),
    };
    problems.chain([format!("{title}: {verdict}")]).collect()
}

fn line(title: &str, problem: &ReportedProblem) -> String {
    let ReportedProblem {
        path,
        found,
        accepted,
    } = problem;
    format!("{title}: {path}: {found}; accepted: {accepted}")
}

fn lines_of(report: &PluginReport) -> Vec<String> {
    let source = &report.source;
    let problems = report.problems.iter();
    let problems = problems.map(|problem| line(source, problem));
    let warnings = report
        .warnings
        .iter()
        .map(|warning| format!("{source}: warning: {warning}"));
    let verdict = match (report.problems.len(), report.warnings.len()) {
        _ if !report.is_readable => {
            "unreadable as a whole: no proxy takes it, each keeps the last one that it could read"
                .to_owned()
        }
        (0, 0) => "good".to_owned(),
        (0, warned) => format!("good, {warned} warnings"),
        (problems, warned) => format!("{problems} problems, {warned} warnings"),
    };
    problems
        .chain(warnings)
        .chain([format!("{source}: {verdict}")])
        .collect()
}
