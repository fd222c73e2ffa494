//! Matches of a VirtualService that are null, which its CRD does not allow: the API server refuses
//! them in a server-side apply and otherwise takes them away without a word; and maps of matches
//! that are empty, as they are left then. What is left matches more than somebody meant.

use serde_json::{Map, Value};

use crate::analyze::findings::Findings;
use crate::model::input::Input;
use crate::model::resources::Spec as _;
use crate::model::resources::istio::VirtualService;

/// The fields of a match that ask by name.
const BY_NAME: [&str; 3] = ["headers", "withoutHeaders", "queryParams"];

pub(super) fn check(documents: &[Input], findings: &mut Findings) {
    let of_kind = documents
        .iter()
        .filter(|input| input.kind() == Some(VirtualService::KIND));
    for input in of_kind {
        let namespace = input.namespace().unwrap_or("default");
        let name = input.name().unwrap_or("?");
        let title = format!("{} {namespace}/{name}", VirtualService::KIND);
        let routes = input.value.pointer("/spec/http");
        for (route, matches) in lists(routes, "match") {
            for (number, alternative) in matches.iter().enumerate() {
                for path in nulls(alternative) {
                    let path = format!("spec.http[{route}].match[{number}].{path}");
                    findings.problem(&title, sentence(&path, Found::Null, alternative));
                }
                for field in emptied(alternative) {
                    let path = format!("spec.http[{route}].match[{number}].{field}");
                    findings.warning(&title, sentence(&path, Found::Empty, alternative));
                }
            }
        }
    }
}

/// The lists of a field of each item, with the item's place.
fn lists<'v>(
    items: Option<&'v Value>,
    field: &'v str,
) -> impl Iterator<Item = (usize, &'v Vec<Value>)> {
    let items = items.and_then(Value::as_array).into_iter().flatten();
    items
        .enumerate()
        .filter_map(move |(place, item)| Some((place, item.get(field)?.as_array()?)))
}

fn nulls(alternative: &Value) -> Vec<String> {
    let named = |field: &'static str| {
        let fields = alternative.get(field).and_then(Value::as_object);
        let nulls = fields
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.is_null());
        nulls.map(move |(name, _)| format!("{field}.{name}"))
    };
    BY_NAME.into_iter().flat_map(named).collect()
}

fn emptied(alternative: &Value) -> impl Iterator<Item = &'static str> {
    let is_empty = |field: &&str| {
        let fields = alternative.get(field).and_then(Value::as_object);
        fields.is_some_and(Map::is_empty)
    };
    BY_NAME.into_iter().filter(is_empty)
}

/// What stands where a match belongs.
enum Found {
    Null,
    Empty,
}

fn sentence(path: &str, found: Found, alternative: &Value) -> String {
    let is_left = |value: &Value| match value {
        Value::Null => false,
        Value::Object(fields) => fields.values().any(|value| !value.is_null()),
        _ => true,
    };
    let fields = alternative.as_object().into_iter().flatten();
    let is_any_left = fields
        .filter(|(name, _)| *name != "name")
        .any(|(_, value)| is_left(value));
    let then = if is_any_left {
        "the match then does not ask for it"
    } else {
        "the match then asks for nothing, and every request takes this route"
    };
    match found {
        Found::Null => format!(
            "{path}: null, which the API server refuses in a server-side apply and otherwise takes away: \
             {then}; accepted: a match such as {{exact: canary}}"
        ),
        Found::Empty => {
            format!("{path}: empty, as the API server leaves it where a match was null: {then}")
        }
    }
}
