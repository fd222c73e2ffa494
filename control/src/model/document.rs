//! A configuration as a proxy receives it: the text that istiod makes of `pluginConfig`, read by
//! the filter's own code with the filter's own limits.
//!
//! Whatever judges a configuration in `sluice` reads it here, so that nothing is called good, or
//! written, that no proxy takes. Pure; what stands in a readable document is the plan's to judge.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use sluice_core::config::{Document, Unreadable};

/// Reads a configuration as the filter will.
///
/// # Errors
/// When it is unreadable as a whole, and why.
pub fn read(config: &Value) -> Result<Document, Unreadable> {
    Document::read(&received(config))
}

/// The bytes that a proxy receives: compact JSON, as Istio's `protomarshal.ToJSON` writes a
/// protobuf Struct.
pub fn received(config: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, AsIstiod);
    // A value in memory has only keys that are strings, and a Vec takes every byte.
    let _ = config.serialize(&mut serializer);
    text
}

/// How golang/protobuf's jsonpb writes: whole numbers without a point, and in strings also `<`,
/// `>`, `&`, U+2028 and U+2029 escaped, as Go's encoding/json does.
struct AsIstiod;

impl Formatter for AsIstiod {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        // From 1e21 on, Go writes an exponent.
        if value.fract() == 0.0 && value.abs() < 1e21 {
            return write!(writer, "{value}");
        }
        CompactFormatter.write_f64(writer, value)
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_escaped = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        let mut rest = fragment;
        while let Some(at) = rest.find(is_escaped) {
            let (before, after) = rest.split_at(at);
            let mut after = after.chars();
            let escaped = after.next().map_or(0, u32::from);
            write!(writer, "{before}\\u{escaped:04x}")?;
            rest = after.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_core::config::MAX_DOCUMENT_BYTES;

    use super::*;

    fn text(config: &Value) -> String {
        String::from_utf8(received(config)).unwrap()
    }

    #[test]
    fn a_document_has_the_form_that_istiod_gives_it() {
        let cases = [
            (json!({}), r#"{}"#),
            (
                json!({"a": [1, 2.0, 0.5, null, true]}),
                r#"{"a":[1,2,0.5,null,true]}"#,
            ),
            (json!({"a": 1e21}), r#"{"a":1e+21}"#),
            (
                json!({"a<b": "x & \"y\">\u{2028}é\n"}),
                r#"{"a\u003cb":"x \u0026 \"y\"\u003e\u2028é\n"}"#,
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(text(&config), expected);
            let read = serde_json::from_str::<Value>(expected).unwrap();
            assert_eq!(received(&read), expected.as_bytes(), "read again");
        }
    }

    #[test]
    fn a_document_is_measured_in_the_form_that_a_proxy_gets() {
        let of = |length: usize, letter: &str| json!({"x": letter.repeat(length)});
        let fits = of(MAX_DOCUMENT_BYTES - r#"{"x":""}"#.len(), "a");
        assert!(read(&fits).is_ok());
        let beyond = of(MAX_DOCUMENT_BYTES - r#"{"x":""}"#.len() + 1, "a");
        assert_eq!(
            read(&beyond).unwrap_err().to_string(),
            "document: 524289 bytes; at most 524288 bytes"
        );
        // Each of these takes six bytes on its way.
        let escaped = of(MAX_DOCUMENT_BYTES / 6, "<");
        assert_eq!(
            read(&escaped).unwrap_err().to_string(),
            "document: 524294 bytes; at most 524288 bytes"
        );
    }
}
