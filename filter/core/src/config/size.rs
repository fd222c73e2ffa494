//! How many values a document has, before it is read and after: filter and control draw the same
//! line. An empty list or map counts as two.

use serde_json::Value;

/// The values of JSON text; of something else, any number.
pub(super) fn of_json(json: &[u8]) -> usize {
    let (mut number, mut is_text, mut is_escaped) = (1, false, false);
    for &byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => number += 1,
            _ => {}
        }
    }
    number
}

/// The values of a value.
pub(super) fn of_value(value: &Value) -> usize {
    1 + items(value)
}

fn items(value: &Value) -> usize {
    match value {
        Value::Array(items_of) => items_of.len().max(1) + items_of.iter().map(items).sum::<usize>(),
        Value::Object(fields) => fields.len().max(1) + fields.values().map(items).sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn text_and_value_have_the_same_number_of_values() {
        let cases = [
            ("1", 1),
            ("[]", 2),
            ("[1]", 2),
            (r#"{"a": [1, {}], "b,[{": null}"#, 6),
            (r#"["\\", "\",[{", "\\\"]"]"#, 4),
            (r#" { "a" : { "b" : [ [ ] , 5 ] } } "#, 6),
        ];
        for (json, expected) in cases {
            let value = serde_json::from_str(json).unwrap();
            assert_eq!(
                (of_json(json.as_bytes()), of_value(&value)),
                (expected, expected),
                "{json}"
            );
        }
    }
}
