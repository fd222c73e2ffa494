//! The brake: an abort that reaches a proxy past istiod.
//!
//! A proxy asks a service which challengers of its plugin are braked, and serves these as if their
//! weights were 0, as it does with what its guard took out. [`question`] and [`answer`] are what the two
//! say to each other: one declaration for the filter and for the service. What is in force, and until
//! when, is `standing`'s; it lies in the proxy's [`shared`] data, where one VM asks by [`lease`], when
//! [`asking`] says so, and has the others [`wake`]; [`poll`] does that. docs/brake.md says the whole.

pub mod answer;
pub mod asking;
pub mod lease;
pub mod poll;
pub mod question;
pub mod shared;
mod standing;
pub mod wake;

pub use answer::{Answer, Listed};
pub use question::{Question, Tripped};

use serde_json::Value;

use crate::problem::{Accepted, MAX_PROBLEMS, Problem};

/// The longest version or id, in bytes; see docs/limits.md.
pub const MAX_ID_BYTES: usize = 64;

/// Whether a text can be a version or an id: what JSON writes as it stands.
pub fn is_id(text: &str) -> bool {
    let is_accepted = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(is_accepted)
}

fn id_accepted() -> Accepted {
    Accepted::value("1 to 64 visible ASCII characters without quotes and backslashes")
}

/// The JSON of a question or an answer of at most so many bytes.
fn value(path: &str, json: &[u8], most: usize, problems: &mut Vec<Problem>) -> Option<Value> {
    if json.len() > most {
        let found = format!("{} bytes", json.len());
        let accepted = Accepted::rule(format!("at most {most} bytes"));
        problems.push(Problem::new(path, found, accepted));
        return None;
    }
    let read = serde_json::from_slice(json);
    let refused = |error: serde_json::Error| {
        Problem::new(path, error.to_string(), Accepted::value("a JSON object"))
    };
    read.map_err(|error| problems.push(refused(error))).ok()
}

/// The items of a list that can be read; of the others, the problems.
fn items<T>(
    path: &str,
    value: Option<&Value>,
    most: usize,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&str, &Value, &mut Vec<Problem>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = match value {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(items)) if items.len() <= most => items,
        Some(other) => {
            let accepted = Accepted::value(format!("a list of at most {most}"));
            problems.push(Problem::new(path, crate::decode::kind_of(other), accepted));
            return None;
        }
    };
    let read_one = |(index, item)| {
        let mut own = Vec::new();
        let item = read(&format!("{path}[{index}]"), item, &mut own);
        let room = MAX_PROBLEMS.saturating_sub(problems.len());
        problems.extend(own.into_iter().take(room));
        item
    };
    Some(items.iter().enumerate().filter_map(read_one).collect())
}

/// The text of a field that is accepted.
fn text(
    path: &str,
    value: Option<&Value>,
    problems: &mut Vec<Problem>,
    accepted: impl FnOnce() -> Accepted,
    is_accepted: impl FnOnce(&str) -> bool,
) -> Option<String> {
    let text = value
        .and_then(Value::as_str)
        .filter(|text| is_accepted(text));
    if text.is_none() {
        let found = value.map_or("nothing".to_owned(), crate::decode::kind_of);
        problems.push(Problem::new(path, found, accepted()));
    }
    text.map(str::to_owned)
}

fn json_text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// An object of what is there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
