//! `sluice redraw`: draws other users for the next canary.

use super::arguments::{ForceArgs, ReasonArgs, ScopeArgs, StoreArgs};
use super::outcome::Outcome;
use super::{Change, Mode};
use crate::model::change;
use crate::model::weights::WeightSet;
use crate::operations::Caller;

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
    let change = Change {
        caller,
        mode: Mode::of(arguments.dry_run),
        force: arguments.force,
        command: format!("redraw {}", arguments.split),
        split: Some(&arguments.split),
        reason: &arguments.reason,
    };
    let today = caller
        .now()
        .to_string()
        .chars()
        .take(10)
        .collect::<String>();
    let made = change.make_in(&arguments.store, ScopeArgs::default(), |snapshot, plan| {
        let effective = WeightSet::of_config(&snapshot.plugin.config);
        let current = effective.draw(&arguments.split);
        let letters = arguments
            .draw
            .clone()
            .unwrap_or_else(|| change::letters(&today, current));
        Ok(change::redraw(
            &snapshot.state(),
            plan,
            &arguments.split,
            &letters,
        )?)
    });
    made.await
}
