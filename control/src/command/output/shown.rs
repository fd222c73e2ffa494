//! Text that may hold names, reasons and errors from elsewhere, as it is safe to print.
//!
//! A cluster, a file, an Envoy, a Prometheus or a registry may say anything, escape sequences that
//! colour, hide or rewrite what a person reads included. They are shown, not obeyed. JSON's own
//! notation is taken for that, so JSON stays JSON: outside its texts it has none of these
//! characters.

use std::borrow::Cow;

/// The text with every character that a terminal would obey, or that reorders what is beside it,
/// as `\u001b`; ends of lines stay.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_obeyed(character))
}

/// As [`shown`], on one line: for what must not look like a line of ours.
pub(super) fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' if is_escaped('\n') => safe.push_str("\\n"),
            _ if is_escaped(character) => {
                safe.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

/// C0, DEL and C1 (ECMA-48); line and paragraph separators; the marks, embeddings, overrides and
/// isolates of Unicode's bidirectional algorithm (UAX #9), with which a name can be made to read
/// like another one; and the byte order mark, which is not seen at all. None is above U+FFFF,
/// where JSON would need two of its escapes.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        let cases = [
            ("colour", "\u{1b}[31mred", "\\u001b[31mred"),
            (
                "title by OSC and BEL",
                "\u{1b}]0;x\u{7}",
                "\\u001b]0;x\\u0007",
            ),
            ("one character of C1", "\u{9b}2J", "\\u009b2J"),
            (
                "overwrite the line",
                "bad\rgood\u{8}",
                "bad\\u000dgood\\u0008",
            ),
            ("DEL", "a\u{7f}", "a\\u007f"),
            ("override of direction", "\u{202e}yranac", "\\u202eyranac"),
            ("isolate", "\u{2066}a\u{2069}", "\\u2066a\\u2069"),
            ("separators", "a\u{2028}b\u{2029}", "a\\u2028b\\u2029"),
            ("people's letters stay", "收银 é 👩‍💻 a\nb", "收银 é 👩‍💻 a\nb"),
        ];
        for (label, text, expected) in cases {
            assert_eq!(shown(text), expected, "{label}");
        }
        assert_eq!(on_one_line("a\nerror: b"), "a\\nerror: b");
    }

    #[test]
    fn json_stays_json_with_the_same_meaning() {
        let value = serde_json::json!({"a\u{1b}\u{9b}\u{7f}": ["\u{202e}x\u{2028}\n", "é"]});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let text = shown(&pretty);
        assert!(
            !text.contains(|character| character != '\n' && is_obeyed(character)),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
