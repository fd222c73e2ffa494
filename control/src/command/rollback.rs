//! `sluice rollback`: goes back to earlier weights, as a new change.

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs, StoreArgs};
use super::changes::{say, say_parked, terms};
use super::outcome::Outcome;
use super::stores::{self, Place};
use crate::operations::Caller;
use crate::operations::rollback::rollback;
use crate::rollout::parked::parked;

/// `sluice rollback`.
#[derive(clap::Args, Debug)]
pub(super) struct Rollback {
    /// The revision of `sluice history` to go back to [default: the one before the last]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Whether it is only described.
    #[command(flatten)]
    dry_run: DryRunArgs,
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
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    let place = Place::One(store.clone());
    let made = place.said(rollback(&store, caller, arguments.to, &terms));
    let (made, parked) = tokio::join!(made, parked(&store));
    let made = made?;
    let outcome = say(&made);
    say_parked(&parked, &made.changes);
    Ok(outcome)
}
