//! What the service answers: every brake of one plugin, and which brakes were released of late.
//!
//! Written by the service, read by the filter. Fields that a reader does not know are ignored, so that
//! either side may be the newer one.

use serde_json::Value;

use super::{id_accepted, is_id, items, json_text, object, text, value};
use crate::decode::{below, kind_of};
use crate::definition::is_name;
use crate::problem::{Accepted, Problem};
use crate::revision::canonical;

/// The largest answer, in bytes; see docs/limits.md. The most brakes with the longest names fit.
pub const MAX_BRAKES_BYTES: usize = 160 * 1024;

/// The most brakes, and the most released ones, of an answer; see docs/limits.md.
pub const MAX_LISTED: usize = 512;

/// A brake that is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// What tells it from every other brake, also from a later one of the same challenger.
    pub id: String,
    /// The split.
    pub split: String,
    /// The challenger; `None`: all of the split's.
    pub challenger: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Differs wherever anything else differs, whoever answers: a fingerprint of the rest.
    pub version: String,
    /// The brakes that are on, each id once.
    pub brakes: Vec<Listed>,
    /// The ids of those that somebody released of late.
    pub released: Vec<String>,
}

impl Answer {
    /// The answer in JSON, at most [`MAX_BRAKES_BYTES`]; `None` where there is no version, or more of
    /// something than there may be. A brake that cannot be read is left out, so that it stops no other
    /// one. Everything wrong with it is a problem.
    pub fn read(json: &[u8], problems: &mut Vec<Problem>) -> Option<Self> {
        const PATH: &str = "answer";
        let answer = value(PATH, json, MAX_BRAKES_BYTES, problems)?;
        let Value::Object(fields) = &answer else {
            let accepted = Accepted::value("a JSON object");
            problems.push(Problem::new(PATH, kind_of(&answer), accepted));
            return None;
        };
        let version = text(
            "version",
            fields.get("version"),
            problems,
            id_accepted,
            is_id,
        );
        let brakes = items("brakes", fields.get("brakes"), MAX_LISTED, problems, listed);
        let released = |path: &str, value: &Value, problems: &mut Vec<Problem>| {
            text(path, Some(value), problems, id_accepted, is_id)
        };
        let released = items(
            "released",
            fields.get("released"),
            MAX_LISTED,
            problems,
            released,
        );
        Some(Self {
            version: version?,
            brakes: brakes?,
            released: released?,
        })
    }

    /// What [`Answer::read`] reads.
    pub fn to_json(&self) -> String {
        let brake = |listed: &Listed| {
            object([
                ("id", Some(json_text(&listed.id))),
                ("split", Some(json_text(&listed.split))),
                ("challenger", listed.challenger.as_deref().map(json_text)),
            ])
        };
        let released = self.released.iter().map(|id| json_text(id));
        canonical(&object([
            ("version", Some(json_text(&self.version))),
            (
                "brakes",
                Some(Value::Array(self.brakes.iter().map(brake).collect())),
            ),
            ("released", Some(Value::Array(released.collect()))),
        ]))
    }
}

fn listed(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Listed> {
    let name = || Accepted::value("a name");
    let id = text(
        &below(path, "id"),
        value.get("id"),
        problems,
        id_accepted,
        is_id,
    );
    let split = text(
        &below(path, "split"),
        value.get("split"),
        problems,
        name,
        is_name,
    );
    let challenger = match value.get("challenger") {
        None | Some(Value::Null) => Some(None),
        named => text(&below(path, "challenger"), named, problems, name, is_name).map(Some),
    };
    Some(Listed {
        id: id?,
        split: split?,
        challenger: challenger?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn listed(id: &str, split: &str, challenger: Option<&str>) -> Listed {
        Listed {
            id: id.to_owned(),
            split: split.to_owned(),
            challenger: challenger.map(str::to_owned),
        }
    }

    fn read(json: &str) -> (Option<Answer>, Vec<String>) {
        let mut problems = Vec::new();
        let answer = Answer::read(json.as_bytes(), &mut problems);
        (answer, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let answer = Answer {
            version: "a1".to_owned(),
            brakes: vec![listed("1", "web", Some("canary")), listed("2", "api", None)],
            released: vec!["0".to_owned()],
        };
        let json = r#"{"brakes":[{"challenger":"canary","id":"1","split":"web"},{"id":"2","split":"api"}],"released":["0"],"version":"a1"}"#;
        assert_eq!(answer.to_json(), json);
        assert_eq!(read(json), (Some(answer), Vec::new()));
    }

    #[test]
    fn a_newer_service_is_understood() {
        let json = r#"{"version": "a", "zone": {"x": []}, "brakes": [{"id": "1", "split": "web", "by": "joe"}]}"#;
        let expected = Answer {
            version: "a".to_owned(),
            brakes: vec![listed("1", "web", None)],
            released: Vec::new(),
        };
        assert_eq!(read(json), (Some(expected), Vec::new()));
    }

    #[test]
    fn the_most_brakes_with_the_longest_names_fit() {
        let name = "a".repeat(63);
        let id = |number: usize| format!("{number:064}");
        let brake = |number| listed(&id(number), &name, Some(&name));
        let answer = Answer {
            version: "v".repeat(64),
            brakes: (0..MAX_LISTED).map(brake).collect(),
            released: (0..MAX_LISTED).map(id).collect(),
        };
        let json = answer.to_json();
        assert_eq!(json.len(), 150_630, "at most {MAX_BRAKES_BYTES}");
        assert_eq!(read(&json), (Some(answer), Vec::new()));
    }

    #[test]
    fn an_answer_that_cannot_be_meant_is_none() {
        let id = "1 to 64 visible ASCII characters without quotes and backslashes";
        let many = format!("[{}1]", "1,".repeat(MAX_LISTED));
        let cases = [
            (
                "null",
                vec!["answer: null; accepted: a JSON object".to_owned()],
            ),
            (
                "<html>",
                vec![
                    "answer: expected value at line 1 column 1; accepted: a JSON object".to_owned(),
                ],
            ),
            ("{}", vec![format!("version: nothing; accepted: {id}")]),
            (
                &format!(r#"{{"version": "a", "brakes": {many}, "released": {many}}}"#),
                vec![
                    "brakes: a list of 513; accepted: a list of at most 512".to_owned(),
                    "released: a list of 513; accepted: a list of at most 512".to_owned(),
                ],
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(read(json), (None, expected), "{json}");
        }
        let long = " ".repeat(MAX_BRAKES_BYTES + 1);
        let expected = vec!["answer: 163841 bytes; at most 163840 bytes".to_owned()];
        assert_eq!(read(&long), (None, expected));
    }

    #[test]
    fn a_brake_that_cannot_be_read_stops_no_other_one() {
        let bad = r#"{"id": "2", "split": "Web", "challenger": 5},"#.repeat(40);
        let json = format!(
            r#"{{"version": "a", "brakes": [{bad} {{"id": "1", "split": "web"}}], "released": ["", "0"]}}"#
        );
        let (answer, problems) = read(&json);
        let expected = Answer {
            version: "a".to_owned(),
            brakes: vec![listed("1", "web", None)],
            released: vec!["0".to_owned()],
        };
        assert_eq!(answer, Some(expected));
        assert_eq!(problems.len(), 32, "of all that is wrong, the first");
        let first = [
            "brakes[0].split: a string (\"Web\"); accepted: a name",
            "brakes[0].challenger: a number (5); accepted: a name",
        ];
        assert_eq!(problems.get(..2), Some(&first.map(str::to_owned)[..]));
    }
}
