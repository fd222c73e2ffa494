//! A document of which one part cannot be read: everything else is kept.
//!
//! `splits`, `weights` and `draws` have an entry for each split, and each entry is read by itself.
//! One that is no JSON that can be read (1e400, half a surrogate pair, nested too deeply) is left
//! out and noted: whoever may write one split's weights must not stop the others'. What stands
//! outside of these entries must be readable. One pass over the bytes, without recursion.

use serde_json::{Map, Value};

use super::{MAX_DOCUMENT_VALUES, MAX_SPLITS, size};
use crate::problem::{Accepted, Problem};

/// The fields that hold one entry a split.
const BY_SPLIT: [&str; 3] = ["splits", "weights", "draws"];

/// How deep an entry may be nested: no setting has more than ten levels. See docs/limits.md.
const MAX_DEPTH: usize = 32;

/// The most values of an entry in a document that has more than [`MAX_DOCUMENT_VALUES`]: whoever has more is
/// to blame. See docs/limits.md.
const MAX_ENTRY_VALUES: usize = 8 * 1024;

/// An entry that cannot be read.
pub(super) struct Unread {
    /// The field that it stands in.
    pub(super) field: &'static str,
    /// The split; `None` where not even that can be read.
    pub(super) split: Option<String>,
    /// What is wrong.
    pub(super) problem: Problem,
}

/// The fields of the object that `json` is, without the entries that cannot be read. `None`: it is
/// no such object, or has too many values even so.
pub(super) fn fields(json: &[u8]) -> Option<(Map<String, Value>, Vec<Unread>)> {
    let (mut fields, mut unread) = (Map::new(), Vec::new());
    let mut left = Left {
        is_too_large: size::of_json(json) > MAX_DOCUMENT_VALUES,
        values: MAX_DOCUMENT_VALUES,
    };
    for (name, value) in members(json)? {
        let name = text(name)?;
        let by_split = BY_SPLIT.into_iter().find(|field| name == *field);
        let read = match by_split.filter(|_| value.starts_with(b"{")) {
            Some(field) => entries(field, value, &mut left, &mut unread)?,
            None => {
                left.take(size::of_json(value))?;
                serde_json::from_slice(value).ok()?
            }
        };
        fields.insert(name, read);
    }
    Some((fields, unread))
}

/// How many values may still be read.
struct Left {
    is_too_large: bool,
    values: usize,
}

impl Left {
    fn take(&mut self, values: usize) -> Option<()> {
        self.values = self.values.checked_sub(values)?;
        Some(())
    }
}

/// Takes out the entries with too many values, of a document that has too many.
pub(super) fn take_large_entries(fields: &mut Map<String, Value>, unread: &mut Vec<Unread>) {
    for field in BY_SPLIT {
        let entries = fields.get_mut(field).and_then(Value::as_object_mut);
        for (split, value) in entries.into_iter().flatten() {
            let values = size::of_value(value);
            if values > MAX_ENTRY_VALUES {
                *value = Value::Null;
                unread.push(too_large(field, split, values));
            }
        }
    }
}

fn too_large(field: &'static str, split: &str, values: usize) -> Unread {
    Unread {
        field,
        split: Some(split.to_owned()),
        problem: Problem::new(
            format!("{field}.{split}"),
            format!("{values} values, too many for the document, ignored"),
            Accepted::rule(format!("at most {MAX_ENTRY_VALUES}")),
        ),
    }
}

/// Takes out the entries that are nested deeper than any setting, so that whoever reads the
/// document takes it for the same: what a parser bears differs from one to the next.
pub(super) fn take_deep_entries(fields: &mut Map<String, Value>, unread: &mut Vec<Unread>) {
    for field in BY_SPLIT {
        let Some(entries) = fields.get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        entries.retain(|split, value| {
            let is_kept = is_within(value, MAX_DEPTH);
            if !is_kept {
                unread.push(Unread {
                    field,
                    split: Some(split.clone()),
                    problem: Problem::new(
                        format!("{field}.{split}"),
                        "too deeply nested, ignored",
                        Accepted::rule(format!("at most {MAX_DEPTH} levels")),
                    ),
                });
            }
            is_kept
        });
    }
}

fn is_within(value: &Value, levels: usize) -> bool {
    let is_within_one_less = |value| levels > 0 && is_within(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().all(is_within_one_less),
        Value::Object(fields) => fields.values().all(is_within_one_less),
        _ => true,
    }
}

fn entries(
    field: &'static str,
    json: &[u8],
    left: &mut Left,
    unread: &mut Vec<Unread>,
) -> Option<Value> {
    let mut entries = Map::new();
    let noted = unread.len();
    for (name, value) in members(json)? {
        let split = text(name);
        let values = size::of_json(value);
        // So many are enough to tell that there are too many splits, or that they name none.
        let is_full = unread.len() - noted > MAX_SPLITS;
        if left.is_too_large && values > MAX_ENTRY_VALUES {
            unread.extend(
                split
                    .filter(|_| !is_full)
                    .map(|split| too_large(field, &split, values)),
            );
            continue;
        }
        left.take(values)?;
        let (path, found) = match (&split, serde_json::from_slice(value)) {
            (Some(split), Ok(value)) => {
                entries.insert(split.clone(), value);
                continue;
            }
            (Some(split), Err(error)) => (format!("{field}.{split}"), error.to_string()),
            (None, _) => (field.to_owned(), "a name that is no text".to_owned()),
        };
        if is_full {
            continue;
        }
        let found = format!("{found}, ignored");
        unread.push(Unread {
            field,
            split,
            problem: Problem::new(path, found, Accepted::value("JSON")),
        });
    }
    Some(Value::Object(entries))
}

