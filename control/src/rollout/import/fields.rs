//! Another tool's resource, field by field: whoever reads takes fields out, so that what nobody
//! took is known at the end and listed.

use std::fmt::Display;

use serde_json::{Map, Value};
use sluice_core::decode::kind_of;

use super::notes::Notes;

/// The fields of one map that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    path: String,
    left: Map<String, Value>,
}

impl Fields {
    /// The fields of a value at a path; one that is no map is listed, and has none.
    pub(super) fn of(path: impl Into<String>, value: Option<Value>, notes: &mut Notes) -> Self {
        let path = path.into();
        let left = match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(other) => {
                notes.lost(&path, format!("{}; expected a map", kind_of(&other)));
                Map::new()
            }
        };
        Self { path, left }
    }

    /// A field's path.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    /// Whether a field is still there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(|value| !value.is_null())
    }

    /// Takes a field as it is; null is absent.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a text.
    pub(super) fn text(&mut self, field: &str, notes: &mut Notes) -> Option<String> {
        self.read(field, "a text", notes, |value| {
            value.as_str().map(str::to_owned)
        })
        .filter(|text| !text.is_empty())
    }

    /// Takes a whole number.
    pub(super) fn whole(&mut self, field: &str, notes: &mut Notes) -> Option<i64> {
        self.read(field, "a whole number", notes, Value::as_i64)
    }

    /// Takes a number.
    pub(super) fn number(&mut self, field: &str, notes: &mut Notes) -> Option<f64> {
        self.read(field, "a number", notes, Value::as_f64)
    }

    /// Takes true or false.
    pub(super) fn flag(&mut self, field: &str, notes: &mut Notes) -> Option<bool> {
        self.read(field, "true or false", notes, Value::as_bool)
    }

    /// Takes a list; absent is empty.
    pub(super) fn list(&mut self, field: &str, notes: &mut Notes) -> Vec<Value> {
        let list = self.read(field, "a list", notes, |value| value.as_array().cloned());
        list.unwrap_or_default()
    }

    /// Takes a map, with its own fields.
    pub(super) fn map(&mut self, field: &str, notes: &mut Notes) -> Option<Self> {
        let path = self.at(field);
        let value = self.take(field)?;
        Some(Self::of(path, Some(value), notes))
    }

    /// Takes each map of a list, with its own fields.
    pub(super) fn maps(&mut self, field: &str, notes: &mut Notes) -> Vec<Self> {
        let path = self.at(field);
        let items = self.list(field, notes).into_iter().enumerate();
        items
            .map(|(index, item)| Self::of(format!("{path}[{index}]"), Some(item), notes))
            .collect()
    }

    /// Takes a field that has no counterpart and lists it; whether it was there.
    pub(super) fn lost(&mut self, field: &str, why: impl Display, notes: &mut Notes) -> bool {
        let is_there = self.take(field).is_some();
        if is_there {
            notes.lost(&self.at(field), why);
        }
        is_there
    }

    /// The same of several fields.
    pub(super) fn all_lost(&mut self, fields: &[(&str, &str)], notes: &mut Notes) {
        for (field, why) in fields {
            self.lost(field, why, notes);
        }
    }

    /// Lists what nobody took.
    pub(super) fn end(self, notes: &mut Notes) {
        for (field, value) in &self.left {
            if !value.is_null() {
                notes.lost(
                    &self.at(field),
                    "a field that sluice does not know; look what it does",
                );
            }
        }
    }

    fn read<T>(
        &mut self,
        field: &str,
        expected: &str,
        notes: &mut Notes,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(field)?;
        let found = read(&value);
        if found.is_none() {
            notes.lost(
                &self.at(field),
                format!("{}; expected {expected}", kind_of(&value)),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_takes_and_what_has_another_type_is_listed() {
        let mut notes = Notes::default();
        let value = json!({"a": 5, "b": "x", "c": null, "d": {"e": []}, "g": 1});
        let mut fields = Fields::of("spec", Some(value), &mut notes);
        assert_eq!(fields.whole("a", &mut notes), Some(5));
        assert_eq!(fields.whole("b", &mut notes), None);
        assert_eq!(fields.take("c"), None);
        let below = fields.map("d", &mut notes).unwrap();
        assert!(below.has("e"));
        below.end(&mut notes);
        fields.end(&mut notes);
        let unknown = "a field that sluice does not know; look what it does";
        assert_eq!(
            notes.into_lines(),
            [
                ": not carried over: spec.b: a string (\"x\"); expected a whole number".to_owned(),
                format!(": not carried over: spec.d.e: {unknown}"),
                format!(": not carried over: spec.g: {unknown}"),
            ]
        );
    }
}
