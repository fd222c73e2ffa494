//! What people write: YAML or JSON streams, as JSON values.
//!
//! A key that YAML takes for something else than text is refused here, where that is still visible;
//! what a document means is [`crate::model::plugin`]'s, and where its text comes from is
//! [`crate::files`]'s.

use serde::Deserialize as _;
use serde_json::{Map, Value};

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The file as it was named, or `standard input`.
    pub source: String,
    /// Its content.
    pub value: Value,
}

impl Input {
    /// The resource's kind.
    pub fn kind(&self) -> Option<&str> {
        self.value.get("kind")?.as_str()
    }

    /// The resource's name.
    pub fn name(&self) -> Option<&str> {
        self.value.get("metadata")?.get("name")?.as_str()
    }

    /// The resource's namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.value.get("metadata")?.get("namespace")?.as_str()
    }
}

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It is no YAML.
    #[error("{path}: not YAML or JSON")]
    NotYaml {
        /// The file.
        path: String,
        /// Where and why.
        source: yaml_serde::Error,
    },
    /// A key is no text.
    #[error("{path}: the key {key} is not text; quote it (YAML reads it as {kind})")]
    KeyIsNoText {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What YAML reads it as.
        kind: &'static str,
    },
}

/// Every document of a text; empty ones are left out.
///
/// # Errors
/// When it is no YAML, or has keys that are no text.
pub fn parse(source: &str, text: &str) -> Result<Vec<Input>, InputError> {
    let mut all = Vec::new();
    for document in yaml_serde::Deserializer::from_str(text) {
        let yaml =
            yaml_serde::Value::deserialize(document).map_err(|error| InputError::NotYaml {
                path: source.to_owned(),
                source: error,
            })?;
        let value = to_json(source, yaml)?;
        if !value.is_null() {
            all.push(Input {
                source: source.to_owned(),
                value,
            });
        }
    }
    Ok(all)
}

fn to_json(source: &str, yaml: yaml_serde::Value) -> Result<Value, InputError> {
    Ok(match yaml {
        yaml_serde::Value::Null => Value::Null,
        yaml_serde::Value::Bool(value) => Value::Bool(value),
        yaml_serde::Value::Number(number) => number_to_json(&number),
        yaml_serde::Value::String(text) => Value::String(text),
        yaml_serde::Value::Sequence(items) => Value::Array(
            items
                .into_iter()
                .map(|item| to_json(source, item))
                .collect::<Result<_, _>>()?,
        ),
        yaml_serde::Value::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                object.insert(key_text(source, key)?, to_json(source, value)?);
            }
            Value::Object(object)
        }
        yaml_serde::Value::Tagged(tagged) => to_json(source, tagged.value)?,
    })
}

fn number_to_json(number: &yaml_serde::Number) -> Value {
    let whole = number
        .as_i64()
        .map(Value::from)
        .or_else(|| number.as_u64().map(Value::from));
    // What JSON has no number for (.nan, .inf) becomes text, which no field for numbers accepts.
    whole
        .or_else(|| serde_json::Number::from_f64(number.as_f64()?).map(Value::Number))
        .unwrap_or_else(|| Value::String(number.to_string()))
}

fn key_text(source: &str, key: yaml_serde::Value) -> Result<String, InputError> {
    let refuse = |key: String, kind| {
        Err(InputError::KeyIsNoText {
            path: source.to_owned(),
            key,
            kind,
        })
    };
    match key {
        yaml_serde::Value::String(text) => Ok(text),
        yaml_serde::Value::Bool(value) => refuse(value.to_string(), "a boolean"),
        yaml_serde::Value::Number(number) => refuse(number.to_string(), "a number"),
        yaml_serde::Value::Null => refuse("null".to_owned(), "null"),
        _ => refuse("that is a list or a map".to_owned(), "no name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stream_has_as_many_documents_as_it_has() {
        let inputs = parse("f", "a: 1\n---\n---\nb: [x, 2.5, true, null]\n").unwrap();
        let values: Vec<_> = inputs.into_iter().map(|input| input.value).collect();
        assert_eq!(
            values,
            [json!({"a": 1}), json!({"b": ["x", 2.5, true, null]})]
        );
    }

    #[test]
    fn an_error_names_the_file_and_the_key() {
        let cases = [
            (
                "true: 1",
                "f: the key true is not text; quote it (YAML reads it as a boolean)",
            ),
            (
                "1: 1",
                "f: the key 1 is not text; quote it (YAML reads it as a number)",
            ),
            ("a: [", "f: not YAML or JSON"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("f", text).unwrap_err().to_string(), expected);
        }
    }
}
