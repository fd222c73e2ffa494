//! `sluice history`: who changed what, when and why.

use serde::Serialize;

use super::arguments::{OutputArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::stores;
use crate::command::output;
use crate::store::Store as _;
use crate::store::history::Entry;

/// `sluice history`.
#[derive(clap::Args, Debug)]
pub(super) struct History {
    /// Only this split
    split: Option<String>,
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
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    #[serde(flatten)]
    entry: Entry,
}

pub(super) async fn run(arguments: &History) -> anyhow::Result<Outcome> {
    let mut rows = Vec::new();
    for (plugin, store) in stores::some(&arguments.store, arguments.scope).await? {
        rows.extend(store.history().await?.into_iter().map(|entry| Row {
            plugin: plugin.clone(),
            entry,
        }));
    }
    if let Some(split) = &arguments.split {
        rows.retain(|row| {
            row.entry
                .changes
                .iter()
                .any(|change| change.key.split == *split)
        });
    }
    output::print(arguments.output.output, &rows, |rows| text(rows))?;
    Ok(Outcome::Good)
}

fn text(rows: &[Row]) -> String {
    if rows.iter().all(|row| row.plugin.is_none()) {
        let header = ["REVISION", "AT", "BY", "COMMAND", "CHANGES", "REASON"];
        return output::table(header, rows.iter().map(|row| cells(&row.entry)));
    }
    let with_plugin = |row: &Row| {
        let [revision, at, by, command, changes, reason] = cells(&row.entry);
        [
            row.plugin.clone().unwrap_or_default(),
            revision,
            at,
            by,
            command,
            changes,
            reason,
        ]
    };
    let header = [
        "PLUGIN", "REVISION", "AT", "BY", "COMMAND", "CHANGES", "REASON",
    ];
    output::table(header, rows.iter().map(with_plugin))
}

fn cells(entry: &Entry) -> [String; 6] {
    let changes = entry.changes.iter().map(|change| {
        format!(
            "{}/{}/{} {}->{}",
            change.key.split, change.key.audience, change.key.challenger, change.from, change.to
        )
    });
    [
        entry.revision.to_string(),
        entry.at.clone(),
        entry.by.clone(),
        entry.command.clone(),
        changes.collect::<Vec<_>>().join(", "),
        entry.reason.clone().unwrap_or_default(),
    ]
}
