//! Writes that wait for nobody: an abort is one merge patch of the whole plugin by one field
//! manager, and the API server's answer is what was read back.
//!
//! A merge patch takes over whatever it changes and turns into a map what stands there instead of
//! one, and it never makes a plugin that is gone. It carries no resourceVersion but where it
//! replaces everything.

use std::time::Instant;

use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::doubt::is_doubtful;
use super::pauses::pauses;
use super::{Kubernetes, MAX_PAUSE, MIN_PAUSE, NAME_PATIENCE, PATIENCE, note, revisions, snapshot};
use crate::cluster::plugins::{self, LivePlugin};
use crate::cluster::{code, is_refused_content, managed_fields};
use crate::model::change::differences;
use crate::model::weights::WeightSet;
use crate::store::history::{self, Entry};
use crate::store::{Decide, Extent, Note, Snapshot, Updated, Write, WriteError};
use tower::retry::backoff::Backoff as _;

/// How often a write is sent of which no answer comes. Chosen: an API server that restarts behind a
/// balancer, short of despair.
const MAX_SENT: usize = 3;

impl Kubernetes {
    /// Reads, decides, writes at once, and says what was there afterwards.
    pub(super) async fn update_at_once(
        &self,
        extent: Extent,
        decide: &mut Decide<'_>,
    ) -> anyhow::Result<Updated> {
        let began = Instant::now();
        let mut pauses = pauses(MIN_PAUSE, MAX_PAUSE);
        let (mut sent, mut lost) = (0, None);
        loop {
            let (live, name) = match (self.seen().await, lost.take()) {
                (Ok(seen), _) => seen,
                (Err(error), None) => return Err(error),
                (Err(error), Some((plugin, why))) => {
                    let unread = format!("{error:#}");
                    return Err(WriteError::Unknown {
                        plugin,
                        why,
                        unread,
                    }
                    .into());
                }
            };
            let before = snapshot(&live);
            let Some(mut write) = decide(&before)? else {
                return Ok(nothing_written(before));
            };
            write.by = name.unwrap_or(write.by);
            let mut entry = entry(&before, &write);
            let patch = body(&live, &write, extent)?;
            sent += 1;
            match self.patch(&live, patch, &entry).await {
                Ok((patched, mut notes)) => {
                    let after = snapshot(&patched);
                    told(&mut entry, &before, &after, &write, extent);
                    notes.extend(self.remember(&live, &patched, entry).await);
                    return Ok(Updated {
                        before,
                        written: Some(write),
                        after: Some(Ok(after.plugin)),
                        notes,
                    });
                }
                // Only what replaces everything is bound to what it was decided on.
                Err(error)
                    if code(&error) == Some(409)
                        && extent == Extent::Whole
                        && began.elapsed() < PATIENCE =>
                {
                    pauses.next_backoff().await;
                }
                // Zeros may be written twice: instead of looking whether they were, it is done again.
                Err(error) if is_doubtful(&error) && sent < MAX_SENT => {
                    let why = self.tell_of(&live, &error);
                    lost = Some((live.plugin.source, why));
                    pauses.next_backoff().await;
                }
                Err(error) => {
                    let title = live.plugin.source.clone();
                    return Err(self.cluster.explain(title, error).into());
                }
            }
        }
    }

    /// The plugin as a listing saw it, if that was only just now, and else as it is; and who asks,
    /// where that is known in time.
    async fn seen(&self) -> anyhow::Result<(LivePlugin, Option<String>)> {
        let listed = self.take_listed();
        let read = async {
            match listed {
                Some(listed) => Ok(listed),
                None => self.read().await,
            }
        };
        let name = tokio::time::timeout(NAME_PATIENCE, self.cluster.caller());
        let (live, name) = tokio::join!(read, name);
        Ok((live?, name.ok().flatten()))
    }

