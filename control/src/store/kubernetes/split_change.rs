//! One split's part of a write: its patch, what is remembered of it, and what a conflict on it
//! means.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::cluster::plugins::LivePlugin;
use crate::model::change::differences;
use crate::model::weights::WeightSet;
use crate::store::history::{self, Entry};
use crate::store::{OwnedField, Snapshot, Write, WriteError};

/// The annotation of a split's last change is `change.sluice.dev/<split>`.
pub(super) const CHANGE: &str = "change.sluice.dev/";

/// One split's part of a write.
#[derive(Clone, Debug)]
pub(super) struct SplitChange {
    pub(super) split: String,
    /// What becomes ours of this split.
    pub(super) part: WeightSet,
    /// What is remembered, but for its number.
    pub(super) entry: Entry,
    /// What was changed since our last change of it, without `sluice`.
    pub(super) foreign: Option<Entry>,
}

impl SplitChange {
    /// The server-side-apply patch; with a resourceVersion, of nothing but that version.
    pub(super) fn patch(
        &self,
        live: &LivePlugin,
        version: Option<&str>,
    ) -> serde_json::Result<Value> {
        let noted = json!({
            "at": self.entry.at, "by": self.entry.by, "command": self.entry.command, "reason": self.entry.reason,
            "changes": self.entry.changes, "after": self.part,
        });
        let annotation = (format!("{CHANGE}{}", self.split), noted.to_string());
        let metadata = ObjectMeta {
            annotations: Some(BTreeMap::from([annotation])),
            // Without it, applying to a plugin that is gone would make one.
            uid: live.object.metadata.uid.clone(),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        };
        live.plugin.patch(metadata, Some(self.part.to_config()))
    }
}

/// The parts of a write, split by split.
pub(super) fn changes(live: &LivePlugin, before: &Snapshot, write: &Write) -> Vec<SplitChange> {
    let at = history::time(write.at);
    let effective = WeightSet::of_config(&before.plugin.config);
    let mut so_far = before.managed.clone();
    let parts = write
        .splits
        .iter()
        .map(|split| (split, write.managed.only(split)));
    parts
        .map(|(split, part)| {
            so_far.replace(split, &part);
            let after = WeightSet::of_config(&before.state().with(&so_far));
            let entry = Entry {
                revision: 0,
                at: at.clone(),
                by: write.by.clone(),
                command: write.command.clone(),
                reason: write.reason.clone(),
                changes: differences(&effective.only(split), &after.only(split)),
                after: so_far.clone(),
            };
            let foreign = foreign(live, split, &before.managed, &effective, &at);
            SplitChange {
                split: split.clone(),
                part,
                entry,
                foreign,
            }
        })
        .collect()
}

/// What the split's annotation says of its last change, against what is in force.
fn foreign(
    live: &LivePlugin,
    split: &str,
    managed: &WeightSet,
    effective: &WeightSet,
    at: &str,
) -> Option<Entry> {
    let noted = live
        .object
        .metadata
        .annotations
        .as_ref()?
        .get(&format!("{CHANGE}{split}"))?;
    let noted: Value = serde_json::from_str(noted).ok()?;
    let recorded: WeightSet = serde_json::from_value(noted.get("after")?.clone()).ok()?;
    let mut changes = differences(&recorded, &effective.only(split));
    // Only what we set once: weights of Git's own were never ours to follow.
    changes.retain(|change| recorded.weight(&change.key).is_some());
    (!changes.is_empty()).then(|| Entry {
        revision: 0,
        at: at.to_owned(),
        by: "unknown".to_owned(),
        command: "(changed without sluice)".to_owned(),
        reason: None,
        changes,
        after: managed.clone(),
    })
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

/// The refusal of a conflict: whose fields they are, and what would be set.
pub(super) fn conflict(
    live: &LivePlugin,
    change: &SplitChange,
    fields: Vec<OwnedField>,
) -> WriteError {
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
