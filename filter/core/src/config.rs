//! What the user typed: the plugin configuration as plain types, field names as in the JSON.
//!
//! No rule of the configuration lives here beyond its shape; what is allowed together is [`crate::definition`]'s and
//! [`crate::plan`]'s. A [`Document`] keeps each split, and each split's weights, unread, so that one team's shape
//! error stays that team's. The schema for editors is made of these types, so their `schemars` names are checked
//! against what is read (control, `schema`).

mod shapes;
pub mod weights;

use serde_json::{Map, Value};

use crate::problem::Problem;
use crate::revision::without_nulls;

/// The largest document that is read, in bytes (DESIGN section 2, limits).
pub const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// The most splits one document may have (DESIGN section 2, limits).
pub const MAX_SPLITS: usize = 1_000;

const TOP_LEVEL_FIELDS: &str = "version, splits, weights, draws, cookie, responseMetrics";

/// A document that was readable as a whole. Nothing below the second level has been read yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Split name to its definition, unread.
    pub splits: Map<String, Value>,
    /// Split name to its weights, unread.
    pub weights: Map<String, Value>,
    /// Split name to its draw, unread.
    pub draws: Map<String, Value>,
    /// The anonymous cookie, unread.
    pub cookie: Option<Value>,
    /// Whether responses are counted and timed.
    pub response_metrics: bool,
    /// Top-level fields that this version does not know, in byte order.
    pub unknown_fields: Vec<String>,
    /// Fingerprint of the document as it was received.
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
    /// Reads a document from JSON. No bytes at all are an empty document: a plugin without configuration.
    ///
    /// # Errors
    /// When it is longer than [`MAX_DOCUMENT_BYTES`], is no JSON object, is of another version, has more than
    /// [`MAX_SPLITS`] splits, or has a top-level field of the wrong shape.
    pub fn read(json: &[u8]) -> Result<Self, Unreadable> {
        if json.is_empty() {
            return Self::from_fields(Map::new());
        }
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(unreadable(
                "document",
                format!("{} bytes", json.len()),
                format!("at most {MAX_DOCUMENT_BYTES} bytes"),
            ));
        }
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            unreadable("document", error.to_string(), "accepted: a JSON object")
        })?;
        Self::from_value(value)
    }

    /// Reads a document from a JSON value; as [`Document::read`].
    ///
    /// # Errors
    /// As [`Document::read`], but for the length.
    pub fn from_value(value: Value) -> Result<Self, Unreadable> {
        match without_nulls(value) {
            Some(Value::Object(fields)) => Self::from_fields(fields),
            None => Self::from_fields(Map::new()),
            Some(other) => Err(unreadable(
                "document",
                kind_of(&other),
                "accepted: an object",
            )),
        }
    }

    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, Unreadable> {
        let revision = crate::revision::Revision::of_fields(&fields);
        match fields.remove("version") {
            None => {}
            Some(version) if version.as_f64() == Some(1.0) => {}
            Some(other) => {
                return Err(unreadable(
                    "version",
                    other.to_string(),
                    "this filter reads version 1",
                ));
            }
        }
        let splits = object(&mut fields, "splits")?;
        if splits.len() > MAX_SPLITS {
            return Err(unreadable(
                "splits",
                format!("{} splits", splits.len()),
                format!("at most {MAX_SPLITS}"),
            ));
        }
        let weights = object(&mut fields, "weights")?;
        let draws = object(&mut fields, "draws")?;
        let cookie = fields.remove("cookie");
        let response_metrics = match fields.remove("responseMetrics") {
            None => false,
            Some(Value::Bool(on)) => on,
            Some(other) => {
                return Err(unreadable(
                    "responseMetrics",
                    kind_of(&other),
                    "accepted: true or false",
                ));
            }
        };
        let unknown_fields = fields.keys().cloned().collect();
        Ok(Self {
            splits,
            weights,
            draws,
            cookie,
            response_metrics,
            unknown_fields,
            revision,
        })
    }

    /// The problem of having top-level fields that this version does not know; each is ignored.
    pub fn unknown_field_problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.unknown_fields.iter().map(|field| {
            Problem::new(
                field.as_str(),
                "unknown field, ignored",
                format!("accepted: {TOP_LEVEL_FIELDS}"),
            )
        })
    }
}

fn unreadable(path: &str, found: impl Into<String>, accepted: impl Into<String>) -> Unreadable {
    Unreadable(Problem::new(path, found, accepted))
}

fn object(fields: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, Unreadable> {
    match fields.remove(name) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(unreadable(
            name,
            kind_of(&other),
            "accepted: a map from split names",
        )),
    }
}

/// What a JSON value is, in words: `a number (5)`, `a list of 2`.
pub fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("a boolean ({value})"),
        Value::Number(number) => format!("a number ({number})"),
        Value::String(text) => format!("a string ({text:?})"),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("a map of {}", fields.len()),
    }
}

