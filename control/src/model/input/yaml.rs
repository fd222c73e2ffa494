//! YAML and JSON texts as JSON values, within bounds: a few bytes must not become much memory or
//! time.
//!
//! Nesting is refused while it is scanned; values are counted as they are made, those that an alias
//! (`*name`) repeats included. What a plain scalar is, follows YAML 1.2's core schema; merge keys
//! (`<<`) are keys like others. Called by [`super::parse`].

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

/// How deep lists and maps may nest. Chosen: JSON readers, the API server's clients among them,
/// stop at 128; the deepest resources, definitions of others, nest some forty deep.
pub const MAX_NESTING: usize = 100;

/// How many values a text may hold, what its aliases repeat included. Chosen: a thousand plugins
/// with a hundred weights each, many times over; as JSON values they are 50 to 300 MB, most where
/// each is a map of its own (measured 2026-11-21).
pub const MAX_VALUES: usize = 1_000_000;

/// How many bytes the texts in it may have together, what its aliases repeat included: twice the
/// longest input.
pub const MAX_TEXT_BYTES: usize = 32 * 1024 * 1024;

/// Why a text could not be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum YamlError {
    /// It is no YAML.
    #[error("{why}, at line {line} column {column}")]
    Syntax {
        /// The parser's words.
        why: String,
        /// Where, from 1.
        line: usize,
        /// Where in it, from 1.
        column: usize,
    },
    /// Lists and maps in lists and maps.
    #[error("more than {MAX_NESTING} lists and maps inside each other, at line {line}")]
    TooDeep {
        /// Where, from 1.
        line: usize,
    },
    /// More values or longer texts than are accepted.
    #[error(
        "more than {MAX_VALUES} values or {} MiB of text, with what its aliases repeat, at line \
         {line}",
        MAX_TEXT_BYTES / (1024 * 1024)
    )]
    TooLarge {
        /// Where, from 1.
        line: usize,
    },
    /// The same key twice in a map.
    #[error("the key {key:?} twice in one map, at line {line}")]
    KeyTwice {
        /// The key.
        key: String,
        /// Where the second one is, from 1.
        line: usize,
    },
    /// An alias inside of what it names.
    #[error("an alias inside of what it names, at line {line}")]
    Circle {
        /// Where, from 1.
        line: usize,
    },
    /// A key is no text.
    #[error("the key {key} at line {line} is not text; quote it (YAML reads it as {kind})")]
    KeyIsNoText {
        /// The key.
        key: String,
        /// What YAML reads it as.
        kind: &'static str,
        /// Where, from 1.
        line: usize,
    },
    /// There is no key.
    #[error(
        "a colon without a key, or the key null, at line {line}; accepted: a name, a colon and a \
         value, the name in quotes \
         if it is null"
    )]
    NoKey {
        /// Where, from 1.
        line: usize,
    },
    /// A list or a map is a key.
    #[error(
        "a list or a map where a key belongs, at line {line}; accepted: a name (a template's \
         {{{{ … }}}} must be rendered \
         first)"
    )]
    KeyIsCollection {
        /// Where, from 1.
        line: usize,
    },
}

/// Every document of a text, empty ones as null.
///
/// # Errors
/// When it is no YAML, has keys that are no text, or is more than is accepted.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_NESTING,
        block_nesting_limit: MAX_NESTING,
    };
    let mut documents = Vec::new();
    let mut reader = Reader::default();
    for event in Parser::<StrInput<'_>>::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(of_scan)?;
        if let Some(document) = reader.take(event, &span)? {
            documents.push(document);
        }
    }
    Ok(documents)
}

fn of_scan(error: ScanError) -> YamlError {
    let (line, column) = (error.marker().line(), error.marker().col() + 1);
    match error.kind() {
        granit_parser::ErrorKind::RecursionLimitExceeded => YamlError::TooDeep { line },
        _ => YamlError::Syntax {
            why: error.info(),
            line,
            column,
        },
    }
}

/// A value and what it took of the bounds.
#[derive(Clone, Debug)]
struct Counted {
    value: Value,
    values: usize,
    text_bytes: usize,
}

/// A list or map whose end was not seen yet.
#[derive(Debug)]
struct Open {
    /// Where its own anchor (`&name`) leads; 0: it has none.
    anchor: usize,
    collection: Collection,
    values: usize,
    text_bytes: usize,
}

#[derive(Debug)]
enum Collection {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// Puts values together, event by event.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Counted>,
    root: Option<Value>,
    values: usize,
    text_bytes: usize,
}

