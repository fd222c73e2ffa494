//! `sluice history`: who changed what, when and why.

use super::{Outcome, store};
use crate::cli::History;
use crate::output;
use crate::store::Store as _;
use crate::store::history::Entry;

pub(super) fn run(arguments: &History) -> anyhow::Result<Outcome> {
    let mut history = store(&arguments.store)?.snapshot()?.history;
    if let Some(split) = &arguments.split {
        history.retain(|entry| entry.changes.iter().any(|change| change.split == *split));
    }
    output::print(arguments.output.output, &history, |history| {
        output::table(["REVISION", "AT", "BY", "COMMAND", "CHANGES", "REASON"], history.iter().map(row))
    })?;
    Ok(Outcome::Good)
}

fn row(entry: &Entry) -> [String; 6] {
    let changes = entry.changes.iter().map(|change| {
        format!("{}/{}/{} {}->{}", change.split, change.audience, change.challenger, change.from, change.to)
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
