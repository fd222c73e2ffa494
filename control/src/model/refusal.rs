//! Why a change is refused: what the plugin does not have, with the near names, and what a
//! configuration must not become.
//!
//! Pure; what a change would be is [`crate::model::change`]'s. Operations hand a refusal on as it
//! is, and what calls them decides on its kind.

use sluice_core::index::VariantIndex;
use sluice_core::plan::{EVERYONE, Plan, Split};
use sluice_core::problem::Problem;

use crate::model::suggest;
use crate::model::weights::{Weight, WeightKey};

/// Why a change was refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Refusal {
    /// There is no such split.
    #[error("there is no split {split:?}; {hint}")]
    NoSplit {
        /// As typed.
        split: String,
        /// The near names.
        hint: String,
    },
    /// The split has no such audience.
    #[error("split {split} has no audience {audience:?}; {hint}")]
    NoAudience {
        /// The split.
        split: String,
        /// As typed.
        audience: String,
        /// The near names.
        hint: String,
    },
    /// The split has no such challenger.
    #[error("split {split} has no challenger {challenger:?}; {hint}")]
    NoChallenger {
        /// The split.
        split: String,
        /// As typed.
        challenger: String,
        /// The near names.
        hint: String,
    },
    /// The fallback has no weight of its own.
    #[error(
        "{fallback} is the fallback of split {split} and gets what the challengers leave; set {challengers} instead"
    )]
    Fallback {
        /// The split.
        split: String,
        /// The fallback.
        fallback: String,
        /// What may be set.
        challengers: String,
    },
    /// Of all splits, none has what is to be set.
    #[error(
        "none of the {splits} splits has an audience {audience} and a challenger {challengers}"
    )]
    NoSplitWith {
        /// As typed.
        audience: String,
        /// As typed.
        challengers: String,
        /// How many there are.
        splits: usize,
    },
    /// The same challenger was given twice.
    #[error("{challenger} is given twice; accepted: one percentage each")]
    Twice {
        /// The challenger.
        challenger: String,
    },
    /// The configuration would have problems that it does not have now.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// A redraw would move users who are on a challenger.
    #[error(
        "split {} is at {}={weight} for {}: a redraw would move users in the middle of a ramp; accepted: every challenger at 0 or 100",
        .key.split, .key.challenger, .key.audience
    )]
    MidRamp {
        /// Which challenger.
        key: WeightKey,
        /// Its weight.
        weight: Weight,
    },
    /// There is nothing to go back to.
    #[error("there is no revision {0} in the history; see `sluice history`")]
    NoRevision(u64),
    /// Several changes have this number: the history was put together from several.
    #[error(
        "the history has {} changes with the number {revision}: {}; accepted: a number that one change has",
        .changes.len(), .changes.join(", ")
    )]
    AmbiguousRevision {
        /// The number.
        revision: u64,
        /// What they were.
        changes: Vec<String>,
    },
    /// There is no earlier state.
    #[error("the history has no earlier weights to go back to")]
    NothingEarlier,
}

/// Refuses a change that would bring problems, or that would have no effect because its split has
/// some already. Problems of other splits are other teams': they stop nobody. Nor do weights that are
/// left of a rule or variant which is gone: they count for nothing, and the change has its effect.
///
/// # Errors
/// The problems that the configuration has after the change and not before, and those of `split`.
pub fn check(before: &Plan, after: &Plan, split: Option<&str>) -> Result<(), Refusal> {
    let is_its_own = |path: &str| {
        let below = path
            .strip_prefix("splits.")
            .or_else(|| path.strip_prefix("weights."))
            .or_else(|| path.strip_prefix("draws."));
        below.is_some_and(|below| below.split(['.', '[']).next() == split)
    };
    let blocks = |problem: &&Problem| {
        let is_in_its_way = is_its_own(&problem.path) && !problem.is_left_over();
        is_in_its_way || !before.problems().contains(problem)
    };
    let blocking: Vec<String> = after
        .problems()
        .iter()
        .filter(blocks)
        .map(ToString::to_string)
        .collect();
    if blocking.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Problems(blocking))
    }
}

/// A split by its name.
///
/// # Errors
/// When there is none; names the near ones.
pub fn find_split<'p>(plan: &'p Plan, split: &str) -> Result<&'p Split, Refusal> {
    plan.split_named(split)
        .ok_or_else(|| no_split(Some(plan), split))
}

/// The refusal of a split that is not there; the plan, where it can be read, knows the near names.
pub(super) fn no_split(plan: Option<&Plan>, split: &str) -> Refusal {
    let names = plan
        .map(Plan::splits)
        .unwrap_or_default()
        .iter()
        .map(|split| split.definition.name.as_ref());
    Refusal::NoSplit {
        split: split.to_owned(),
        hint: suggest::hint(split, names),
    }
}

/// Refuses an audience that the split does not have.
pub(super) fn check_audience(split: &Split, audience: &str) -> Result<(), Refusal> {
    let names = || {
        split
            .definition
            .rules
            .iter()
            .map(|rule| rule.name.as_ref())
            .chain([EVERYONE])
    };
    if names().any(|name| name == audience) {
        return Ok(());
    }
    let hint = suggest::hint(audience, names());
    Err(Refusal::NoAudience {
        split: split.definition.name.to_string(),
        audience: audience.to_owned(),
        hint,
    })
}

/// Refuses a variant that has no weight of its own in the split.
pub(super) fn check_challenger(split: &Split, challenger: &str) -> Result<(), Refusal> {
    let name = split.definition.name.to_string();
    let challengers = || split.definition.challengers().iter().map(AsRef::as_ref);
    if challengers().any(|known| known == challenger) {
        return Ok(());
    }
    if split.definition.variant(challenger.as_bytes()) == Some(VariantIndex::FALLBACK) {
        let challengers = challengers().collect::<Vec<_>>().join(", ");
        return Err(Refusal::Fallback {
            split: name,
            fallback: challenger.to_owned(),
            challengers,
        });
    }
    let hint = suggest::hint(challenger, challengers());
    Err(Refusal::NoChallenger {
        split: name,
        challenger: challenger.to_owned(),
        hint,
    })
}