impl Reader {
    /// Takes one event; the document that it ends.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Value>, YamlError> {
        let line = span.start.line();
        match event {
            Event::DocumentEnd => {
                self.anchors.clear();
                return Ok(Some(self.root.take().unwrap_or_default()));
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(anchor, Collection::List(Vec::new()), line)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(anchor, Collection::Map(Map::new(), None), line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            Event::Scalar(text, style, anchor, tag) => {
                let counted = Counted {
                    value: scalar(&text, style, tag.as_deref()),
                    values: 1,
                    text_bytes: text.len(),
                };
                self.count(1, text.len(), line)?;
                self.put(anchor, counted, line)?;
            }
            Event::Alias(anchor) => self.repeat(anchor, line)?,
            _ => {}
        }
        Ok(None)
    }

    fn begin(
        &mut self,
        anchor: usize,
        collection: Collection,
        line: usize,
    ) -> Result<(), YamlError> {
        if self.open.len() >= MAX_NESTING {
            return Err(YamlError::TooDeep { line });
        }
        self.count(1, 0, line)?;
        self.open.push(Open {
            anchor,
            collection,
            values: 1,
            text_bytes: 0,
        });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        let Some(ended) = self.open.pop() else {
            return Ok(());
        };
        let value = match ended.collection {
            Collection::List(items) => Value::Array(items),
            Collection::Map(fields, _) => Value::Object(fields),
        };
        let counted = Counted {
            value,
            values: ended.values,
            text_bytes: ended.text_bytes,
        };
        self.put(ended.anchor, counted, line)
    }

    fn repeat(&mut self, anchor: usize, line: usize) -> Result<(), YamlError> {
        let Some(named) = self.anchors.get(&anchor) else {
            return Err(YamlError::Circle { line });
        };
        // Counted before it is copied: the copy is what could be too much.
        let (values, text_bytes) = (named.values, named.text_bytes);
        self.count(values, text_bytes, line)?;
        let depth = depth(self.anchors.get(&anchor).map(|named| &named.value));
        if self.open.len() + depth > MAX_NESTING {
            return Err(YamlError::TooDeep { line });
        }
        let copy = self.anchors.get(&anchor).cloned();
        copy.map_or(Ok(()), |copy| self.put(0, copy, line))
    }

    fn count(&mut self, values: usize, text_bytes: usize, line: usize) -> Result<(), YamlError> {
        self.values += values;
        self.text_bytes += text_bytes;
        if self.values > MAX_VALUES || self.text_bytes > MAX_TEXT_BYTES {
            return Err(YamlError::TooLarge { line });
        }
        Ok(())
    }

    /// Puts a value where it belongs: into the innermost list or map, or at the top.
    fn put(&mut self, anchor: usize, counted: Counted, line: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            // The copy is kept for aliases, so it counts.
            self.count(counted.values, counted.text_bytes, line)?;
            self.anchors.insert(anchor, counted.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(counted.value);
            return Ok(());
        };
        open.values += counted.values;
        open.text_bytes += counted.text_bytes;
        match &mut open.collection {
            Collection::List(items) => items.push(counted.value),
            Collection::Map(fields, key) => match key.take() {
                Some(key) => {
                    fields.insert(key, counted.value);
                }
                None => {
                    let text = key_text(counted.value, line)?;
                    if fields.contains_key(&text) {
                        return Err(YamlError::KeyTwice { key: text, line });
                    }
                    *key = Some(text);
                }
            },
        }
        Ok(())
    }
}

/// How many lists and maps are inside each other.
fn depth(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Array(items)) => 1 + items.iter().map(Some).map(depth).max().unwrap_or(0),
        Some(Value::Object(fields)) => 1 + fields.values().map(Some).map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn key_text(key: Value, line: usize) -> Result<String, YamlError> {
    let refuse = |key: String, kind| Err(YamlError::KeyIsNoText { key, kind, line });
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(value) => refuse(value.to_string(), "a boolean"),
        Value::Number(number) => refuse(number.to_string(), "a number"),
        Value::Null => Err(YamlError::NoKey { line }),
        _ => Err(YamlError::KeyIsCollection { line }),
    }
}

/// What a scalar is: a quoted one is text, a tag (`!!str`) decides, a plain one is what it looks
/// like.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is = |name: &str| tag.is_some_and(|tag| tag.is_yaml_core_schema_tag(name));
    let is_typed = ["null", "bool", "int", "float"].iter().any(|name| is(name));
    if is("str") || (style != ScalarStyle::Plain && !is_typed) {
        return Value::String(text.to_owned());
    }
    plain(text)
}

/// YAML 1.2's core schema. What JSON has no number for (`.nan`, `.inf`) stays text, which no field
/// for numbers accepts.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let whole = match digits.get(..2) {
        Some("0x") => of_radix(digits, 16),
        Some("0o") => of_radix(digits, 8),
        Some("0b") => of_radix(digits, 2),
        // Zeros before other digits: a text, such as a postal code.
        _ if is_code(digits) => return None,
        _ => of_digits(digits),
    };
    match whole {
        Some(whole) if !is_negative => Some(Value::from(whole)),
        Some(whole) => i64::try_from(-i128::from(whole)).ok().map(Value::from),
        None => {
            let float: f64 = text.parse().ok()?;
            serde_json::Number::from_f64(float).map(Value::Number)
        }
    }
}

