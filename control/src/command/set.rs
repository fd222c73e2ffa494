//! `sluice set`: changes a split's weights.

use super::arguments::{ForceArgs, ReasonArgs, ScopeArgs, ShareArgs, StoreArgs};
use super::outcome::Outcome;
use super::{Change, Mode};
use crate::model::change;
use crate::operations::Caller;

/// `sluice set`.
#[derive(clap::Args, Debug)]
pub(super) struct Set {
    /// What to change.
    #[command(flatten)]
    change: ShareArgs,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Which store holds the configuration.
    #[command(flatten)]
    store: StoreArgs,
    /// Whether fields that somebody else set are taken over.
    #[command(flatten)]
    force: ForceArgs,
    /// Whether every plugin of the cluster is meant.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why the change is made.
    #[command(flatten)]
    reason: ReasonArgs,
}

pub(super) async fn run(arguments: &Set, caller: &Caller) -> anyhow::Result<Outcome> {
    let typed = &arguments.change;
    let shares: Vec<String> = typed
        .shares
        .iter()
        .map(|share| format!("{}={}", share.challenger, share.percent))
        .collect();
    let audience = if typed.audience == "everyone" {
        String::new()
    } else {
        format!(" --audience {}", typed.audience)
    };
    let change = Change {
        caller,
        mode: Mode::of(arguments.dry_run),
        force: arguments.force,
        command: format!("set {} {}{audience}", typed.split, shares.join(" ")),
        split: Some(&typed.split),
        reason: &arguments.reason,
    };
    let made = change.make_in(&arguments.store, arguments.scope, |snapshot, plan| {
        Ok(change::set(
            &snapshot.state(),
            plan,
            &typed.split,
            &typed.audience,
            &typed.shares,
        )?)
    });
    made.await
}
