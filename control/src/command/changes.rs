//! How the commands that change weights say it: their terms, and what became of a change in words.

use super::arguments::{DryRunArgs, ForceArgs, ReasonArgs};
use super::outcome::Outcome;
use super::output;
use crate::model::change::WeightChange;
use crate::model::churn::{Meeting, Move};
use crate::operations::change::{ChangeOutcome, Effect, Mode, Redraw, Terms};
use crate::rollout::parked::Parked;
use crate::store::{Note, OthersFields};

/// The terms that were typed.
pub(super) fn terms(dry_run: DryRunArgs, force: ForceArgs, reason: &ReasonArgs) -> Terms {
    Terms {
        mode: if dry_run.dry_run {
            Mode::DryRun
        } else {
            Mode::Write
        },
        others_fields: if force.force {
            OthersFields::TakeOver
        } else {
            OthersFields::Respect
        },
        reason: reason.reason.clone(),
    }
}

/// Says of a change that sends users to Deployments without pods.
pub(super) fn say_parked<'p>(
    parked: impl IntoIterator<Item = &'p Parked>,
    changes: &[WeightChange],
) {
    let parked = parked.into_iter();
    for parked in parked.filter(|parked| parked.is_meant_by(changes)) {
        output::note(format!("note: {parked}"));
    }
}

/// Says what became of a change: what went wrong beside it on standard error, what it changes on
/// standard output. Whether that leaves something to do.
pub(super) fn say(made: &ChangeOutcome) -> Outcome {
    let outcome = say_notes(&made.notes);
    output::line(report(made));
    outcome
}

/// Says what went wrong beside a change, on standard error; whether it leaves something to do.
pub(super) fn say_notes(notes: &[Note]) -> Outcome {
    for note in notes {
        output::note(format!("note: {note}"));
    }
    match notes.iter().any(Note::is_problem) {
        true => Outcome::Problems,
        false => Outcome::Good,
    }
}

/// A change in words: what it sets, whom it moves, and what to beware of.
pub(super) fn report(outcome: &ChangeOutcome) -> String {
    let suffix = match outcome.effect {
        Effect::DryRun => " (dry run: nothing was written)",
        Effect::Written | Effect::Unneeded => "",
    };
    described(outcome, suffix)
}

/// The same with something behind each change.
pub(super) fn described(outcome: &ChangeOutcome, suffix: &str) -> String {
    let changes = outcome.changes.iter().map(ToString::to_string);
    let mut lines: Vec<String> = changes
        .chain(outcome.redraws.iter().map(redraw))
        .map(|line| line + suffix)
        .collect();
    if lines.is_empty() {
        return format!("nothing to change: the weights are already so{suffix}");
    }
    lines.extend(outcome.moves.iter().map(sentence));
    lines.extend(outcome.meetings.iter().map(warning));
    lines.join("\n")
}

/// `moves 5 % of web's everyone from stable to canary`.
pub(super) fn sentence(moved: &Move) -> String {
    let percent = (moved.percent * 1_000.0).round() / 1_000.0;
    format!(
        "moves {percent} % of {}'s {} from {} to {}",
        moved.split, moved.audience, moved.from, moved.to
    )
}

/// `web draw: none -> 2026-11-20`.
fn redraw(Redraw { split, from, to }: &Redraw) -> String {
    let [from, to] = [from, to].map(|draw| draw.as_deref().unwrap_or("none"));
    format!("{split} draw: {from} -> {to}")
}

fn warning(meeting: &Meeting) -> String {
    let Meeting {
        split,
        audience,
        challengers: [one, other],
    } = meeting;
    format!(
        "warning: {split} {audience}: the ranges of {one} and {other} meet; further changes may move users between them"
    )
}
