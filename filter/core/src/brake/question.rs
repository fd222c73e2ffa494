//! What one VM of a proxy asks for one plugin: which brakes there are, and what its guard took out.
//!
//! Written by the filter, read by the service. Fields that a reader does not know are ignored, so that
//! either side may be the newer one.

use serde_json::Value;

use super::{id_accepted, is_id, items, json_text, object, text, value};
use crate::decode::{below, kind_of};
use crate::definition::is_name;
use crate::problem::{Accepted, Problem};
use crate::revision::canonical;

/// The largest question, in bytes; see docs/limits.md.
pub const MAX_QUESTION_BYTES: usize = 16 * 1024;

/// The longest time that a question may be held, in seconds; see docs/limits.md. Chosen: below what
/// proxies and balancers close idle streams after.
pub const MAX_WAIT_SECONDS: u32 = 25;

/// The most challengers that a question names as taken out by the guard; see docs/limits.md.
pub const MAX_TRIPS: usize = 64;

/// The longest name of a plugin or a node, in bytes; see docs/limits.md. Chosen: Istio's are made of
/// two or three Kubernetes names.
pub const MAX_PLACE_BYTES: usize = 512;

/// A challenger that the guard of the asking proxy took out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tripped {
    /// The split.
    pub split: String,
    /// The challenger.
    pub variant: String,
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The plugin's name as Envoy has it, such as `shop.sluice~istio-translated-wasmplugin`.
    pub plugin: String,
    /// Envoy's node id.
    pub node: String,
    /// The version of the last answer; `None` the first time.
    pub version: Option<String>,
    /// How many seconds the answer may wait for another version; 0: none.
    pub wait: u32,
    /// What the guard took out of this proxy and is still out.
    pub trips: Vec<Tripped>,
}

impl Question {
    /// The question in JSON, at most [`MAX_QUESTION_BYTES`]; `None` where some of it cannot be said, or
    /// is too much. Trips that cannot be said are left out. Everything wrong with it is a problem.
    pub fn read(json: &[u8], problems: &mut Vec<Problem>) -> Option<Self> {
        const PATH: &str = "question";
        let question = value(PATH, json, MAX_QUESTION_BYTES, problems)?;
        let Value::Object(fields) = &question else {
            let accepted = Accepted::value("a JSON object");
            problems.push(Problem::new(PATH, kind_of(&question), accepted));
            return None;
        };
        let place = |name: &str, least: usize, problems: &mut Vec<Problem>| {
            let accepted =
                || Accepted::value(format!("{least} to {MAX_PLACE_BYTES} bytes of text"));
            let is_accepted = |text: &str| (least..=MAX_PLACE_BYTES).contains(&text.len());
            text(name, fields.get(name), problems, accepted, is_accepted)
        };
        // An Envoy need not have an id.
        let (plugin, node) = (place("plugin", 1, problems), place("node", 0, problems));
        let version = match fields.get("version") {
            None | Some(Value::Null) => Some(None),
            version => text("version", version, problems, id_accepted, is_id).map(Some),
        };
        let wait = wait(fields.get("wait"), problems);
        let trips = items("trips", fields.get("trips"), MAX_TRIPS, problems, tripped);
        Some(Self {
            plugin: plugin?,
            node: node?,
            version: version?,
            wait: wait?,
            trips: trips?,
        })
    }

    /// What [`Question::read`] reads. Of trips, the first [`MAX_TRIPS`].
    pub fn to_json(&self) -> String {
        let trip = |trip: &Tripped| {
            object([
                ("split", Some(json_text(&trip.split))),
                ("variant", Some(json_text(&trip.variant))),
            ])
        };
        let trips = self.trips.iter().take(MAX_TRIPS).map(trip).collect();
        canonical(&object([
            ("plugin", Some(json_text(&self.plugin))),
            ("node", Some(json_text(&self.node))),
            ("version", self.version.as_deref().map(json_text)),
            ("wait", Some(Value::from(self.wait))),
            ("trips", Some(Value::Array(trips))),
        ]))
    }
}

fn wait(value: Option<&Value>, problems: &mut Vec<Problem>) -> Option<u32> {
    let value = value.unwrap_or(&Value::Null);
    let seconds = value
        .as_u64()
        .and_then(|seconds| u32::try_from(seconds).ok());
    let accepted = seconds.filter(|seconds| *seconds <= MAX_WAIT_SECONDS);
    if accepted.is_none() {
        let rule = Accepted::value(format!("0 to {MAX_WAIT_SECONDS}, whole seconds"));
        problems.push(Problem::new("wait", kind_of(value), rule));
    }
    accepted
}

