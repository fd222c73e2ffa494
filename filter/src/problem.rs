//! One mistake in a configuration: where, what was found, what is accepted.
//!
//! The same text stands in Envoy's log and in `sluice validate`. Collected, never thrown: [`crate::plan`] and
//! [`crate::definition`] report every problem of a document at once.

use std::fmt;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the user's own field path, such as `splits.web.rules[0].name`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What is accepted there.
    pub accepted: String,
}

impl Problem {
    /// A problem at `path`: `found` stands there, `accepted` would be right.
    pub fn new(path: impl Into<String>, found: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), accepted: accepted.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.found, self.accepted)
    }
}

/// Reads a value of type `T`, and says where in it a shape error lies.
///
/// # Errors
/// The first shape error below `path`.
pub(crate) fn read_shape<T: serde::de::DeserializeOwned>(path: &str, value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| shape_problem(path, &error))
}

fn shape_problem(path: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let within = error.path().to_string();
    let at = match within.as_str() {
        "." => path.to_owned(),
        index if index.starts_with('[') => format!("{path}{index}"),
        field => format!("{path}.{field}"),
    };
    let text = error.inner().to_string();
    let (found, accepted) = match text.split_once(", expected ") {
        Some((found, accepted)) => (found.to_owned(), format!("accepted: {accepted}")),
        None => (text, "see the configuration reference".to_owned()),
    };
    let is_unquoted = found.starts_with("invalid type: boolean")
        || found.starts_with("invalid type: integer")
        || found.starts_with("invalid type: floating");
    let accepted = if is_unquoted && accepted == "accepted: a string" {
        "accepted: a string; YAML reads unquoted true, false, on, off, yes, no and digits as something else: quote it"
            .to_owned()
    } else {
        accepted
    };
    Problem::new(at, found, accepted)
}