fn text(json: &[u8]) -> Option<String> {
    match serde_json::from_slice(json) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The names and values of an object, as they stand there. `None`: it is none.
fn members(json: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = Rest(json);
    let mut members = Vec::new();
    rest.take(b'{')?;
    if rest.take(b'}').is_none() {
        loop {
            let name = rest.value()?;
            rest.take(b':')?;
            members.push((name, rest.value()?));
            if rest.take(b',').is_none() {
                break rest.take(b'}')?;
            }
        }
    }
    rest.0.trim_ascii().is_empty().then_some(members)
}

/// What is left to read.
struct Rest<'j>(&'j [u8]);

impl<'j> Rest<'j> {
    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.trim_ascii_start().strip_prefix(&[byte])?;
        Some(())
    }

    /// One value, of which only its end is known.
    fn value(&mut self) -> Option<&'j [u8]> {
        let json = self.0.trim_ascii_start();
        let (value, rest) = json.split_at_checked(end_of_value(json)?)?;
        self.0 = rest;
        Some(value)
    }
}

fn end_of_value(json: &[u8]) -> Option<usize> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => {
                is_text = !is_text;
                if !is_text && depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn nested(levels: usize) -> String {
        ["[".repeat(levels), "]".repeat(levels)].concat()
    }

    #[test]
    fn an_entry_that_cannot_be_read_costs_only_itself() {
        let cases = [
            (
                "too large a number",
                r#"{"everyone": {"canary": 1e400}}"#.to_owned(),
                "weights.web: number out of range at line 1 column 29, ignored; accepted: JSON",
            ),
            (
                "half a surrogate pair",
                r#"{"everyone": {"\ud800": 5}}"#.to_owned(),
                "weights.web: unexpected end of hex escape at line 1 column 22, ignored; accepted: JSON",
            ),
            (
                "what no parser bears",
                nested(200_000),
                "weights.web: 200001 values, too many for the document, ignored; at most 8192",
            ),
            (
                "deeper than any setting",
                nested(34),
                "weights.web: too deeply nested, ignored; at most 32 levels",
            ),
            (
                "a line end in a text",
                "{\"everyone\n\": {}}".to_owned(),
                "weights.web: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0, ignored; accepted: JSON",
            ),
            (
                "no JSON at all",
                "{true]".to_owned(),
                "weights.web: key must be a string at line 1 column 2, ignored; accepted: JSON",
            ),
        ];
        for (label, weights, problem) in cases {
            let json = format!(
                r#" {{"weights": {{"a": {{}}, "web": {weights}, "z}}\"": 1}}, "splits": {{"a": {{}}}} }} "#
            );
            let document = Document::read(json.as_bytes()).unwrap();
            let problems: Vec<_> = document.unread.iter().map(ToString::to_string).collect();
            assert_eq!(problems, [problem], "{label}");
            let absent = r#"{"weights": {"a": {}, "z}\"": 1}, "splits": {"a": {}}}"#;
            let absent = Document::read(absent.as_bytes()).unwrap();
            assert_eq!(document.revision, absent.revision, "{label}");
            assert_eq!(document.weights.get("web"), Some(&Value::Null), "{label}");
            assert_eq!(document.weights.get("z}\""), Some(&1.into()), "{label}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_read_costs_only_its_entry() {
        let json = br#"{"draws": {"\udead": "1", "web": "2"}}"#;
        let document = Document::read(json).unwrap();
        let problems: Vec<_> = document.unread.iter().map(ToString::to_string).collect();
        let expected = "draws: a name that is no text, ignored; accepted: JSON";
        assert_eq!(problems, [expected]);
        assert_eq!(document.draws.len(), 1);
    }

    #[test]
    fn whoever_reads_the_same_values_has_the_same_revision() {
        let of_text = |json: &str| Document::read(json.as_bytes()).unwrap().revision;
        let of_value = |json: &str| {
            let value = serde_json::from_str(json).unwrap();
            Document::from_value(value).unwrap().revision
        };
        for levels in [1, 32, 33, 34, 100] {
            let json = format!(r#"{{"weights": {{"web": {}}}}}"#, nested(levels));
            assert_eq!(of_text(&json), of_value(&json), "{levels}");
            let is_absent = of_text(&json) == of_text(r#"{"weights": {}}"#);
            assert_eq!(is_absent, levels > 33, "{levels}");
        }
    }

    #[test]
    fn what_stands_outside_of_entries_must_be_readable() {
        let cases = [
            r#"{"weights": {"web": 1e400}"#,
            r#"{"weights": {"web": 1e400}} {}"#,
            r#"{"weights": {"web": 1e400}, "cookie": 1e400}"#,
            r#"{"weights": {"web": 1e400}, "\ud800": 1}"#,
            r#"{"weights": {"web" 1e400}}"#,
            r#"{"weights": {"web": 1e400,}}"#,
            r#"{"weights": {"web": 1e400}, "version": 2}"#,
            r#"["weights", 1e400]"#,
            "1e400",
            "",
            "\"\\",
        ];
        for json in cases {
            let is_read = fields(json.as_bytes()).is_some();
            assert_eq!(is_read, json.contains("version"), "{json}");
            let unread = Document::read(json.as_bytes());
            assert!(unread.is_err() || json.is_empty(), "{json}");
        }
    }
}
