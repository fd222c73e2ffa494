//! One split's part of a write that waits for its turn: its patch, what is remembered of it, and
//! what a conflict on it means.

use kube::core::ObjectMeta;
use serde_json::Value;

use super::note;
use crate::cluster::authors::Author;
use crate::cluster::managed_fields::is_others;
use crate::cluster::plugins::LivePlugin;
use crate::model::change::differences;
use crate::model::weights::WeightSet;
use crate::store::history::{self, Entry};
use crate::store::{OthersFields, OwnedField, Snapshot, Write, WriteError};

/// One split's part of a write.
#[derive(Clone, Debug)]
pub(super) struct SplitChange {
    pub(super) split: String,
    /// What becomes ours of this split.
    pub(super) part: WeightSet,
    /// What is remembered, but for its number and what is ours after it.
    pub(super) entry: Entry,
    /// Whether it changes what somebody else set.
    pub(super) is_anothers: bool,
}

impl SplitChange {
    /// The server-side-apply patch, of nothing but what it was decided on.
    pub(super) fn patch(&self, live: &LivePlugin) -> serde_json::Result<Value> {
        let metadata = ObjectMeta {
            annotations: Some(note::annotation(&self.entry)),
            // Without it, applying to a plugin that is gone would make one.
            uid: live.object.metadata.uid.clone(),
            resource_version: live.object.metadata.resource_version.clone(),
            ..ObjectMeta::default()
        };
        live.plugin.patch(metadata, Some(self.part.to_config()))
    }

    /// Whether the patch may take fields over. Managers of ours lose theirs without a question: the
    /// note belongs to whoever wrote last, and a zero to the abort that wrote it.
    pub(super) fn takes_over(&self, others_fields: OthersFields) -> bool {
        others_fields == OthersFields::TakeOver || !self.is_anothers
    }
}

/// The parts of a write, split by split.
pub(super) fn changes(before: &Snapshot, write: &Write) -> Vec<SplitChange> {
    let effective = WeightSet::of_config(&before.plugin.config);
    let change = |split: &String| {
        let part = write.managed.only(split);
        let was = effective.only(split);
        let mut is = was.clone();
        for (key, _) in before.managed.of_split(split) {
            is.remove(key);
        }
        for (key, weight) in part.iter() {
            is.put(key.clone(), weight.clone());
        }
        SplitChange {
            split: split.clone(),
            entry: Entry {
                revision: 0,
                at: history::time(write.at),
                by: write.by.clone(),
                command: write.command.clone(),
                reason: write.reason.clone(),
                changes: differences(&was, &is),
                after: WeightSet::default(),
            },
            is_anothers: is_anothers(&before.authors, split, &was, &part),
            part,
        }
    };
    write.splits.iter().map(change).collect()
}

/// Whether somebody else owns a field that the part sets to another value.
fn is_anothers(authors: &[Author], split: &str, was: &WeightSet, part: &WeightSet) -> bool {
    let others: Vec<&Author> = authors
        .iter()
        .filter(|author| author.is_another())
        .collect();
    let is_owned = |path: &[&str]| others.iter().any(|author| author.has(path));
    let mut weights = part.iter();
    let is_of_weight = weights.any(|(key, weight)| {
        let path = ["weights", split, &key.audience, &key.challenger];
        was.weight(key) != Some(weight) && is_owned(&path)
    });
    let is_of_draw = part.draw(split).is_some()
        && part.draw(split) != was.draw(split)
        && is_owned(&["draws", split]);
    is_of_weight || is_of_draw
}

/// The fields that a server-side apply may not set, with their owners; none when the
/// resourceVersion was the reason.
pub fn conflicting(status: &kube::core::Status) -> Vec<OwnedField> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicting = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    conflicting
        .map(|cause| OwnedField {
            path: cause.field.trim_start_matches('.').to_owned(),
            manager: cause
                .message
                .split('"')
                .nth(1)
                .unwrap_or(&cause.message)
                .to_owned(),
        })
        .collect()
}

/// The refusal of a conflict: whose fields they are, and what would be set. What is ours besides,
/// such as the note, is no reason.
pub(super) fn conflict(
    live: &LivePlugin,
    change: &SplitChange,
    mut fields: Vec<OwnedField>,
) -> WriteError {
    fields.retain(|field| is_others(&field.manager));
    let changes = change.entry.changes.iter().map(|change| {
        format!(
            "{}/{} {} -> {}",
            change.key.audience, change.key.challenger, change.from, change.to
        )
    });
    WriteError::Conflict {
        plugin: live.plugin.source.clone(),
        fields,
        changes: changes.collect(),
    }
}
