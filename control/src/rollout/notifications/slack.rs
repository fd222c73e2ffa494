//! Messages as Slack's incoming webhooks take them.
//!
//! What people wrote stands in blocks of plain text, where nothing is a mention, a link or a form;
//! the one text that Slack reads as markup, for the notification on a telephone, is escaped as
//! Slack's documentation of message formatting asks.

use serde_json::{Value, json};

use super::message::Letter;

/// The longest header, in characters, by Slack's reference of blocks.
const LONGEST_HEADER: usize = 150;

pub(super) fn body(letter: &Letter) -> Vec<u8> {
    let Letter { facts, .. } = letter;
    let title = format!("{}: {}", letter.word, letter.name);
    let text = match letter.text.as_str() {
        "" => facts,
        text => text,
    };
    let mut blocks = vec![json!({
        "type": "header",
        "text": plain(&title.chars().take(LONGEST_HEADER).collect::<String>()),
    })];
    if !letter.text.is_empty() {
        blocks.push(json!({"type": "section", "text": plain(&letter.text)}));
    }
    blocks.push(json!({"type": "context", "elements": [plain(facts)]}));
    let text = escaped(&format!("{title}: {text}"));
    json!({"text": text, "blocks": blocks})
        .to_string()
        .into_bytes()
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// The word by which Slack says what is wrong, such as `no_service`.
pub(super) fn word(text: &str) -> Option<&str> {
    let is_word = |text: &&str| {
        text.bytes()
            .all(|one| one == b'_' || one.is_ascii_lowercase())
    };
    Some(text)
        .filter(is_word)
        .filter(|text| (1..=64).contains(&text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slacks_own_words_are_repeated() {
        let cases = [
            ("no_service", Some("no_service")),
            ("", None),
            ("https://hooks.slack.com/services/T0/B0/s3cret", None),
            (&*"x".repeat(65), None),
        ];
        for (text, expected) in cases {
            assert_eq!(word(text), expected, "{text}");
        }
    }
}
