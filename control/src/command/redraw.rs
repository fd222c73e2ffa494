//! `sluice redraw`: draws other users for the next canary.

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs, StoreArgs};
use super::changes::{say, terms};
use super::outcome::Outcome;
use super::stores::{self, Place};
use crate::operations::Caller;
use crate::operations::redraw::redraw;

/// `sluice redraw`.
#[derive(clap::Args, Debug)]
pub(super) struct Redraw {
    /// The split
    split: String,
    /// The new draw's letters [default: today's date]
    #[arg(long, value_name = "LETTERS")]
    draw: Option<String>,
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

pub(super) async fn run(arguments: &Redraw, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = stores::one(&arguments.store).await?;
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    let letters = arguments.draw.as_deref();
    let made = redraw(&store, caller, &arguments.split, letters, &terms);
    Ok(say(&Place::One(store.clone()).said(made).await?))
}
