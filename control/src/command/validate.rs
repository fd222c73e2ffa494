//! `sluice validate`: everything that is wrong with a configuration, and what is likely a mistake.

use serde::Serialize;
use sluice_filter::plan::Node;

use super::{Outcome, plugin};
use crate::cli::Validate;
use crate::{document, lint, output};

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

pub(super) fn run(arguments: &Validate) -> anyhow::Result<Outcome> {
    let plugin = plugin(arguments.file.as_deref(), &arguments.store)?;
    let reported = |problem: sluice_filter::problem::Problem| Reported {
        path: problem.path,
        found: problem.found,
        accepted: problem.accepted.trim_start_matches("accepted: ").to_owned(),
    };
    let problems: Vec<Reported> = plugin.problems().into_iter().map(reported).collect();
    let mut warnings = match plugin.plan(&Node::default()) {
        Ok(plan) => lint::warnings(&plan, &plugin.config),
        Err(_) => Vec::new(),
    };
    if let Some(earlier) = &arguments.against {
        let earlier = document::plugin(earlier)?.document()?;
        if let Ok(later) = plugin.document() {
            warnings.extend(lint::against(&earlier, &later));
        }
    }
    let report = Report { source: plugin.source.clone(), problems, warnings };
    output::print(arguments.output.output, &report, text)?;
    Ok(if report.problems.is_empty() { Outcome::Good } else { Outcome::Problems })
}

fn text(report: &Report) -> String {
    let source = &report.source;
    let problems = report
        .problems
        .iter()
        .map(|problem| format!("{source}: {}: {}; accepted: {}", problem.path, problem.found, problem.accepted));
    let warnings = report.warnings.iter().map(|warning| format!("{source}: warning: {warning}"));
    let end = match (report.problems.len(), report.warnings.len()) {
        (0, 0) => format!("{source}: good"),
        (0, warned) => format!("{source}: good, {warned} warnings"),
        (problems, warned) => format!("{source}: {problems} problems, {warned} warnings"),
    };
    problems.chain(warnings).chain([end]).collect::<Vec<_>>().join("\n")
}
