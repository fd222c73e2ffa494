//! Whether somebody else changed a split since a command began, and what is known of that.
//!
//! A change that was decided before an abort must not land after it, and what a person decided on
//! must still be there when it is written. So a change is decided again only where other splits
//! were changed; where it is this one, the person has to look first. Who else reads [`Snapshot`]s
//! to write is [`super::change`].

use serde_json::Value;

use crate::cluster::authors::Author;
use crate::model::change::{WeightChange, differences};
use crate::model::weights::WeightSet;
use crate::store::Snapshot;
use crate::store::history::Noted;

/// How many weights are named. Chosen: enough to see what it was about.
const MAX_NAMED_CHANGES: usize = 5;

/// A split that somebody else changed since a command began: the command's change is not made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "split {split} was changed since this command began: {}, by {}; nothing was changed by this command. Look at it, \
     and give the command again if it is still meant",
    self.what(), self.who()
)]
pub struct ChangedMeanwhile {
    /// The split.
    pub split: String,
    /// Every weight that is another now.
    pub changes: Vec<WeightChange>,
    /// What else is another now.
    pub others: Vec<Part>,
    /// The change of `sluice`'s that did it, where one is remembered.
    pub noted: Option<Noted>,
    /// Other field managers that set something of the split since.
    pub managers: Vec<String>,
}

/// A part of a split that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its draw.
    Draw,
    /// Its fields in `splits`.
    Definition,
    /// Nothing of it, but it was aborted: its weights were zero, and are to stay so.
    Aborted,
}

impl ChangedMeanwhile {
    /// What is known of a change of the split between two reads of a store; `None` where there was
    /// none.
    pub(super) fn of(split: &str, begun: &Snapshot, now: &Snapshot) -> Option<Self> {
        let weights = |snapshot: &Snapshot| WeightSet::of_config(&snapshot.plugin.config);
        let changes = differences(&weights(begun).only(split), &weights(now).only(split));
        let since = since(begun, now);
        let abort = since.iter().copied().find(|noted| noted.aborts(split));
        let is_same = |field: &str| part(begun, field, split) == part(now, field, split);
        let mut others = Vec::new();
        if !is_same("draws") {
            others.push(Part::Draw);
        }
        if !is_same("splits") {
            others.push(Part::Definition);
        }
        let is_changed = !(is_same("weights") && others.is_empty());
        if !is_changed {
            // Zeros over zeros: only the note tells of them.
            abort?;
            others.push(Part::Aborted);
        }
        let noted = abort.or_else(|| since.iter().copied().rfind(|noted| noted.names(split)));
        Some(Self {
            split: split.to_owned(),
            changes,
            others,
            noted: noted.cloned(),
            managers: managers(split, begun, now),
        })
    }

    fn what(&self) -> String {
        let weights = self.changes.iter().take(MAX_NAMED_CHANGES);
        let weights = weights.map(|WeightChange { key, from, to }| {
            format!("{}/{} {from} -> {to}", key.audience, key.challenger)
        });
        let others = self.others.iter().map(|part| match part {
            Part::Draw => "its draw".to_owned(),
            Part::Definition => "its definition".to_owned(),
            Part::Aborted => "its zeros were written again".to_owned(),
        });
        let mut all: Vec<String> = weights.chain(others).collect();
        let left_out = self.changes.len().saturating_sub(MAX_NAMED_CHANGES);
        if left_out > 0 {
            all.push(format!("{left_out} more"));
        }
        if all.is_empty() {
            all.push("what stands where its weights do".to_owned());
        }
        all.join(", ")
    }

    fn who(&self) -> String {
        match (&self.noted, self.managers.as_slice()) {
            (Some(noted), _) => noted.to_string(),
            (None, []) => "somebody unknown".to_owned(),
            (None, managers) => format!("field manager {}", managers.join(", ")),
        }
    }
}

/// A split's part of a field of the configuration, as it stands.
fn part<'s>(snapshot: &'s Snapshot, field: &str, split: &str) -> Option<&'s Value> {
    let stands = snapshot.plugin.config.get(field);
    // What is no map belongs to every split.
    stands
        .filter(|stands| !stands.is_object())
        .or_else(|| stands?.get(split))
}

/// The changes of ours that a store remembers now and did not remember then, oldest first.
fn since<'s>(begun: &Snapshot, now: &'s Snapshot) -> Vec<&'s Noted> {
    let is_new = |noted: &&Noted| !begun.noted.contains(noted);
    now.noted.iter().filter(is_new).collect()
}

/// The managers that set something of the split since, but for ours.
fn managers(split: &str, begun: &Snapshot, now: &Snapshot) -> Vec<String> {
    let has_part = |author: &&Author| {
        let mut fields = ["weights", "draws", "splits"].iter();
        fields.any(|field| author.has(&[field, split]))
    };
    let others = now.authors.iter().filter(|author| !author.is_ours());
    let since = others.filter(|author| !begun.authors.contains(author));
    let names = since
        .filter(has_part)
        .map(|author| format!("{:?}", author.manager));
    names.collect()
}

#[cfg(test)]
mod tests;
