//! `sluice set`: changes a split's weights.

use super::{Change, Mode, Outcome};
use crate::cli::Set;
use crate::model::change;

pub(super) fn run(arguments: &Set) -> anyhow::Result<Outcome> {
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
        mode: Mode::of(arguments.dry_run),
        force: arguments.force,
        command: format!("set {} {}{audience}", typed.split, shares.join(" ")),
        split: Some(&typed.split),
        reason: &arguments.reason,
    };
    change.make_in(&arguments.store, arguments.scope, |snapshot, plan| {
        Ok(change::set(
            &snapshot.state(),
            plan,
            &typed.split,
            &typed.audience,
            &typed.shares,
        )?)
    })
}
