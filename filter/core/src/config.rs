//! What may be written: the plugin configuration as plain types, fields named as in the JSON.
//!
//! What is allowed together is said by [`crate::definition`] and [`crate::plan`]. A [`Document`]
//! keeps each split, and each split's weights, undecoded, so that one team's mistake stays that
//! team's. Each type below is declared once, by `fields!`; the schema for editors is generated from
//! the same declarations.

mod brake;
mod cookie;
mod salvage;
mod size;
mod split;
pub mod weights;

use serde_json::{Map, Value};

pub use brake::Brake;
pub use cookie::{Cookie, SameSite};
pub use split::{
    Anonymous, Guard, Match, NamelessSource, Override, Rule, Source, Split, StringMatch,
};

use crate::decode::kind_of;
use crate::problem::{Accepted, MAX_PROBLEMS, Problem};
use crate::revision::without_nulls;
use salvage::Unread;

/// The largest document that is read, in bytes; see docs/limits.md.
pub const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// The most splits one document may have; see docs/limits.md.
pub const MAX_SPLITS: usize = 1_000;

/// The most values a document may have: its lists and maps, and what stands in them. Chosen: more
/// than three times what a thousand usual splits have. Where each is a map it takes some 350 bytes
/// while it is read, and all together have 24 MB.
pub const MAX_DOCUMENT_VALUES: usize = 56_000;

const TOP_LEVEL_FIELDS: &str = "version, splits, weights, draws, cookie, responseMetrics, brake";

/// A document that was readable as a whole. Nothing below the second level has been decoded yet. An
/// entry of a split that cannot be read is null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Split name to its definition, undecoded.
    pub splits: Map<String, Value>,
    /// Split name to its weights, undecoded.
    pub weights: Map<String, Value>,
    /// Split name to its draw, undecoded.
    pub draws: Map<String, Value>,
    /// The anonymous cookie, undecoded.
    pub cookie: Option<Value>,
    /// Whether responses are counted and timed.
    pub response_metrics: bool,
    /// The service that is asked for brakes, undecoded.
    pub brake: Option<Value>,
    /// Top-level fields that this version does not know, in byte order.
    pub unknown_fields: Vec<String>,
    /// What is wrong with the entries that are null.
    pub unread: Vec<Problem>,
    /// Fingerprint of the document as it was received; what cannot be read counts as absent.
    pub revision: crate::revision::Revision,
}

/// Why a document could not be read as a whole. The filter then keeps the last good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub Problem);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unreadable {}

impl Document {
    /// Reads a document from JSON. No bytes at all are an empty document: a plugin without
    /// configuration.
    ///
    /// # Errors
    /// When it is longer than [`MAX_DOCUMENT_BYTES`], is no JSON object, is of another version, has
    /// more than [`MAX_SPLITS`] splits, or something else than is accepted in a top-level field.
    pub fn read(json: &[u8]) -> Result<Self, Unreadable> {
        if json.is_empty() {
            return Self::of_fields(Value::Null, Vec::new());
        }
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(unreadable(
                "document",
                format!("{} bytes", json.len()),
                Accepted::rule(format!("at most {MAX_DOCUMENT_BYTES} bytes")),
            ));
        }
        let values = size::of_json(json);
        let within_limit = check_values(values);
        let refused = match within_limit.map(|()| serde_json::from_slice(json)) {
            Ok(Ok(value)) => return Self::of_fields(value, Vec::new()),
            Ok(Err(error)) => {
                let accepted = Accepted::value("a JSON object");
                unreadable("document", error.to_string(), accepted)
            }
            Err(too_large) => too_large,
        };
        match salvage::fields(json, values) {
            Some((fields, unread)) => Self::of_fields(Value::Object(fields), unread),
            None => Err(refused),
        }
    }

    /// Reads a document from a JSON value; as [`Document::read`].
    ///
    /// # Errors
    /// As [`Document::read`], but for the length.
    pub fn from_value(mut value: Value) -> Result<Self, Unreadable> {
        let mut unread = Vec::new();
        let values = size::of_value(&value);
        if let Err(too_large) = check_values(values) {
            let fields = value.as_object_mut();
            fields
                .and_then(|fields| salvage::take_large_entries(fields, values, &mut unread))
                .ok_or(too_large)?;
        }
        Self::of_fields(value, unread)
    }

    fn of_fields(document: Value, mut unread: Vec<Unread>) -> Result<Self, Unreadable> {
        let mut fields = match without_nulls(document) {
            Some(Value::Object(fields)) => fields,
            None => Map::new(),
            Some(other) => {
                return Err(unreadable(
                    "document",
                    kind_of(&other),
                    Accepted::value("an object"),
                ));
            }
        };
        salvage::take_deep_entries(&mut fields, &mut unread);
        let revision = crate::revision::Revision::of_fields(&fields);
        match fields.remove("version") {
            None => {}
            Some(version) if version.as_f64() == Some(1.0) => {}
            Some(other) => {
                return Err(unreadable(
                    "version",
                    other.to_string(),
                    Accepted::rule("this filter reads version 1"),
                ));
            }
        }
        let splits = object(&mut fields, "splits", &unread)?;
        if splits.len() > MAX_SPLITS {
            return Err(unreadable(
                "splits",
                format!("{} splits", splits.len()),
                Accepted::rule(format!("at most {MAX_SPLITS}")),
            ));
        }
        let weights = object(&mut fields, "weights", &unread)?;
        let draws = object(&mut fields, "draws", &unread)?;
        let cookie = fields.remove("cookie");
        let response_metrics = match fields.remove("responseMetrics") {
            None => false,
            Some(Value::Bool(on)) => on,
            Some(other) => {
                return Err(unreadable(
                    "responseMetrics",
                    kind_of(&other),
                    Accepted::value("true or false"),
                ));
            }
        };
        let brake = fields.remove("brake");
        let unknown_fields = fields.keys().cloned().collect();
        Ok(Self {
            splits,
            weights,
            draws,
            cookie,
            response_metrics,
            brake,
            unknown_fields,
            unread: unread.into_iter().map(|unread| unread.problem).collect(),
            revision,
        })
    }

    /// What is ignored: top-level fields that this version does not know, and entries that cannot
    /// be read.
    pub fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        let unknown = self.unknown_fields.iter().take(MAX_PROBLEMS).map(|field| {
            Problem::new(
                field.as_str(),
                "unknown field, ignored",
                Accepted::value(TOP_LEVEL_FIELDS),
            )
        });
        unknown.chain(self.unread.iter().cloned())
    }
}

