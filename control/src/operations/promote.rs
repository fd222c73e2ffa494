//! Copying a split's weights from one namespace or cluster to another.

use sluice_core::plan::Node;

use super::change::{ChangeOutcome, Subject, Terms, make};
use super::{Caller, OperationError};
use crate::model::change;
use crate::model::refusal::find_split;
use crate::model::weights::WeightSet;
use crate::store::Store;

/// One side of a promotion.
#[derive(Clone, Debug)]
pub struct Side<S> {
    /// What the history calls it, such as `qa` or `prod@europe`.
    pub name: String,
    /// Where its weights are kept.
    pub store: S,
}

/// Why a promotion came to nothing, by the side that it failed on.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// The weights could not be read, or there is no such split.
    #[error(transparent)]
    Source(OperationError),
    /// The configuration to read from is unreadable as a whole; the error names it.
    #[error(transparent)]
    Unreadable(anyhow::Error),
    /// The weights could not be written.
    #[error(transparent)]
    Target(OperationError),
}

/// Gives a split the weights that it has elsewhere, and zero to whatever has a weight here and none
/// there.
///
/// # Errors
/// A split that is not on both sides, problems that the change would bring, and a store that cannot
/// be read or written.
pub async fn promote(
    (from, to): (&Side<impl Store>, &Side<impl Store>),
    caller: &Caller,
    split: &str,
    terms: &Terms,
) -> Result<ChangeOutcome, PromoteError> {
    let begun = to.store.snapshot().await;
    let begun = begun.map_err(|error| PromoteError::Target(error.into()))?;
    let snapshot = from.store.snapshot().await;
    let source = snapshot
        .map_err(|error| PromoteError::Source(error.into()))?
        .plugin;
    let plan = source
        .plan(&Node::default())
        .map_err(PromoteError::Unreadable)?;
    find_split(&plan, split).map_err(|refusal| PromoteError::Source(refusal.into()))?;
    let weights = WeightSet::of_config(&source.config).only(split);
    let subject = Subject {
        split: Some(split),
        command: format!("promote {split} --from {} --to {}", from.name, to.name),
    };
    let begun = Some(begun);
    let made = make(
        &to.store,
        caller,
        &subject,
        terms,
        begun,
        |snapshot, plan| change::promote(&snapshot.state(), plan, split, &weights),
    );
    made.await.map_err(PromoteError::Target)
}
