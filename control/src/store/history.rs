//! Who changed what, when and why: entries of a store's history.

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::change::{WeightChange, differences};
use crate::model::weights::WeightSet;

/// How many changes are kept (DESIGN section 5; ControllerRevisions will keep as many).
pub const KEPT: usize = 50;

/// One change.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its number, counting up from 1.
    pub revision: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who, as the system names them; advisory.
    pub by: String,
    /// The command, such as `set web canary=10`.
    pub command: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Every weight that changed; of an earlier version's, those that are percentages.
    #[serde(deserialize_with = "readable")]
    pub changes: Vec<WeightChange>,
    /// Weights and draws after the change.
    pub after: WeightSet,
}

/// Earlier versions also kept what stood where a percentage should.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WeightChange>, D::Error> {
    let changes = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let readable = changes
        .into_iter()
        .filter_map(|change| serde_json::from_value(change).ok());
    Ok(readable.collect())
}

/// Adds a change to a history, and before it what somebody changed without `sluice`; keeps the last [`KEPT`].
pub fn append(
    history: &mut Vec<Entry>,
    found: &WeightSet,
    after: &WeightSet,
    command: &str,
    reason: Option<String>,
    by: &str,
    at: &str,
) {
    let recorded = history
        .last()
        .map(|entry| entry.after.clone())
        .unwrap_or_default();
    if recorded != *found {
        push(
            history,
            &recorded,
            found,
            "(changed without sluice)",
            None,
            "unknown",
            at,
        );
    }
    push(history, found, after, command, reason, by, at);
    let surplus = history.len().saturating_sub(KEPT);
    history.drain(..surplus);
}

fn push(
    history: &mut Vec<Entry>,
    before: &WeightSet,
    after: &WeightSet,
    command: &str,
    reason: Option<String>,
    by: &str,
    at: &str,
) {
    history.push(Entry {
        revision: history.last().map_or(1, |last| last.revision + 1),
        at: at.to_owned(),
        by: by.to_owned(),
        command: command.to_owned(),
        reason,
        changes: differences(before, after),
        after: after.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::WeightKey;
    use sluice_core::allocation::Percent;

    fn at(percent: f64) -> WeightSet {
        let mut owned = WeightSet::default();
        let key = WeightKey::new("web", "everyone", "canary");
        owned.set(key, Percent::new(percent).unwrap());
        owned
    }

    #[test]
    fn what_was_changed_by_hand_is_remembered_too() {
        let mut history = Vec::new();
        append(
            &mut history,
            &WeightSet::default(),
            &at(5.0),
            "set web canary=5",
            None,
            "ann",
            "t1",
        );
        append(
            &mut history,
            &at(7.0),
            &at(10.0),
            "set web canary=10",
            Some("looks good".to_owned()),
            "bob",
            "t2",
        );
        let seen: Vec<_> = history
            .iter()
            .map(|entry| {
                (
                    entry.revision,
                    entry.command.as_str(),
                    entry.by.as_str(),
                    entry.changes[0].to.as_f64(),
                )
            })
            .collect();
        let expected = [
            (1, "set web canary=5", "ann", 5.0),
            (2, "(changed without sluice)", "unknown", 7.0),
            (3, "set web canary=10", "bob", 10.0),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn only_the_last_changes_are_kept() {
        let mut history = Vec::new();
        for step in 0..60 {
            append(
                &mut history,
                &at(f64::from(step)),
                &at(f64::from(step + 1)),
                "set",
                None,
                "ann",
                "t",
            );
        }
        // The first change finds weights that no history knew: one entry more.
        assert_eq!(
            (
                history.len(),
                history[0].revision,
                history[KEPT - 1].revision
            ),
            (KEPT, 12, 61)
        );
    }
}