fn unreadable(path: &str, found: String, accepted: Accepted) -> Unreadable {
    Unreadable(Problem::new(path, found, accepted))
}

fn check_values(number: usize) -> Result<(), Unreadable> {
    if number <= MAX_DOCUMENT_VALUES {
        return Ok(());
    }
    let found = format!("{number} values");
    let most = Accepted::rule(format!("at most {MAX_DOCUMENT_VALUES}"));
    Err(unreadable("document", found, most))
}

/// The field, with null for every entry that could not be read.
fn object(
    fields: &mut Map<String, Value>,
    name: &str,
    unread: &[Unread],
) -> Result<Map<String, Value>, Unreadable> {
    let mut map = match fields.remove(name) {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(unreadable(
                name,
                kind_of(&other),
                Accepted::value("a map from split names"),
            ));
        }
    };
    let splits = unread.iter().filter(|unread| unread.field == name);
    map.extend(splits.filter_map(|unread| Some((unread.split.clone()?, Value::Null))));
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_document_is_refused_only_when_it_is_unreadable_as_a_whole() {
        let cases: &[(&str, &[u8], &str)] = &[
            (
                "no JSON",
                b"{",
                "document: EOF while parsing an object at line 1 column 1; accepted: a JSON object",
            ),
            (
                "a list",
                b"[]",
                "document: a list of 0; accepted: an object",
            ),
            (
                "a later version",
                br#"{"version": 2}"#,
                "version: 2; this filter reads version 1",
            ),
            (
                "splits is a list",
                br#"{"splits": [1]}"#,
                "splits: a list of 1; accepted: a map from split names",
            ),
            (
                "not a switch",
                br#"{"responseMetrics": "on"}"#,
                "responseMetrics: a string (\"on\"); accepted: true or false",
            ),
        ];
        for (label, json, expected) in cases {
            assert_eq!(
                Document::read(json).unwrap_err().to_string(),
                *expected,
                "{label}"
            );
        }
    }

    #[test]
    fn a_document_is_readable_in_spite_of_what_one_team_wrote() {
        let cases: &[(&str, &[u8])] = &[
            ("no configuration at all", b""),
            ("null", b"null"),
            ("a split that is a number", br#"{"splits": {"web": 5}}"#),
            ("version as protobuf's double", br#"{"version": 1.0}"#),
            ("an unknown field", br#"{"mirrors": {}}"#),
            (
                "nulls are absent",
                br#"{"version": null, "splits": null, "cookie": null}"#,
            ),
        ];
        for (label, json) in cases {
            assert!(Document::read(json).is_ok(), "{label}");
        }
    }

    #[test]
    fn a_document_beyond_the_size_limit_is_unreadable() {
        let mut json = vec![b' '; MAX_DOCUMENT_BYTES];
        json.extend(b"{}");
        assert_eq!(
            Document::read(&json).unwrap_err().to_string(),
            "document: 524290 bytes; at most 524288 bytes"
        );
    }
}
