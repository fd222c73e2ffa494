//! Explicit zeros for every audience and challenger, now, whatever else runs and whatever else is
//! wrong; and whether proxies will obey.
//!
//! What was written is read back and judged as the filter would judge it. What stands in the way of
//! the zeros and is weights or draws is replaced; what is not, is said.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Caller, OperationError};
use crate::cluster::ClusterError;
use crate::model::change::{self, WeightChange, differences};
use crate::model::document;
use crate::model::in_force::{self, NotInForce};
use crate::model::reach::Reach;
use crate::model::weights::WeightSet;
use crate::store::{Extent, Manner, Note, Snapshot, Store, Updated, Write, WriteError};

/// How often what stands in the way of an abort is replaced. Chosen: twice, if somebody sets a
/// weight right behind it.
const MAX_REPAIRS: usize = 2;

/// Which weights become zero, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// Which weights.
    pub reach: Reach,
    /// Why, for the history.
    pub reason: Option<String>,
}

/// What an abort changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortOutcome {
    /// Every weight that was written and is another than before, as it was read back; empty where
    /// only explicit zeros were written.
    pub changes: Vec<WeightChange>,
    /// Why it is not known what was served before; `None` where that was read.
    pub was_unreadable: Option<String>,
    /// Why proxies do not obey all the same.
    pub not_in_force: Option<NotInForce>,
    /// What went wrong beside it.
    pub notes: Vec<Note>,
}

/// Aborts in one store.
///
/// # Errors
/// A split that is not there, and a store that cannot be written.
pub async fn abort(
    store: &impl Store,
    caller: &Caller,
    abort: &Abort,
) -> Result<AbortOutcome, OperationError> {
    let mut decide = |snapshot: &Snapshot| Ok(Some(zeros(snapshot, caller, abort)?));
    let first = store.update(Manner::NOW, &mut decide).await;
    let first = match first.map_err(OperationError::from) {
        Ok(updated) => Aborted::of(updated, Extent::Splits, abort),
        // What would not be stored with the zeros may be stored without what stands in their way.
        Err(refused @ OperationError::Cluster(ClusterError::Refused { .. })) => {
            return match repair(store, caller, abort).await {
                Ok(updated) if updated.written.is_some() => {
                    Ok(Aborted::of(updated, Extent::Whole, abort).outcome())
                }
                Err(unknown) if unknown.is_found_problem() => Err(unknown),
                _ => Err(refused),
            };
        }
        Err(OperationError::Write(WriteError::Overtaken { seconds, .. })) => {
            return Ok(overtaken(seconds));
        }
        Err(error) => return Err(error),
    };
    let mut aborted = first;
    for _ in 0..MAX_REPAIRS {
        if aborted.not_in_force.is_none() {
            break;
        }
        match repair(store, caller, abort).await {
            Ok(repaired) => aborted.go_on(repaired, Extent::Whole, abort),
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::from(error));
                aborted.notes.push(Note::NotRepaired { why });
                break;
            }
        }
    }
    Ok(aborted.outcome())
}

/// Whether an abort was made already, as far as a snapshot says: the explicit zeros are there. Then,
/// whether proxies obey them.
pub fn made(snapshot: &Snapshot, reach: &Reach) -> Option<Result<(), NotInForce>> {
    let (plan, state) = (snapshot.plugin.splits_alone(), snapshot.state());
    let zeros = change::abort(&state, plan.as_ref(), reach).ok()?;
    (zeros == state.managed).then(|| in_force::check(&snapshot.plugin, reach))
}

/// Others were first, again and again.
fn overtaken(seconds: u64) -> AbortOutcome {
    let why = format!("others have been writing for {seconds} s; nothing was changed, try again");
    AbortOutcome {
        changes: Vec::new(),
        was_unreadable: None,
        not_in_force: Some(NotInForce::NotWritten { why }),
        notes: Vec::new(),
    }
}

