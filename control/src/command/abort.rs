//! `sluice abort`: explicit zeros for every audience and challenger, now, whatever else runs and whatever else is wrong.

use super::{Outcome, store};
use crate::change;
use crate::cli::Abort;
use crate::output;
use crate::store::{Store as _, Urgency, Write};
use sluice_filter::plan::Node;

pub(super) fn run(arguments: &Abort) -> anyhow::Result<Outcome> {
    let split = arguments.split.as_deref();
    let command = split.map_or_else(|| "abort --all".to_owned(), |split| format!("abort {split}"));
    let (before, written) = store(&arguments.store)?.update(Urgency::Now, &mut |snapshot| {
        let plan = snapshot.plugin.plan(&Node::default()).ok();
        let owned = change::abort(&snapshot.state(), plan.as_ref(), split)?;
        Ok(Some(Write { owned, command: command.clone(), reason: arguments.reason.reason.clone() }))
    })?;
    let owned = written.map(|write| write.owned).unwrap_or_default();
    let effective = crate::weights::Owned::of_config(&before.plugin.config);
    let changes = change::differences(&effective, &owned);
    for change in &changes {
        output::line(format!(
            "{} {} {}: {} -> {}",
            change.split, change.audience, change.challenger, change.from, change.to
        ));
    }
    if changes.is_empty() {
        output::line("every weight was zero already; the zeros are now explicit");
    }
    Ok(Outcome::Good)
}
