//! Reading a JSON value as what was wanted, field by field, and saying of every field what is wrong with it.
//!
//! By hand and not by serde's derive: all mistakes are reported at once instead of the first, each with its path, a
//! broken split is still read as far as it can be, and the module is some 100 KB smaller (BENCHMARKS.md).

use serde_json::{Map, Value};

use crate::config::{Named, kind_of};
use crate::problem::Problem;

/// What to say where YAML made something else of a name.
pub(crate) const YAML_HINT: &str =
    "; YAML reads unquoted true, false, on, off, yes, no and digits as something else: quote it";

/// A type that can be read from a JSON value.
pub trait Shape: Sized {
    /// What is accepted, in words.
    fn accepted() -> String;

    /// The value, or a problem at `path` for everything in it that has another shape.
    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self>;
}

/// Reports that `value` has another shape.
pub fn mismatch(path: &str, value: &Value, accepted: &str, problems: &mut Vec<Problem>) {
    problems.push(Problem::new(
        path,
        kind_of(value),
        format!("accepted: {accepted}"),
    ));
}

impl Shape for String {
    fn accepted() -> String {
        "a string".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => {
                mismatch(path, value, &["a string", YAML_HINT].concat(), problems);
                None
            }
            _ => {
                mismatch(path, value, "a string", problems);
                None
            }
        }
    }
}

impl Shape for bool {
    fn accepted() -> String {
        "true or false".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_bool();
        if read.is_none() {
            mismatch(path, value, "true or false", problems);
        }
        read
    }
}

impl Shape for f64 {
    fn accepted() -> String {
        "a number".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_f64();
        if read.is_none() {
            mismatch(path, value, "a number", problems);
        }
        read
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn accepted() -> String {
        format!("a list, each {}", T::accepted())
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Array(items) = value else {
            mismatch(path, value, &Self::accepted(), problems);
            return None;
        };
        let read = |(index, item)| T::read(&format!("{path}[{index}]"), item, problems);
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

impl<T: Shape> Shape for Named<T> {
    fn accepted() -> String {
        format!("a map, each value {}", T::accepted())
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Object(fields) = value else {
            mismatch(path, value, &Self::accepted(), problems);
            return None;
        };
        let read = |(name, value): (&String, &Value)| {
            let value = T::read(&format!("{path}.{name}"), value, problems)?;
            Some((name.clone(), value))
        };
        Some(Self(fields.iter().filter_map(read).collect()))
    }
}

/// The one of several names that a value is.
pub fn one_of<T: Copy>(
    path: &str,
    value: &Value,
    names: &[(&str, T)],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let found = names.iter().find(|(name, _)| value.as_str() == Some(name));
    if found.is_none() {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        mismatch(
            path,
            value,
            &format!("one of {}", known.join(", ")),
            problems,
        );
    }
    found.map(|(_, value)| *value)
}

/// The fields of a map, of which every one must be asked for.
pub struct Fields<'v, 'p> {
    path: &'v str,
    fields: Option<&'v Map<String, Value>>,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'v, 'p> Fields<'v, 'p> {
    /// The fields of `value`; none when it is no map, which is reported.
    pub fn of(path: &'v str, value: &'v Value, problems: &'p mut Vec<Problem>) -> Self {
        let fields = value.as_object();
        if fields.is_none() {
            mismatch(path, value, "a map", problems);
        }
        Self {
            path,
            fields,
            known: Vec::new(),
            problems,
        }
    }

    /// The field `name`; `None` when it is absent or has another shape.
    pub fn take<T: Shape>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let value = self.fields?.get(name)?;
        T::read(&format!("{}.{name}", self.path), value, self.problems)
    }

    /// Reports every field that nobody asked for.
    pub fn end(self) {
        let Self {
            path,
            fields,
            known,
            problems,
        } = self;
        for name in fields
            .into_iter()
            .flat_map(Map::keys)
            .filter(|name| !known.contains(&name.as_str()))
        {
            problems.push(Problem::new(
                format!("{path}.{name}"),
                "unknown field",
                format!("accepted: {}", known.join(", ")),
            ));
        }
    }
}