/// Replaces all weights and draws where they stand in the way.
async fn repair(
    store: &impl Store,
    caller: &Caller,
    abort: &Abort,
) -> Result<Updated, OperationError> {
    let reach = &abort.reach;
    let mut decide = |snapshot: &Snapshot| {
        if in_force::check(&snapshot.plugin, reach).is_ok() {
            return Ok(None);
        }
        let repaired = in_force::repaired(&snapshot.plugin, reach);
        Ok(repaired.map(|managed| {
            let splits = managed.splits().into_iter().map(str::to_owned).collect();
            write(managed, splits, caller, abort)
        }))
    };
    Ok(store.update(Manner::REPAIR, &mut decide).await?)
}

/// How far an abort has come.
struct Aborted {
    before: WeightSet,
    /// What was read back, or would be where that failed.
    after: WeightSet,
    /// Whose weights were written; `None`: everybody's.
    splits: Option<BTreeSet<String>>,
    was_unreadable: Option<String>,
    not_in_force: Option<NotInForce>,
    notes: Vec<Note>,
}

impl Aborted {
    fn of(updated: Updated, extent: Extent, abort: &Abort) -> Self {
        let before = WeightSet::of_config(&updated.before.plugin.config);
        let salvaged = updated.notes.iter().find_map(Note::unread);
        let unreadable = document::read(&updated.before.plugin.config).err();
        let was_unreadable = salvaged.or(unreadable.map(|unreadable| unreadable.to_string()));
        let mut aborted = Self {
            was_unreadable,
            after: before.clone(),
            before,
            splits: Some(BTreeSet::new()),
            not_in_force: None,
            notes: Vec::new(),
        };
        aborted.go_on(updated, extent, abort);
        aborted
    }

    /// Takes over what one more write led to.
    fn go_on(&mut self, updated: Updated, extent: Extent, abort: &Abort) {
        let Updated {
            written,
            after,
            notes,
            ..
        } = updated;
        self.notes.extend(notes);
        match after {
            Some(Ok(plugin)) => {
                self.after = WeightSet::of_config(&plugin.config);
                let checked = in_force::check(&plugin, &abort.reach);
                self.not_in_force = checked.err();
            }
            Some(Err(problem)) => {
                if let Some(write) = &written {
                    self.after = write.managed.clone();
                }
                self.not_in_force = Some(NotInForce::Unreadable { problem });
            }
            None => {}
        }
        match (written, &mut self.splits, extent) {
            (Some(_), splits, Extent::Whole) => *splits = None,
            (Some(write), Some(splits), Extent::Splits) => splits.extend(write.splits),
            _ => {}
        }
    }

    fn outcome(self) -> AbortOutcome {
        let [before, after] = match &self.splits {
            Some(splits) => [&self.before, &self.after].map(|set| set.of_splits(splits)),
            None => [self.before, self.after],
        };
        AbortOutcome {
            changes: differences(&before, &after),
            was_unreadable: self.was_unreadable,
            not_in_force: self.not_in_force,
            notes: self.notes,
        }
    }
}

/// Zeros over whatever stands where a weight of the split, or of any, would.
fn zeros(snapshot: &Snapshot, caller: &Caller, abort: &Abort) -> anyhow::Result<Write> {
    let plan = snapshot.plugin.splits_alone();
    let managed = change::abort(&snapshot.state(), plan.as_ref(), &abort.reach)?;
    let splits = match &abort.reach.split {
        Some(split) => BTreeSet::from([split.clone()]),
        None => managed.splits().into_iter().map(str::to_owned).collect(),
    };
    Ok(write(managed, splits, caller, abort))
}

/// The write of an abort.
fn write(managed: WeightSet, splits: BTreeSet<String>, caller: &Caller, abort: &Abort) -> Write {
    Write {
        managed,
        splits,
        at: caller.now(),
        by: caller.name.clone(),
        command: format!("abort {}", abort.reach),
        reason: abort.reason.clone(),
    }
}

#[cfg(test)]
mod tests;
