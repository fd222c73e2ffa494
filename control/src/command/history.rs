//! `sluice history`: who changed what, when and why.

use super::arguments::{Format, OutputArgs, ScopeArgs, StoreArgs};
use super::changes::say_notes;
use super::outcome::Outcome;
use super::{output, stores};
use crate::operations::history::{PluginEntry, history};
use crate::store::history::Entry;

/// How many changes a table has unless another number is given. Chosen: what a person scrolls
/// through.
const MAX_SHOWN_CHANGES: usize = 500;

/// `sluice history`.
#[derive(clap::Args, Debug)]
pub(super) struct History {
    /// Only this split
    split: Option<String>,
    /// At most so many changes, the newest; 0: all [default: 500 in a table, else all]
    #[arg(long)]
    limit: Option<usize>,
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

pub(super) async fn run(arguments: &History) -> anyhow::Result<Outcome> {
    let (place, stores) = stores::some(&arguments.store, arguments.scope).await?;
    let found = place.said(history(stores, arguments.split.as_deref()));
    let mut found = found.await?;
    say_notes(&found.notes);
    let limit = match (arguments.limit, arguments.output.output) {
        (None, Format::Table) => MAX_SHOWN_CHANGES,
        (None | Some(0), _) => usize::MAX,
        (Some(limit), _) => limit,
    };
    let left_out = found.leave_newest(limit);
    if left_out > 0 {
        output::note(format!(
            "note: {left_out} older changes are left out; --limit 0 shows all"
        ));
    }
    output::print(arguments.output.output, &found.rows, |rows| text(rows))?;
    Ok(Outcome::Good)
}

fn text(rows: &[PluginEntry]) -> String {
    if rows.iter().all(|row| row.plugin.is_none()) {
        let header = ["REVISION", "AT", "BY", "COMMAND", "CHANGES", "REASON"];
        return output::table(header, rows.iter().map(|row| cells(&row.entry)));
    }
    let with_plugin = |row: &PluginEntry| {
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