    /// Sends a patch with a note of the change and, where that is refused, without: annotations may
    /// be full.
    async fn patch(
        &self,
        live: &LivePlugin,
        patch: Value,
        entry: &Entry,
    ) -> kube::Result<(LivePlugin, Vec<Note>)> {
        let parameters = PatchParams {
            field_manager: Some(managed_fields::ABORT_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let send = async |patch: &Value| {
            plugins::patch(&self.cluster, live, &parameters, &Patch::Merge(patch)).await
        };
        let mut noted = patch.clone();
        noted["metadata"]["annotations"] = note::merged(live, entry);
        match send(&noted).await {
            Ok(patched) => Ok((patched, Vec::new())),
            Err(refused) if is_refused_content(&refused) => {
                let why = match &refused {
                    kube::Error::Api(status) => status.message.clone(),
                    other => other.to_string(),
                };
                // Where the note was not the reason, this is refused for the same one.
                Ok((send(&patch).await?, vec![Note::NotNoted { why }]))
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers what was written, where anything was.
    async fn remember(&self, live: &LivePlugin, patched: &LivePlugin, entry: Entry) -> Vec<Note> {
        if patched.generation() == live.generation() {
            return Vec::new();
        }
        revisions::remember(self.cluster.client(), patched, &entry).await
    }
}

fn nothing_written(before: Snapshot) -> Updated {
    Updated {
        after: Some(Ok(before.plugin.clone())),
        before,
        written: None,
        notes: Vec::new(),
    }
}

/// A merge patch of the weights of the write's splits, or of all weights and draws.
fn body(live: &LivePlugin, write: &Write, extent: Extent) -> serde_json::Result<Value> {
    let (fields, version) = match extent {
        Extent::Splits => {
            let weights = write.managed.of_splits(&write.splits).to_config();
            (json!({"weights": weights["weights"]}), None)
        }
        Extent::Whole => {
            let wanted = write.managed.to_config();
            let version = live.object.metadata.resource_version.clone();
            (replacing(&live.plugin.config, &wanted), version)
        }
    };
    let metadata = ObjectMeta {
        uid: live.object.metadata.uid.clone(),
        resource_version: version,
        ..ObjectMeta::default()
    };
    live.plugin.patch(metadata, Some(fields))
}

/// What a merge patch must say so that weights and draws are these and nothing else (RFC 7396: null
/// removes a field).
fn replacing(config: &Value, wanted: &Value) -> Value {
    let empty = json!({});
    let field = |name: &str| {
        let present = config.get(name).unwrap_or(&Value::Null);
        (
            name.to_owned(),
            over(present, wanted.get(name).unwrap_or(&empty)),
        )
    };
    Value::Object(Map::from_iter(["weights", "draws"].map(field)))
}

fn over(present: &Value, wanted: &Value) -> Value {
    let (Value::Object(present), Value::Object(wanted)) = (present, wanted) else {
        return wanted.clone();
    };
    let gone = present.keys().filter(|name| !wanted.contains_key(*name));
    let mut fields: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    fields.extend(wanted.iter().map(|(name, wanted)| {
        let present = present.get(name).unwrap_or(&Value::Null);
        (name.clone(), over(present, wanted))
    }));
    Value::Object(fields)
}

/// What is remembered of a write, but for what it led to.
fn entry(before: &Snapshot, write: &Write) -> Entry {
    Entry {
        revision: 0,
        at: history::time(write.at),
        by: write.by.clone(),
        command: write.command.clone(),
        reason: write.reason.clone(),
        changes: Vec::new(),
        after: before.managed.clone(),
    }
}

/// Adds to an entry what was read back.
fn told(entry: &mut Entry, before: &Snapshot, after: &Snapshot, write: &Write, extent: Extent) {
    let [was, is] = [before, after].map(|snapshot| WeightSet::of_config(&snapshot.plugin.config));
    entry.changes = match extent {
        Extent::Splits => differences(&was.of_splits(&write.splits), &is.of_splits(&write.splits)),
        Extent::Whole => differences(&was, &is),
    };
    entry.after = after.managed.clone();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7396, section 2, as the API server does it.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (name, value) in patch {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(name);
            } else {
                merge(&mut target[name], value);
            }
        }
    }

    #[test]
    fn a_merge_patch_replaces_weights_and_draws_whole() {
        let wanted = json!({"weights": {"web": {"everyone": {"canary": 0}}}});
        let present = [
            json!({}),
            json!({"weights": [], "draws": "x"}),
            json!({"weights": {"web": "x", "y": {}}, "draws": {"web": 7}}),
            json!({"weights": {"web": {"everyone": [1], "staff": {"canary": 5}}}}),
        ];
        for mut config in present {
            let patch = replacing(&config, &wanted);
            merge(&mut config, &patch);
            let expected = json!({"weights": wanted["weights"], "draws": {}});
            assert_eq!(config, expected);
        }
    }
}
