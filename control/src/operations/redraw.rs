//! Drawing other users for a split's next canary.

use super::change::{ChangeOutcome, Subject, Terms, make};
use super::{Caller, OperationError};
use crate::model::change;
use crate::model::weights::WeightSet;
use crate::store::Store;

/// Gives a split another draw: these letters or, without any, today's date, numbered from the
/// second draw of a day on.
///
/// # Errors
/// A split that is not there or in the middle of a ramp, problems that the change would bring, and
/// a store that cannot be read or written.
pub async fn redraw(
    store: &impl Store,
    caller: &Caller,
    split: &str,
    letters: Option<&str>,
    terms: &Terms,
) -> Result<ChangeOutcome, OperationError> {
    let today = caller.today();
    let subject = Subject {
        split: Some(split),
        command: format!("redraw {split}"),
    };
    let made = make(store, caller, &subject, terms, None, |snapshot, plan| {
        let in_force = WeightSet::of_config(&snapshot.plugin.config);
        let letters = letters.map_or_else(
            || change::letters(&today, in_force.draw(split)),
            str::to_owned,
        );
        change::redraw(&snapshot.state(), plan, split, &letters)
    });
    made.await
}
