//! `sluice set`: changes a split's weights.

use super::{Mode, Outcome, Told, make_change};
use crate::change;
use crate::cli::Set;

pub(super) fn run(arguments: &Set) -> anyhow::Result<Outcome> {
    let change = &arguments.change;
    let shares: Vec<String> =
        change.shares.iter().map(|share| format!("{}={}", share.challenger, share.percent)).collect();
    let audience =
        if change.audience == "everyone" { String::new() } else { format!(" --audience {}", change.audience) };
    let command = format!("set {} {}{audience}", change.split, shares.join(" "));
    let told = Told { command, split: Some(&change.split), reason: arguments.reason.reason.as_deref() };
    make_change(&arguments.store, Mode::of(arguments.dry_run), &told, |snapshot, plan| {
        Ok(change::set(&snapshot.state(), plan, &change.split, &change.audience, &change.shares)?)
    })
}
