//! Going back to earlier weights and draws, as a new change.

use std::collections::BTreeSet;

use super::change::{ChangeOutcome, Subject, Terms, make};
use super::{Caller, OperationError};
use crate::model::change;
use crate::model::refusal::Refusal;
use crate::model::weights::WeightSet;
use crate::store::Store;
use crate::store::history::{Entry, Noted};

/// Goes back to what a revision left; without one, to what was there before the last change, with
/// all splits that it moved.
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

/// The weights and draws after a revision, or before the last change. What was not ours then and
/// became ours since is what it was when that happened, not zero.
fn earlier(history: &[Entry], to: Option<u64>) -> Result<WeightSet, Refusal> {
    let place = match to {
        Some(to) => Some(place(history, to)?),
        None if history.is_empty() => return Err(Refusal::NothingEarlier),
        None => last_change(history).checked_sub(1),
    };
    // Before the first change, there were no weights of ours.
    let mut earlier = place.map_or_else(WeightSet::default, |place| history[place].after.clone());
    let since = history.iter().skip(place.map_or(0, |place| place + 1));
    for change in since.flat_map(|entry| &entry.changes) {
        if earlier.weight(&change.key).is_none() {
            earlier.put(change.key.clone(), change.from.clone());
        }
    }
    Ok(earlier)
}

/// Where the last change begins: what moved several splits at once (`set --all`, a rollback) is a
/// revision for each of them, since each split has a field manager of its own.
fn last_change(history: &[Entry]) -> usize {
    let Some(last) = history.last() else {
        return 0;
    };
    let mut seen = BTreeSet::new();
    let together = history.iter().rev().take_while(|entry| {
        let is_of_it = (&entry.command, &entry.by, &entry.at, &entry.reason)
            == (&last.command, &last.by, &last.at, &last.reason);
        // Of one weight, two revisions are two changes, also within one second.
        let mut keys = entry.changes.iter().map(|change| &change.key);
        is_of_it && keys.len() > 0 && keys.all(|key| seen.insert(key))
    });
    history.len().saturating_sub(together.count().max(1))
}

/// Where the one change with a number is.
fn place(history: &[Entry], revision: u64) -> Result<usize, Refusal> {
    let places = history.iter().enumerate();
    let places = places.filter(|(_, entry)| entry.revision == revision);
    let (places, entries): (Vec<usize>, Vec<&Entry>) = places.unzip();
    match *places {
        [] => Err(Refusal::NoRevision(revision)),
        [place] => Ok(place),
        _ => Err(Refusal::AmbiguousRevision {
            revision,
            changes: entries
                .iter()
                .map(|entry| Noted::of(entry).to_string())
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::WeightChange;
    use crate::model::weights::{Weight, WeightKey};

    fn weight(percent: &str) -> Weight {
        Weight::Percent(percent.parse().unwrap())
    }

    fn canary(split: &str) -> WeightKey {
        WeightKey::new(split, "everyone", "canary")
    }

    fn entry(revision: u64, change: (&str, &str, &str), after: &[(&str, &str)]) -> Entry {
        let (split, from, to) = change;
        let mut weights = WeightSet::default();
        for (split, percent) in after {
            weights.put(canary(split), weight(percent));
        }
        Entry {
            revision,
            at: revision.to_string(),
            by: String::new(),
            command: String::new(),
            reason: None,
            changes: vec![WeightChange {
                key: canary(split),
                from: weight(from),
                to: weight(to),
            }],
            after: weights,
        }
    }

    #[test]
    fn what_others_set_before_we_took_it_over_is_gone_back_to() {
        // shop was at 7 by somebody else until revision 3 took it over.
        let history = [
            entry(1, ("web", "0", "5"), &[("web", "5")]),
            entry(2, ("web", "5", "10"), &[("web", "10")]),
            entry(3, ("shop", "7", "20"), &[("web", "10"), ("shop", "20")]),
        ];
        let cases: [(&str, Option<u64>, usize, [&str; 2]); 4] = [
            ("before the last change", None, 3, ["10", "7"]),
            ("an earlier revision", Some(1), 3, ["5", "7"]),
            ("the last revision", Some(3), 3, ["10", "20"]),
            ("before the only change", None, 1, ["0", ""]),
        ];
        for (label, to, length, expected) in cases {
            let earlier = earlier(&history[..length], to).unwrap();
            let found = ["web", "shop"].map(|split| {
                let weight = earlier.weight(&canary(split));
                weight.map(ToString::to_string).unwrap_or_default()
            });
            assert_eq!(found, expected, "{label}");
        }
    }

    #[test]
    fn what_moved_several_splits_at_once_is_gone_back_from_at_once() {
        let together = |entries: &mut [Entry]| {
            for entry in entries {
                entry.at = "then".to_owned();
                entry.command = "set --all canary=20".to_owned();
            }
        };
        let mut of_two = [
            entry(1, ("web", "0", "5"), &[("web", "5")]),
            entry(2, ("web", "5", "20"), &[("web", "20")]),
            entry(3, ("shop", "0", "20"), &[("web", "20"), ("shop", "20")]),
        ];
        together(&mut of_two[1..]);
        let mut of_one = [
            entry(1, ("web", "0", "5"), &[("web", "5")]),
            entry(2, ("web", "5", "20"), &[("web", "20")]),
        ];
        together(&mut of_one);
        for (label, history) in [("two splits", &of_two[..]), ("one split, twice", &of_one)] {
            let earlier = earlier(history, None).unwrap();
            assert_eq!(
                earlier.weight(&canary("web")),
                Some(&weight("5")),
                "{label}"
            );
        }
        let earlier = earlier(&of_two, None).unwrap();
        assert_eq!(earlier.weight(&canary("shop")), Some(&weight("0")));
    }

    #[test]
    fn a_number_that_two_changes_have_is_refused() {
        let mut history = vec![
            entry(1, ("web", "0", "5"), &[("web", "5")]),
            entry(2, ("web", "5", "10"), &[("web", "10")]),
            entry(2, ("web", "5", "20"), &[("web", "20")]),
        ];
        for (entry, by) in history.iter_mut().zip(["ann", "bob", "eve"]) {
            entry.command = "set web".to_owned();
            entry.by = by.to_owned();
            entry.at = "then".to_owned();
        }
        let found = earlier(&history, Some(1)).unwrap();
        assert_eq!(found.weight(&canary("web")), Some(&weight("5")));
        assert_eq!(
            earlier(&history, Some(2)).unwrap_err().to_string(),
            "the history has 2 changes with the number 2: `set web` of bob at then, `set web` of eve at then; \
             accepted: a number that one change has"
        );
        assert_eq!(earlier(&history, Some(3)), Err(Refusal::NoRevision(3)));
    }
}
