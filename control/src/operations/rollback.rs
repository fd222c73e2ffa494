//! Going back to earlier weights and draws, as a new change.

use super::change::{ChangeOutcome, Subject, Terms, make};
use super::{Caller, OperationError};
use crate::model::change;
use crate::model::refusal::Refusal;
use crate::model::weights::WeightSet;
use crate::store::Store;
use crate::store::history::Entry;

/// Goes back to what a revision left; without one, to what was there before the last change.
///
/// # Errors
/// A revision that the history does not have, problems that the change would bring, and a store
/// that cannot be read or written.
pub async fn rollback(
    store: &impl Store,
    caller: &Caller,
    to: Option<u64>,
    terms: &Terms,
) -> Result<ChangeOutcome, OperationError> {
    // What is remembered never changes, so it needs no turn; but what comes to it while it is read
    // has to be noticed.
    let begun = store.snapshot().await?;
    let remembered = store.history().await?;
    let earlier = earlier(&remembered.entries, to)?;
    let subject = Subject {
        split: None,
        command: to.map_or_else(|| "rollback".to_owned(), |to| format!("rollback --to {to}")),
    };
    let made = make(
        store,
        caller,
        &subject,
        terms,
        Some(begun),
        |snapshot, _| Ok(change::restore(&snapshot.state(), &earlier)),
    );
    let mut made = made.await?;
    made.notes.extend(remembered.notes);
    Ok(made)
}

fn earlier(history: &[Entry], to: Option<u64>) -> Result<WeightSet, Refusal> {
    match to {
        Some(to) => {
            let entry = history
                .iter()
                .find(|entry| entry.revision == to)
                .ok_or(Refusal::NoRevision(to))?;
            Ok(entry.after.clone())
        }
        None => match history {
            [] => Err(Refusal::NothingEarlier),
            // A history with one entry was never cut: before it, there were no weights of ours.
            [_] => Ok(WeightSet::default()),
            [.., previous, _] => Ok(previous.after.clone()),
        },
    }
}
