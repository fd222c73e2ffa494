//! Serializing as text what has a type: enum reasons, problems and revisions in a report's JSON.

use std::fmt::Display;

use serde::Serializer;

/// A value as its text.
pub(super) fn one<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Values as a list of their texts.
pub(super) fn all<T: Display, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}