fn of_radix(digits: &str, radix: u32) -> Option<u64> {
    of_radix_digits(digits.get(2..)?, radix)
}

fn of_digits(digits: &str) -> Option<u64> {
    of_radix_digits(digits, 10)
}

fn of_radix_digits(digits: &str, radix: u32) -> Option<u64> {
    // Rust accepts a sign here, YAML does not.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

fn is_code(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(text: &str) -> Value {
        let mut all = documents(text).unwrap();
        assert_eq!(all.len(), 1, "{text:?}");
        all.remove(0)
    }

    /// The parser that wrote our files until now, and still writes them.
    fn as_yaml_serde_reads(text: &str) -> Value {
        let value: yaml_serde::Value = yaml_serde::from_str(text).unwrap();
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for text in [
            "~",
            "null",
            "Null",
            "NULL",
            "true",
            "True",
            "TRUE",
            "tRUE",
            "yes",
            "on",
            "off",
            "n",
            "0",
            "5",
            "-5",
            "+5",
            "--5",
            "+-5",
            "007",
            "-07",
            "00",
            "0x1F",
            "-0x1f",
            "0xg",
            "0o17",
            "0b101",
            "0x",
            "0.5",
            "-0.5",
            ".5",
            "5.",
            "1e3",
            "1E-3",
            "-1e3",
            "1e400",
            "1_000",
            "12:30:00",
            "2026-11-20",
            "inf",
            "nan",
            "infinity",
            "-",
            "+",
            ".",
            "a",
            "5 %",
            "18446744073709551615",
            "-9223372036854775808",
            "1.5.2",
            "\"5\"",
            "'true'",
            "!!str 5",
            "0.1",
            "100",
            "12.5",
            "1e",
            "e1",
            "-.5",
            "+.5",
            "0x+1",
            "0.0",
            "-0",
        ] {
            let (ours, theirs) = (one(text), as_yaml_serde_reads(text));
            // -0 is 0 in a weight; only its spelling differs.
            assert!(
                ours == theirs || ours.as_f64() == theirs.as_f64() && ours.is_number(),
                "{text}: {ours} {theirs}"
            );
        }
        assert_eq!(one(".nan"), json!(".nan"));
        assert_eq!(one("!!int \"5\""), json!(5));
        assert_eq!(one("99999999999999999999"), json!(1e20));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({
            "text": ["", " a ", "a: b", "- a", "#", "'", "\"", "a\nb\n", "\t", "5", "true", "null", "~", "é 收", "0x1", "[", "*a", "&a", "!a", "%a"],
            "numbers": [0, -1, 1.5, 1e300], "others": [null, true, {}, []], "x y": {"a-b.c/d": {"": 1}},
        });
        assert_eq!(one(&yaml_serde::to_string(&value).unwrap()), value);
        assert_eq!(one(&serde_json::to_string(&value).unwrap()), value);
        let tabs = serde_json::to_string_pretty(&value)
            .unwrap()
            .replace("  ", "\t");
        assert_eq!(one(&tabs), value);
    }

    #[test]
    fn anchors_are_read_within_the_bounds() {
        assert_eq!(
            one("a: &x [1, {b: c}]\nb: *x\nc: {d: *x, <<: 1}\n"),
            json!({"a": [1, {"b": "c"}], "b": [1, {"b": "c"}], "c": {"d": [1, {"b": "c"}], "<<": 1}})
        );
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert_eq!(documents(&bomb), Err(YamlError::TooLarge { line: 6 }));
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 20),
            ["*a"; 40].join(", ")
        );
        assert_eq!(documents(&long), Err(YamlError::TooLarge { line: 2 }));
        assert_eq!(documents("a: &a [*a]"), Err(YamlError::Circle { line: 1 }));
        let mut steps = "a0: &a0 []\n".to_owned();
        for level in 1..=MAX_NESTING {
            steps += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert_eq!(
            documents(&steps),
            Err(YamlError::TooDeep { line: MAX_NESTING })
        );
    }

    #[test]
    fn nesting_is_refused_before_it_costs_anything() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(documents(&deep(MAX_NESTING)).is_ok());
        assert_eq!(
            documents(&deep(MAX_NESTING + 1)),
            Err(YamlError::TooDeep { line: 1 })
        );
        assert_eq!(
            documents(&deep(1_000_000)),
            Err(YamlError::TooDeep { line: 1 })
        );
        let block: String = (0..=MAX_NESTING)
            .map(|depth| " ".repeat(depth) + "a:\n")
            .collect();
        assert_eq!(
            documents(&block),
            Err(YamlError::TooDeep {
                line: MAX_NESTING + 1
            })
        );
    }

    #[test]
    fn a_line_ends_where_the_standard_says() {
        // Older parsers end a comment here too, and would read what follows it.
        assert_eq!(one("a: 1 # \u{85}b: 2\u{2028}c: 3"), json!({"a": 1}));
    }
}
