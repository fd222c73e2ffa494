//! The CustomResourceDefinition of a Rollout, made from the types that read it: what the API server
//! refuses at admission, and what `kubectl explain` says.
//!
//! Rules are those of [`super::definition`] that one object can say of itself, in the same words;
//! what they leave out stands in the Rollout's conditions. `sluice crds` prints it.

mod rules;
mod status;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::manifest::{API_VERSION, GROUP, KIND};
use super::resource::Spec;

/// The resource's name in URLs and for kubectl.
pub const PLURAL: &str = "rollouts";

/// The definition, as one applies it.
pub fn crd() -> Value {
    let version = API_VERSION
        .rsplit_once('/')
        .map_or(API_VERSION, |(_, version)| version);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND, "listKind": format!("{KIND}List"), "plural": PLURAL,
                "singular": "rollout", "shortNames": ["sro"], "categories": ["sluice"],
            },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

/// What `kubectl get rollouts` shows.
fn columns() -> Value {
    let column =
        |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    json!([
        column("Split", "string", ".spec.split"),
        column("Version", "string", ".status.shown.version"),
        column("Phase", "string", ".status.phase"),
        column("Step", "string", ".status.shown.step"),
        column("Weight", "string", ".status.shown.weight"),
        column("Age", "date", ".metadata.creationTimestamp"),
        {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
    ])
}

fn schema() -> Value {
    let about = "A Rollout moves the percentage of one traffic split by itself: step by step, watched, and back \
                 within seconds.";
    json!({
        "type": "object",
        "description": about,
        "required": ["spec"],
        "properties": {"spec": spec(), "status": status::schema()},
        "x-kubernetes-validations": [rules::name()],
    })
}

/// The spec's schema as the API server takes it.
fn spec() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<Spec>();
    let mut schema = schema.to_value();
    adapt(&mut schema);
    rules::add(&mut schema);
    schema
}

/// What Kubernetes' schemas neither have nor want: titles, formats of numbers, defaults (which would
/// be written into every object), and `null` beside what may be left out.
const FOREIGN: [&str; 6] = [
    "title",
    "default",
    "nullable",
    "format",
    "$schema",
    "additionalProperties",
];

/// Makes a schema structural, as Kubernetes calls it, with what it describes on one line.
fn adapt(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    take_optional(fields);
    take_names(fields);
    for name in FOREIGN {
        fields.remove(name);
    }
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = on_one_line(description);
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(adapt);
    }
    if let Some(items) = fields.get_mut("items") {
        adapt(items);
    }
}

/// What may be left out is the thing itself, or null: only the thing itself is kept.
fn take_optional(fields: &mut Map<String, Value>) {
    let Some(Value::Array(either)) = fields.remove("anyOf") else {
        return;
    };
    let null = json!([null]);
    let thing = either
        .into_iter()
        .find(|one| one.get("enum") != Some(&null));
    for (name, value) in thing.iter().filter_map(Value::as_object).flatten() {
        // What the field says of itself is more than what its type does.
        fields.entry(name).or_insert_with(|| value.clone());
    }
}

/// One of several names, each with a sentence: the names become an enumeration, the sentences a part
/// of the description.
fn take_names(fields: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = fields.remove("oneOf") else {
        return;
    };
    let (mut names, mut sentences) = (Vec::new(), String::new());
    for variant in &variants {
        let name = variant.get("const").or_else(|| variant.pointer("/enum/0"));
        let Some(name) = name.and_then(Value::as_str) else {
            continue;
        };
        let sentence = variant["description"].as_str().unwrap_or_default();
        sentences.push_str(&format!(" {name}: {sentence}"));
        names.push(name);
    }
    let own = fields.get("description").and_then(Value::as_str);
    let description = format!("{}{sentences}", own.unwrap_or_default());
    fields.insert("type".to_owned(), json!("string"));
    fields.insert("enum".to_owned(), json!(names));
    fields.insert("description".to_owned(), json!(description));
}

/// Sources break lines where `kubectl explain` breaks them by itself.
fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kubernetes calls structural, and what bounds the cost of rules: every list and string
    /// has a maximum, every value a type.
    fn assert_structural(path: &str, schema: &Value) {
        let Value::Object(fields) = schema else {
            panic!("{path}: {schema}");
        };
        for name in [
            "$ref",
            "anyOf",
            "oneOf",
            "allOf",
            "additionalProperties",
            "nullable",
        ] {
            assert!(!fields.contains_key(name), "{path}: {name}");
        }
        match schema["type"].as_str() {
            Some("object") => {
                let properties = schema["properties"].as_object().unwrap();
                for (name, inner) in properties {
                    let path = format!("{path}.{name}");
                    assert!(inner["description"].is_string(), "{path} says nothing");
                    assert_structural(&path, inner);
                }
            }
            Some("array") => {
                assert!(schema["maxItems"].is_u64(), "{path} has no maximum");
                assert_structural(&format!("{path}[]"), &schema["items"]);
            }
            Some("string") => {
                let is_bounded = schema["maxLength"].is_u64() || schema["enum"].is_array();
                assert!(is_bounded, "{path} has no maximum");
            }
            Some("boolean" | "number" | "integer") => {}
            other => panic!("{path}: type {other:?}"),
        }
    }

    #[test]
    fn everything_in_a_spec_has_a_type_a_maximum_and_a_sentence() {
        assert_structural("spec", &spec());
    }
}
