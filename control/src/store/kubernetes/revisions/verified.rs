//! Which ControllerRevisions are a plugin's history, and which only claim to be.
//!
//! Whoever may create ControllerRevisions may give one our label. Ours is owned by the plugin, is
//! named by its own number, and its number is a generation that the plugin has reached. Pure;
//! called where the history is read and where it is cut.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

use crate::cluster::plugins::LivePlugin;
use crate::model::plugin::API_VERSION;
use crate::model::weights::Weight;
use crate::store::history::Entry;

/// The longest entry that is read, as JSON. Chosen: an abort of 1,000 splits takes a quarter of it.
pub(super) const MAX_ENTRY_BYTES: usize = 512 * 1024;

/// The longest thing that is remembered as it stood where a weight belongs, as JSON. Chosen: enough
/// to tell what it was.
const MAX_UNREADABLE_BYTES: usize = 256;

/// Why a revision that has our label is not taken for a part of the history.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    /// Another's, or nobody's.
    #[error("the plugin does not own it")]
    Owner,
    /// The API server makes numbers and names unique; ours cannot be at two places.
    #[error("its name is not the plugin's name, uid and a revision")]
    Name,
    /// The plugin was never at this generation when it was read.
    #[error("revision {number} lies after the plugin's generation {generation}")]
    Future {
        /// What it says.
        number: i64,
        /// What the plugin says.
        generation: i64,
    },
    /// It holds something else.
    #[error("what it holds is no entry of a history: {0}")]
    Content(String),
}

/// The plugin whose history it is.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    kind: &'static str,
    name: String,
    /// Its uid, which the label of a revision holds.
    pub(super) uid: String,
    generation: i64,
}

impl Owner {
    /// The same plugin once it has reached this generation.
    pub(super) fn at(&self, generation: i64) -> Self {
        Self {
            generation: self.generation.max(generation),
            ..self.clone()
        }
    }

    pub(super) fn of(live: &LivePlugin) -> Self {
        let metadata = &live.object.metadata;
        Self {
            kind: live.plugin.kind.name(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
        }
    }

    /// What a revision of this plugin says of its owner. As the plugin controls it, no StatefulSet
    /// whose selector happens to match adopts it.
    pub(super) fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            ..OwnerReference::default()
        }
    }

    /// The name of the revision with a number.
    pub(super) fn revision_name(&self, number: i64) -> String {
        let short_name: String = self.name.chars().take(200).collect();
        let short_uid: String = self.uid.chars().take(8).collect();
        format!("{short_name}-{short_uid}-{number}")
    }

    /// The number of a revision, by what its metadata says.
    pub(super) fn number(&self, metadata: &ObjectMeta) -> Result<i64, Doubt> {
        let is_ours = |owner: &OwnerReference| {
            (&owner.kind[..], &owner.name, &owner.uid) == (self.kind, &self.name, &self.uid)
        };
        if !matches!(metadata.owner_references.as_deref(), Some([owner]) if is_ours(owner)) {
            return Err(Doubt::Owner);
        }
        let name = metadata.name.as_deref().unwrap_or_default();
        let number = name.rsplit('-').next().and_then(|last| last.parse().ok());
        let number = number.filter(|number| self.revision_name(*number) == name);
        let number = number.filter(|number| *number > 0).ok_or(Doubt::Name)?;
        if number > self.generation {
            let generation = self.generation;
            return Err(Doubt::Future { number, generation });
        }
        Ok(number)
    }

    /// What a revision holds.
    pub(super) fn entry(&self, revision: ControllerRevision) -> Result<Entry, Doubt> {
        let number = self.number(&revision.metadata)?;
        if revision.revision != number {
            return Err(Doubt::Name);
        }
        let data = revision.data.map(|data| data.0).unwrap_or_default();
        let size = data.to_string().len();
        if size > MAX_ENTRY_BYTES {
            let text = format!("{size} bytes; at most {MAX_ENTRY_BYTES} are read");
            return Err(Doubt::Content(text));
        }
        let mut entry: Entry =
            serde_json::from_value(data).map_err(|error| Doubt::Content(error.to_string()))?;
        entry.revision = number.unsigned_abs();
        Ok(entry)
    }
}