fn tripped(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Tripped> {
    let mut name = |field: &str| {
        let accepted = || Accepted::value("a name");
        text(
            &below(path, field),
            value.get(field),
            problems,
            accepted,
            is_name,
        )
    };
    let (split, variant) = (name("split"), name("variant"));
    Some(Tripped {
        split: split?,
        variant: variant?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn question() -> Question {
        Question {
            plugin: "shop.sluice~istio-translated-wasmplugin".to_owned(),
            node: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".to_owned(),
            version: Some("5f".to_owned()),
            wait: 25,
            trips: vec![Tripped {
                split: "web".to_owned(),
                variant: "canary".to_owned(),
            }],
        }
    }

    fn read(json: &str) -> (Option<Question>, Vec<String>) {
        let mut problems = Vec::new();
        let question = Question::read(json.as_bytes(), &mut problems);
        (question, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_question_is_read_as_it_was_written() {
        let json = r#"{"node":"sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local","plugin":"shop.sluice~istio-translated-wasmplugin","trips":[{"split":"web","variant":"canary"}],"version":"5f","wait":25}"#;
        assert_eq!(question().to_json(), json);
        assert_eq!(read(json), (Some(question()), Vec::new()));
        let first = Question {
            node: String::new(),
            version: None,
            wait: 0,
            trips: Vec::new(),
            ..question()
        };
        assert_eq!(read(&first.to_json()), (Some(first), Vec::new()));
    }

    #[test]
    fn a_newer_filter_is_understood() {
        let json = r#"{"plugin": "a", "node": "b", "wait": 1, "zone": {"x": []}}"#;
        let expected = Question {
            plugin: "a".to_owned(),
            node: "b".to_owned(),
            wait: 1,
            ..Question::default()
        };
        assert_eq!(read(json), (Some(expected), Vec::new()));
    }

    #[test]
    fn the_longest_question_is_short_enough() {
        let longest = Tripped {
            split: "a".repeat(63),
            variant: "b".repeat(63),
        };
        let question = Question {
            plugin: "p".repeat(MAX_PLACE_BYTES),
            node: "n".repeat(MAX_PLACE_BYTES),
            version: Some("v".repeat(64)),
            wait: 25,
            trips: vec![longest; MAX_TRIPS],
        };
        let json = question.to_json();
        assert_eq!(read(&json), (Some(question.clone()), Vec::new()));
        let more = Question {
            trips: [question.trips.clone(), question.trips.clone()].concat(),
            ..question
        };
        assert_eq!(more.to_json(), json, "of more trips, the first");
    }

    #[test]
    fn a_question_that_cannot_be_meant_says_all_that_is_wrong() {
        let id = "1 to 64 visible ASCII characters without quotes and backslashes";
        let place = "1 to 512 bytes of text";
        let cases = [
            (
                "[]",
                vec!["question: a list of 0; accepted: a JSON object".to_owned()],
            ),
            (
                "{",
                vec![
                    "question: EOF while parsing an object at line 1 column 1; accepted: a JSON \
                     object"
                        .to_owned(),
                ],
            ),
            (
                r#"{"plugin": "", "version": "a b", "wait": 26, "trips": 1}"#,
                vec![
                    format!("plugin: a string (\"\"); accepted: {place}"),
                    "node: nothing; accepted: 0 to 512 bytes of text".to_owned(),
                    format!("version: a string (\"a b\"); accepted: {id}"),
                    "wait: a number (26); accepted: 0 to 25, whole seconds".to_owned(),
                    "trips: a number (1); accepted: a list of at most 64".to_owned(),
                ],
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(read(json), (None, expected), "{json}");
        }
        let long = format!("{{\"node\": \"{}\"}}", "a".repeat(MAX_QUESTION_BYTES));
        let expected = vec!["question: 16396 bytes; at most 16384 bytes".to_owned()];
        assert_eq!(read(&long), (None, expected));
    }

    #[test]
    fn trips_that_cannot_be_meant_are_left_out() {
        let json = r#"{"plugin": "a", "node": "b", "wait": 1,
            "trips": [{"split": "Web", "variant": "canary"}, {"split": "web", "variant": "canary"}]}"#;
        let (question, problems) = read(json);
        let split = "trips[0].split: a string (\"Web\"); accepted: a name";
        assert_eq!(problems, [split]);
        let trips = question.map(|question| question.trips);
        assert_eq!(trips, Some(self::question().trips));
    }
}
