//! What the API server says of a spec whose fields do not go together, in the words of
//! [`crate::rollout::definition`].
//!
//! Each expression costs less than the API server allows, because every list and string that it
//! reads has a maximum.

use serde_json::{Value, json};

use crate::rollout::manifest::MAX_ROLLOUT_NAME_BYTES;
use crate::rollout::resource::MAX_STEPS;

/// What must be written.
const REQUIRED: [(&str, &[&str]); 7] = [
    ("", &["split"]),
    ("/properties/workload", &["deployment"]),
    ("/properties/workload/properties/rollbackWindow", &["runs"]),
    ("/properties/steps/items", &["weight"]),
    ("/properties/analysis/properties/checks/items", &["name"]),
    ("/properties/analysis/properties/prometheus", &["address"]),
    (
        "/properties/analysis/properties/prometheus/properties/basicAuth",
        &["username"],
    ),
];

/// A rule: where, on which field, what must be true, what is said otherwise.
struct Rule {
    at: &'static str,
    field: &'static str,
    holds: String,
    message: &'static str,
}

/// Adds them to the spec's schema.
pub(super) fn add(schema: &mut Value) {
    for (pointer, names) in REQUIRED {
        if let Some(Value::Object(fields)) = schema.pointer_mut(pointer) {
            fields.insert("required".to_owned(), json!(names));
        }
    }
    for rule in rules() {
        let Some(Value::Object(fields)) = schema.pointer_mut(rule.at) else {
            continue;
        };
        let validations = fields
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        if let Value::Array(validations) = validations {
            validations.push(json!({
                "rule": rule.holds, "message": rule.message, "fieldPath": rule.field, "reason": "FieldValueInvalid",
            }));
        }
    }
}

/// What a Rollout may be called: it names labels and other objects too.
pub(super) fn name() -> Value {
    json!({
        "rule": format!("size(self.metadata.name) <= {MAX_ROLLOUT_NAME_BYTES} && !self.metadata.name.contains('.')"),
        "message": format!(
            "metadata.name: accepted: a name of 1 to {MAX_ROLLOUT_NAME_BYTES} of a-z, 0-9 and -, which neither begins \
             nor ends with -"
        ),
    })
}

fn rules() -> Vec<Rule> {
    let rule = |at, field, holds: &str, message| Rule {
        at,
        field,
        holds: holds.to_owned(),
        message,
    };
    let check = "/properties/analysis/properties/checks/items";
    vec![
        rule(
            "",
            ".preset",
            "!has(self.preset) || !has(self.steps) || size(self.steps) == 0",
            "a preset has its own steps: write one of them",
        ),
        rule(
            "",
            ".steps",
            "has(self.preset) || has(self.steps) && size(self.steps) > 0",
            "missing; accepted: steps, or a preset: progressive, emergency, blueGreen, migration",
        ),
        rule(
            "",
            ".previewAudience",
            "!has(self.previewAudience) || has(self.preset) && self.preset == 'blueGreen'",
            "it belongs to the preset blueGreen",
        ),
        rule(
            "",
            ".workload",
            "!has(self.workload) || !has(self.version)",
            "the template of the workload is the version: write no spec.version",
        ),
        Rule {
            at: "",
            field: ".workload",
            holds: everyone_at_the_end(),
            message: "with a workload the last step gives 100 % to everyone",
        },
        Rule {
            at: "",
            field: ".workload",
            holds: all_or_nobody(),
            message: "a Service has the pods of one version: each step gives everyone 0 or 100 %, as those of the preset \
                      blueGreen do",
        },
        rule(
            "/properties/workload",
            ".previewService",
            "!has(self.activeService) || !has(self.previewService) || self.activeService != self.previewService",
            "it is another Service than activeService",
        ),
        Rule {
            at: "",
            field: ".steps",
            holds: never_falling(),
            message: "a step never takes users away: a weight is at least that of the step of its audience before it",
        },
        rule(
            check,
            ".metric",
            "has(self.metric) != has(self.query)",
            "a check has a metric or a query: write one of them",
        ),
    ]
}

/// Weights never fall, so whoever gets 100 % at any step has it at the last one. A preset ends so.
fn everyone_at_the_end() -> String {
    let audience = "(has(self.audience) ? self.audience : 'everyone')";
    format!(
        "!has(self.workload) || (has(self.steps) && size(self.steps) > 0 ? \
         self.steps.exists(s, s.weight >= 100.0 && (has(s.audience) ? s.audience : {audience}) == 'everyone') : \
         !has(self.preset) || {audience} == 'everyone')"
    )
}

/// Of the presets, those that only step in parts have other weights.
fn all_or_nobody() -> String {
    let audience = "(has(self.audience) ? self.audience : 'everyone')";
    format!(
        "!has(self.workload) || !has(self.workload.activeService) && !has(self.workload.previewService) || \
         (has(self.steps) && size(self.steps) > 0 ? \
         self.steps.all(s, s.weight <= 0.0 || s.weight >= 100.0 || \
         (has(s.audience) ? s.audience : {audience}) != 'everyone') : \
         !has(self.preset) || self.preset in ['blueGreen', 'emergency'])"
    )
}

/// CEL has no indices of its own in all versions that people run: the list of them is written out.
fn never_falling() -> String {
    let indices: Vec<String> = (0..MAX_STEPS).map(|index| index.to_string()).collect();
    let indices = indices.join(",");
    let audience = |index: &str| {
        format!(
            "(has(self.steps[{index}].audience) ? self.steps[{index}].audience : \
             has(self.audience) ? self.audience : 'everyone')"
        )
    };
    format!(
        "!has(self.steps) || [{indices}].all(i, i >= size(self.steps) || [{indices}].all(j, j >= i || \
         {} != {} || self.steps[j].weight <= self.steps[i].weight))",
        audience("i"),
        audience("j")
    )
}