/// An entry that can be read again: what stood where a weight belongs may be nested so deep that no
/// reader of JSON takes it; then its beginning is remembered as a text.
pub(super) fn readable(mut entry: Entry) -> Entry {
    for change in &mut entry.changes {
        for weight in [&mut change.from, &mut change.to] {
            if let Weight::Unreadable(value) = weight {
                let text = value.to_string();
                if text.len() > MAX_UNREADABLE_BYTES {
                    let beginning = &text[..text.floor_char_boundary(MAX_UNREADABLE_BYTES)];
                    *value = Value::String(format!("{beginning}…"));
                }
            }
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner {
            kind: "WasmPlugin",
            name: "sluice".to_owned(),
            uid: "01234567-89ab".to_owned(),
            generation: 7,
        }
    }

    fn revision(number: i64, data: Value) -> ControllerRevision {
        let owner = owner();
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(owner.revision_name(number)),
                owner_references: Some(vec![owner.reference()]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(data)),
            revision: number,
        }
    }

    fn data() -> Value {
        json!({"revision": 1, "at": "2026-11-20T09:00:00Z", "by": "ann", "command": "set", "changes": [], "after": {}})
    }

    #[test]
    fn an_entry_has_the_number_of_its_name() {
        let entry = owner().entry(revision(7, data())).unwrap();
        assert_eq!((entry.revision, entry.by.as_str()), (7, "ann"));
    }

    #[test]
    fn what_only_claims_to_be_an_entry_is_told_apart() {
        let edited = |edit: fn(&mut ControllerRevision)| {
            let mut revision = revision(7, data());
            edit(&mut revision);
            revision
        };
        let rows = [
            (
                "nobody's",
                edited(|it| it.metadata.owner_references = None),
                Doubt::Owner,
            ),
            (
                "another plugin's of the same name",
                edited(|it| {
                    let owners = it.metadata.owner_references.as_mut().unwrap();
                    owners[0].uid = "89abcdef".to_owned();
                }),
                Doubt::Owner,
            ),
            (
                "a StatefulSet's too",
                edited(|it| {
                    let owners = it.metadata.owner_references.as_mut().unwrap();
                    owners.push(OwnerReference::default());
                }),
                Doubt::Owner,
            ),
            (
                "another name",
                edited(|it| it.metadata.name = Some("x-7".to_owned())),
                Doubt::Name,
            ),
            (
                "a number that is not its name's",
                edited(|it| it.revision = 6),
                Doubt::Name,
            ),
            (
                "a number in two ways of writing",
                edited(|it| it.metadata.name = Some("sluice-01234567-+7".to_owned())),
                Doubt::Name,
            ),
            ("number 0", revision(0, data()), Doubt::Name),
            (
                "a generation that is still to come",
                revision(8, data()),
                Doubt::Future {
                    number: 8,
                    generation: 7,
                },
            ),
            (
                "a StatefulSet's template",
                revision(7, json!({"spec": {}})),
                Doubt::Content("missing field `revision`".to_owned()),
            ),
            (
                "an entry that is too long",
                revision(7, json!("x".repeat(MAX_ENTRY_BYTES))),
                Doubt::Content("524290 bytes; at most 524288 are read".to_owned()),
            ),
        ];
        for (label, revision, doubt) in rows {
            assert_eq!(owner().entry(revision).unwrap_err(), doubt, "{label}");
        }
    }

    #[test]
    fn an_entry_can_be_read_again_whatever_stood_where_a_weight_belongs() {
        let nested = (0..150).fold(json!(5), |inside, _| json!([inside]));
        let mut data = data();
        data["changes"] = json!([
            {"split": "web", "audience": "everyone", "challenger": "canary", "from": nested, "to": 0},
            {"split": "web", "audience": "staff", "challenger": "canary", "from": "x", "to": 5},
        ]);
        let entry = owner().entry(revision(7, data)).unwrap();
        let text = serde_json::to_string(&readable(entry)).unwrap();
        let read: Entry = serde_json::from_str(&text).unwrap();
        let changes: Vec<String> = read.changes.iter().map(ToString::to_string).collect();
        let beginning = format!("{}5{}…", "[".repeat(150), "]".repeat(105));
        let expected = [
            format!("web everyone canary: \"{beginning}\" -> 0"),
            "web staff canary: \"x\" -> 5".to_owned(),
        ];
        assert_eq!(changes, expected);
    }
}