/// One split, as typed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct Split {
    /// Hosts that the split applies to, such as `shop.example.com` or `*.example.com`. With neither hosts nor services: every host.
    pub hosts: Vec<String>,
    /// Kubernetes services, `name.namespace`, by every name that a caller may use.
    pub services: Vec<String>,
    /// Paths that the split applies to, without the query. Default: every path.
    pub paths: Vec<StringMatch>,
    /// The fallback, then the challengers. Append only. Default: stable, canary.
    pub variants: Option<Vec<String>>,
    /// The request header that carries the variant. Default: `x-sluice-` and the split's name.
    pub header: Option<String>,
    /// What makes this split's draw independent of others. Default: the split's name.
    pub salt: Option<String>,
    /// Where the user's identity comes from; the first source that gives bytes. The anonymous cookie is the implicit last one.
    pub identity: Vec<Source>,
    /// What happens to a request without identity.
    pub anonymous: Anonymous,
    /// A sidecar keeps a known variant that is already in the header.
    pub inherit: bool,
    /// A header or cookie that names a variant outright.
    #[cfg_attr(feature = "schema", serde(rename = "override"))]
    pub override_by: Option<Override>,
    /// Who: ordered; the first that matches names the request's audience.
    pub rules: Vec<Rule>,
}

/// One source of identity, as typed: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct Source {
    /// A cookie's name.
    pub cookie: Option<String>,
    /// A request header's name.
    pub header: Option<String>,
    /// A query parameter's name.
    pub query: Option<String>,
    /// A JWT claim's name; gateways only, at phase AUTHZ or later.
    pub claim: Option<String>,
    /// A source without a name.
    pub source: Option<NamelessSource>,
}

/// A source of identity that needs no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(feature = "schema", serde(rename_all = "camelCase"))]
pub enum NamelessSource {
    /// The client address that Envoy trusts, without the port.
    Address,
    /// The anonymous cookie.
    Anonymous,
}

/// What happens to a request without identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(feature = "schema", serde(rename_all = "camelCase"))]
pub enum Anonymous {
    /// A random identity decides at once and is set as a cookie.
    #[default]
    IssueCookie,
    /// It takes the fallback.
    Fallback,
    /// Each request draws anew.
    PerRequest,
}

/// Where a request may name its variant outright, as typed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct Override {
    /// A request header's name; asked first.
    pub header: Option<String>,
    /// A cookie's name.
    pub cookie: Option<String>,
}

/// One rule, as typed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase")
)]
pub struct Rule {
    /// The audience that the rule names.
    pub name: String,
    /// Alternatives: one must hold.
    #[cfg_attr(feature = "schema", serde(rename = "match"))]
    pub alternatives: Vec<Match>,
}

/// One alternative of a rule, as typed: everything in it must hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct Match {
    /// Cookies by name.
    pub cookies: Named<StringMatch>,
    /// Request headers by name.
    pub headers: Named<StringMatch>,
    /// Query parameters by name, not percent-decoded.
    pub query: Named<StringMatch>,
    /// JWT claims by name.
    pub claims: Named<StringMatch>,
}

/// Values by name, in byte order of the names, each once. A list: what is asked is every entry and not one by its name,
/// and a map of the standard library costs 2 KB of the module for each type in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        std::collections::BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }
}

#[cfg(feature = "schema")]
impl<T: serde::Serialize> serde::Serialize for Named<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// How a value is compared, as typed: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct StringMatch {
    /// The whole value.
    pub exact: Option<String>,
    /// How the value begins.
    pub prefix: Option<String>,
    /// How the value ends.
    pub suffix: Option<String>,
    /// A regular expression for the whole value, of the syntax that RE2 and Rust agree on.
    pub regex: Option<String>,
    /// One of several whole values.
    #[cfg_attr(feature = "schema", serde(rename = "in"))]
    pub one_of: Option<Vec<String>>,
    /// Whether there is a value at all; an empty one is present.
    pub present: Option<bool>,
}

/// The anonymous cookie, as typed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(
    feature = "schema",
    serde(deny_unknown_fields, rename_all = "camelCase", default)
)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// How long a browser keeps it: a whole number and s, m, h or d.
    pub max_age: String,
    /// When a browser sends it along from other sites.
    pub same_site: SameSite,
    /// The domain it is shared with; the name must then not begin with `__Host-`.
    pub domain: Option<String>,
    /// Whether browsers send it over HTTPS only.
    pub secure: bool,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "__Host-sluice".to_owned(),
            max_age: "180d".to_owned(),
            same_site: SameSite::Lax,
            domain: None,
            secure: true,
        }
    }
}

/// The SameSite attribute of a cookie (RFC 6265bis).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
pub enum SameSite {
    /// Sent when the user follows a link from another site.
    #[default]
    Lax,
    /// Never sent from another site.
    Strict,
    /// Always sent; browsers demand `secure`.
    None,
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
