//! `sluice redraw`: draws other users for the next canary.

use super::{Mode, Outcome, Told, make_change};
use crate::change;
use crate::cli::Redraw;
use crate::weights::Owned;

pub(super) fn run(arguments: &Redraw) -> anyhow::Result<Outcome> {
    let told = Told {
        command: format!("redraw {}", arguments.split),
        split: Some(&arguments.split),
        reason: arguments.reason.reason.as_deref(),
    };
    let today = jiff::Timestamp::now().to_string().chars().take(10).collect::<String>();
    make_change(&arguments.store, Mode::of(arguments.dry_run), &told, |snapshot, plan| {
        let effective = Owned::of_config(&snapshot.plugin.config);
        let current = effective.draws.get(&arguments.split).map(String::as_str);
        let letters = arguments.draw.clone().unwrap_or_else(|| change::letters(&today, current));
        Ok(change::redraw(&snapshot.state(), plan, &arguments.split, &letters)?)
    })
}
