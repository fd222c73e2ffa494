//! What a person reads of a status.

use sluice_core::allocation::Percent;

use crate::command::output::quoted;
use crate::command::weights_table::weights_table;
use crate::operations::status::cluster::{Difference, PluginStatus, ProxyStatus, differences};
use crate::operations::status::directory::DirectoryStatus;
use crate::operations::status::proxies::State;
use crate::operations::status::summary::Summary;

/// A directory: its weights, then what its Envoy runs.
pub(super) fn of_directory(status: &DirectoryStatus) -> String {
    let state = match &status.revision_in_force {
        None => format!(
            "revision wanted {}; unknown what Envoy runs: no `sluice dev` serves this directory",
            status.wanted_revision
        ),
        Some(revision) if status.is_converged() => {
            format!("revision {revision}: wanted and in force")
        }
        Some(revision) => format!(
            "revision wanted {}, in force {revision}",
            status.wanted_revision
        ),
    };
    let valid = if status.is_valid == Some(false) {
        "\nEnvoy refused the last configuration and kept an earlier one; its log says why"
    } else {
        ""
    };
    let problems: String = status
        .problems
        .iter()
        .map(|problem| format!("\nproblem: {}", quoted(problem)))
        .collect();
    let tripped: String = status
        .tripped
        .iter()
        .map(|tripped| format!("\ntripped: {}", quoted(tripped)))
        .collect();
    let braked: String = status
        .braked
        .iter()
        .map(|braked| format!("\nbraked: {}", quoted(braked)))
        .collect();
    format!(
        "{}\n{state}{valid}{tripped}{braked}{problems}",
        weights_table(&status.weights)
    )
}

/// A plugin: its weights, then whatever is not as wanted.
pub(super) fn of_plugin(status: &PluginStatus) -> String {
    let mut lines = vec![
        weights_table(&status.weights),
        format!("{}: {}", status.plugin, convergence(status)),
    ];
    lines.extend(not_converged(status).map(|proxy| {
        format!(
            "{}/{}: {}",
            proxy.namespace,
            proxy.pod,
            sentence(&proxy.state)
        )
    }));
    let tripped = status.tripped.iter();
    lines.extend(tripped.map(|tripped| format!("tripped: {}", quoted(tripped))));
    let braked = status.braked.iter();
    lines.extend(braked.map(|braked| format!("braked: {}", quoted(braked))));
    let unknown = status.unknown.iter();
    lines.extend(unknown.map(|unknown| format!("unknown: {}", quoted(unknown))));
    let others_fields = status.others_fields.iter();
    lines.extend(others_fields.map(|field| format!("note: {}", quoted(field))));
    let problems = status.problems.iter();
    lines.extend(problems.map(|problem| format!("problem: {}", quoted(problem))));
    let warnings = status.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {}", quoted(warning))));
    lines.join("\n")
}

/// Plugins one below the other, then where they differ, and all of them in a line.
pub(super) fn of_plugins(statuses: &[PluginStatus]) -> String {
    let mut all: Vec<String> = statuses.iter().map(of_plugin).collect();
    all.extend(differences(statuses).iter().map(difference));
    if statuses.len() != 1 {
        all.push(Summary::of(statuses).to_string());
    }
    all.join("\n\n")
}

/// Everything on one line: what is printed when it changes.
pub(super) fn line(status: &PluginStatus) -> String {
    let proxies =
        not_converged(status).map(|proxy| format!("{} {}", proxy.pod, sentence(&proxy.state)));
    let undecided = status
        .weights
        .iter()
        .filter(|row| row.wanted > Percent::ZERO && row.wanted < Percent::HUNDRED);
    let shares = undecided.map(|row| {
        let measured = row
            .percent
            .map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.1} %"));
        format!(
            "{}/{}/{} {} % wanted, {measured} measured",
            row.split, row.audience, row.variant, row.wanted
        )
    });
    let rest: Vec<String> = proxies
        .chain(shares)
        .chain(status.tripped.iter().map(ToString::to_string))
        .chain(
            status
                .braked
                .iter()
                .map(|braked| format!("braked: {braked}")),
        )
        .chain(status.problems.iter().map(ToString::to_string))
        .chain(status.warnings.iter().map(ToString::to_string))
        .collect();
    format!(
        "{}: {}; {}",
        status.plugin,
        convergence(status),
        rest.join("; ")
    )
    .trim_end_matches("; ")
    .to_owned()
}

fn not_converged(status: &PluginStatus) -> impl Iterator<Item = &ProxyStatus> {
    let proxies = status.proxies.iter();
    proxies.filter(|proxy| proxy.state != State::Converged)
}

/// `2 of 3 proxies at revision …`.
fn convergence(status: &PluginStatus) -> String {
    let selected = status.selected.map_or_else(
        || "an unknown number of".to_owned(),
        |selected| selected.to_string(),
    );
    if !status.is_readable {
        return format!(
            "NOT IN FORCE on {selected} proxies: none takes this configuration, each keeps the last one that it could read"
        );
    }
    let revision = &status.wanted_revision;
    match (status.converged, status.waiting_for_istiod()) {
        _ if status.selected == Some(0) => format!(
            "0 proxies: no running pod {} has Istio's proxy, so revision {revision} is in force nowhere",
            status.selection
        ),
        (Some(converged), 0) => format!("{converged} of {selected} proxies at revision {revision}"),
        (Some(converged), waiting) => format!(
            "{converged} of {selected} proxies at revision {revision}, which istiod has not pushed to {waiting} yet"
        ),
        (None, _) => format!("unknown how many of {selected} proxies are at revision {revision}"),
    }
}

fn sentence(state: &State) -> String {
    match state {
        State::Converged => "runs the wanted revision".to_owned(),
        State::Other {
            revision, delivery, ..
        } => format!("runs revision {revision}; {delivery}"),
        State::Refused => {
            "refused the configuration and kept an earlier one; its log says why".to_owned()
        }
        State::WithoutFilter { cause } => format!("without the filter: {}", quoted(cause)),
        State::Unknown { cause } => format!("unknown: {}", quoted(cause)),
    }
}

fn difference(difference: &Difference) -> String {
    let wanted = difference.wanted.iter();
    let each: Vec<String> = wanted
        .map(|(percent, plugin)| format!("{percent} in {plugin}"))
        .collect();
    format!(
        "split {} differs: {}/{} is {}",
        difference.split,
        difference.audience,
        difference.variant,
        each.join(", ")
    )
}
