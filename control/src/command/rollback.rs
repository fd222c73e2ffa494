//! `sluice rollback`: goes back to earlier weights, as a new change.

use super::arguments::{ForceArgs, ReasonArgs, StoreArgs};
use super::outcome::Outcome;
use super::{Change, Mode, stores};
use crate::command::output;
use crate::model::change;
use crate::model::refusal::Refusal;
use crate::model::weights::WeightSet;
use crate::operations::Caller;
use crate::store::Store as _;
use crate::store::history::Entry;

/// `sluice rollback`.
#[derive(clap::Args, Debug)]
pub(super) struct Rollback {
    /// The revision of `sluice history` to go back to [default: the one before the last]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

pub(super) async fn run(arguments: &Rollback, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = stores::one(&arguments.store).await?;
    let change = Change {
        caller,
        mode: Mode::of(arguments.dry_run),
        force: arguments.force,
        command: arguments
            .to
            .map_or_else(|| "rollback".to_owned(), |to| format!("rollback --to {to}")),
        split: None,
        reason: &arguments.reason,
    };
    // What is remembered never changes, so it needs no turn.
    let earlier = earlier(&store.history().await?, arguments.to)?;
    let made = change.make(&store, |snapshot, _| {
        Ok(change::restore(&snapshot.state(), &earlier))
    });
    output::line(made.await?);
    Ok(Outcome::Good)
}

fn earlier(history: &[Entry], to: Option<u64>) -> Result<WeightSet, Refusal> {
    match to {
        Some(to) => {
            let entry = history
                .iter()
                .find(|entry| entry.revision == to)
                .ok_or(Refusal::NoRevision(to))?;
            Ok(entry.after.clone())
        }
        None => match history {
            [] => Err(Refusal::NothingEarlier),
            // A history with one entry was never cut: before it, there were no weights of ours.
            [_] => Ok(WeightSet::default()),
            [.., previous, _] => Ok(previous.after.clone()),
        },
    }
}
