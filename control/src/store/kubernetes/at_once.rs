//! Writes that wait for nobody: an abort is one merge patch of the whole plugin by one field
//! manager, and the API server's answer is what was read back.
//!
//! A merge patch takes over whatever it changes and turns into a map what stands there instead of
//! one, and it never makes a plugin that is gone. It carries no resourceVersion but where it
//! replaces everything.

use std::time::{Duration, Instant};

use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::doubt::is_doubtful;
use super::native::follow;
use super::pauses::pauses;
use super::{Kubernetes, MAX_PAUSE, MIN_PAUSE, note, nothing_written, revisions, snapshot};
use crate::cluster::plugins::{self, LivePlugin};
use crate::cluster::{code, is_refused_content, managed_fields, words};
use crate::model::change::differences;
use crate::model::weights::WeightSet;
use crate::store::history::{self, Entry};
use crate::store::{Decide, Extent, Note, Snapshot, Updated, Write, WriteError};
use tower::retry::backoff::Backoff as _;

/// How often a write is sent of which no answer comes. Chosen: an API server that restarts behind a
/// balancer, short of despair.
const MAX_SENT: usize = 3;

/// How long a write is tried that others overtake. Chosen: hundreds of turns; somebody waits.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// How long an abort waits for its own name; the weights matter more. Chosen: one answer of a
/// healthy API server.
const NAME_PATIENCE: Duration = Duration::from_millis(40);

/// How long an abort waits for its history, which matters less than what it says. Chosen: as long
/// as looking takes.
const HISTORY_PATIENCE: Duration = Duration::from_secs(3);

/// A write of which no answer came, so that it may have been made.
struct Lost {
    /// How often it was sent.
    sent: usize,
    /// The plugin before the first sending.
    before: LivePlugin,
    /// What was sent last.
    write: Write,
    /// What became of the last connection.
    why: String,
}

impl Kubernetes {
    /// Reads, decides, writes at once, and says what was there afterwards.
    pub(super) async fn update_at_once(
        &self,
        extent: Extent,
        decide: &mut Decide<'_>,
    ) -> anyhow::Result<Updated> {
        let began = Instant::now();
        let mut pauses = pauses(MIN_PAUSE, MAX_PAUSE);
        let mut lost: Option<Lost> = None;
        loop {
            let (live, name, unlisted) = match (self.seen(NAME_PATIENCE).await, lost.take()) {
                (Ok(seen), unanswered) => {
                    lost = unanswered;
                    seen
                }
                (Err(error), None) => return Err(error),
                (Err(_), Some(lost)) => return self.look_back(lost, extent).await,
            };
            let notes = unlisted.into_iter().map(Note::from).collect();
            let Some(mut write) = decide(&snapshot(&live))? else {
                return Ok(match lost {
                    Some(Lost { before, write, .. }) => {
                        self.written(&before, &live, write, extent, notes).await
                    }
                    None => nothing_written(snapshot(&live), notes),
                });
            };
            write.by = name.unwrap_or(write.by);
            let patch = body(&live, &write, extent)?;
            // To the last digit: were the note of the abort before it the same, so would the plugin
            // be, and who writes meanwhile would notice nothing.
            let noted = Entry {
                at: write.at.to_string(),
                ..entry(&write)
            };
            match self.patch(&live, patch, &noted).await {
                Ok((patched, note)) => {
                    let notes = notes.into_iter().chain(note).collect();
                    let before = lost.map_or(live, |lost| lost.before);
                    let written = self.written(&before, &patched, write, extent, notes);
                    return Ok(written.await);
                }
                Err(error) if code(&error) == Some(409) && began.elapsed() < TURN_PATIENCE => {
                    pauses.next_backoff().await;
                }
                // Zeros may be written twice: before it is looked whether they were, it is done
                // again.
                Err(error) if is_doubtful(&error) => {
                    let why = self.tell_of(&live, &error);
                    let (sent, before) = match lost {
                        Some(lost) => (lost.sent + 1, lost.before),
                        None => (1, live),
                    };
                    let unanswered = Lost {
                        sent,
                        before,
                        write,
                        why,
                    };
                    if sent == MAX_SENT {
                        return self.look_back(unanswered, extent).await;
                    }
                    lost = Some(unanswered);
                    pauses.next_backoff().await;
                }
                Err(error) => {
                    return match lost {
                        Some(lost) => self.look_back(lost, extent).await,
                        None => Err(self.refused(&live, error)),
                    };
                }
            }
        }
    }

    fn refused(&self, live: &LivePlugin, error: kube::Error) -> anyhow::Error {
        let plugin = live.plugin.source.clone();
        if code(&error) == Some(409) {
            let seconds = TURN_PATIENCE.as_secs();
            return WriteError::Overtaken { plugin, seconds }.into();
        }
        self.cluster.explain(plugin, error).into()
    }

    /// Looks whether a write was made that is not sent again.
    async fn look_back(&self, lost: Lost, extent: Extent) -> anyhow::Result<Updated> {
        let Lost {
            before, write, why, ..
        } = lost;
        let is_shown = |now: &LivePlugin| {
            let weights = WeightSet::of_config(&now.plugin.config);
            let wanted = write.managed.of_splits(&write.splits);
            wanted
                .iter()
                .all(|(key, weight)| weights.weight(key) == Some(weight))
        };
        match self.shown(&before, is_shown).await {
            Ok(now) => {
                let notes = vec![Note::FoundMade { why }];
                Ok(self.written(&before, &now, write, extent, notes).await)
            }
            Err(unread) => {
                let plugin = before.plugin.source;
                Err(WriteError::Unknown {
                    plugin,
                    why,
                    unread,
                }
                .into())
            }
        }
    }

    /// What a write led to, which is also remembered.
    async fn written(
        &self,
        before: &LivePlugin,
        now: &LivePlugin,
        write: Write,
        extent: Extent,
        mut notes: Vec<Note>,
    ) -> Updated {
        let mut entry = entry(&write);
        let (before_it, after) = (snapshot(before), snapshot(now));
        told(&mut entry, &before_it, &after, &write, extent);
        let remembering = self.remember(before, now, entry);
        let (remembered, followed) = tokio::join!(remembering, follow(&self.cluster, now));
        notes.extend(remembered.into_iter().chain(followed));
        Updated {
            before: before_it,
            written: Some(write),
            after: Some(Ok(after.plugin)),
            notes,
        }
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
                let why = words(&refused);
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
        let remembered = revisions::remember(&self.cluster, patched, &entry);
        let remembered = tokio::time::timeout(HISTORY_PATIENCE, remembered).await;
        remembered.unwrap_or_else(|_| {
            let why = format!("no answer in {} s", HISTORY_PATIENCE.as_secs());
            let is_forbidden = false;
            vec![Note::NotRemembered { why, is_forbidden }]
        })
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
fn entry(write: &Write) -> Entry {
    Entry {
        revision: 0,
        at: history::time(write.at),
        by: write.by.clone(),
        command: write.command.clone(),
        reason: write.reason.clone(),
        changes: Vec::new(),
        after: WeightSet::default(),
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
            // RFC 7396, as the API server does it.
            json_patch::merge(&mut config, &patch);
            let expected = json!({"weights": wanted["weights"], "draws": {}});
            assert_eq!(config, expected);
        }
    }
}
