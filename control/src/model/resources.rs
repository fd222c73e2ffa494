//! Kubernetes resources as types: the fields that Sluice reads and writes, and no others.
//!
//! Reading ignores fields that are not known, treats null as absent, as the API server does, and
//! says which field has another type than the kind's definition gives it. Nothing that was read
//! here is ever written back. Called by the analysis, the import, the rendering and the selection
//! of proxies.

pub mod gateway;
pub mod istio;
pub mod plugin;

use k8s_openapi::api::networking::v1::IngressSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sluice_core::decode::kind_of;

/// What a kind of resource says under `spec`.
pub trait Spec: DeserializeOwned + Serialize {
    /// The API group and version in which we write the kind.
    const API_VERSION: &str;
    /// The kind.
    const KIND: &str;
}

impl Spec for IngressSpec {
    const API_VERSION: &str = "networking.k8s.io/v1";
    const KIND: &str = "Ingress";
}

/// One resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource<S> {
    /// Name, namespace, annotations and so on.
    pub metadata: ObjectMeta,
    /// What its kind is about.
    pub spec: S,
}

impl<S: Spec> Resource<S> {
    /// A new resource.
    pub fn new(namespace: &str, name: &str, spec: S) -> Self {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        };
        Self { metadata, spec }
    }

    /// The resource of a document whose kind is this one.
    ///
    /// # Errors
    /// The first field that has another type than the kind's definition gives it.
    pub fn read(document: &Value) -> Result<Self, FieldError> {
        Ok(Self {
            metadata: metadata(document)?,
            spec: part(document, "spec")?,
        })
    }

    /// The namespace; where none is given, that which kubectl would use.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or("default")
    }

    /// `VirtualService shop/web`.
    pub fn title(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or("?");
        format!("{} {}/{name}", S::KIND, self.namespace())
    }

    /// The document to apply.
    ///
    /// # Errors
    /// When a value has no counterpart in JSON.
    pub fn to_document(&self) -> serde_json::Result<Value> {
        Ok(json!({
            "apiVersion": S::API_VERSION, "kind": S::KIND,
            "metadata": serde_json::to_value(&self.metadata)?, "spec": serde_json::to_value(&self.spec)?,
        }))
    }
}

/// What Sluice reads of a resource's metadata. An annotation that is no text is the API
/// server's to refuse, and hides nothing else.
fn metadata(document: &Value) -> Result<ObjectMeta, FieldError> {
    let mut document = json!({"metadata": document.get("metadata")});
    if let Some(Value::Object(fields)) = document.get_mut("metadata") {
        fields.retain(|field, _| ["name", "namespace", "annotations"].contains(&field.as_str()));
        if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
            annotations.retain(|_, value| value.is_string());
        }
    }
    part(&document, "metadata")
}

/// A field that has another type than its kind's definition gives it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FieldError {
    /// Such as `spec.http[0].route`.
    pub path: String,
    /// What stands there, and what is expected.
    pub why: String,
}

/// A part of a document, such as its `spec`; absent is empty.
///
/// # Errors
/// The first field that has another type.
pub(crate) fn part<T: DeserializeOwned>(document: &Value, field: &str) -> Result<T, FieldError> {
    let value = document.get(field).unwrap_or(&Value::Null);
    let empty = Value::Object(Map::new());
    // Copied only where it must be: it may be large.
    let cleaned = has_null(value).then(|| without_nulls(value));
    let value = match cleaned.as_ref().unwrap_or(value) {
        Value::Null => &empty,
        fields @ Value::Object(_) => fields,
        // Serde would read a list as the fields of a struct, in their order.
        other => {
            let (path, why) = (
                field.to_owned(),
                format!("{}, expected a map", kind_of(other)),
            );
            return Err(FieldError { path, why });
        }
    };
    serde_path_to_error::deserialize(value).map_err(|error| FieldError {
        path: match error.path().to_string().as_str() {
            "." => field.to_owned(),
            below => format!("{field}.{below}"),
        },
        why: in_words(&error.inner().to_string()),
    })
}

/// What the reader says of a field, in the terms of who wrote it: `invalid type: string "web",
/// expected struct HttpMatch` becomes `string "web", expected a map`.
fn in_words(said: &str) -> String {
    let said = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|prefix| said.strip_prefix(prefix))
        .unwrap_or(said);
    let Some((found, expected)) = said.rsplit_once(", expected ") else {
        return said.to_owned();
    };
    let found = match found {
        "map" => "a map",
        "sequence" => "a list",
        "unit value" | "null" => "null",
        other => other,
    };
    let names_a_type = expected.starts_with(|first: char| first.is_ascii_uppercase());
    let expected = match expected {
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "u16" => "a whole number from 0 to 65535",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        _ if expected.starts_with("struct ") || names_a_type => "a map",
        other => other,
    };
    format!("{found}, expected {expected}")
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        _ => false,
    }
}

/// Absent and null are the same in a resource.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::istio::VirtualService;
    use super::*;

    #[test]
    fn a_field_of_another_type_is_named() {
        let cases = [
            (
                json!({"spec": {"hosts": "web"}}),
                "spec.hosts: string \"web\", expected a list",
            ),
            (
                json!({"spec": {"http": [{"match": [{"headers": {"x-a": {"exact": 1}}}]}]}}),
                "spec.http[0].match[0].headers.x-a.exact: integer `1`, expected a string",
            ),
            (
                json!({"metadata": {"name": 5}}),
                "metadata.name: integer `5`, expected a string",
            ),
            (json!({"spec": []}), "spec: a list of 0, expected a map"),
            (
                json!({"spec": {"http": ["web"]}}),
                "spec.http[0]: string \"web\", expected a map",
            ),
            (
                json!({"spec": {"http": [{"match": [5]}]}}),
                "spec.http[0].match[0]: integer `5`, expected a map",
            ),
            (
                json!({"spec": {"http": [{"match": [{"headers": ["x"]}]}]}}),
                "spec.http[0].match[0].headers: a list, expected a map",
            ),
            (
                json!({"spec": {"http": [{"route": [{"destination": {"port": {"number": 70000}}}]}]}}),
                "spec.http[0].route[0].destination.port.number: integer `70000`, expected a whole number from 0 to 65535",
            ),
            (
                json!({"spec": {"http": [{"route": [{"weight": {}}]}]}}),
                "spec.http[0].route[0].weight: a map, expected a number",
            ),
        ];
        for (document, expected) in cases {
            let error = Resource::<VirtualService>::read(&document).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn absent_null_and_unknown_fields_are_no_errors() {
        let empty = Resource::<VirtualService>::default();
        for document in [
            json!({}),
            json!({"metadata": null, "spec": {"hosts": null, "exportTo": ["."]}}),
            json!({"metadata": {"labels": {"version": 5}, "creationTimestamp": "yesterday"}}),
        ] {
            assert_eq!(Resource::read(&document), Ok(empty.clone()));
        }
    }
}
