//! What people write: YAML or JSON streams, as JSON values.
//!
//! How a text is read, and within which bounds, is `yaml`'s; what a document means is
//! [`crate::model::plugin`]'s, and where its text comes from is [`crate::files`]'s.

mod yaml;

use serde_json::Value;

pub use yaml::{MAX_NESTING, MAX_TEXT_BYTES, MAX_VALUES, YamlError};

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

    /// The group of the resource's `apiVersion`, empty for Kubernetes' own; `None` where it has
    /// none.
    pub fn group(&self) -> Option<&str> {
        let version = self.value.get("apiVersion")?.as_str()?;
        Some(version.split_once('/').map_or("", |(group, _)| group))
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
    /// It is no YAML, or more than is accepted.
    #[error("{path}: not YAML or JSON")]
    NotYaml {
        /// The file.
        path: String,
        /// Where and why.
        source: YamlError,
    },
    /// It is YAML, and yet not accepted.
    #[error("{path}: {why}")]
    Refused {
        /// The file.
        path: String,
        /// What is in it, and what is accepted.
        why: YamlError,
    },
}

/// Every document of a text; empty ones are left out.
///
/// # Errors
/// When it is no YAML, has keys that are no text, or is more than is accepted.
pub fn parse(source: &str, text: &str) -> Result<Vec<Input>, InputError> {
    let path = || source.to_owned();
    let documents = yaml::documents(text).map_err(|error| match error {
        YamlError::Syntax { .. } | YamlError::Circle { .. } | YamlError::KeyTwice { .. } => {
            InputError::NotYaml {
                path: path(),
                source: error,
            }
        }
        why => InputError::Refused { path: path(), why },
    })?;
    let inputs = documents.into_iter().filter(|value| !value.is_null());
    Ok(inputs
        .map(|value| Input {
            source: path(),
            value,
        })
        .collect())
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
                "f: the key true at line 1 is not text; quote it (YAML reads it as a boolean)",
            ),
            (
                "a:\n  1: 1",
                "f: the key 1 at line 2 is not text; quote it (YAML reads it as a number)",
            ),
            (
                "splits:\n  web: {}\n  : x",
                "f: a colon without a key, or the key null, at line 3; accepted: a name, a colon \
                 and a value, the name in \
                 quotes if it is null",
            ),
            (
                "splits:\n  {{ .Values.web }}: {}",
                "f: a list or a map where a key belongs, at line 2; accepted: a name (a \
                 template's {{ … }} must be \
                 rendered first)",
            ),
            ("a: [", "f: not YAML or JSON"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("f", text).unwrap_err().to_string(), expected);
        }
    }
}
