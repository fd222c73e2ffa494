//! The fingerprint of a document: filter and control compute it with this same code, so that
//! `sluice status` can say how many proxies run which configuration.
//!
//! FNV-1a over canonical JSON (nulls dropped, keys in byte order, whole numbers as integers, others
//! in shortest form, those of hundreds of digits with an exponent, no spaces), cut to 48 bits so that a Prometheus gauge holds it exactly; see
//! docs/semantics.md, "The configuration".

use std::fmt;
use std::hash::Hasher;

use fnv::FnvHasher;
use serde_json::{Map, Value};

const BITS: u32 = 48;

/// A 48-bit fingerprint of a document, shown as 12 hexadecimal digits.
///
/// ```
/// use sluice_core::revision::Revision;
///
/// let one = Revision::of(&serde_json::json!({"b": 5.0, "a": null}));
/// assert_eq!(one, Revision::of(&serde_json::json!({"b": 5})));
/// assert_eq!(one.to_string().len(), 12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(u64);

impl Revision {
    /// The fingerprint of a document.
    pub fn of(document: &Value) -> Self {
        let mut hash = HashWriter(FnvHasher::default());
        write_canonical(document, &mut hash);
        Self::of_hash(hash.0.finish())
    }

    pub(crate) fn of_fields(fields: &Map<String, Value>) -> Self {
        let mut hash = HashWriter(FnvHasher::default());
        write_object(fields, &mut hash);
        Self::of_hash(hash.0.finish())
    }

    /// The fingerprint of texts, in their order.
    pub(crate) fn of_texts(texts: &[&str]) -> Self {
        let mut hash = FnvHasher::default();
        for text in texts {
            hash.write(text.as_bytes());
            hash.write(&[0]);
        }
        Self::of_hash(hash.finish())
    }

    const fn of_hash(hash: u64) -> Self {
        Self(hash >> (u64::BITS - BITS))
    }

    /// The fingerprint as the gauge `sluice_config_revision` shows it: a number below 2^48.
    pub const fn as_gauge(self) -> u64 {
        self.0
    }

    /// The fingerprint that a gauge showed; anything above 48 bits is cut.
    pub const fn from_gauge(value: u64) -> Self {
        Self(value & ((1 << BITS) - 1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// The canonical JSON of a value; see the module.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

/// The value without its nulls, at any depth; `None` when it is itself null.
pub fn without_nulls(mut value: Value) -> Option<Value> {
    drop_nulls(&mut value);
    (!value.is_null()).then_some(value)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

struct HashWriter(FnvHasher);

impl fmt::Write for HashWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

// Writing into a String or a hash cannot fail; `let _` because fmt::Write says it might.
fn write_canonical(value: &Value, out: &mut impl fmt::Write) {
    let _ = match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(number) => write_number(number, out),
        Value::String(_) => write!(out, "{value}"),
        Value::Array(items) => {
            write_array(items, out);
            Ok(())
        }
        Value::Object(fields) => {
            write_object(fields, out);
            Ok(())
        }
    };
}

// Every number passes through f64, as it does in protobuf's Struct on its way through istiod.
// Rust's Display for f64 is the shortest form that reads back the same, and prints whole numbers
// without a point.
fn write_number(number: &serde_json::Number, out: &mut impl fmt::Write) -> fmt::Result {
    let value = number.as_f64().unwrap_or(0.0);
    if value == 0.0 {
        out.write_str("0")
    } else if !(1e-9..1e21).contains(&value.abs()) {
        // Written out, it would have hundreds of digits; nothing of ours is so large or so small.
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    }
}

fn write_array(items: &[Value], out: &mut impl fmt::Write) {
    let _ = out.write_char('[');
    for (index, item) in items.iter().filter(|item| !item.is_null()).enumerate() {
        if index > 0 {
            let _ = out.write_char(',');
        }
        write_canonical(item, out);
    }
    let _ = out.write_char(']');
}

fn write_object(fields: &Map<String, Value>, out: &mut impl fmt::Write) {
    // serde_json's map is a BTreeMap: in byte order, unless some dependency switches
    // `preserve_order` on (tested below).
    let present = fields.iter().filter(|(_, value)| !value.is_null());
    let _ = out.write_char('{');
    for (index, (name, value)) in present.enumerate() {
        if index > 0 {
            let _ = out.write_char(',');
        }
        let _ = write!(out, "{}:", Value::String(name.clone()));
        write_canonical(value, out);
    }
    let _ = out.write_char('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn canonical_json_has_one_form_for_one_meaning() {
        let cases = [
            (
                "nulls dropped",
                json!({"a": null, "b": [null, 1]}),
                r#"{"b":[1]}"#,
            ),
            (
                "keys in byte order",
                json!({"b": 1, "B": 2, "ä": 3, "a": 4}),
                r#"{"B":2,"a":4,"b":1,"ä":3}"#,
            ),
            (
                "whole numbers as integers",
                json!([5.0, 5, -0.0, 1e20]),
                "[5,5,0,100000000000000000000]",
            ),
            (
                "others in shortest form",
                json!([0.001, 12.5, 1e-7]),
                "[0.001,12.5,0.0000001]",
            ),
            (
                "numbers of hundreds of digits with an exponent",
                json!([1e300, -1e21, 1e-300]),
                "[1e300,-1e21,1e-300]",
            ),
            ("strings as JSON", json!("a\"\n"), r#""a\"\n""#),
        ];
        for (label, value, expected) in cases {
            assert_eq!(canonical(&value), expected, "{label}");
        }
    }

    #[test]
    fn a_revision_is_48_bits_of_fnv1a_in_twelve_digits() {
        // The upper 48 of 64 bits, computed with a few lines of Python (offset 0xcbf29ce484222325,
        // prime 0x100000001b3).
        let cases = [
            (json!({}), 0x08f4_4b07_b590, "08f44b07b590"),
            (
                json!({"splits": {"web": {}}}),
                0xee55_6375_2417,
                "ee5563752417",
            ),
            (
                json!({"weights": {"web": {"everyone": {"canary": 5.0}}}, "draws": null}),
                0x9ae8_e722_b5c2,
                "9ae8e722b5c2",
            ),
            (
                json!({"b": [0.001, 12.5, true], "a": "ä"}),
                0xf307_ae72_1934,
                "f307ae721934",
            ),
        ];
        for (document, number, digits) in cases {
            let revision = Revision::of(&document);
            assert_eq!(revision.as_gauge(), number, "{document}");
            assert_eq!(revision.to_string(), digits);
            assert_eq!(Revision::from_gauge(number), revision);
        }
    }
}
