//! Who changed what, when and why: entries of a store's history.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use jiff::{Timestamp, Unit};

use super::{Note, Snapshot, Write};
use crate::cluster::authors::Author;
use crate::model::change::{WeightChange, differences};
use crate::model::weights::{WeightKey, WeightSet};

/// How many changes are kept, as entries of a file or as ControllerRevisions. Chosen: weeks of
/// ramps, at little cost to the API server.
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
    /// Every weight that changed.
    pub changes: Vec<WeightChange>,
    /// Weights and draws after the change.
    pub after: WeightSet,
}

/// What tells one change from another, and people what it was.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Noted {
    /// Its number, where it has one.
    #[serde(default)]
    pub revision: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who, as the system names them.
    pub by: String,
    /// The command, such as `set web canary=10`.
    pub command: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Noted {
    /// What an entry says.
    pub fn of(entry: &Entry) -> Self {
        Self {
            revision: entry.revision,
            at: entry.at.clone(),
            by: entry.by.clone(),
            command: entry.command.clone(),
            reason: entry.reason.clone(),
        }
    }

    /// Whether it is an abort of the split, in whole or in part, alone or with all others.
    pub fn aborts(&self, split: &str) -> bool {
        let aborted = self.command.strip_prefix("abort ");
        let reach = aborted.and_then(|aborted| aborted.split(' ').next());
        reach.is_some_and(|reach| reach == "--all" || reach == split)
    }

    /// Whether it is an abort that took users of a challenger and one of these audiences.
    pub fn takes_back(&self, split: &str, challenger: &str, audiences: &BTreeSet<&str>) -> bool {
        let mut reach = self.command.split(' ').skip(2);
        let has_challenger = reach.next().is_none_or(|name| name == challenger);
        let has_audience = reach.next().is_none_or(|names| {
            let mut names = names.split(',');
            names.any(|name| audiences.contains(name))
        });
        self.aborts(split) && has_challenger && has_audience
    }

    /// Whether its command is about the split.
    pub fn names(&self, split: &str) -> bool {
        let mut words = self.command.split(' ');
        let command = words.next();
        let is_named =
            |word: Option<&str>| matches!(word, Some(word) if word == split || word == "--all");
        let is_of_all = matches!(command, Some("rollback" | "restore"));
        self.aborts(split) || is_of_all || is_named(words.next())
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at, by, command, ..
        } = self;
        write!(formatter, "`{command}` of {by} at {at}")?;
        match &self.reason {
            Some(reason) => write!(formatter, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// What a store remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// Every change, oldest first.
    pub entries: Vec<Entry>,
    /// What the user should know besides.
    pub notes: Vec<Note>,
}

/// How a history calls a change that `sluice` did not make.
const WITHOUT_SLUICE: &str = "(changed without sluice)";

/// What others changed of weights that were ours, as far as the history does not have it yet: by
/// whom and when, where the API server knows.
pub fn unrecorded(last: &Entry, now: &Snapshot) -> Option<Entry> {
    let in_force = WeightSet::of_config(&now.plugin.config);
    let mut changes = differences(&last.after, &in_force);
    // Weights of Git's own were never ours to follow, and what we own still is our own doing.
    changes.retain(|change| {
        last.after.weight(&change.key).is_some() && now.managed.weight(&change.key).is_none()
    });
    if changes.is_empty() {
        return None;
    }
    // What they are now is what a later rollback goes back to.
    let mut after = last.after.clone();
    for change in &changes {
        after.put(change.key.clone(), change.to.clone());
    }
    let authors = now.authors.iter().filter(|author| !author.is_ours());
    let authors: Vec<&Author> = authors
        .filter(|author| changes.iter().any(|change| has(author, &change.key)))
        .collect();
    let names: Vec<&str> = authors.iter().map(|author| &*author.manager).collect();
    let at = authors.iter().filter_map(|author| author.at.clone()).max();
    Some(Entry {
        revision: last.revision,
        at: at.unwrap_or_else(|| "unknown".to_owned()),
        by: if names.is_empty() {
            "unknown".to_owned()
        } else {
            names.join(", ")
        },
        command: WITHOUT_SLUICE.to_owned(),
        reason: None,
        changes,
        after,
    })
}

fn has(author: &Author, key: &WeightKey) -> bool {
    author.has(&["weights", &key.split, &key.audience, &key.challenger])
}

/// Adds a change to a history, and before it what somebody changed without `sluice`; keeps the last
/// [`KEPT`].
pub fn append(history: &mut Vec<Entry>, existing: &WeightSet, write: &Write) {
    let at = time(write.at);
    catch_up(history, existing, &at);
    history.push(Entry {
        revision: next_revision(history),
        at,
        by: write.by.clone(),
        command: write.command.clone(),
        reason: write.reason.clone(),
        changes: differences(existing, &write.managed),
        after: write.managed.clone(),
    });
    let surplus = history.len().saturating_sub(KEPT);
    history.drain(..surplus);
}

/// Adds to a history that only `sluice` writes what somebody changed without it.
pub fn catch_up(history: &mut Vec<Entry>, existing: &WeightSet, at: &str) {
    let recorded = history.last().map(|entry| entry.after.clone());
    let recorded = recorded.unwrap_or_default();
    if recorded == *existing {
        return;
    }
    history.push(Entry {
        revision: next_revision(history),
        at: at.to_owned(),
        by: "unknown".to_owned(),
        command: WITHOUT_SLUICE.to_owned(),
        reason: None,
        changes: differences(&recorded, existing),
        after: existing.clone(),
    });
}

/// A time as an entry has it: RFC 3339 in UTC, to the second.
pub fn time(at: Timestamp) -> String {
    // Only the last second that a timestamp can hold has none to be rounded to.
    at.round(Unit::Second).unwrap_or(at).to_string()
}

fn next_revision(history: &[Entry]) -> u64 {
    history
        .last()
        .map_or(1, |last| last.revision.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::weights::WeightKey;
    use sluice_core::allocation::Percent;

    fn at(percent: f64) -> WeightSet {
        let mut managed = WeightSet::default();
        let key = WeightKey::new("web", "everyone", "canary");
        managed.set(key, Percent::new(percent).unwrap());
        managed
    }

    fn write(percent: f64, by: &str, command: &str, reason: Option<&str>) -> Write {
        Write {
            managed: at(percent),
            splits: BTreeSet::from(["web".to_owned()]),
            at: Timestamp::UNIX_EPOCH,
            by: by.to_owned(),
            command: command.to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_change_names_its_split_or_every_one() {
        let cases = [
            ("set web canary=5", true),
            ("set --all canary=5", true),
            ("set api web=5", false),
            ("abort --all", true),
            ("abort api", false),
            ("rollback", true),
        ];
        for (command, expected) in cases {
            let text = format!(r#"{{"at": "", "by": "", "command": "{command}"}}"#);
            let noted: Noted = serde_json::from_str(&text).unwrap();
            assert_eq!(noted.names("web"), expected, "{command}");
        }
    }

    #[test]
    fn what_was_changed_by_hand_is_remembered_too() {
        let mut history = Vec::new();
        let first = write(5.0, "ann", "set web canary=5", None);
        append(&mut history, &WeightSet::default(), &first);
        let second = write(10.0, "bob", "set web canary=10", Some("looks good"));
        append(&mut history, &at(7.0), &second);
        let seen: Vec<_> = history
            .iter()
            .map(|entry| {
                (
                    entry.revision,
                    entry.command.as_str(),
                    entry.by.as_str(),
                    entry.changes[0].to.to_string(),
                )
            })
            .collect();
        let expected = [
            (1, "set web canary=5", "ann", "5".to_owned()),
            (2, "(changed without sluice)", "unknown", "7".to_owned()),
            (3, "set web canary=10", "bob", "10".to_owned()),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn only_the_last_changes_are_kept() {
        let mut history = Vec::new();
        for step in 0..60 {
            let write = write(f64::from(step + 1), "ann", "set", None);
            append(&mut history, &at(f64::from(step)), &write);
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

    #[test]
    fn a_time_is_to_the_second_in_utc() {
        let at = "2026-11-20T10:00:00.4+01:00".parse().unwrap();
        assert_eq!(time(at), "2026-11-20T09:00:00Z");
    }
}
