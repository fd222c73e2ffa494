//! `sluice redraw`: draws other users for the next canary.

use super::arguments::{ForceArgs, ReasonArgs, StoreArgs};
use super::changes::{report, say_notes, terms};
use super::outcome::Outcome;
use super::{output, stores};
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

pub(super) async fn run(arguments: &Redraw, caller: &Caller) -> anyhow::Result<Outcome> {
    let store = stores::one(&arguments.store).await?;
    let terms = terms(arguments.dry_run, arguments.force, &arguments.reason);
    let letters = arguments.draw.as_deref();
    let made = redraw(&store, caller, &arguments.split, letters, &terms).await?;
    say_notes(&made.notes);
    output::line(report(&made));
    Ok(Outcome::Good)
}
