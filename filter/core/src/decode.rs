//! Decoding a JSON value as what is wanted, field by field, and saying of every field what is wrong
//! with it.
//!
//! Written by hand instead of derived by serde: all mistakes are reported at once instead of the
//! first, each with its path, a broken split is still decoded as far as it can be, and the module
//! is some 100 KB smaller (BENCHMARKS.md). `fields!` declares a type and its decoding in one place.
//! Used by [`crate::config`], and by what control reads that people write beside it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::problem::{Accepted, MAX_PROBLEMS, Problem};

/// The most items that any list of a configuration may have; most may have fewer. Chosen: as many as
/// people keep in a list of user ids.
pub const MAX_ITEMS: usize = 10_000;

/// The longest path that is written out. Chosen: all of ours are shorter.
const LONGEST_PATH: usize = 512;

/// A type that can be decoded from a JSON value.
pub trait Decode: Sized {
    /// What is accepted, in words.
    fn accepted() -> Cow<'static, str>;

    /// The value; and a problem at `path`, or below, for everything in it that is something else.
    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self>;
}

/// Values by name, in byte order of the names, each once. A list, because every entry is asked for
/// and none by its name, and because each type of map costs 2 KB of the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(pub Vec<(String, T)>);

/// What a JSON value is, in words: `a number (5)`, `a list of 2`.
pub fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("a boolean ({value})"),
        Value::Number(number) => format!("a number ({number})"),
        Value::String(text) => format!("a string ({text:?})"),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("a map of {}", fields.len()),
    }
}

/// The path of what stands at `name` below `path`.
pub fn below(path: &str, name: &str) -> String {
    let mut longer = path.to_owned();
    if path.len() + name.len() < LONGEST_PATH {
        longer.extend([".", name]);
    } else if path.len() < LONGEST_PATH {
        longer.extend([".", name.get(..64).unwrap_or_default(), "…"]);
    }
    longer
}

/// The value; a problem when it is something else.
fn read<T: Decode>(
    path: &str,
    value: &Value,
    read: Option<T>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    if read.is_none() {
        problems.push(mismatch(path, value, T::accepted()));
    }
    read
}

/// The problem of `value` being something else than what is accepted.
pub fn mismatch(path: &str, value: &Value, accepted: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(path, kind_of(value), Accepted::value(accepted))
}

impl Decode for String {
    fn accepted() -> Cow<'static, str> {
        "a string".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        if let Value::String(text) = value {
            return Some(text.clone());
        }
        let accepted = match value {
            Value::Bool(_) | Value::Number(_) => Accepted::QuotedName(Self::accepted()),
            _ => Accepted::Value(Self::accepted()),
        };
        problems.push(Problem::new(path, kind_of(value), accepted));
        None
    }
}

impl Decode for bool {
    fn accepted() -> Cow<'static, str> {
        "true or false".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        read(path, value, value.as_bool(), problems)
    }
}

impl Decode for f64 {
    fn accepted() -> Cow<'static, str> {
        "a number".into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        read(path, value, value.as_f64(), problems)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn accepted() -> Cow<'static, str> {
        T::accepted()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        T::decode(path, value, problems).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn accepted() -> Cow<'static, str> {
        format!("a list, each {}", T::accepted()).into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Array(items) = value else {
            problems.push(mismatch(path, value, Self::accepted()));
            return None;
        };
        if items.len() > MAX_ITEMS {
            let most = Accepted::rule(format!("at most {MAX_ITEMS}"));
            problems.push(Problem::new(path, kind_of(value), most));
            return None;
        }
        let mut decoded = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
            decoded.extend(T::decode(&format!("{path}[{index}]"), item, problems));
        }
        Some(decoded)
    }
}

impl<T: Decode> Decode for Named<T> {
    fn accepted() -> Cow<'static, str> {
        format!("a map, each value {}", T::accepted()).into()
    }

    fn decode(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Object(fields) = value else {
            problems.push(mismatch(path, value, Self::accepted()));
            return None;
        };
        let mut decoded = Vec::new();
        for (name, value) in fields {
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
            let value = T::decode(&below(path, name), value, problems);
            decoded.extend(value.map(|value| (name.clone(), value)));
        }
        Some(Self(decoded))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Editors see a map.
#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        std::collections::BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }
}

