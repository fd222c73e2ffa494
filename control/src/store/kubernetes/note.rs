//! What a plugin says of its last change and its last abort: two annotations, however many splits it
//! has and whoever writes.
//!
//! It is for people who look at the resource, and for a change that must not land after an abort
//! which found nothing but zeros, and which another split's change must not hide. What counts for the
//! rest is the history.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cluster::plugins::LivePlugin;
use crate::store::history::{Entry, Noted};

/// The annotation of a plugin's last change.
const CHANGE: &str = "sluice.dev/change";

/// The annotation of a plugin's last abort.
const ABORT: &str = "sluice.dev/abort";

/// The annotations of each split's last change, which earlier versions wrote without a bound: they
/// are removed.
const FORMER: &str = "change.sluice.dev/";

/// How long the annotation's value may be. Chosen: a reason of the usual length whole, and a small
/// part of the 256 KiB that Kubernetes gives to all annotations.
const MAX_NOTE_BYTES: usize = 4 * 1024;

/// The annotation with a change.
pub(super) fn annotation(entry: &Entry) -> BTreeMap<String, String> {
    BTreeMap::from([(CHANGE.to_owned(), text(entry))])
}

/// The same of an abort, as part of a merge patch, which also removes what earlier versions left.
pub(super) fn merged(live: &LivePlugin, entry: &Entry) -> Value {
    let present = live.object.metadata.annotations.iter().flatten();
    let former = present.filter(|(name, _)| name.starts_with(FORMER));
    let removed = former.map(|(name, _)| (name.clone(), Value::Null));
    let mut annotations: Map<String, Value> = removed.collect();
    for name in [CHANGE, ABORT] {
        annotations.insert(name.to_owned(), Value::String(text(entry)));
    }
    Value::Object(annotations)
}

/// What the annotations say of our last changes.
pub(super) fn noted(live: &LivePlugin) -> Vec<Noted> {
    let annotations = live.object.metadata.annotations.iter().flatten();
    let is_ours = |name: &str| [CHANGE, ABORT].contains(&name) || name.starts_with(FORMER);
    let ours = annotations.filter(|(name, _)| is_ours(name));
    ours.filter_map(|(_, noted)| serde_json::from_str(noted).ok())
        .collect()
}

/// When, who, what and why, each cut to what fits.
fn text(entry: &Entry) -> String {
    let noted = |most: usize| {
        let reason = entry.reason.as_deref().map(|reason| cut(reason, most));
        let (by, command) = (cut(&entry.by, most), cut(&entry.command, most));
        json!({"at": entry.at, "by": by, "command": command, "reason": reason}).to_string()
    };
    // A byte takes up to six where it is a control character.
    let texts = [1_024, 512, 128].map(noted);
    let fitting = texts.into_iter().find(|text| text.len() <= MAX_NOTE_BYTES);
    fitting.unwrap_or_default()
}

/// The longest beginning of so many bytes.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plugin::Kind;
    use crate::model::weights::WeightSet;

    fn entry(by: &str, reason: &str) -> Entry {
        Entry {
            revision: 0,
            at: "2026-11-20T09:00:00Z".to_owned(),
            by: by.to_owned(),
            command: "abort --all".to_owned(),
            reason: Some(reason.to_owned()),
            changes: Vec::new(),
            after: WeightSet::default(),
        }
    }

    #[test]
    fn a_note_is_bounded_whatever_is_in_it() {
        let short = text(&entry("ann", "smoke"));
        assert_eq!(
            short,
            r#"{"at":"2026-11-20T09:00:00Z","by":"ann","command":"abort --all","reason":"smoke"}"#
        );
        for letter in ["a", "é", "\u{1}"] {
            let long = letter.repeat(100_000);
            let noted = text(&entry(&long, &long));
            assert!(
                noted.len() > 1_000 && noted.len() <= MAX_NOTE_BYTES,
                "{letter:?}: {}",
                noted.len()
            );
            assert!(serde_json::from_str::<Value>(&noted).is_ok(), "{letter:?}");
        }
    }

    #[test]
    fn the_notes_of_earlier_versions_are_removed() {
        let object = json!({"metadata": {"name": "s", "annotations": {
            "change.sluice.dev/web": "{}", "change.sluice.dev/shop": "{}", "sluice.dev/refetch": "x", "y": "z",
        }}});
        let object = serde_json::from_value(object).unwrap();
        let live = LivePlugin::of(object, Kind::WasmPlugin).unwrap();
        let merged = merged(&live, &entry("ann", "smoke"));
        let names: Vec<&String> = merged.as_object().unwrap().keys().collect();
        let expected = [
            "change.sluice.dev/shop",
            "change.sluice.dev/web",
            "sluice.dev/abort",
            "sluice.dev/change",
        ];
        assert_eq!(names, expected);
        assert_eq!(merged["change.sluice.dev/web"], Value::Null);
    }
}
