//! Times that were kept and are still to come: a clock was ahead when they were written, and a step
//! would be held until they are there.

use std::time::Duration;

use super::turn::{Turn, after};

/// How much clocks of two hosts may differ without a word. Chosen: those that are kept in time
/// differ by less than a second, and who takes over from whom does not matter to people.
const SKEW: Duration = Duration::from_secs(5);

impl Turn<'_> {
    /// Treats such times of the run as now, and says it.
    pub(super) fn come_back_to_now(&mut self) {
        let now = self.world.now;
        let Some(run) = self.status.under_way_mut() else {
            return;
        };
        let pause = run.pause.as_mut().map(|pause| &mut pause.since);
        let others = [&mut run.converged, &mut run.round, &mut run.edited];
        let times = others.into_iter().flatten().chain(pause);
        let mut latest = now;
        for time in times.chain([&mut run.began, &mut run.since]) {
            latest = latest.max(*time);
            *time = (*time).min(now);
        }
        if latest > after(now, SKEW) {
            self.note(format!(
                "a clock was ahead: what was kept is of {latest:.0}, and counts as of {now:.0}"
            ));
        }
    }
}