#[cfg(feature = "schema")]
impl<T: serde::Serialize> serde::Serialize for Named<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The one of several names that a value is.
pub fn one_of<T: Copy>(
    path: &str,
    value: &Value,
    names: &[(&str, T)],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let known = names.iter().find(|(name, _)| value.as_str() == Some(name));
    if known.is_none() {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        problems.push(mismatch(
            path,
            value,
            format!("one of {}", names.join(", ")),
        ));
    }
    known.map(|(_, value)| *value)
}

/// The fields of a map, of which every one must be asked for.
#[derive(Debug)]
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
            problems.push(mismatch(path, value, "a map"));
        }
        Self {
            path,
            fields,
            known: Vec::new(),
            problems,
        }
    }

    /// Decodes the field `name` into `target`, which stays as it is when the field is absent or
    /// something else.
    pub fn take<T: Decode>(&mut self, name: &'static str, target: &mut T) {
        self.known.push(name);
        if let Some(value) = self.fields.and_then(|fields| fields.get(name))
            && let Some(decoded) = T::decode(&below(self.path, name), value, self.problems)
        {
            *target = decoded;
        }
    }

    /// Reports every field that nobody asked for.
    pub fn end(self) {
        let names = self.fields.into_iter().flat_map(Map::keys);
        for name in names.filter(|name| !self.known.contains(&name.as_str())) {
            if self.problems.len() >= MAX_PROBLEMS {
                break;
            }
            self.problems.push(Problem::new(
                below(self.path, name),
                "unknown field",
                Accepted::value(self.known.join(", ")),
            ));
        }
    }
}

/// Declares a type of the configuration once: its fields with their names in JSON, how it is
/// decoded (what is absent stays as in its default) and, with the feature `schema`, what editors
/// know of it.
macro_rules! fields {
    (
        $(#[$attribute:meta])*
        pub struct $type:ident, accepted as $accepted:literal {
            $($(#[$field_attribute:meta])* $name:literal => $field:ident: $field_type:ty,)*
        }
    ) => {
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
        #[cfg_attr(feature = "schema", serde(deny_unknown_fields))]
        $(#[$attribute])*
        pub struct $type {
            $(
                $(#[$field_attribute])*
                #[cfg_attr(feature = "schema", serde(rename = $name))]
                pub $field: $field_type,
            )*
        }

        impl $crate::decode::Decode for $type {
            fn accepted() -> ::std::borrow::Cow<'static, str> {
                $accepted.into()
            }

            fn decode(
                path: &str,
                value: &::serde_json::Value,
                problems: &mut Vec<$crate::problem::Problem>,
            ) -> Option<Self> {
                let mut decoded = Self::default();
                let mut fields = $crate::decode::Fields::of(path, value, problems);
                $(fields.take($name, &mut decoded.$field);)*
                fields.end();
                Some(decoded)
            }
        }
    };
}
pub(crate) use fields;

/// Declares a type of the configuration that is one of several names; as `fields!`.
macro_rules! names {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident, accepted as $accepted:literal {
            $($(#[$variant_attribute:meta])* $name:literal => $variant:ident,)*
        }
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize))]
        $(#[$attribute])*
        pub enum $type {
            $(
                $(#[$variant_attribute])*
                #[cfg_attr(feature = "schema", serde(rename = $name))]
                $variant,
            )*
        }

        impl $crate::decode::Decode for $type {
            fn accepted() -> ::std::borrow::Cow<'static, str> {
                $accepted.into()
            }

            fn decode(
                path: &str,
                value: &::serde_json::Value,
                problems: &mut Vec<$crate::problem::Problem>,
            ) -> Option<Self> {
                let names = [$(($name, Self::$variant)),*];
                $crate::decode::one_of(path, value, &names, problems)
            }
        }
    };
}
pub(crate) use names;
