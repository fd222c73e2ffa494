//! The Rollout that an import writes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::length;
use super::notes::Notes;
use super::split::CANARY;
use crate::model::input::Input;
use crate::model::workload::{ROLLOUT_API_VERSION, ROLLOUT_KIND};
use crate::operations::import::name_of;
use crate::rollout::manifest::is_label;

/// One step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Whose weight; `None`: everyone's.
    pub(super) audience: Option<String>,
    /// In percent.
    pub(super) weight: f64,
    /// How long at least.
    pub(super) hold: Duration,
    /// Whether somebody approves it.
    pub(super) approval: bool,
}

impl Step {
    /// A step of everyone.
    pub(super) fn of(weight: f64) -> Self {
        Self {
            weight,
            ..Self::default()
        }
    }

    fn written(&self, path: &str, notes: &mut Notes) -> Value {
        let mut step = json!({"weight": number(self.weight)});
        if let Some(audience) = &self.audience {
            step["audience"] = json!(audience);
        }
        if !self.hold.is_zero() {
            match length::written(self.hold) {
                Some(hold) => step["hold"] = json!(hold),
                None => {
                    let seconds = self.hold.as_secs();
                    notes.lost(
                        path,
                        format!("a hold of {seconds} s; accepted: at most 90d"),
                    );
                }
            }
        }
        if self.approval {
            step["approval"] = json!(true);
        }
        step
    }
}

/// Every step as it is written.
pub(super) fn steps(steps: &[Step], path: &str, notes: &mut Notes) -> Value {
    steps.iter().map(|step| step.written(path, notes)).collect()
}

/// A whole number as one, so that nobody reads `5.0`.
fn number(number: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and a percentage"
    )]
    match number.fract() == 0.0 && number.abs() <= 1_000.0 {
        true => json!(number as i64),
        false => json!(number),
    }
}

/// The Rollout of a resource, under its name as far as that may be one.
pub(super) fn rollout(
    input: &Input,
    split: &str,
    fields: Map<String, Value>,
    notes: &mut Notes,
) -> Value {
    let given = input.name().unwrap_or("rollout");
    let name = match is_label(given) {
        true => given.to_owned(),
        false => {
            let name = name_of(given);
            notes.said("metadata.name", format!("the Rollout is called {name}"));
            name
        }
    };
    let mut metadata = json!({"name": name});
    if let Some(namespace) = input.namespace() {
        metadata["namespace"] = json!(namespace);
    }
    let mut spec = Map::from_iter([
        ("split".to_owned(), json!(split)),
        ("challenger".to_owned(), json!(CANARY)),
    ]);
    spec.extend(fields);
    json!({"apiVersion": ROLLOUT_API_VERSION, "kind": ROLLOUT_KIND, "metadata": metadata, "spec": spec})
}

/// Lists what the metadata of a resource says beside its name.
pub(super) fn metadata(input: &Input, notes: &mut Notes) {
    let known = ["name", "namespace"];
    // What the API server and kubectl add by themselves.
    let written_by_servers = [
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let fields = input.value.get("metadata").and_then(Value::as_object);
    for (field, value) in fields.into_iter().flatten() {
        let is_known = known.contains(&&**field) || written_by_servers.contains(&&**field);
        if !is_known && !value.is_null() {
            let why =
                "labels, annotations and others of the metadata are left out; add what you need";
            notes.lost(&format!("metadata.{field}"), why);
        }
    }
}
