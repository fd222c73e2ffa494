//! A change of weights or draws that waits for its turn and must not bring problems: what `set`,
//! `redraw`, `rollback` and `promote` have in common.
//!
//! Each of them decides on other weights; here they are checked, described and written. An abort is
//! no such change: it neither waits nor is refused.

use std::collections::BTreeSet;

use serde::Serialize;
use sluice_core::plan::{Node, Plan};

use super::meanwhile::ChangedMeanwhile;
use super::{Caller, OperationError};
use crate::model::change::{WeightChange, differences, differing_splits};
use crate::model::churn::{Meeting, Move, meetings, moves};
use crate::model::refusal::{self, Refusal};
use crate::model::weights::WeightSet;
use crate::store::{Manner, Note, OthersFields, Snapshot, Store, Write};

/// Whether a change is made or only described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is made.
    Write,
    /// It is only described.
    DryRun,
}

/// How a change is made.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whether it is made at all.
    pub mode: Mode,
    /// What happens to fields that somebody else set.
    pub others_fields: OthersFields,
    /// Why it is made, for the history.
    pub reason: Option<String>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeOutcome {
    /// Whether it was written.
    pub effect: Effect,
    /// Every weight in force that it changes.
    pub changes: Vec<WeightChange>,
    /// Every draw in force that it changes.
    pub redraws: Vec<Redraw>,
    /// Which users it moves.
    pub moves: Vec<Move>,
    /// The challengers between which further changes may move users.
    pub meetings: Vec<Meeting>,
    /// What went wrong beside it.
    pub notes: Vec<Note>,
}

/// Whether a change was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It was. What is in force may be the same all the same: explicit zeros are then written where
    /// nothing was said.
    Written,
    /// It was only described.
    DryRun,
    /// It was not needed: the store has these weights and draws.
    Unneeded,
}

/// A draw that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redraw {
    /// The split.
    pub split: String,
    /// The draw before; `None` where the split had none.
    pub from: Option<String>,
    /// The draw after.
    pub to: Option<String>,
}

/// Which change it is, for the checks and the history.
pub(super) struct Subject<'a> {
    /// The split that is changed, if it is one: a problem of its own stops the change.
    pub(super) split: Option<&'a str>,
    /// The command that the history shows.
    pub(super) command: String,
}

/// Makes the change that `decide` wants of what is there, as often as it takes until nobody writes
/// in between; but not once somebody else has changed a split that it changes since the command
/// began. What was there then is `begun` or, without it, what the store reads first.
pub(super) async fn make(
    store: &impl Store,
    caller: &Caller,
    subject: &Subject<'_>,
    terms: &Terms,
    begun: Option<Snapshot>,
    decide: impl Fn(&Snapshot, &Plan) -> Result<WeightSet, Refusal> + Send + Sync,
) -> Result<ChangeOutcome, OperationError> {
    let manner = Manner {
        others_fields: terms.others_fields,
        ..Manner::IN_TURN
    };
    let mut outcome = None;
    let mut begun = begun;
    let mut touched: BTreeSet<String> = subject.split.map(str::to_owned).into_iter().collect();
    // Also what is written after somebody else came first is of this one command: a rollback goes back
    // before all of it.
    let at = caller.now();
    let mut decide = |snapshot: &Snapshot| {
        let begun = begun.get_or_insert_with(|| snapshot.clone());
        check_unchanged(&touched, begun, snapshot)?;
        let before = snapshot.plugin.plan(&Node::default())?;
        let managed = decide(snapshot, &before)?;
        let after = snapshot.state().plan_with(&managed)?;
        refusal::check(&before, &after, subject.split)?;
        let splits = differing_splits(&snapshot.managed, &managed);
        touched.extend(splits.iter().cloned());
        check_unchanged(&touched, begun, snapshot)?;
        let effect = match terms.mode {
            Mode::DryRun => Effect::DryRun,
            Mode::Write if splits.is_empty() => Effect::Unneeded,
            Mode::Write => Effect::Written,
        };
        outcome = Some(described(snapshot, &managed, (&before, &after), effect));
        Ok((effect == Effect::Written).then(|| Write {
            managed,
            splits,
            at,
            by: caller.name.clone(),
            command: subject.command.clone(),
            reason: terms.reason.clone(),
        }))
    };
    let updated = store.update(manner, &mut decide).await?;
    let undecided = || anyhow::anyhow!("the store did not ask what to write");
    let mut outcome = outcome.ok_or_else(undecided)?;
    outcome.notes = updated.notes;
    Ok(outcome)
}

/// Refuses where somebody else has changed one of the splits since.
fn check_unchanged(
    splits: &BTreeSet<String>,
    begun: &Snapshot,
    now: &Snapshot,
) -> Result<(), Box<ChangedMeanwhile>> {
    let mut changed = splits
        .iter()
        .filter_map(|split| ChangedMeanwhile::of(split, begun, now));
    changed.next().map_or(Ok(()), |changed| Err(changed.into()))
}

fn described(
    snapshot: &Snapshot,
    managed: &WeightSet,
    (before, after): (&Plan, &Plan),
    effect: Effect,
) -> ChangeOutcome {
    let in_force = WeightSet::of_config(&snapshot.plugin.config);
    let wanted = WeightSet::of_config(&snapshot.state().with(managed));
    ChangeOutcome {
        effect,
        changes: differences(&in_force, &wanted),
        redraws: redraws(&in_force, &wanted),
        moves: moves(before, after),
        meetings: meetings(after),
        notes: Vec::new(),
    }
}

fn redraws(before: &WeightSet, after: &WeightSet) -> Vec<Redraw> {
    let mut splits = before.splits();
    splits.extend(after.splits());
    let redraw = |split: &str| Redraw {
        split: split.to_owned(),
        from: before.draw(split).map(str::to_owned),
        to: after.draw(split).map(str::to_owned),
    };
    splits
        .into_iter()
        .map(redraw)
        .filter(|redraw| redraw.from != redraw.to)
        .collect()
}
