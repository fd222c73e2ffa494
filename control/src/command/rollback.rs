//! `sluice rollback`: goes back to earlier weights, as a new change.

use super::{Mode, Outcome, Told, make_change};
use crate::change::{self, Refusal};
use crate::cli::Rollback;
use crate::store::Snapshot;
use crate::weights::Owned;

pub(super) fn run(arguments: &Rollback) -> anyhow::Result<Outcome> {
    let command = arguments.to.map_or_else(|| "rollback".to_owned(), |to| format!("rollback --to {to}"));
    let told = Told { command, split: None, reason: arguments.reason.reason.as_deref() };
    make_change(&arguments.store, Mode::of(arguments.dry_run), &told, |snapshot, _| {
        Ok(change::restore(&snapshot.state(), &earlier(snapshot, arguments.to)?))
    })
}

fn earlier(snapshot: &Snapshot, to: Option<u64>) -> Result<Owned, Refusal> {
    let history = &snapshot.history;
    match to {
        Some(to) => {
            let entry = history.iter().find(|entry| entry.revision == to).ok_or(Refusal::NoRevision(to))?;
            Ok(entry.after.clone())
        }
        None => match history.as_slice() {
            [] => Err(Refusal::NothingEarlier),
            // The state before the first change that is remembered was no weights of ours at all.
            [first] if first.revision == 1 => Ok(Owned::default()),
            [.., previous, _] => Ok(previous.after.clone()),
            [_] => Err(Refusal::NothingEarlier),
        },
    }
}
